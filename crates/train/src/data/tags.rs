//! Words with tags, from CoNLL files and JSON lines.

use std::path::Path;

use super::dataset::{Dataset, Record};
use super::record::Tagged;
use super::source::{Format, Source};
use super::table::{Column, Dialect, Row, Table, Wanted};
use crate::error::Result;

const WORDS: &[&str] = &["tokens", "words"];
const TAGS: &[&str] = &["tags", "ner_tags", "labels", "ner", "pos_tags", "chunk_tags"];
/// The line that divides the documents of CoNLL 2003.
const DOCUMENT_START: &str = "-DOCSTART-";

/// How a file of words and tags is written.
///
/// ```
/// use ragtune_train::data::{Source, tags};
/// let source = Source::from_text("a.conll", "EU NNP B-ORG\nrejects VBZ O\n\nPeter NNP B-PER\n");
/// let set = tags::parse(&source, &tags::Layout::default())?;
/// assert_eq!(set.len(), 2);
/// assert_eq!(set.records[0].value.tags, ["B-ORG", "O"]);
/// # Ok::<(), ragtune_train::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Layout {
    /// The column of the word in a CoNLL file, counted from 0; the first by default.
    pub word_column: usize,
    /// The column of the tag in a CoNLL file, counted from 0; the last by default.
    pub tag_column: Option<usize>,
    /// Whether lines that begin with `#` are comments. By default they are not: `#` begins words of tweets.
    pub comments: bool,
    /// The field of the words in JSON; `tokens` or `words` by default.
    pub words: Option<String>,
    /// The field of the tags in JSON; `tags`, `ner_tags` or `labels` by default.
    pub tags: Option<String>,
}

impl Layout {
    /// The columns of word and tag in a CoNLL file, counted from 0.
    #[must_use]
    pub fn with_columns(mut self, word: usize, tag: usize) -> Self {
        self.word_column = word;
        self.tag_column = Some(tag);
        self
    }

    /// Whether lines that begin with `#` are comments.
    #[must_use]
    pub fn with_comments(mut self, comments: bool) -> Self {
        self.comments = comments;
        self
    }

    /// The field of the words in JSON.
    #[must_use]
    pub fn with_words(mut self, field: impl Into<String>) -> Self {
        self.words = Some(field.into());
        self
    }

    /// The field of the tags in JSON.
    #[must_use]
    pub fn with_tags(mut self, field: impl Into<String>) -> Self {
        self.tags = Some(field.into());
        self
    }
}

/// Reads words and tags from a file: JSON by its extension or first character, otherwise CoNLL.
///
/// # Errors
/// Those of [`Source::read`] and [`parse`].
pub fn read(path: impl AsRef<Path>, layout: &Layout) -> Result<Dataset<Tagged>> {
    parse(&Source::read(path)?, layout)
}

/// Reads words and tags from a text.
///
/// In CoNLL a line is a word with its tag, a blank line ends a sentence. Columns stand between tabs if the first line
/// has one, otherwise between white space.
///
/// # Errors
/// [`Error::Malformed`](crate::Error::Malformed) with the line that has another number of columns or no word or tag, or
/// a record with other numbers of words and tags; [`Error::MissingColumn`](crate::Error::MissingColumn),
/// [`Error::Empty`](crate::Error::Empty).
pub fn parse(source: &Source, layout: &Layout) -> Result<Dataset<Tagged>> {
    match source.format() {
        Format::Json | Format::JsonLines => json(source, layout),
        Format::Csv | Format::Tsv => conll(source, layout),
    }
}

fn json(source: &Source, layout: &Layout) -> Result<Dataset<Tagged>> {
    let table = Table::read(source, &Dialect::default())?;
    let want = |field, option, name, usual| Wanted {
        field,
        option,
        name,
        usual,
    };
    let words = table.require(&want("words", "with_words", layout.words.as_deref(), WORDS))?;
    let tags = table.require(&want("tags", "with_tags", layout.tags.as_deref(), TAGS))?;
    let list = |row: &Row, column: &Column| match row.value(column).is_array() {
        true => row.texts(&table, column),
        false => Err(table.malformed(row, column, "not a list")),
    };
    let record = |row: &Row| {
        let value = Tagged {
            words: list(row, &words)?,
            tags: list(row, &tags)?,
        };
        if value.words.len() != value.tags.len() {
            let reason = format!("{} tags for {} words", value.tags.len(), value.words.len());
            return Err(table.malformed(row, &tags, &reason));
        }
        let origin = table.origin(row);
        Ok(Record { value, origin })
    };
    table.rows().iter().map(record).collect()
}

fn conll(source: &Source, layout: &Layout) -> Result<Dataset<Tagged>> {
    let mut reader = Conll {
        source,
        layout,
        columns: None,
        records: Vec::new(),
        open: None,
    };
    let mut at = 0;
    for line in source.text().split_inclusive('\n') {
        reader.line(line.trim_end_matches(['\n', '\r']), at)?;
        at += line.len();
    }
    reader.end_sentence();
    match reader.records.is_empty() {
        true => Err(source.empty("it has no word with a tag")),
        false => Ok(reader.records.into_iter().collect()),
    }
}

struct Conll<'a> {
    source: &'a Source,
    layout: &'a Layout,
    /// Number of columns, and whether tabs stand between them.
    columns: Option<(usize, bool)>,
    records: Vec<Record<Tagged>>,
    open: Option<Record<Tagged>>,
}

impl Conll<'_> {
    fn line(&mut self, line: &str, at: usize) -> Result<()> {
        if line.trim().is_empty() || line.starts_with(DOCUMENT_START) {
            self.end_sentence();
            return Ok(());
        }
        if self.layout.comments && line.starts_with('#') {
            return Ok(());
        }
        let tabs = self.columns.map_or(line.contains('\t'), |(_, tabs)| tabs);
        let fields: Vec<&str> = match tabs {
            true => line.split('\t').map(str::trim).collect(),
            false => line.split_whitespace().collect(),
        };
        let (columns, _) = *self.columns.get_or_insert((fields.len(), tabs));
        let tag_column = self.layout.tag_column.unwrap_or(columns.saturating_sub(1));
        if fields.len() != columns {
            let hint = match line.starts_with('#') {
                true => "; where such lines are comments, say `with_comments(true)`",
                false => "",
            };
            let reason = format!("{} columns, and the first line has {columns}{hint}", fields.len());
            return Err(self.source.malformed(at, reason));
        }
        let (word, tag) = match (fields.get(self.layout.word_column), fields.get(tag_column)) {
            (Some(word), Some(tag)) if self.layout.word_column != tag_column => (*word, *tag),
            _ => {
                let reason = format!(
                    "{columns} columns, so there is none for the word (column {}) and another for the tag (column \
                     {tag_column}, counted from 0)",
                    self.layout.word_column
                );
                return Err(self.source.malformed(at, reason));
            }
        };
        if word.is_empty() || tag.is_empty() {
            return Err(self.source.malformed(at, "a word or a tag is empty"));
        }
        let open = self.open.get_or_insert_with(|| Record {
            value: Tagged {
                words: Vec::new(),
                tags: Vec::new(),
            },
            origin: self.source.origin(at),
        });
        open.value.words.push(word.to_owned());
        open.value.tags.push(tag.to_owned());
        Ok(())
    }

    fn end_sentence(&mut self) {
        self.records.extend(self.open.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read_text(path: &str, text: &str, layout: &Layout) -> Result<Dataset<Tagged>> {
        parse(&Source::from_text(path, text), layout)
    }

    #[test]
    fn sentences() {
        let text = "-DOCSTART- -X- O\n\n#tag\tO\r\nNew York\tB-loc\r\n\t\n\n\u{2028}x\tO\nlast\tO";
        let set = read_text("a.conll", text, &Layout::default()).unwrap();
        assert_eq!(set.len(), 2);
        assert_eq!(set.records[0].value.words, ["#tag", "New York"]);
        assert_eq!((set.records[0].origin.line, set.records[1].origin.line), (3, 7));
        let comments = Layout::default().with_comments(true).with_columns(1, 2);
        let set = read_text("a", "# id 1\n1 EU B-ORG _\n# x\n2 is O _\n", &comments).unwrap();
        assert_eq!(set.records[0].value.tags, ["B-ORG", "O"]);
        let json = "{\"tokens\": [\"a\", \"b\"], \"ner_tags\": [0, 3]}";
        let set = read_text("a.jsonl", json, &Layout::default()).unwrap();
        assert_eq!(set.records[0].value.tags, ["0", "3"]);
    }

    #[test]
    fn errors_have_lines() {
        let error =
            |path: &str, text: &str| read_text(path, text, &Layout::default()).unwrap_err().to_string();
        assert!(
            error("a", "a O\n\nb\n").starts_with("a, line 3, column 1: 1 columns, and the first line has 2")
        );
        assert!(error("a", "a O\n# x y\n").contains("with_comments"));
        assert!(error("a", "alone\n").contains("1 columns, so there is none"));
        assert!(error("a", "a\tO\n\tO\n").starts_with("a, line 2"));
        assert!(error("a", "\n\n").contains("no word"));
        assert!(error("a.jsonl", "{\"tokens\": [\"a\"], \"tags\": []}").contains("0 tags for 1 words"));
        assert!(error("a.jsonl", "{\"tokens\": \"a\", \"tags\": []}").contains("not a list"));
        assert!(error("a.jsonl", "{\"a\": 1}").contains("no column for the words; the columns are a"));
    }

    proptest! {
        #[test]
        fn written_sentences_are_read_back(
            sentences in prop::collection::vec(prop::collection::vec(("[a#ä]{1,3}", "[BIO]"), 1..4), 1..5),
        ) {
            let text: String = sentences
                .iter()
                .map(|words| words.iter().map(|(w, t)| format!("{w}\t{t}\n")).collect::<String>() + "\n")
                .collect();
            let set = read_text("a.conll", &text, &Layout::default()).unwrap();
            let found: Vec<Vec<(String, String)>> = set
                .values()
                .map(|v| v.words.iter().cloned().zip(v.tags.iter().cloned()).collect())
                .collect();
            prop_assert_eq!(found, sentences);
        }
    }
}
