//! A field of a file that its examples do not keep, such as an author to divide by.

use std::collections::BTreeMap;
use std::path::Path;

use super::dataset::Origin;
use super::source::Source;
use super::table::{Dialect, Table, Wanted};
use crate::error::Result;

/// The values of a column of CSV, TSV, JSON lines or JSON, by the place of their rows, for
/// [`Dataset::split_by`](super::Dataset::split_by).
///
/// ```no_run
/// use ragtune_train::data::{Dialect, fields, labelled};
/// let set = labelled::read("reviews.csv", &labelled::Columns::default())?;
/// let authors = fields("reviews.csv", "author", &Dialect::default())?;
/// let (train, valid) = set.split_by(0.1, 42, |record| authors.get(&record.origin).cloned())?;
/// # Ok::<(), ragtune_train::Error>(())
/// ```
///
/// # Errors
/// Those of [`Source::read`], [`Error::MissingColumn`](crate::Error::MissingColumn) with the columns that there are, and
/// [`Error::Malformed`](crate::Error::Malformed) for a value that is no text or number.
pub fn fields(path: impl AsRef<Path>, name: &str, dialect: &Dialect) -> Result<BTreeMap<Origin, String>> {
    parse_fields(&Source::read(path)?, name, dialect)
}

/// As [`fields`], of a text in memory.
///
/// ```
/// use ragtune_train::data::{Dialect, Source, parse_fields};
/// let source = Source::from_text("t.csv", "text,label,author\na,x,Ada\nb,y,Bob\n");
/// let authors = parse_fields(&source, "author", &Dialect::default())?;
/// assert_eq!(authors.into_values().collect::<Vec<_>>(), ["Ada", "Bob"]);
/// # Ok::<(), ragtune_train::Error>(())
/// ```
///
/// # Errors
/// As [`fields`].
pub fn parse_fields(source: &Source, name: &str, dialect: &Dialect) -> Result<BTreeMap<Origin, String>> {
    let table = Table::read(source, dialect)?;
    let column = table.require(&Wanted {
        field: "field to divide by",
        option: "split_by",
        name: Some(name),
        usual: &[],
    })?;
    let value = |row| Ok((table.origin(row), row.text(&table, &column)?));
    table.rows().iter().map(value).collect()
}
