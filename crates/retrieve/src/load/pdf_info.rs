//! What a PDF file says of itself: its title and its bookmarks.

use std::collections::{HashMap, HashSet};

use pdf_oxide::PdfDocument;
use pdf_oxide::object::{Object, ObjectRef};

use super::draft::one_line;
use super::limits::Budget;
use crate::error::Result;

/// Bookmarks of one file, and how deep they nest.
const MAX_BOOKMARKS: usize = 20_000;
const MAX_LEVEL: usize = 8;

/// An entry of the outline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bookmark {
    /// From 0.
    pub(super) level: usize,
    pub(super) title: String,
}

/// The title in the file's information.
pub(super) fn title(document: &PdfDocument) -> Option<String> {
    let info = dictionary(document, document.trailer().as_dict()?.get("Info")?)?;
    let title = text(document, info.get("Title")?)?;
    (!title.is_empty()).then_some(title)
}

/// The bookmarks in their order. The walk follows each object once, so that a ring of them ends.
pub(super) fn bookmarks(document: &PdfDocument, budget: &Budget) -> Result<Vec<Bookmark>> {
    let mut found = Vec::new();
    let catalog = document.catalog().ok();
    let outlines = catalog
        .as_ref()
        .and_then(|catalog| dictionary(document, catalog.as_dict()?.get("Outlines")?));
    let first = |entry: &HashMap<String, Object>, name: &str| entry.get(name).and_then(Object::as_reference);
    let Some(start) = outlines.and_then(|outlines| first(&outlines, "First")) else {
        return Ok(found);
    };
    let mut seen: HashSet<ObjectRef> = HashSet::new();
    let mut steps = vec![(start, 0)];
    while let Some((reference, level)) = steps.pop() {
        budget.step()?;
        if !seen.insert(reference) || seen.len() > MAX_BOOKMARKS {
            continue;
        }
        let Ok(entry) = document.load_object(reference) else {
            continue;
        };
        let Some(entry) = entry.as_dict() else {
            continue;
        };
        if let Some(title) = entry.get("Title").and_then(|title| text(document, title))
            && !title.is_empty()
        {
            found.push(Bookmark { level, title });
        }
        if let Some(next) = first(entry, "Next") {
            steps.push((next, level));
        }
        if let Some(child) = first(entry, "First") {
            steps.push((child, (level + 1).min(MAX_LEVEL)));
        }
    }
    Ok(found)
}

fn dictionary(document: &PdfDocument, object: &Object) -> Option<HashMap<String, Object>> {
    match object {
        Object::Reference(reference) => document.load_object(*reference).ok()?.as_dict().cloned(),
        object => object.as_dict().cloned(),
    }
}

/// A text string on one line: UTF-16 or UTF-8 by its mark, else Latin-1, which is PDFDocEncoding but for rare signs.
fn text(document: &PdfDocument, object: &Object) -> Option<String> {
    let loaded;
    let object = match object {
        Object::Reference(reference) => {
            loaded = document.load_object(*reference).ok()?;
            &loaded
        }
        object => object,
    };
    let bytes = object.as_string()?;
    let wide = |of: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes[2..]
            .chunks_exact(2)
            .map(|pair| of([pair[0], pair[1]]))
            .collect();
        String::from_utf16_lossy(&units)
    };
    let text = match bytes {
        [0xFE, 0xFF, ..] => wide(u16::from_be_bytes),
        [0xFF, 0xFE, ..] => wide(u16::from_le_bytes),
        bytes => match std::str::from_utf8(bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes)) {
            Ok(text) => text.to_owned(),
            Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect(),
        },
    };
    Some(one_line(&text.replace(char::is_control, " ")))
}
