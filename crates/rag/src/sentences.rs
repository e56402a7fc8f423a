//! Where the sentences of a paragraph are.

use icu_segmenter::SentenceSegmenter;
use icu_segmenter::options::SentenceBreakInvariantOptions;
use ragtune_core::text::Span;

/// The sentences of a paragraph (Unicode annex 29); line breaks inside the paragraph end none.
pub(crate) fn sentences(paragraph: &str) -> Vec<Span> {
    // A space takes as many bytes as a line break, so the spans are those of the paragraph.
    let line = paragraph.replace(['\n', '\r'], " ");
    let ends = SentenceSegmenter::new(SentenceBreakInvariantOptions::default())
        .segment_str(&line)
        .collect::<Vec<_>>();
    ends.windows(2).map(|pair| Span::new(pair[0], pair[1])).collect()
}
