//! What a chunker must do.

use ragtune_core::text::{Document, Span};

use crate::chunk::Chunker;

/// Checks a chunker on documents that are known to be hard: exact spans in order, nothing lost, repeatable.
///
/// ```
/// use std::sync::Arc;
/// use ragtune_core::testing::HashingEmbedder;
/// use ragtune_retrieve::chunk::ParagraphChunker;
/// use ragtune_retrieve::testing::conformance;
/// let chunker = ParagraphChunker::new(Arc::new(HashingEmbedder::new(8)));
/// assert_eq!(conformance::chunker(&chunker), Vec::<String>::new());
/// ```
pub fn chunker(chunker: &dyn Chunker) -> Vec<String> {
    let mut violations = Vec::new();
    if chunker.id().is_empty() || chunker.id() != chunker.id() {
        violations.push("id() is empty or changes: a store could not tell when the method does".to_owned());
    }
    let markdown = "---\ntitle: x\n---\n# Tea\n\nGreen tea, e.g. Sencha.\r\n\r\n## Cup\n\n```sh\n# no heading\n```\n\n\
                    - one\n- two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n> quoted\n\n### 茶\n\n緑茶は世界中で飲まれている。\n";
    let texts = [
        String::new(),
        " \n\t\r\n\u{a0}".to_owned(),
        "word".to_owned(),
        markdown.to_owned(),
        "x".repeat(100_000),
        "é".repeat(30_000),
        "long line ".repeat(10_000),
        "> ".repeat(2_000) + "deep",
        "- ".repeat(2_000) + "deep",
        "[".repeat(2_000),
        "# h\n".repeat(300),
        "```\nnever closed\n\n".repeat(200),
    ];
    for text in texts {
        for format in [None, Some("markdown")] {
            let mut document = Document::new("conformance", text.clone());
            if let Some(format) = format {
                document = document.with_metadata("format", format);
            }
            violations.extend(chunker_on(chunker, &document));
        }
    }
    violations
}

/// Checks a chunker on one document.
pub fn chunker_on(chunker: &dyn Chunker, document: &Document) -> Vec<String> {
    let mut violations = Vec::new();
    let text = &document.text;
    let start: String = text.chars().take(24).collect();
    let chunks = match chunker.chunk(document) {
        Ok(chunks) => chunks,
        Err(error) => return vec![format!("chunk() failed on {start:?}: {error}")],
    };
    let mut covered = 0;
    let mut last = Span::new(0, 0);
    for chunk in &chunks {
        let span = chunk.span;
        let Some(passage) = span.of(text) else {
            violations.push(format!(
                "the span {span} of {start:?} leaves the text or cuts a character"
            ));
            continue;
        };
        if passage.trim().is_empty() {
            violations.push(format!("the passage {span} of {start:?} is empty"));
        }
        if span.start < last.start {
            violations.push(format!("the passage {span} of {start:?} comes after {last}"));
        }
        if text
            .get(covered..span.start)
            .is_some_and(|gap| !gap.trim().is_empty())
        {
            violations.push(format!(
                "text before the passage {span} of {start:?} is in no passage"
            ));
        }
        covered = covered.max(span.end);
        last = span;
    }
    if text.get(covered..).is_some_and(|rest| !rest.trim().is_empty()) {
        violations.push(format!(
            "the end of {start:?}, from byte {covered}, is in no passage"
        ));
    }
    match chunker.chunk(document) {
        Ok(again) if again == chunks => {}
        Ok(_) => violations.push(format!("a second chunk() of {start:?} differs")),
        Err(error) => violations.push(format!("a second chunk() of {start:?} failed: {error}")),
    }
    violations
}
