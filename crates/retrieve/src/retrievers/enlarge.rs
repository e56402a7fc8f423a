//! From a hit to the text around it, within what the asker may see.

use std::collections::BTreeMap;
use std::ops::Range;

use ragtune_core::text::{Chunk, Filter, Query, ScoredChunk, Span};

use crate::document_store::{DividedDocument, DocumentPassage, DocumentStore};
use crate::error::Result;
use crate::knowledge_base::Lines;

/// The documents of a question's hits, each read once.
pub(super) struct Surroundings<'s> {
    store: &'s dyn DocumentStore,
    condition: Option<Filter>,
    documents: BTreeMap<String, Option<DividedDocument>>,
}

impl<'s> Surroundings<'s> {
    /// The surroundings of what a query finds.
    pub(super) fn new(store: &'s dyn DocumentStore, query: &Query) -> Self {
        Self {
            store,
            condition: query.condition(),
            documents: BTreeMap::new(),
        }
    }

    /// The document that a hit is of; `None` where the store has it no more, or not as the hit shows it: the hit then
    /// stays as it is.
    pub(super) fn of(&mut self, hit: &Chunk) -> Result<Option<Surrounding<'_>>> {
        if !self.documents.contains_key(&hit.document_id) {
            let document = self.store.divided(&hit.document_id)?;
            self.documents.insert(hit.document_id.clone(), document);
        }
        let document = self.documents.get(&hit.document_id).and_then(Option::as_ref);
        let is_current =
            |divided: &&DividedDocument| hit.span.of(&divided.document.text) == Some(hit.text.as_str());
        Ok(document.filter(is_current).map(|divided| Surrounding {
            divided,
            condition: self.condition.as_ref(),
        }))
    }
}

/// A document around a hit.
#[derive(Clone, Copy)]
pub(super) struct Surrounding<'d> {
    divided: &'d DividedDocument,
    condition: Option<&'d Filter>,
}

impl<'d> Surrounding<'d> {
    pub(super) fn text(self) -> &'d str {
        &self.divided.document.text
    }

    pub(super) fn passages(self) -> &'d [DocumentPassage] {
        &self.divided.passages
    }

    /// Whether all text under the span may be shown to the asker.
    pub(super) fn may_show(self, span: Span) -> bool {
        self.condition
            .is_none_or(|condition| self.divided.allows(condition, span))
    }

    /// The place of the passage that a hit is.
    pub(super) fn place(self, hit: Span) -> Option<usize> {
        self.passages().iter().position(|passage| passage.span == hit)
    }

    /// The bytes from the first of these passages to the last.
    pub(super) fn span_of(self, passages: Range<usize>) -> Option<Span> {
        let passages = self.passages().get(passages)?;
        let start = passages.iter().map(|passage| passage.span.start).min()?;
        let end = passages.iter().map(|passage| passage.span.end).max()?;
        Some(Span::new(start, end))
    }

    /// Ranges of passages that contain the one at `at` and lie in each other, the largest first: the document, the section
    /// of each heading above it, and the passages that have exactly its headings.
    pub(super) fn sections(self, at: usize) -> Vec<Range<usize>> {
        let passages = self.passages();
        let Some(passage) = passages.get(at) else {
            return Vec::new();
        };
        let headings = &passage.locator.headings;
        let run = |is_of: &dyn Fn(&[String]) -> bool| {
            let of_section = |passage: &DocumentPassage| is_of(&passage.locator.headings);
            let before = passages[..at]
                .iter()
                .rev()
                .take_while(|passage| of_section(passage))
                .count();
            let after = passages[at..]
                .iter()
                .take_while(|passage| of_section(passage))
                .count();
            at - before..at + after
        };
        let mut sections: Vec<Range<usize>> = (0..=headings.len())
            .map(|depth| run(&|other| other.starts_with(&headings[..depth])))
            .collect();
        sections.push(run(&|other| other == headings.as_slice()));
        sections
    }

    /// The hit with the text under a span that contains it; the hit as it is where that is the same text, or where the
    /// document has no such span.
    pub(super) fn enlarged(self, hit: ScoredChunk, span: Span) -> ScoredChunk {
        let Some(text) = span.of(self.text()).filter(|_| span != hit.chunk.span) else {
            return hit;
        };
        let document = &self.divided.document;
        let touched: Vec<&DocumentPassage> = self
            .passages()
            .iter()
            .filter(|passage| passage.span.overlaps(span))
            .collect();
        let mut headings = touched
            .first()
            .map_or(&[][..], |first| first.locator.headings.as_slice());
        let mut metadata = touched
            .first()
            .map(|first| first.metadata.clone())
            .unwrap_or_default();
        for other in &touched {
            let common = headings
                .iter()
                .zip(&other.locator.headings)
                .take_while(|(a, b)| a == b);
            headings = &headings[..common.count()];
            // Of the passages' own values those remain that all of them have.
            metadata.retain(|name, value| other.metadata.get(name) == Some(value));
        }
        for (name, value) in &document.metadata {
            metadata.entry(name.clone()).or_insert_with(|| value.clone());
        }
        let id = match span.start == 0 && span.end == document.text.len() {
            true => document.id.clone(),
            false => format!("{}#{:010}-{:010}", document.id, span.start, span.end),
        };
        ScoredChunk {
            chunk: Chunk {
                id,
                document_id: document.id.clone(),
                span,
                text: text.to_owned(),
                metadata,
                locator: Lines::new(document).locate(span, headings.to_vec()),
            },
            ..hit
        }
    }
}
