//! Excel workbooks, new and old.

use std::path::Path;

use ragtune_core::text::{Metadata, Value};

use super::by_content::elsewhere;
use super::draft::{Draft, heading, part};
use super::limits::{Budget, LoadLimits};
use super::loader::{Loaded, Loader};
use super::rows::{Cell, Header, Rows};
use super::sniff::{Kind, sniff};
use super::text::{format, has_extension};
use super::{xls, xlsx};
use crate::error::Result;

/// Loads Excel workbooks (`.xlsx`, `.xlsm`, `.xltx`, and `.xls` of Excel 5 to 2003): each sheet under its name as a
/// heading, each row a line with the names of its columns, `- name: Oolong; grams: 5`; dates as `2024-11-19`, percentages
/// as such, results of formulas as they were saved. Places have the sheet. Metadata: `format` is `xlsx` or `xls`, `title`
/// and `author`, `sheets` with their names, and `hidden_sheets` with those that were left out.
///
/// ```
/// use ragtune_retrieve::load::{Header, SpreadsheetLoader};
/// let loader = SpreadsheetLoader::default().with_header(Header::First).with_hidden(true);
/// # let _ = loader;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpreadsheetLoader {
    header: Header,
    hidden: bool,
    limits: LoadLimits,
}

impl SpreadsheetLoader {
    /// With another rule for the names of columns.
    pub fn with_header(mut self, header: Header) -> Self {
        self.header = header;
        self
    }

    /// With hidden sheets or without; without them by default.
    pub fn with_hidden(mut self, hidden: bool) -> Self {
        self.hidden = hidden;
        self
    }

    /// With other limits.
    pub fn with_limits(mut self, limits: LoadLimits) -> Self {
        self.limits = limits;
        self
    }
}

impl Loader for SpreadsheetLoader {
    fn id(&self) -> String {
        format!("spreadsheet-1 header {:?} hidden {}", self.header, self.hidden)
    }

    fn accepts(&self, path: &Path) -> bool {
        has_extension(path, &["xls", "xlsm", "xlsx", "xlt", "xltm", "xltx"])
    }

    fn load(&self, path: &Path, bytes: &[u8]) -> Result<Loaded> {
        let kind = sniff(bytes);
        let expected = if kind == Kind::Xls { Kind::Xls } else { Kind::Xlsx };
        if let Some(loaded) = elsewhere(expected, path, bytes, &self.limits) {
            return loaded;
        }
        let budget = Budget::new(path, bytes.len(), &self.limits)?;
        let mut sheets = Sheets {
            loader: self,
            draft: Draft::new(&budget),
            budget: &budget,
            rows: None,
            names: Vec::new(),
            hidden: Vec::new(),
        };
        let metadata = match kind {
            Kind::Xls => {
                xls::read(bytes, &budget, &mut sheets)?;
                format("xls")
            }
            _ => xlsx::read(bytes, &budget, &mut sheets)?,
        };
        sheets.finish(metadata)
    }
}

/// Takes the sheets of a workbook one after the other.
pub(super) struct Sheets<'a> {
    loader: &'a SpreadsheetLoader,
    draft: Draft<'a>,
    budget: &'a Budget,
    rows: Option<Rows>,
    names: Vec<Value>,
    hidden: Vec<Value>,
}

impl Sheets<'_> {
    /// Begins a sheet; false where it is not wanted.
    pub(super) fn begin(&mut self, name: &str, is_hidden: bool) -> Result<bool> {
        self.end()?;
        if is_hidden && !self.loader.hidden {
            self.hidden.push(name.into());
            return Ok(false);
        }
        self.names.push(name.into());
        self.budget.pages(self.names.len())?;
        self.draft.place(part(name));
        self.draft.block(&heading(2, name))?;
        self.rows = Some(Rows::new(self.loader.header));
        Ok(true)
    }

    /// Writes a row of the sheet that was begun.
    pub(super) fn row(&mut self, number: u32, cells: Vec<Cell>) -> Result<()> {
        match &mut self.rows {
            Some(rows) => rows.row(number, cells, &mut self.draft),
            None => Ok(()),
        }
    }

    fn end(&mut self) -> Result<()> {
        match self.rows.take() {
            Some(rows) => rows.end(&mut self.draft),
            None => Ok(()),
        }
    }

    fn finish(mut self, mut metadata: Metadata) -> Result<Loaded> {
        self.end()?;
        metadata.insert("sheets".to_owned(), Value::List(self.names));
        if !self.hidden.is_empty() {
            metadata.insert("hidden_sheets".to_owned(), Value::List(self.hidden));
        }
        Ok(self.draft.finish(metadata))
    }
}
