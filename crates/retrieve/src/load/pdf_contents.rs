//! What each page of a PDF file draws, looked at before its reader puts it together: how large it is, and whether all of
//! it is there. The reader passes over what it cannot unfold, and a page without it looks like a picture.

use std::collections::HashMap;

use pdf_oxide::PdfDocument;
use pdf_oxide::object::{Object, ObjectRef};

use super::limits::Budget;
use super::pdf_unfold::{Unfolded, check_bytes, unfold};
use crate::error::Result;

/// The parts that pages of one file draw; several may draw the same.
#[derive(Default)]
pub(super) struct Contents {
    known: HashMap<ObjectRef, Part>,
}

#[derive(Clone)]
enum Part {
    Bytes(u64),
    /// Why it cannot be read.
    Damaged(String),
}

impl Contents {
    /// Why at least a part of what a page draws cannot be read; `None` where all can.
    ///
    /// # Errors
    /// It is too large, or the time is up.
    pub(super) fn problem(
        &mut self,
        document: &PdfDocument,
        page: usize,
        budget: &Budget,
    ) -> Result<Option<String>> {
        // A page that cannot be found is named by the reader.
        let Ok(page) = document.get_page(page) else {
            return Ok(None);
        };
        let Some(contents) = page.as_dict().and_then(|page| page.get("Contents")) else {
            return Ok(None);
        };
        let list = match contents {
            Object::Reference(object) => document.load_object(*object).ok(),
            _ => None,
        };
        let parts = match (contents, &list) {
            (_, Some(Object::Array(parts))) | (Object::Array(parts), _) => parts.as_slice(),
            (single, _) => std::slice::from_ref(single),
        };
        let (mut bytes, mut problem) = (0u64, None);
        for part in parts.iter().filter(|part| !matches!(part, Object::Null)) {
            budget.step()?;
            match self.part(document, part, budget)? {
                Part::Bytes(more) => bytes = bytes.saturating_add(more),
                Part::Damaged(reason) => problem = problem.or(Some(reason)),
            }
            check_bytes(bytes, budget)?;
        }
        Ok(problem)
    }

    fn part(&mut self, document: &PdfDocument, part: &Object, budget: &Budget) -> Result<Part> {
        let Object::Reference(object) = part else {
            return look(document, part, budget);
        };
        if let Some(known) = self.known.get(object) {
            return Ok(known.clone());
        }
        let part = match document.load_object(*object) {
            Ok(part) => look(document, &part, budget)?,
            Err(error) => Part::Damaged(error.to_string()),
        };
        self.known.insert(*object, part.clone());
        Ok(part)
    }
}

fn look(document: &PdfDocument, part: &Object, budget: &Budget) -> Result<Part> {
    match part {
        // It unfolds only with the file's key, which the reader keeps to itself.
        Object::Stream { data, .. } if document.is_encrypted() => Ok(Part::Bytes(data.len() as u64)),
        Object::Stream { .. } => Ok(match unfold(part, budget)? {
            Unfolded::Data(data) => Part::Bytes(data.len() as u64),
            Unfolded::Damaged(reason) => Part::Damaged(reason),
        }),
        _ => Ok(Part::Damaged("what it draws is missing or damaged".to_owned())),
    }
}
