//! Workbooks in Office Open XML, cell by cell: neither the size that a sheet declares nor the distance between its cells
//! costs anything.

use std::collections::HashMap;

use ragtune_core::text::Metadata;

use super::archive::Archive;
use super::draft::one_line;
use super::limits::Budget;
use super::number_format::NumberFormat;
use super::package::{main_part, properties, relations};
use super::rows::Cell;
use super::spreadsheet::Sheets;
use super::xml::{Element, Pull, tree};
use crate::error::Result;

/// What the cells of all sheets refer to.
struct Workbook {
    strings: Vec<String>,
    /// Formats by the index that cells have.
    formats: Vec<NumberFormat>,
    is_1904: bool,
}

/// Reads all sheets.
pub(super) fn read(bytes: &[u8], budget: &Budget, sheets: &mut Sheets) -> Result<Metadata> {
    let mut archive = Archive::open(bytes, budget)?;
    let main = main_part(&mut archive, budget, "xl/workbook.xml")?;
    let metadata = properties(&mut archive, budget, "xlsx")?;
    let pointers = relations(&mut archive, budget, &main)?;
    let of_kind = |kind: &str| {
        let pointer = pointers.iter().find(|pointer| pointer.kind == kind);
        pointer.map(|pointer| pointer.target.clone())
    };
    let root = archive.needed(&main)?;
    let root = tree(&main, &root, budget)?;
    let is_true = |value: &str| matches!(value, "1" | "true");
    let workbook = Workbook {
        strings: strings(&mut archive, budget, of_kind("sharedStrings"))?,
        formats: formats(&mut archive, budget, of_kind("styles"))?,
        is_1904: root
            .child("workbookPr")
            .and_then(|properties| properties.attribute("date1904"))
            .is_some_and(is_true),
    };
    for sheet in root.child("sheets").into_iter().flat_map(Element::elements) {
        let name = one_line(sheet.attribute("name").unwrap_or("Sheet"));
        let id = sheet.prefixed("id").unwrap_or_default();
        let is_hidden = sheet.attribute("state").is_some_and(|state| state != "visible");
        let Some(pointer) = pointers.iter().find(|pointer| pointer.id == id) else {
            return Err(budget.unreadable(format!(
                "its sheet {name:?} is missing: the file is damaged, save it anew"
            )));
        };
        // Sheets of charts and dialogs have no cells.
        if pointer.kind != "worksheet" || !sheets.begin(&name, is_hidden)? {
            continue;
        }
        let xml = archive.needed(&pointer.target)?;
        let mut pull = Pull::new(&pointer.target, &xml, budget);
        if !pull.open("sheetData")? {
            continue;
        }
        let mut row_number = 0u32;
        while let Some(row) = pull.element()? {
            if &*row.name != "row" {
                continue;
            }
            let named = row.attribute("r").and_then(|number| number.parse().ok());
            row_number = named.unwrap_or(row_number.saturating_add(1));
            let mut cells = Vec::new();
            let mut column = 0u32;
            for cell in row.elements().filter(|cell| &*cell.name == "c") {
                budget.cells(1)?;
                column = cell.attribute("r").and_then(column_of).unwrap_or(column);
                cells.extend(workbook.cell(cell, column));
                column = column.saturating_add(1);
            }
            cells.sort_by_key(|cell: &Cell| cell.column);
            sheets.row(row_number, cells)?;
        }
    }
    Ok(metadata)
}

impl Workbook {
    /// The text of a cell, `None` for an empty one.
    fn cell(&self, cell: &Element, column: u32) -> Option<Cell> {
        let value = cell.child("v").map(Element::text);
        let value = value.as_deref().map(str::trim);
        let number = |text: String| Cell {
            column,
            text,
            is_words: false,
        };
        let words = |text: &str| Cell {
            is_words: true,
            ..Cell::of_text(column, text)
        };
        let cell = match cell.attribute("t").unwrap_or("n") {
            "s" => words(self.strings.get(value?.parse::<usize>().ok()?)?),
            "inlineStr" => words(&rich_text(cell.child("is")?)),
            "str" => Cell::of_text(column, value?),
            "b" => number(if value? == "1" { "TRUE" } else { "FALSE" }.to_owned()),
            "e" | "d" => number(value?.to_owned()),
            _ => {
                let style = cell.attribute("s").and_then(|style| style.parse::<usize>().ok());
                let format = style.and_then(|style| self.formats.get(style)).copied();
                let value = value?;
                number(match value.parse::<f64>() {
                    Ok(value) if value.is_finite() => format.unwrap_or_default().show(value, self.is_1904),
                    _ => one_line(value),
                })
            }
        };
        (!cell.text.is_empty()).then_some(cell)
    }
}

/// The texts that cells point to.
fn strings(archive: &mut Archive, budget: &Budget, part: Option<String>) -> Result<Vec<String>> {
    let part = part.unwrap_or_else(|| "xl/sharedStrings.xml".to_owned());
    let Some(xml) = archive.text(&part)? else {
        return Ok(Vec::new());
    };
    let mut strings = Vec::new();
    let mut pull = Pull::new(&part, &xml, budget);
    if pull.open("sst")? {
        while let Some(item) = pull.element()? {
            if &*item.name == "si" {
                strings.push(one_line(&rich_text(&item)));
            }
        }
    }
    Ok(strings)
}

/// The words of a text in runs, without the reading aids of East Asian scripts.
fn rich_text(item: &Element) -> String {
    let mut text = String::new();
    for element in item.elements() {
        match &*element.name {
            "t" => text.push_str(&element.text()),
            "r" => text.push_str(&element.child("t").map(Element::text).unwrap_or_default()),
            _ => {}
        }
    }
    text
}

/// The formats of cells by the index that they have.
fn formats(archive: &mut Archive, budget: &Budget, part: Option<String>) -> Result<Vec<NumberFormat>> {
    let part = part.unwrap_or_else(|| "xl/styles.xml".to_owned());
    let Some(xml) = archive.text(&part)? else {
        return Ok(Vec::new());
    };
    let root = tree(&part, &xml, budget)?;
    let id = |element: &Element| {
        element
            .attribute("numFmtId")
            .and_then(|id| id.parse::<u32>().ok())
    };
    let own = root.child("numFmts").into_iter().flat_map(Element::elements);
    let own: HashMap<u32, NumberFormat> = own
        .filter_map(|format| {
            Some((
                id(format)?,
                NumberFormat::of_code(format.attribute("formatCode")?),
            ))
        })
        .collect();
    let cells = root.child("cellXfs").into_iter().flat_map(Element::elements);
    let formats = cells.map(|format| {
        let id = id(format).unwrap_or(0);
        own.get(&id)
            .copied()
            .unwrap_or_else(|| NumberFormat::built_in(id))
    });
    Ok(formats.collect())
}

/// The column of a place such as `AB12`, from 0.
fn column_of(place: &str) -> Option<u32> {
    let letters = place.bytes().take_while(u8::is_ascii_alphabetic);
    let column = letters.fold(0u32, |column, letter| {
        column
            .saturating_mul(26)
            .saturating_add(u32::from(letter.to_ascii_uppercase() - b'A') + 1)
    });
    column.checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_have_columns() {
        assert_eq!(column_of("A1"), Some(0));
        assert_eq!(column_of("ab12"), Some(27));
        assert_eq!(column_of("XFD1048576"), Some(16_383));
        assert_eq!((column_of("12"), column_of("")), (None, None));
        assert!(column_of(&"Z".repeat(100)).is_some());
    }
}
