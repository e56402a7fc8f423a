//! The text of a document while it is put together, with the places that its parts come from.

use ragtune_core::text::{Locator, Marker, Metadata};

use super::limits::Budget;
use super::loader::Loaded;
use crate::error::Result;

/// Text, and markers for where it was in the original.
pub(super) struct Draft<'b> {
    budget: &'b Budget,
    text: String,
    markers: Vec<Marker>,
    /// The place of the next text.
    next: Option<Locator>,
}

impl<'b> Draft<'b> {
    pub(super) fn new(budget: &'b Budget) -> Self {
        Self {
            budget,
            text: String::new(),
            markers: Vec::new(),
            next: None,
        }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Says where the next text comes from.
    pub(super) fn place(&mut self, locator: Locator) {
        self.next = Some(locator);
    }

    /// A block with a blank line before it.
    pub(super) fn block(&mut self, text: &str) -> Result<()> {
        self.after("\n\n", text)
    }

    /// A line right under the one before.
    pub(super) fn line(&mut self, text: &str) -> Result<()> {
        self.after("\n", text)
    }

    /// The document. A text that is not empty ends with a line break.
    pub(super) fn finish(mut self, metadata: Metadata) -> Loaded {
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.text.push('\n');
        }
        Loaded {
            text: self.text,
            metadata,
            markers: self.markers,
        }
    }

    fn after(&mut self, separator: &str, text: &str) -> Result<()> {
        let text = text.trim_end();
        if text.trim_start().is_empty() {
            return Ok(());
        }
        self.budget.step()?;
        self.budget.text(self.text.len() + separator.len() + text.len())?;
        if !self.text.is_empty() {
            self.text.push_str(separator);
        }
        if let Some(locator) = self.next.take() {
            self.markers.push(Marker {
                at: self.text.len(),
                locator,
            });
        }
        self.text.push_str(text);
        Ok(())
    }
}

/// A place in a page.
pub(super) fn page(number: usize) -> Locator {
    Locator {
        page: u32::try_from(number).ok(),
        ..Locator::default()
    }
}

/// A place in a part with a name.
pub(super) fn part(name: impl Into<String>) -> Locator {
    Locator {
        part: Some(name.into()),
        ..Locator::default()
    }
}

/// Text on one line: white space of any kind becomes single spaces.
pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A Markdown heading on one line; empty for no text.
pub(super) fn heading(level: usize, text: &str) -> String {
    match one_line(text) {
        text if text.is_empty() => text,
        text => format!("{} {text}", "#".repeat(level.clamp(1, 6))),
    }
}

/// A paragraph such that none of its lines starts a block of Markdown; what would gets a backslash before it.
pub(super) fn paragraph(text: &str) -> String {
    let lines = text.trim().lines().map(|line| {
        let line = line.trim();
        let hashes = line.bytes().take_while(|byte| *byte == b'#').count();
        let heading =
            (1..=6).contains(&hashes) && matches!(line.as_bytes().get(hashes), None | Some(b' ' | b'\t'));
        let underline =
            line.len() > 2 && (line.bytes().all(|b| b == b'-') || line.bytes().all(|b| b == b'='));
        let starts = heading || underline || line.starts_with("```") || line.starts_with("~~~");
        match starts {
            true => format!("\\{line}"),
            false => line.to_owned(),
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A row of a Markdown table.
pub(super) fn table_row(cells: &[String]) -> String {
    let cells: Vec<_> = cells
        .iter()
        .map(|cell| one_line(cell).replace('|', "\\|"))
        .collect();
    format!("| {} |", cells.join(" | "))
}

/// A Markdown table whose first row is its header; rows of blank cells are left out.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let mut lines = Vec::with_capacity(rows.len() + 1);
    for row in rows
        .iter()
        .filter(|row| row.iter().any(|cell| !cell.trim().is_empty()))
    {
        lines.push(table_row(row));
        if lines.len() == 1 {
            lines.push(format!("|{}", "---|".repeat(row.len())));
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::limits::LoadLimits;
    use super::*;

    #[test]
    fn places_stand_where_their_text_begins() {
        let budget = Budget::new(Path::new("a"), 0, &LoadLimits::default().with_text_bytes(20)).unwrap();
        let mut draft = Draft::new(&budget);
        draft.place(page(1));
        draft.block(" \n").unwrap();
        draft.place(page(2));
        draft.block("two\n").unwrap();
        draft.line("more").unwrap();
        draft.place(page(3));
        draft.block("three").unwrap();
        assert!(draft.block("and far too much").is_err());
        let loaded = draft.finish(Metadata::new());
        assert_eq!(loaded.text, "two\nmore\n\nthree\n");
        let found: Vec<_> = loaded.markers.iter().map(|m| (m.at, m.locator.page)).collect();
        assert_eq!(found, [(0, Some(2)), (10, Some(3))]);
    }

    #[test]
    fn tables_are_markdown() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let rows = [row(["", " "]), row(["a", "b|c"]), row(["1\n2", ""])];
        assert_eq!(table(&rows), "| a | b\\|c |\n|---|---|\n| 1 2 |  |");
        assert_eq!(heading(9, " A\nb "), "###### A b");
        assert_eq!(heading(1, " "), "");
        assert_eq!(paragraph(" # a\n```\n---\n#b "), "\\# a\n\\```\n\\---\n#b");
    }
}
