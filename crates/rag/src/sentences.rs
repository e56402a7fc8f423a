//! Where the sentences of a paragraph are.

use ragtune_core::text::Span;
use ragtune_retrieve::chunk;

/// The sentences of a paragraph as [`chunk::sentences`] finds them, joined where a mark inside of code (`println!`) or
/// before a small letter ended one.
pub(crate) fn sentences(paragraph: &str) -> Vec<Span> {
    let mut sentences: Vec<Span> = Vec::new();
    let mut in_code = false;
    for span in chunk::sentences(paragraph) {
        let text = span.of(paragraph).unwrap_or_default();
        let goes_on = text.starts_with(char::is_lowercase);
        match sentences.last_mut() {
            Some(last) if in_code || goes_on => last.end = span.end,
            _ => sentences.push(span),
        }
        in_code ^= text.bytes().filter(|byte| *byte == b'`').count() % 2 == 1;
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
    fn marks_inside_of_code_end_no_sentence() {
        let text = "Call `println!` twice. It shows\nboth lines! “Hello, world!” project is next.";
        let expected = [
            "Call `println!` twice.",
            "It shows\nboth lines!",
            "“Hello, world!” project is next.",
        ];
        assert_eq!(divided(text), expected);
        assert_eq!(divided(""), Vec::<&str>::new());
        assert_eq!(divided("an ` odd one. Then this."), ["an ` odd one. Then this."]);
    }
}
