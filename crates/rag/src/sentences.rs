//! Where the sentences of a paragraph are.

use icu_segmenter::SentenceSegmenter;
use icu_segmenter::options::SentenceBreakInvariantOptions;
use ragtune_core::text::Span;

/// The sentences of a paragraph (Unicode annex 29). Line breaks inside the paragraph end none, nor do marks inside of
/// code (`println!`), nor those before a small letter.
pub(crate) fn sentences(paragraph: &str) -> Vec<Span> {
    // A space takes as many bytes as a line break, so the spans are those of the paragraph.
    let line = paragraph.replace(['\n', '\r'], " ");
    let ends = SentenceSegmenter::new(SentenceBreakInvariantOptions::default()).segment_str(&line);
    let mut sentences = Vec::new();
    let mut start = 0;
    let mut in_code = false;
    let mut seen = 0;
    for end in ends.skip(1) {
        in_code ^= line[seen..end].bytes().filter(|b| *b == b'`').count() % 2 == 1;
        seen = end;
        let goes_on = line[end..].chars().next().is_some_and(|c| c.is_lowercase());
        if end == line.len() || !(in_code || goes_on) {
            sentences.push(Span::new(start, end));
            start = end;
        }
    }
    sentences
}

#[cfg(test)]
mod tests {
    use super::*;

    fn divided(text: &str) -> Vec<&str> {
        sentences(text)
            .into_iter()
            .map(|span| span.of(text).unwrap())
            .collect()
    }

    #[test]
    fn sentences_cover_the_paragraph() {
        let text = "Call `println!` twice. It shows\nboth lines! “Hello, world!” project is next.";
        let found = divided(text);
        assert_eq!(
            found,
            [
                "Call `println!` twice. ",
                "It shows\nboth lines! ",
                "“Hello, world!” project is next."
            ]
        );
        assert_eq!(found.concat(), text);
        assert_eq!(divided(""), Vec::<&str>::new());
        assert_eq!(divided("an ` odd one. Then this."), ["an ` odd one. Then this."]);
    }
}
