//! Texts that belong together, with or without texts that do not: training of embeddings.

use std::path::Path;

use super::dataset::{Dataset, Record};
use super::record::Pair;
use super::source::Source;
use super::table::{Column, Dialect, Table, Wanted};
use crate::error::Result;

const ANCHOR: &[&str] = &[
    "anchor",
    "query",
    "question",
    "sentence1",
    "sentence_a",
    "text1",
    "title",
    "input",
];
const POSITIVE: &[&str] = &[
    "positive",
    "positives",
    "pos",
    "passage",
    "answer",
    "document",
    "response",
    "sentence2",
    "sentence_b",
    "text2",
    "text",
    "output",
];
const NEGATIVE: &[&str] = &["negative", "negatives", "neg", "hard_negative", "hard_negatives"];
/// How columns of one negative each are called, with a number behind it.
const NUMBERED: &str = "negative_";

/// Which columns hold anchor, positive and negatives. What is not named is found by its usual names; columns
/// `negative_1`, `negative_2`, ... all count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PairColumns {
    /// The column of the anchor.
    pub anchor: Option<String>,
    /// The column of the positive; a list in JSON makes a pair of each of its texts.
    pub positive: Option<String>,
    /// The column of the negative or, in JSON, of the list of negatives.
    pub negative: Option<String>,
    /// How CSV and TSV are written.
    pub dialect: Dialect,
}

impl PairColumns {
    /// The column of the anchor.
    #[must_use]
    pub fn with_anchor(mut self, column: impl Into<String>) -> Self {
        self.anchor = Some(column.into());
        self
    }

    /// The column of the positive.
    #[must_use]
    pub fn with_positive(mut self, column: impl Into<String>) -> Self {
        self.positive = Some(column.into());
        self
    }

    /// The column of the negatives.
    #[must_use]
    pub fn with_negative(mut self, column: impl Into<String>) -> Self {
        self.negative = Some(column.into());
        self
    }

    /// How CSV and TSV are written.
    #[must_use]
    pub fn with_dialect(mut self, dialect: Dialect) -> Self {
        self.dialect = dialect;
        self
    }
}

/// Reads pairs and triples from a CSV, TSV, JSON or JSON lines file.
///
/// # Errors
/// Those of [`Source::read`] and [`parse`].
pub fn read(path: impl AsRef<Path>, columns: &PairColumns) -> Result<Dataset<Pair>> {
    parse(&Source::read(path)?, columns)
}

/// Reads pairs and triples from a text.
///
/// ```
/// use ragtune_train::data::{PairColumns, Source, pairs};
/// let line = r#"{"query": "capital of France", "pos": ["Paris", "It is Paris."], "neg": ["Lyon"]}"#;
/// let set = pairs::parse(&Source::from_text("a.jsonl", line), &PairColumns::default())?;
/// assert_eq!(set.len(), 2);
/// assert_eq!(set.records[1].value.negatives, ["Lyon"]);
/// # Ok::<(), ragtune_train::Error>(())
/// ```
///
/// # Errors
/// [`Error::MissingColumn`](crate::Error::MissingColumn) with the columns that there are,
/// [`Error::Malformed`](crate::Error::Malformed), [`Error::Empty`](crate::Error::Empty).
pub fn parse(source: &Source, columns: &PairColumns) -> Result<Dataset<Pair>> {
    let table = Table::read(source, &columns.dialect)?;
    let (anchor, positive, negatives) = find(&table, columns)?;
    let mut records = Vec::new();
    for row in table.rows() {
        let anchor = row.text(&table, &anchor)?;
        let mut others = Vec::new();
        for column in &negatives {
            others.extend(row.texts(&table, column)?);
        }
        let positives = row.texts(&table, &positive)?;
        // A missing positive stays an empty one, for cleaning to find.
        let positives = if positives.is_empty() {
            vec![String::new()]
        } else {
            positives
        };
        records.extend(positives.into_iter().map(|positive| Record {
            value: Pair {
                anchor: anchor.clone(),
                positive,
                negatives: others.clone(),
            },
            origin: table.origin(row),
        }));
    }
    Ok(records.into_iter().collect())
}

fn find(table: &Table<'_>, columns: &PairColumns) -> Result<(Column, Column, Vec<Column>)> {
    let want = |field, option, name, usual| Wanted {
        field,
        option,
        name,
        usual,
    };
    let anchor = table.require(&want("anchor", "with_anchor", columns.anchor.as_deref(), ANCHOR))?;
    let positive = want("positive", "with_positive", columns.positive.as_deref(), POSITIVE);
    let positive = match table.find(&positive)? {
        Some(column) => column,
        None => table
            .other_of_two(&anchor)
            .ok_or_else(|| table.missing("positive", "with_positive"))?,
    };
    let negative = want("negative", "with_negative", columns.negative.as_deref(), NEGATIVE);
    let mut negatives: Vec<Column> = table.find(&negative)?.into_iter().collect();
    if columns.negative.is_none() {
        for name in table.columns() {
            if name.to_ascii_lowercase().starts_with(NUMBERED) {
                negatives.push(table.require(&want("negative", "with_negative", Some(name), &[]))?);
            }
        }
    }
    Ok((anchor, positive, negatives))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn triples_and_numbered_negatives() {
        let csv = "anchor,positive,negative_1,negative_2\na,b,c,d\n";
        let set = parse(&Source::from_text("a.csv", csv), &PairColumns::default()).unwrap();
        assert_eq!(set.records[0].value.negatives, ["c", "d"]);
        let set = parse(
            &Source::from_text("a.tsv", "question\tpage\nq\tp\n"),
            &PairColumns::default(),
        );
        assert_eq!(set.unwrap().records[0].value, Pair::new("q", "p"));
        let missing = parse(
            &Source::from_text("a.csv", "x,y,z\n1,2,3\n"),
            &PairColumns::default(),
        );
        assert!(
            missing
                .unwrap_err()
                .to_string()
                .contains("no column for the anchor; the columns are x, y, z")
        );
    }
}
