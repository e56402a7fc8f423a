//! Texts with labels, from CSV, TSV, JSON lines and JSON.

use std::path::Path;

use super::dataset::{Dataset, Record};
use super::record::Labelled;
use super::source::Source;
use super::table::{Column, Dialect, Row, Table, Wanted};
use crate::error::{Error, Result};

const TEXT: &[&str] = &[
    "text",
    "sentence",
    "content",
    "message",
    "utterance",
    "query",
    "question",
    "review",
    "comment",
    "tweet",
    "sms",
    "body",
    "document",
    "sentence1",
    "sentence_a",
    "text1",
    "text_a",
    "premise",
    "question1",
    "input",
];
const PAIR: &[&str] = &[
    "pair",
    "text_pair",
    "sentence2",
    "sentence_b",
    "text2",
    "text_b",
    "hypothesis",
    "question2",
];
const LABEL: &[&str] = &[
    "label",
    "labels",
    "category",
    "categories",
    "class",
    "intent",
    "target",
    "tag",
    "tags",
    "sentiment",
    "topic",
    "output",
    "y",
];
/// What a cell of a column that stands for a label holds where the label applies, and where it does not.
const YES: &[&str] = &["1", "1.0", "true", "yes"];
const NO: &[&str] = &["0", "0.0", "false", "no", ""];

/// Which columns hold text and label. What is not named is found by its usual names (`text`, `sentence`, ...; `label`,
/// `category`, ...); of two columns, one is enough.
///
/// ```
/// use ragtune_train::data::{Source, labelled};
/// let source = Source::from_text("t.csv", "id,headline,topics\n1,Rates rise,economy|banks\n");
/// let columns = labelled::Columns::default()
///     .with_text("headline")
///     .with_label("topics")
///     .with_label_separator("|");
/// let set = labelled::parse(&source, &columns)?;
/// assert_eq!(set.records[0].value.labels, ["economy", "banks"]);
/// # Ok::<(), ragtune_train::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Columns {
    /// The column of the text.
    pub text: Option<String>,
    /// The column of the second text.
    pub pair: Option<String>,
    /// The column of the label or labels.
    pub label: Option<String>,
    /// What stands between the labels of a cell, in multi-label tasks; lists in JSON need none.
    pub label_separator: Option<String>,
    /// Columns that are named after a label and hold 1 where it applies, otherwise 0 (multi-label tasks).
    pub label_columns: Vec<String>,
    /// How CSV and TSV are written.
    pub dialect: Dialect,
}

impl Columns {
    /// The column of the text.
    #[must_use]
    pub fn with_text(mut self, column: impl Into<String>) -> Self {
        self.text = Some(column.into());
        self
    }

    /// The column of the second text.
    #[must_use]
    pub fn with_pair(mut self, column: impl Into<String>) -> Self {
        self.pair = Some(column.into());
        self
    }

    /// The column of the label or labels.
    #[must_use]
    pub fn with_label(mut self, column: impl Into<String>) -> Self {
        self.label = Some(column.into());
        self
    }

    /// What stands between the labels of a cell.
    #[must_use]
    pub fn with_label_separator(mut self, separator: impl Into<String>) -> Self {
        self.label_separator = Some(separator.into());
        self
    }

    /// Columns that hold 1 where the label of their name applies.
    #[must_use]
    pub fn with_label_columns<S: Into<String>>(mut self, columns: impl IntoIterator<Item = S>) -> Self {
        self.label_columns = columns.into_iter().map(Into::into).collect();
        self
    }

    /// How CSV and TSV are written.
    #[must_use]
    pub fn with_dialect(mut self, dialect: Dialect) -> Self {
        self.dialect = dialect;
        self
    }
}

/// Reads texts with labels from a file.
///
/// An empty cell stays an empty text or label, for [`Cleaning`](super::Cleaning) to take out and report.
///
/// # Errors
/// Those of [`Source::read`] and [`parse`].
pub fn read(path: impl AsRef<Path>, columns: &Columns) -> Result<Dataset<Labelled>> {
    parse(&Source::read(path)?, columns)
}

/// Reads texts with labels from a text.
///
/// # Errors
/// [`Error::MissingColumn`] with the columns that there are, [`Error::Malformed`] with line and column,
/// [`Error::Empty`].
pub fn parse(source: &Source, columns: &Columns) -> Result<Dataset<Labelled>> {
    let table = Table::read(source, &columns.dialect)?;
    let found = Found::new(&table, columns)?;
    let record = |row: &Row| {
        let pair = found.pair.as_ref();
        let value = Labelled {
            text: row.text(&table, &found.text)?,
            pair: pair.map(|pair| row.text(&table, pair)).transpose()?,
            labels: found.labels(&table, row, columns.label_separator.as_deref())?,
        };
        let origin = table.origin(row);
        Ok(Record { value, origin })
    };
    table.rows().iter().map(record).collect()
}

struct Found {
    text: Column,
    pair: Option<Column>,
    label: Option<Column>,
    label_columns: Vec<Column>,
}

impl Found {
    fn new(table: &Table<'_>, columns: &Columns) -> Result<Self> {
        let want = |field, option, name, usual| Wanted {
            field,
            option,
            name,
            usual,
        };
        let text = want("text", "with_text", columns.text.as_deref(), TEXT);
        let label = want("label", "with_label", columns.label.as_deref(), LABEL);
        let pair = want("pair", "with_pair", columns.pair.as_deref(), PAIR);
        let label_columns = columns
            .label_columns
            .iter()
            .map(|name| table.require(&want("label", "with_label_columns", Some(name), &[])));
        let label_columns = label_columns.collect::<Result<Vec<_>>>()?;
        let found_label = match label_columns.is_empty() {
            true => table.find(&label)?,
            false => None,
        };
        let found_text = table.find(&text)?;
        if let (Some(column), Some(_), Some(_)) = (&found_text, &columns.text, &columns.label)
            && Some(column) == found_label.as_ref()
        {
            let reason = format!(
                "{:?} is named as the column of the text and of the label",
                column.name
            );
            return Err(Error::invalid("columns", reason));
        }
        let found_text = found_text.filter(|column| Some(column) != found_label.as_ref());
        let (text, label) = match (found_text, found_label) {
            (Some(text), Some(label)) => (text, Some(label)),
            (Some(text), None) if !label_columns.is_empty() => (text, None),
            (Some(text), None) => {
                let other = table.other_of_two(&text);
                (
                    text,
                    Some(other.ok_or_else(|| table.missing("label", "with_label"))?),
                )
            }
            (None, Some(label)) => {
                let other = table.other_of_two(&label);
                (
                    other.ok_or_else(|| table.missing("text", "with_text"))?,
                    Some(label),
                )
            }
            (None, None) => return Err(table.missing("text", "with_text")),
        };
        let is_taken = |column: &Column| *column == text || Some(column) == label.as_ref();
        Ok(Self {
            pair: table.find(&pair)?.filter(|column| !is_taken(column)),
            text,
            label,
            label_columns,
        })
    }

    fn labels(&self, table: &Table<'_>, row: &Row, separator: Option<&str>) -> Result<Vec<String>> {
        let Some(label) = &self.label else {
            return self.marked_labels(table, row);
        };
        let labels = match separator {
            Some("") => {
                return Err(Error::invalid(
                    "label_separator",
                    "empty; leave it out for single labels",
                ));
            }
            Some(separator) if !row.value(label).is_array() => {
                let cell = row.text(table, label)?;
                let parts = cell.split(separator).map(str::trim);
                parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
            }
            _ => match row.value(label).is_array() {
                true => row.texts(table, label)?,
                false => vec![row.text(table, label)?.trim().to_owned()],
            },
        };
        Ok(labels)
    }

    fn marked_labels(&self, table: &Table<'_>, row: &Row) -> Result<Vec<String>> {
        let mut labels = Vec::new();
        for column in &self.label_columns {
            let cell = row.text(table, column)?.trim().to_ascii_lowercase();
            if YES.contains(&cell.as_str()) {
                labels.push(column.name.clone());
            } else if !NO.contains(&cell.as_str()) {
                let reason = format!("{cell:?} where 0 or 1 is expected");
                return Err(table.malformed(row, column, &reason));
            }
        }
        Ok(labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(path: &str, text: &str, columns: &Columns) -> Result<Dataset<Labelled>> {
        parse(&Source::from_text(path, text), columns)
    }

    #[test]
    fn columns_are_found() {
        let usual = Columns::default();
        let set = read_text("a", "Label\tSMS\nham\t\"Ok\" lar\n\nspam\tWIN\n", &usual).unwrap();
        assert_eq!(set.records[0].value, Labelled::new("\"Ok\" lar", "ham"));
        assert_eq!(set.records[1].origin.line, 4);
        let set = read_text(
            "a.csv",
            "id;label;headline\n1;x;\"a;\nb\"\n",
            &usual.clone().with_text("headline"),
        );
        assert_eq!(set.unwrap().records[0].value.text, "a;\nb");
        let json = "{\"text\": \"a\", \"label\": 3}\n{\"label\": [\"x\", \"y\"], \"text\": \"b\"}\n";
        let set = read_text("a.jsonl", json, &usual).unwrap();
        assert_eq!(set.records[0].value.labels, ["3"]);
        assert_eq!(set.records[1].value.labels, ["x", "y"]);
        let set = read_text("a.csv", "premise,hypothesis,label\na,b,c\n", &usual).unwrap();
        assert_eq!(set.records[0].value, Labelled::new("a", "c").with_pair("b"));
        let set = read_text("a.csv", "comment,toxic,rude\na,1,0\nb,0,0\n", &{
            usual.clone().with_label_columns(["toxic", "rude"])
        });
        let set = set.unwrap();
        assert_eq!(set.records[0].value.labels, ["toxic"]);
        assert!(set.records[1].value.labels.is_empty());
        let set = read_text("a.json", "[{\"text\": null, \"label\": \"\"}]", &usual).unwrap();
        assert_eq!(set.records[0].value, Labelled::new("", ""));
    }

    #[test]
    fn errors_say_where_and_what() {
        let error = |path: &str, text: &str, columns: &Columns| {
            read_text(path, text, columns).unwrap_err().to_string()
        };
        let usual = Columns::default();
        let columns = error("a.csv", "id,headline,topic_name\n1,a,b\n", &usual);
        assert!(columns.contains("no column for the text; the columns are id, headline, topic_name"));
        assert!(columns.contains("with_text"), "{columns}");
        let named = error("a.csv", "text,label\na,b\n", &usual.clone().with_label("lable"));
        assert!(named.contains("no column for the label"), "{named}");
        let ragged = error("a.csv", "text,label\n\"a\n\nb\",c\na, b,c\n", &usual);
        assert!(
            ragged.starts_with("a.csv, line 5, column 1: 3 fields"),
            "{ragged}"
        );
        assert!(error("a.csv", "text,label\n", &usual).contains("no row of data"));
        let twice = error("a.csv", "text,label,text\na,b,c\n", &usual);
        assert!(
            twice.starts_with("a.csv, line 1, column 12: two columns are called \"text\""),
            "{twice}"
        );
        let both = usual.clone().with_text("label").with_label("label");
        assert!(error("a.csv", "text,label\na,b\n", &both).contains("of the text and of the label"));
        assert!(error("a.csv", "", &usual).contains("empty"));
        let object = error(
            "a.jsonl",
            "{\"text\": \"a\", \"label\": \"b\"}\n{\"text\": {}, \"label\": 1}\n",
            &usual,
        );
        assert!(
            object.starts_with("a.jsonl, line 2, column 1: column \"text\": an object"),
            "{object}"
        );
        let mark = error("a.csv", "text,rude\na,2\n", &usual.with_label_columns(["rude"]));
        assert!(
            mark.starts_with("a.csv, line 2, column 3: column \"rude\""),
            "{mark}"
        );
    }
}
