//! Rows with named columns, from CSV, TSV, JSON lines and JSON.

use serde_json::Value;

use super::dataset::Origin;
use super::delimited::{self, Field};
use super::json::{self, Fields};
use super::source::{Format, Source};
use crate::error::{Error, Result};

/// Columns that an error lists at most, and characters of each.
const LISTED_COLUMNS: usize = 20;
const LISTED_CHARS: usize = 40;

/// How a table of text is written; nothing of it concerns JSON.
///
/// ```
/// use ragtune_train::data::{Dialect, Source, labelled};
/// // A file without a line of names: columns are called by their numbers.
/// let source = Source::from_text("sms.tsv", "ham\tOk lar\nspam\tWIN \"NOW\n");
/// let columns = labelled::Columns::default()
///     .with_dialect(Dialect::default().with_header(false))
///     .with_label("1")
///     .with_text("2");
/// let set = labelled::parse(&source, &columns)?;
/// assert_eq!(set.records[1].value.text, "WIN \"NOW");
/// # Ok::<(), ragtune_train::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dialect {
    /// What stands between fields. By default a tab in TSV; in CSV a comma, or a semicolon where the first line has
    /// semicolons and no comma.
    pub delimiter: Option<char>,
    /// Whether a field that begins with `"` goes to the next quote. By default in CSV only: tab-separated values have no
    /// quoting (IANA's registration of the type), and a message may begin with a quote.
    pub quotes: Option<bool>,
    /// Whether the first line names the columns, which is the default; otherwise they are called `1`, `2`, ...
    pub header: Option<bool>,
}

impl Dialect {
    /// What stands between fields.
    #[must_use]
    pub fn with_delimiter(mut self, delimiter: char) -> Self {
        self.delimiter = Some(delimiter);
        self
    }

    /// Whether fields may be quoted.
    #[must_use]
    pub fn with_quotes(mut self, quotes: bool) -> Self {
        self.quotes = Some(quotes);
        self
    }

    /// Whether the first line names the columns.
    #[must_use]
    pub fn with_header(mut self, header: bool) -> Self {
        self.header = Some(header);
        self
    }
}

/// Rows with named columns.
pub(super) struct Table<'a> {
    source: &'a Source,
    columns: Vec<String>,
    rows: Vec<Row>,
}

/// A line of a table.
pub(super) struct Row {
    pub(super) at: usize,
    cells: Cells,
}

enum Cells {
    Texts(Vec<Field>),
    Object(Fields),
}

/// A column that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    index: usize,
}

/// What a column is asked for: the field of the examples, the option that names it, its usual names.
pub(super) struct Wanted<'w> {
    pub(super) field: &'static str,
    pub(super) option: &'static str,
    pub(super) name: Option<&'w str>,
    pub(super) usual: &'static [&'static str],
}

impl<'a> Table<'a> {
    pub(super) fn read(source: &'a Source, dialect: &Dialect) -> Result<Self> {
        let table = match source.format() {
            Format::Json | Format::JsonLines => Self::of_json(source)?,
            format => Self::of_text(source, dialect, format)?,
        };
        match table.rows.is_empty() {
            true => Err(source.empty("it has no row of data")),
            false => Ok(table),
        }
    }

    pub(super) fn columns(&self) -> &[String] {
        &self.columns
    }

    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }

    pub(super) fn origin(&self, row: &Row) -> Origin {
        self.source.origin(row.at)
    }

    pub(super) fn malformed(&self, row: &Row, column: &Column, reason: &str) -> Error {
        let at = match &row.cells {
            Cells::Texts(fields) => fields.get(column.index).map_or(row.at, |field| field.at),
            Cells::Object(_) => row.at,
        };
        self.source
            .malformed(at, format!("column {:?}: {reason}", column.name))
    }

    /// The column for a field: the one that is named, otherwise the first of the usual names, in any case of letters.
    pub(super) fn find(&self, wanted: &Wanted<'_>) -> Result<Option<Column>> {
        let Some(name) = wanted.name else {
            let found = wanted.usual.iter().find_map(|usual| self.position(usual, true));
            return Ok(found);
        };
        match self.position(name, false).or_else(|| self.position(name, true)) {
            Some(column) => Ok(Some(column)),
            None => Err(self.missing(wanted.field, wanted.option)),
        }
    }

    pub(super) fn require(&self, wanted: &Wanted<'_>) -> Result<Column> {
        let found = self.find(wanted)?;
        found.ok_or_else(|| self.missing(wanted.field, wanted.option))
    }

    /// The only column besides another, where there are two.
    pub(super) fn other_of_two(&self, column: &Column) -> Option<Column> {
        let index = match (self.columns.len(), column.index) {
            (2, 0) => 1,
            (2, 1) => 0,
            _ => return None,
        };
        let name = self.columns.get(index)?.clone();
        Some(Column { name, index })
    }

    pub(super) fn missing(&self, field: &'static str, option: &'static str) -> Error {
        let short = |name: &String| match name.char_indices().nth(LISTED_CHARS) {
            None => name.clone(),
            Some((end, _)) => format!("{}...", &name[..end]),
        };
        let mut columns: Vec<String> = self.columns.iter().take(LISTED_COLUMNS).map(short).collect();
        if self.columns.len() > LISTED_COLUMNS {
            columns.push(format!("and {} more", self.columns.len() - LISTED_COLUMNS));
        }
        Error::MissingColumn {
            path: self.source.path().to_path_buf(),
            field,
            option,
            columns,
        }
    }

    fn position(&self, name: &str, any_case: bool) -> Option<Column> {
        let index = self.columns.iter().position(|column| match any_case {
            true => column.trim().eq_ignore_ascii_case(name),
            false => column == name,
        })?;
        let name = self.columns[index].clone();
        Some(Column { name, index })
    }

    fn of_json(source: &'a Source) -> Result<Self> {
        let mut columns: Vec<String> = Vec::new();
        let mut known = std::collections::HashSet::new();
        let mut rows = Vec::new();
        for node in json::records(source)? {
            let fields = node.object()?;
            for name in fields.keys() {
                if !known.contains(name) {
                    known.insert(name.clone());
                    columns.push(name.clone());
                }
            }
            let cells = Cells::Object(fields);
            rows.push(Row { at: node.at(), cells });
        }
        Ok(Self {
            source,
            columns,
            rows,
        })
    }

    fn of_text(source: &'a Source, dialect: &Dialect, format: Format) -> Result<Self> {
        let first = source.text().lines().next().unwrap_or_default();
        let usual = match format {
            Format::Tsv => '\t',
            _ if first.contains(';') && !first.contains(',') => ';',
            _ => ',',
        };
        let delimiter = dialect.delimiter.unwrap_or(usual);
        if matches!(delimiter, '"' | '\n' | '\r') {
            let reason = format!("{delimiter:?} cannot stand between fields");
            return Err(Error::invalid("delimiter", reason));
        }
        let quotes = dialect.quotes.unwrap_or(format != Format::Tsv);
        let mut rows = delimited::rows(source, delimiter, quotes)?;
        let Some(first) = rows.first() else {
            return Err(source.empty("the file is empty"));
        };
        let mut named = std::collections::HashSet::new();
        let columns: Vec<String> = match dialect.header.unwrap_or(true) {
            true => {
                let header = rows.remove(0);
                // Columns without a name are common, and are none that is asked for.
                let mut names = header.iter().filter(|field| !field.text.trim().is_empty());
                if let Some(twice) = names.find(|field| !named.insert(field.text.trim().to_owned())) {
                    let reason = format!("two columns are called {:?}; rename one", twice.text.trim());
                    return Err(source.malformed(twice.at, reason));
                }
                header.into_iter().map(|field| field.text).collect()
            }
            false => (1..=first.len()).map(|number| number.to_string()).collect(),
        };
        let check = |row: Vec<Field>| {
            let at = row.first().map_or(0, |field| field.at);
            if row.len() != columns.len() {
                let reason = format!(
                    "{} fields, and the first line has {}; a field with {delimiter:?} in it must be quoted",
                    row.len(),
                    columns.len()
                );
                return Err(source.malformed(at, reason));
            }
            let cells = Cells::Texts(row);
            Ok(Row { at, cells })
        };
        let rows = rows.into_iter().map(check).collect::<Result<_>>()?;
        Ok(Self {
            source,
            columns,
            rows,
        })
    }
}

impl Row {
    /// The cell of a column; null where an object lacks the field.
    pub(super) fn value(&self, column: &Column) -> Value {
        match &self.cells {
            Cells::Texts(fields) => fields
                .get(column.index)
                .map_or(Value::Null, |field| Value::String(field.text.clone())),
            Cells::Object(fields) => fields.get(&column.name).cloned().unwrap_or(Value::Null),
        }
    }

    /// The cell of a column as text; nothing is a missing value.
    pub(super) fn text(&self, table: &Table<'_>, column: &Column) -> Result<String> {
        text_of(self.value(column)).map_err(|reason| table.malformed(self, column, &reason))
    }

    /// The cell of a column as any number of texts.
    pub(super) fn texts(&self, table: &Table<'_>, column: &Column) -> Result<Vec<String>> {
        let texts: Result<Vec<String>, String> = match self.value(column) {
            Value::Null => Ok(Vec::new()),
            Value::Array(items) => items.into_iter().map(text_of).collect(),
            other => text_of(other).map(|text| vec![text]),
        };
        texts.map_err(|reason| table.malformed(self, column, &reason))
    }

    /// The row as an object.
    pub(super) fn object(&self, columns: &[String]) -> Fields {
        match &self.cells {
            Cells::Object(fields) => fields.clone(),
            Cells::Texts(fields) => columns
                .iter()
                .zip(fields)
                .map(|(name, field)| (name.clone(), Value::String(field.text.clone())))
                .collect(),
        }
    }
}

/// A text, number or truth value as text.
pub(super) fn text_of(value: Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text),
        Value::Null => Ok(String::new()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(flag) => Ok(flag.to_string()),
        other => Err(format!("{} where a text is expected", json::kind(&other))),
    }
}
