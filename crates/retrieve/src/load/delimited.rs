//! CSV and its relatives.

use std::path::Path;

use ragtune_core::text::Locator;

use super::draft::Draft;
use super::limits::{Budget, LoadLimits};
use super::loader::{Loaded, Loader};
use super::rows::{Cell, Header, Rows};
use super::text::{TextLoader, extension, format, has_extension, read};
use crate::error::Result;

/// Delimiters that are looked for.
const DELIMITERS: [u8; 4] = *b",;\t|";
/// How much of a file is looked at to find its delimiter.
const SAMPLE_ROWS: usize = 100;
const SAMPLE_BYTES: usize = 64 << 10;

/// Loads CSV, TSV and the like, in any encoding that can be recognised: each row a line with the names of its columns,
/// `- name: Oolong; grams: 5`, so that a passage tells by itself what its numbers are. Places have the line of the file.
/// A file without columns is loaded as plain text. Metadata: `format` is `csv`.
///
/// ```
/// use std::path::Path;
/// use ragtune_retrieve::Loader;
/// use ragtune_retrieve::load::DelimitedLoader;
/// let loaded = DelimitedLoader::default().load(Path::new("tea.csv"), b"name;grams\nOolong;5\n")?;
/// assert_eq!(loaded.text, "- name: Oolong; grams: 5\n");
/// # Ok::<(), ragtune_retrieve::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DelimitedLoader {
    delimiter: Option<u8>,
    header: Header,
    limits: LoadLimits,
}

impl DelimitedLoader {
    /// With a delimiter instead of the one that fits best.
    pub fn with_delimiter(mut self, delimiter: u8) -> Self {
        self.delimiter = Some(delimiter);
        self
    }

    /// With another rule for the names of columns.
    pub fn with_header(mut self, header: Header) -> Self {
        self.header = header;
        self
    }

    /// With other limits.
    pub fn with_limits(mut self, limits: LoadLimits) -> Self {
        self.limits = limits;
        self
    }
}

impl Loader for DelimitedLoader {
    fn id(&self) -> String {
        format!("csv-1 delimiter {:?} header {:?}", self.delimiter, self.header)
    }

    fn accepts(&self, path: &Path) -> bool {
        has_extension(path, &["csv", "psv", "tsv"])
    }

    fn load(&self, path: &Path, bytes: &[u8]) -> Result<Loaded> {
        let budget = Budget::new(path, bytes.len(), &self.limits)?;
        let source = read(path, bytes, None)?;
        let by_name = (extension(path).as_deref() == Some("tsv")).then_some(b'\t');
        let Some(delimiter) = self.delimiter.or(by_name).or_else(|| best_delimiter(&source)) else {
            return TextLoader.load(path, bytes);
        };
        let mut reader = reader(delimiter, &source);
        let mut record = csv::StringRecord::new();
        let mut draft = Draft::new(&budget);
        let mut rows = Rows::new(self.header);
        // The line that the next line of the text is counted as, once a marker stands.
        let mut expected = None;
        let mut number = 0;
        loop {
            let more = reader.read_record(&mut record);
            let more = more.map_err(|error| budget.unreadable(format!("it is no table ({error})")))?;
            if !more {
                break;
            }
            budget.cells(record.len() as u64)?;
            let line = record.position().map_or(1, csv::Position::line);
            let cells = (0u32..)
                .zip(&record)
                .map(|(column, text)| Cell::of_text(column, text));
            if expected != Some(line) {
                draft.place(Locator {
                    line: u32::try_from(line).ok(),
                    ..Locator::default()
                });
            }
            let before = draft.text().len();
            rows.row(number, cells.collect(), &mut draft)?;
            if draft.text().len() > before {
                expected = Some(line + 1);
            }
            number += 1;
        }
        rows.end(&mut draft)?;
        Ok(draft.finish(format("csv")))
    }
}

fn reader(delimiter: u8, source: &str) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .flexible(true)
        .from_reader(source.as_bytes())
}

/// The delimiter by which most of the first rows have the same number of columns, several at least.
fn best_delimiter(source: &str) -> Option<u8> {
    let sample = &source[..source.floor_char_boundary(SAMPLE_BYTES)];
    let mut best: Option<(f64, usize, u8)> = None;
    for delimiter in DELIMITERS {
        let mut reader = reader(delimiter, sample);
        let widths: Vec<usize> = reader
            .records()
            .take(SAMPLE_ROWS)
            .filter_map(|record| Some(record.ok()?.len()))
            .collect();
        let mut sorted = widths.clone();
        sorted.sort_unstable();
        let Some(&usual) = sorted.get(sorted.len() / 2) else {
            continue;
        };
        let share = widths.iter().filter(|width| **width == usual).count() as f64 / widths.len() as f64;
        let is_better =
            best.is_none_or(|(most, columns, _)| share > most || share == most && usual > columns);
        if usual > 1 && is_better {
            best = Some((share, usual, delimiter));
        }
    }
    best.map(|(_, _, delimiter)| delimiter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(name: &str, text: &str) -> Loaded {
        DelimitedLoader::default()
            .load(Path::new(name), text.as_bytes())
            .unwrap()
    }

    fn lines(loaded: &Loaded) -> Vec<(usize, Option<u32>)> {
        loaded
            .markers
            .iter()
            .map(|marker| (marker.at, marker.locator.line))
            .collect()
    }

    #[test]
    fn delimiters_are_found() {
        for text in [
            "name,grams\ngreen,5\nblack,7\n",
            "name;grams\ngreen;5\nblack;7\n",
            "name\tgrams\ngreen\t5\nblack\t7\n",
            "name|grams\r\ngreen|5\r\nblack|7",
            "\u{FEFF}name,grams\n\"green\",5\n\nblack,\"7\"\n",
        ] {
            let loaded = load("a.csv", text);
            assert_eq!(
                loaded.text, "- name: green; grams: 5\n- name: black; grams: 7\n",
                "{text:?}"
            );
        }
        assert_eq!(load("a.tsv", "a\tb\n1\t2,5\n").text, "- a: 1; b: 2,5\n");
        assert_eq!(
            load("a.csv", "just text\nin lines\n").text,
            "just text\nin lines\n"
        );
        assert_eq!(load("a.csv", "").text, "");
    }

    #[test]
    fn rows_keep_their_line_of_the_file() {
        let loaded = load("a.csv", "a,b\n1,\"two\nlines\"\n3,4\n5,6\n");
        assert_eq!(loaded.text, "- a: 1; b: two lines\n- a: 3; b: 4\n- a: 5; b: 6\n");
        assert_eq!(lines(&loaded), [(0, Some(2)), (21, Some(4))]);
    }

    #[test]
    fn ragged_rows_and_open_quotes_are_read() {
        assert_eq!(load("a.csv", "a,b\n1\n1,2,3\n").text, "- a: 1\n- a: 1; b: 2; 3\n");
        assert_eq!(
            load("a.csv", "a,b\n1,\"open\n3,4\n").text,
            "- a: 1; b: open 3,4\n"
        );
    }

    #[test]
    fn tables_have_a_limit_of_cells() {
        let loader = DelimitedLoader::default().with_limits(LoadLimits::default().with_cells(5));
        let error = loader.load(Path::new("a.csv"), b"a,b\n1,2\n3,4\n").unwrap_err();
        assert!(
            matches!(error, crate::Error::LoadLimit { what: "cells", .. }),
            "{error}"
        );
    }
}
