//! Passages judged for queries: training of cross-encoders.

use std::path::Path;

use super::dataset::{Dataset, Record};
use super::record::Judged;
use super::source::Source;
use super::table::{Dialect, Row, Table, Wanted};
use crate::error::Result;

const QUERY: &[&str] = &[
    "query",
    "question",
    "anchor",
    "sentence1",
    "sentence_a",
    "text1",
    "premise",
];
const PASSAGE: &[&str] = &[
    "passage",
    "document",
    "text",
    "answer",
    "sentence2",
    "sentence_b",
    "text2",
    "hypothesis",
    "positive",
];
const LABEL: &[&str] = &["label", "score", "relevance", "similarity", "rating"];

/// Which columns hold query, passage and label. What is not named is found by its usual names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct JudgedColumns {
    /// The column of the query.
    pub query: Option<String>,
    /// The column of the passage.
    pub passage: Option<String>,
    /// The column of the label: a number, or true or false.
    pub label: Option<String>,
    /// How CSV and TSV are written.
    pub dialect: Dialect,
}

impl JudgedColumns {
    /// The column of the query.
    #[must_use]
    pub fn with_query(mut self, column: impl Into<String>) -> Self {
        self.query = Some(column.into());
        self
    }

    /// The column of the passage.
    #[must_use]
    pub fn with_passage(mut self, column: impl Into<String>) -> Self {
        self.passage = Some(column.into());
        self
    }

    /// The column of the label.
    #[must_use]
    pub fn with_label(mut self, column: impl Into<String>) -> Self {
        self.label = Some(column.into());
        self
    }

    /// How CSV and TSV are written.
    #[must_use]
    pub fn with_dialect(mut self, dialect: Dialect) -> Self {
        self.dialect = dialect;
        self
    }
}

/// Reads judged passages from a CSV, TSV, JSON or JSON lines file.
///
/// # Errors
/// Those of [`Source::read`] and [`parse`].
pub fn read(path: impl AsRef<Path>, columns: &JudgedColumns) -> Result<Dataset<Judged>> {
    parse(&Source::read(path)?, columns)
}

/// Reads judged passages from a text.
///
/// ```
/// use ragtune_train::data::{JudgedColumns, Source, judged};
/// let source = Source::from_text("a.csv", "query,passage,label\ncapital,Paris is it.,1\ncapital,Lyon,0\n");
/// let set = judged::parse(&source, &JudgedColumns::default())?;
/// assert_eq!(set.records[1].value.label, 0.0);
/// # Ok::<(), ragtune_train::Error>(())
/// ```
///
/// # Errors
/// [`Error::MissingColumn`](crate::Error::MissingColumn) with the columns that there are,
/// [`Error::Malformed`](crate::Error::Malformed) with the line and column of a label that is no finite number,
/// [`Error::Empty`](crate::Error::Empty).
pub fn parse(source: &Source, columns: &JudgedColumns) -> Result<Dataset<Judged>> {
    let table = Table::read(source, &columns.dialect)?;
    let want = |field, option, name, usual| Wanted {
        field,
        option,
        name,
        usual,
    };
    let query = table.require(&want("query", "with_query", columns.query.as_deref(), QUERY))?;
    let passage = table.require(&want(
        "passage",
        "with_passage",
        columns.passage.as_deref(),
        PASSAGE,
    ))?;
    let label = table.require(&want("label", "with_label", columns.label.as_deref(), LABEL))?;
    let record = |row: &Row| {
        let cell = row.text(&table, &label)?;
        let number = match cell.trim().to_ascii_lowercase().as_str() {
            "true" => Some(1.0),
            "false" => Some(0.0),
            text => text.parse::<f32>().ok().filter(|number| number.is_finite()),
        };
        let number = number
            .ok_or_else(|| table.malformed(row, &label, &format!("{cell:?} where a number is expected")))?;
        let value = Judged {
            query: row.text(&table, &query)?,
            passage: row.text(&table, &passage)?,
            label: number,
        };
        let origin = table.origin(row);
        Ok(Record { value, origin })
    };
    table.rows().iter().map(record).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_numbers() {
        let parse = |text: &str| parse(&Source::from_text("a.tsv", text), &JudgedColumns::default());
        let set = parse("query\ttext\tscore\na\tb\t0.5\na\tc\tTrue\n").unwrap();
        assert_eq!(
            (set.records[0].value.label, set.records[1].value.label),
            (0.5, 1.0)
        );
        let error = parse("query\ttext\tscore\na\tb\t\n").unwrap_err().to_string();
        assert!(
            error.starts_with("a.tsv, line 2, column 5: column \"score\": \"\" where a number"),
            "{error}"
        );
        assert!(parse("query\ttext\tscore\na\tb\tNaN\n").is_err());
    }
}
