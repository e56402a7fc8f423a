//! Rows of a table as text: each a line that names its columns, `- name: Oolong; grams: 5`.

use super::draft::{Draft, one_line};
use crate::error::Result;

/// Whether a table has a row with the names of its columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Header {
    /// The first row of several cells is the header when all of them are words and differ.
    #[default]
    Auto,
    /// The first row of several cells is the header.
    First,
    /// No row is; rows are written without names.
    None,
}

/// A filled cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) column: u32,
    pub(super) text: String,
    /// Whether it is words, not a number, a date or a truth value.
    pub(super) is_words: bool,
}

impl Cell {
    /// A cell of text, which may be a number.
    pub(super) fn of_text(column: u32, text: &str) -> Self {
        let text = one_line(text);
        Self {
            column,
            is_words: !is_number(&text),
            text,
        }
    }
}

/// Writes rows in their order.
pub(super) struct Rows {
    header: Header,
    /// Names of the columns, once they are known; empty for a table without.
    names: Option<Vec<(u32, String)>>,
    /// The header as a row, until a row under it is seen.
    waiting: Option<Vec<Cell>>,
    /// Whether a row under the header had a number.
    had_numbers: bool,
    last_row: Option<u32>,
}

impl Rows {
    pub(super) fn new(header: Header) -> Self {
        Self {
            header,
            names: None,
            waiting: None,
            had_numbers: false,
            last_row: None,
        }
    }

    /// Writes a row, whose cells are in the order of their columns.
    pub(super) fn row(&mut self, number: u32, cells: Vec<Cell>, draft: &mut Draft) -> Result<()> {
        let cells: Vec<Cell> = cells
            .into_iter()
            .filter(|cell| !cell.text.trim().is_empty())
            .collect();
        if cells.is_empty() {
            return Ok(());
        }
        let after_gap = self.last_row.is_some_and(|last| number > last.saturating_add(1));
        self.last_row = Some(number);
        let all_words = cells.iter().all(|cell| cell.is_words);
        if after_gap && self.header == Header::Auto && self.had_numbers && all_words && cells.len() > 1 {
            // Another table under the first.
            self.names = None;
            self.had_numbers = false;
        }
        if self.names.is_none() {
            if self.header != Header::None && cells.len() == 1 {
                // A title above the table.
                return draft.block(&cells[0].text);
            }
            let mut texts: Vec<&str> = cells.iter().map(|cell| cell.text.as_str()).collect();
            texts.sort_unstable();
            let differ = texts.windows(2).all(|pair| pair[0] != pair[1]);
            let is_header = match self.header {
                Header::Auto => all_words && differ,
                Header::First => true,
                Header::None => false,
            };
            if is_header {
                let names = cells.iter().map(|cell| (cell.column, cell.text.clone()));
                self.names = Some(names.collect());
                self.waiting = Some(cells);
                return Ok(());
            }
            self.names = Some(Vec::new());
        }
        self.waiting = None;
        self.had_numbers |= !all_words;
        self.write(&cells, draft)
    }

    /// Ends the table: a header with nothing under it is written as a row.
    pub(super) fn end(mut self, draft: &mut Draft) -> Result<()> {
        match self.waiting.take() {
            Some(cells) => {
                self.names = None;
                self.write(&cells, draft)
            }
            None => Ok(()),
        }
    }

    fn write(&self, cells: &[Cell], draft: &mut Draft) -> Result<()> {
        let names = self.names.as_deref().unwrap_or_default();
        let mut names = names.iter().peekable();
        let mut line = String::from("- ");
        for (at, cell) in cells.iter().enumerate() {
            if at > 0 {
                line.push_str("; ");
            }
            while names.next_if(|(column, _)| *column < cell.column).is_some() {}
            if let Some((column, name)) = names.peek()
                && *column == cell.column
            {
                line.push_str(name);
                line.push_str(": ");
            }
            line.push_str(&cell.text);
        }
        match draft
            .text()
            .lines()
            .next_back()
            .is_some_and(|last| last.starts_with("- "))
        {
            true => draft.line(&line),
            false => draft.block(&line),
        }
    }
}

/// Whether a text is a number, an amount or a date, and so no name of a column.
fn is_number(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    digits > 0
        && text.chars().all(|c| {
            c.is_ascii_digit()
                || matches!(
                    c,
                    '.' | ',' | '-' | '+' | '/' | ':' | '%' | '€' | '$' | '£' | '¥' | ' ' | 'e' | 'E'
                )
        })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use ragtune_core::text::Metadata;

    use super::super::limits::{Budget, LoadLimits};
    use super::*;

    fn written(header: Header, rows: &[(u32, &[&str])]) -> String {
        let budget = Budget::new(Path::new("a"), 0, &LoadLimits::default()).unwrap();
        let mut draft = Draft::new(&budget);
        let mut table = Rows::new(header);
        for (number, cells) in rows {
            let cells = (0u32..)
                .zip(*cells)
                .map(|(column, text)| Cell::of_text(column, text));
            table.row(*number, cells.collect(), &mut draft).unwrap();
        }
        table.end(&mut draft).unwrap();
        draft.finish(Metadata::new()).text
    }

    #[test]
    fn rows_name_their_columns() {
        let rows: &[(u32, &[&str])] = &[
            (0, &["name", "grams"]),
            (1, &["Oolong", "5"]),
            (2, &["", "7"]),
            (3, &["", ""]),
        ];
        assert_eq!(
            written(Header::Auto, rows),
            "- name: Oolong; grams: 5\n- grams: 7\n"
        );
        assert_eq!(written(Header::None, rows), "- name; grams\n- Oolong; 5\n- 7\n");
        assert_eq!(
            written(Header::First, &[(0, &["1", "2"]), (1, &["3", "4", "5"])]),
            "- 1: 3; 2: 4; 5\n"
        );
        assert_eq!(written(Header::Auto, &[(0, &["a", "b"])]), "- a; b\n");
        assert_eq!(
            written(Header::Auto, &[(0, &["1", "b"]), (1, &["2", "c"])]),
            "- 1; b\n- 2; c\n"
        );
    }

    #[test]
    fn titles_and_second_tables_are_seen() {
        let rows: &[(u32, &[&str])] = &[
            (0, &["Stock"]),
            (1, &["tea", "grams"]),
            (2, &["green", "5"]),
            (4, &["cup", "colour"]),
            (5, &["one", "blue"]),
        ];
        assert_eq!(
            written(Header::Auto, rows),
            "Stock\n\n- tea: green; grams: 5\n- cup: one; colour: blue\n"
        );
    }
}
