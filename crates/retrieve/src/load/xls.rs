//! Workbooks of Excel 5 to 2003 (BIFF 5 and 8, MS-XLS), cell by cell. Formulas are never looked at, only their results.

use std::collections::HashMap;

use encoding_rs::{Encoding, WINDOWS_1252};

use super::compound::Compound;
use super::draft::one_line;
use super::limits::Budget;
use super::number_format::NumberFormat;
use super::rows::Cell;
use super::spreadsheet::Sheets;
use super::xls_record::{Record, Records, Strings};
use crate::error::{Error, Result};

/// Versions of the format in the record that opens a stream.
const BIFF8: u16 = 0x0600;
const BIFF5: u16 = 0x0500;

/// Types of records (MS-XLS 2.3).
mod kind {
    pub(super) const FORMULA: u16 = 0x0006;
    pub(super) const END: u16 = 0x000A;
    pub(super) const DATE_MODE: u16 = 0x0022;
    pub(super) const FILE_PASS: u16 = 0x002F;
    pub(super) const CODE_PAGE: u16 = 0x0042;
    pub(super) const BOUND_SHEET: u16 = 0x0085;
    pub(super) const MUL_RK: u16 = 0x00BD;
    pub(super) const RICH_STRING: u16 = 0x00D6;
    pub(super) const XF: u16 = 0x00E0;
    pub(super) const STRINGS: u16 = 0x00FC;
    pub(super) const LABEL_STRING: u16 = 0x00FD;
    pub(super) const NUMBER: u16 = 0x0203;
    pub(super) const LABEL: u16 = 0x0204;
    pub(super) const BOOL_OR_ERROR: u16 = 0x0205;
    pub(super) const STRING: u16 = 0x0207;
    pub(super) const RK: u16 = 0x027E;
    pub(super) const FORMAT: u16 = 0x041E;
    pub(super) const BEGIN: u16 = 0x0809;
}

/// What the first stream says of the whole workbook.
struct Workbook {
    is_biff8: bool,
    encoding: &'static Encoding,
    is_1904: bool,
    formats: HashMap<u16, NumberFormat>,
    /// Formats by the index that cells have.
    cell_formats: Vec<u16>,
    strings: Vec<String>,
    sheets: Vec<SheetEntry>,
}

struct SheetEntry {
    at: usize,
    name: String,
    is_hidden: bool,
    is_worksheet: bool,
}

/// A value before it is text.
enum Value {
    Shared(u32),
    Text(String),
    Number(f64, u16),
    Other(&'static str),
}

/// Reads all sheets.
pub(super) fn read(bytes: &[u8], budget: &Budget, sheets: &mut Sheets) -> Result<()> {
    let compound = Compound::open(bytes, budget)?;
    let stream = compound.stream(&["Workbook", "Book"])?;
    let stream = stream.ok_or_else(|| budget.unreadable("it has no workbook inside: the file is damaged"))?;
    let workbook = Workbook::read(&stream, budget)?;
    for sheet in &workbook.sheets {
        if sheet.is_worksheet && sheets.begin(&sheet.name, sheet.is_hidden)? {
            workbook.sheet(stream.get(sheet.at..).unwrap_or_default(), budget, sheets)?;
        }
    }
    Ok(())
}

impl Workbook {
    fn read(stream: &[u8], budget: &Budget) -> Result<Self> {
        let mut workbook = Self {
            is_biff8: true,
            encoding: WINDOWS_1252,
            is_1904: false,
            formats: HashMap::new(),
            cell_formats: Vec::new(),
            strings: Vec::new(),
            sheets: Vec::new(),
        };
        let mut is_first = true;
        for record in Records::new(stream) {
            budget.step()?;
            if std::mem::take(&mut is_first) {
                workbook.is_biff8 = match (record.kind, record.u16_at(0)) {
                    (kind::BEGIN, Some(BIFF8)) => true,
                    (kind::BEGIN, Some(BIFF5)) => false,
                    _ => {
                        let reason = "it is of Excel 4 or older, or damaged: save it as .xlsx";
                        return Err(budget.unreadable(reason));
                    }
                };
                continue;
            }
            match record.kind {
                kind::END => break,
                kind::FILE_PASS => {
                    return Err(Error::Encrypted {
                        path: budget.path().to_owned(),
                        remedy: "open it in its program and save it without a password",
                    });
                }
                kind::CODE_PAGE => {
                    if let Some(encoding) = record.u16_at(0).and_then(encoding_of) {
                        workbook.encoding = encoding;
                    }
                }
                kind::DATE_MODE => workbook.is_1904 = record.u16_at(0) == Some(1),
                kind::FORMAT => {
                    let code = workbook.text(&record, 2, !workbook.is_biff8);
                    if let (Some(id), Some(code)) = (record.u16_at(0), code) {
                        workbook.formats.insert(id, NumberFormat::of_code(&code));
                    }
                }
                kind::XF => workbook.cell_formats.push(record.u16_at(2).unwrap_or(0)),
                kind::STRINGS => workbook.strings = Strings::new(&record).all(budget)?,
                kind::BOUND_SHEET => {
                    if let Some(sheet) = workbook.sheet_entry(&record) {
                        workbook.sheets.push(sheet);
                        budget.pages(workbook.sheets.len())?;
                    }
                }
                _ => {}
            }
        }
        Ok(workbook)
    }

    fn sheet_entry(&self, record: &Record) -> Option<SheetEntry> {
        let name = match self.is_biff8 {
            true => Strings::at(record, 6).short()?,
            false => self.text(record, 6, true)?,
        };
        Some(SheetEntry {
            at: record.u32_at(0)? as usize,
            name: one_line(&name.replace('\0', "")),
            is_hidden: record.data.get(4)? & 0x3F != 0,
            is_worksheet: *record.data.get(5)? == 0,
        })
    }

    /// A text with its length before it: two bytes, or one in some records of BIFF 5.
    fn text(&self, record: &Record, at: usize, short: bool) -> Option<String> {
        if self.is_biff8 {
            return Strings::at(record, at).text();
        }
        let (length, start) = match short {
            true => (usize::from(*record.data.get(at)?), at + 1),
            false => (usize::from(record.u16_at(at)?), at + 2),
        };
        let bytes = record.data.get(start..)?;
        let bytes = &bytes[..length.min(bytes.len())];
        Some(self.encoding.decode_without_bom_handling(bytes).0.into_owned())
    }

    fn sheet(&self, stream: &[u8], budget: &Budget, sheets: &mut Sheets) -> Result<()> {
        let mut cells: Vec<(u16, u16, Value)> = Vec::new();
        // Charts inside a sheet have a stream of their own, with records that look like cells.
        let mut depth = 0usize;
        let mut counted = 0;
        // The place of a formula whose result is a text that follows.
        let mut open = None;
        for record in Records::new(stream) {
            budget.step()?;
            match record.kind {
                kind::BEGIN => depth += 1,
                kind::END if depth <= 1 => break,
                kind::END => depth -= 1,
                _ if depth > 1 => {}
                kind::STRING => {
                    if let (Some((row, column)), Some(text)) = (open.take(), self.text(&record, 0, false)) {
                        cells.push((row, column, Value::Text(text)));
                    }
                }
                kind::MUL_RK => {
                    let Some((row, first)) = record.u16_at(0).zip(record.u16_at(2)) else {
                        continue;
                    };
                    let values = record
                        .data
                        .get(4..record.data.len().saturating_sub(2))
                        .unwrap_or_default();
                    for (column, value) in (first..=u16::MAX).zip(values.chunks_exact(6)) {
                        let format = u16::from_le_bytes([value[0], value[1]]);
                        let number = rk(u32::from_le_bytes([value[2], value[3], value[4], value[5]]));
                        cells.push((row, column, Value::Number(number, format)));
                    }
                }
                _ => {
                    let Some((row, column)) = record.u16_at(0).zip(record.u16_at(2)) else {
                        continue;
                    };
                    match self.value(&record) {
                        Some(value) => cells.push((row, column, value)),
                        None if record.kind == kind::FORMULA => open = Some((row, column)),
                        None => {}
                    }
                }
            }
            budget.cells((cells.len() - counted) as u64)?;
            counted = cells.len();
        }
        cells.sort_by_key(|(row, column, _)| (*row, *column));
        let mut rows = cells.into_iter().peekable();
        while let Some((row, ..)) = rows.peek() {
            let row = *row;
            let mut filled = Vec::new();
            while let Some((_, column, value)) = rows.next_if(|(found, ..)| *found == row) {
                filled.extend(self.cell(u32::from(column), value));
            }
            sheets.row(u32::from(row), filled)?;
        }
        Ok(())
    }

    /// The value of a record that is a cell.
    fn value(&self, record: &Record) -> Option<Value> {
        let format = record.u16_at(4)?;
        match record.kind {
            kind::NUMBER => Some(Value::Number(record.f64_at(6)?, format)),
            kind::RK => Some(Value::Number(rk(record.u32_at(6)?), format)),
            kind::LABEL_STRING => Some(Value::Shared(record.u32_at(6)?)),
            kind::LABEL | kind::RICH_STRING => Some(Value::Text(self.text(record, 6, false)?)),
            kind::BOOL_OR_ERROR => match (record.data.get(6)?, record.data.get(7)?) {
                (value, 0) => Some(truth(*value)),
                (code, _) => Some(error(*code)),
            },
            kind::FORMULA => match (record.data.get(6..14)?, record.u16_at(12)?) {
                ([0, ..], 0xFFFF) => None,
                ([1, _, value, ..], 0xFFFF) => Some(truth(*value)),
                ([2, _, code, ..], 0xFFFF) => Some(error(*code)),
                (_, 0xFFFF) => Some(Value::Other("")),
                _ => Some(Value::Number(record.f64_at(6)?, format)),
            },
            _ => None,
        }
    }

    fn cell(&self, column: u32, value: Value) -> Option<Cell> {
        let number = |text: String| Cell {
            column,
            text,
            is_words: false,
        };
        let cell = match value {
            Value::Shared(at) => Cell::of_text(column, self.strings.get(at as usize)?),
            Value::Text(text) => Cell::of_text(column, &text),
            Value::Other(text) => number(text.to_owned()),
            Value::Number(value, format) => {
                let id = self.cell_formats.get(usize::from(format)).copied().unwrap_or(0);
                let own = self.formats.get(&id).copied();
                let format = own.unwrap_or_else(|| NumberFormat::built_in(u32::from(id)));
                number(format.show(value, self.is_1904))
            }
        };
        (!cell.text.is_empty()).then_some(cell)
    }
}

/// A number in 30 bits (MS-XLS 2.5.217): whole or the upper half of a fraction, times 100 or not.
fn rk(bits: u32) -> f64 {
    let value = match bits & 2 {
        0 => f64::from_bits(u64::from(bits & 0xFFFF_FFFC) << 32),
        _ => f64::from(bits.cast_signed() >> 2),
    };
    if bits & 1 == 0 { value } else { value / 100.0 }
}

fn truth(value: u8) -> Value {
    Value::Other(if value == 0 { "FALSE" } else { "TRUE" })
}

/// Error values (MS-XLS 2.5.10).
fn error(code: u8) -> Value {
    Value::Other(match code {
        0x00 => "#NULL!",
        0x07 => "#DIV/0!",
        0x0F => "#VALUE!",
        0x17 => "#REF!",
        0x1D => "#NAME?",
        0x24 => "#NUM!",
        _ => "#N/A",
    })
}

/// The encoding of a code page of Windows.
fn encoding_of(page: u16) -> Option<&'static Encoding> {
    let label = match page {
        874 => "windows-874".to_owned(),
        932 => "shift_jis".to_owned(),
        936 => "gbk".to_owned(),
        949 => "euc-kr".to_owned(),
        950 => "big5".to_owned(),
        10_000 | 0x8000 => "macintosh".to_owned(),
        page => format!("windows-{page}"),
    };
    Encoding::for_label(label.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_numbers_are_decoded() {
        assert_eq!(rk((5 << 2) | 2), 5.0);
        assert_eq!(rk((1234 << 2) | 3), 12.34);
        assert_eq!(rk((-5i32 << 2).cast_unsigned() | 2), -5.0);
        assert_eq!(rk((1.5f64.to_bits() >> 32) as u32), 1.5);
        assert_eq!(encoding_of(1251).map(Encoding::name), Some("windows-1251"));
        assert_eq!(encoding_of(1200), None);
    }
}
