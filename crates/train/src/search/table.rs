//! Rows and columns as text, Markdown and CSV.

use std::fmt;

use crate::error::{Error, Result};

/// Characters of a cell on a terminal; messages are longer, and whole in the files.
const MAX_SHOWN: usize = 100;

/// Rows under a header.
pub(super) struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(header: Vec<String>, rows: Vec<Vec<String>>) -> Self {
        Self { header, rows }
    }

    pub(super) fn to_csv(&self) -> Result<String> {
        let wrong = |reason: String| Error::invalid("table", reason);
        let mut writer = csv::Writer::from_writer(Vec::new());
        for row in std::iter::once(&self.header).chain(&self.rows) {
            writer
                .write_record(row)
                .map_err(|error| wrong(error.to_string()))?;
        }
        let bytes = writer.into_inner().map_err(|error| wrong(error.to_string()))?;
        String::from_utf8(bytes).map_err(|error| wrong(error.to_string()))
    }

    pub(super) fn to_markdown(&self) -> String {
        let line = |row: &[String]| {
            let cells: Vec<String> = row
                .iter()
                .map(|cell| cell.replace('|', "\\|").replace(['\n', '\r'], " "))
                .collect();
            format!("| {} |\n", cells.join(" | "))
        };
        let rule = format!("|{}\n", "---|".repeat(self.header.len()));
        let rows = self.rows.iter().map(|row| line(row));
        [line(&self.header), rule].into_iter().chain(rows).collect()
    }
}

impl fmt::Display for Table {
    /// Columns below one another: numbers to the right, the last to the left.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |cell: &str| -> String {
            let cell = cell.replace(['\n', '\r', '\t'], " ");
            match cell.chars().count() > MAX_SHOWN {
                true => cell.chars().take(MAX_SHOWN - 1).chain(['…']).collect(),
                false => cell,
            }
        };
        let rows: Vec<Vec<String>> = std::iter::once(&self.header)
            .chain(&self.rows)
            .map(|row| row.iter().map(|cell| shown(cell)).collect())
            .collect();
        let width = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.header.len()).map(width).collect();
        for row in &rows {
            let last = row.len().saturating_sub(1);
            let cells = row.iter().zip(&widths).enumerate();
            let cells: Vec<String> = cells
                .map(|(column, (cell, width))| match column == last {
                    true => cell.clone(),
                    false => format!("{cell:>width$}"),
                })
                .collect();
            writeln!(f, "{}", cells.join("  ").trim_end())?;
        }
        Ok(())
    }
}

/// A share as people write it: 1/9, all, 35 %.
pub(super) fn share(share: f64) -> String {
    let parts = 1.0 / share;
    match parts {
        _ if share >= 1.0 => "the end".to_owned(),
        _ if (parts - parts.round()).abs() < 1e-6 => format!("1/{parts:.0}"),
        _ => format!("{:.0} %", 100.0 * share),
    }
}
