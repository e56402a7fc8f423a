//! The documents of a base with their passages.

use ragtune_core::Cancel;
use ragtune_core::text::{Chunk, Span, Value};
use ragtune_retrieve::{DividedDocument, DocumentStore, KnowledgeBase};

use crate::error::{Error, Result};

/// A document that questions are made of.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub id: String,
    /// What the whole is about: the metadata `title`, else the outermost heading.
    pub title: Option<String>,
    /// Whether lines that begin with `#` are headings; the rule of the default chunker.
    pub is_markdown: bool,
    pub text: String,
    /// Its passages in their order.
    pub chunks: Vec<Chunk>,
}

/// All documents with text, in the order of their ids.
pub(super) fn read(base: &KnowledgeBase, cancel: &Cancel) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for id in base.document_ids()? {
        cancel.check()?;
        // A document may have gone since its id was read.
        if let Some(divided) = base.divided(&id)?
            && !divided.passages.is_empty()
        {
            sources.push(Source::of(divided));
        }
    }
    match sources.is_empty() {
        true => Err(Error::EmptyBase),
        false => Ok(sources),
    }
}

impl Source {
    fn of(divided: DividedDocument) -> Self {
        let DividedDocument { document, passages } = divided;
        let named = |name: &str| document.metadata.get(name).and_then(Value::as_text);
        let (title, is_markdown) = (named("title"), named("format") == Some("markdown"));
        let outer = passages
            .first()
            .and_then(|passage| passage.locator.headings.first());
        let title = title
            .or(outer.map(String::as_str))
            .map(squeezed)
            .filter(|title| !title.is_empty());
        let chunks = passages.into_iter().enumerate().filter_map(|(at, passage)| {
            let mut metadata = document.metadata.clone();
            metadata.extend(passage.metadata);
            Some(Chunk {
                id: format!("{}#{at:06}", document.id),
                document_id: document.id.clone(),
                text: passage.span.of(&document.text)?.to_owned(),
                span: passage.span,
                metadata,
                locator: passage.locator,
            })
        });
        Self {
            title,
            is_markdown,
            chunks: chunks.collect(),
            id: document.id,
            text: document.text,
        }
    }

    /// The passages that touch some bytes.
    pub fn touching(&self, span: Span) -> impl Iterator<Item = &Chunk> {
        self.chunks.iter().filter(move |chunk| chunk.span.overlaps(span))
    }

    /// The passage that has most of some bytes, the first of several.
    pub fn home(&self, span: Span) -> Option<&Chunk> {
        let shared = |chunk: &&Chunk| {
            let (start, end) = (chunk.span.start.max(span.start), chunk.span.end.min(span.end));
            end.saturating_sub(start)
        };
        self.touching(span)
            .max_by_key(|chunk| (shared(chunk), std::cmp::Reverse(chunk.span.start)))
    }

    /// A text of this document under its title, as it stands in a pair.
    pub fn titled(&self, text: &str) -> String {
        match &self.title {
            Some(title) => format!("{title}\n{text}"),
            None => text.to_owned(),
        }
    }
}

/// A text on one line with single spaces.
pub(super) fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What makes two texts the same: lower case, single spaces.
pub(super) fn same(text: &str) -> String {
    squeezed(text).to_lowercase()
}

/// The beginning of a text, of at most so many bytes, whole characters.
pub(super) fn clipped(text: &str, bytes: usize) -> &str {
    if text.len() <= bytes {
        return text;
    }
    let mut end = bytes;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    // Not in the middle of a word, where there are words.
    match text[..end].rfind(char::is_whitespace) {
        Some(space) if space > end / 2 => text[..space].trim_end(),
        _ => &text[..end],
    }
}

/// Whether a text reads as a sentence, and not as code, a table or a list of names.
pub(super) fn is_prose(sentence: &str) -> bool {
    let ends = sentence.trim_end_matches(['"', '”', '’', ')', '*', '_', '`']);
    let letters = sentence.chars().filter(|c| c.is_alphabetic()).count();
    let visible = sentence.chars().filter(|c| !c.is_whitespace()).count();
    let words = sentence.split_whitespace().count();
    let unspaced = sentence.chars().any(|c| matches!(c, '。' | '！' | '？'));
    ends.ends_with(['.', '!', '?', '。', '！', '？'])
        && letters * 10 >= visible * 7
        && (words >= 5 || unspaced)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clips_at_words_and_characters() {
        assert_eq!(clipped("one two three", 9), "one two");
        assert_eq!(clipped("ééé", 3), "é");
        assert_eq!(clipped("short", 9), "short");
    }

    #[test]
    fn code_is_no_prose() {
        assert!(is_prose("Green tea is steeped at 80 degrees."));
        assert!(!is_prose("let x = vec![1, 2, 3]; x[0] += 1."));
        assert!(!is_prose("Quickstart"));
        assert!(is_prose("绿茶用八十度的水冲泡。"));
    }
}
