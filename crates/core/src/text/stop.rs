//! Texts that end an answer.

/// Looks for stop texts in an answer that comes piece by piece, and holds back text that may become one.
///
/// ```
/// use ragtune_core::text::StopTexts;
/// let mut stop = StopTexts::new(["\nUser:".to_owned()]);
/// assert_eq!(stop.push("Hi\nUs"), "Hi");
/// assert_eq!(stop.push("ually"), "\nUsually");
/// assert_eq!(stop.push(" so.\nUser: x"), " so.");
/// assert!(stop.is_stopped());
/// ```
#[derive(Clone, Debug, Default)]
pub struct StopTexts {
    texts: Vec<String>,
    held: String,
    stopped: bool,
}

impl StopTexts {
    /// These texts end the answer; empty ones do not count.
    pub fn new(texts: impl IntoIterator<Item = String>) -> Self {
        Self {
            texts: texts.into_iter().filter(|text| !text.is_empty()).collect(),
            held: String::new(),
            stopped: false,
        }
    }

    /// The text that can be given out after one more piece: up to the first stop text, or up to where one may begin.
    pub fn push(&mut self, piece: &str) -> String {
        if self.stopped {
            return String::new();
        }
        if self.texts.is_empty() {
            return piece.to_owned();
        }
        self.held.push_str(piece);
        if let Some(at) = first_end(&self.texts, &self.held) {
            self.stopped = true;
            self.held.truncate(at);
            return std::mem::take(&mut self.held);
        }
        // The longest end of the text that a stop text begins with.
        let begins = |at: usize| self.texts.iter().any(|text| text.starts_with(&self.held[at..]));
        let longest = self.texts.iter().map(String::len).max().unwrap_or(0);
        let from = self.held.len().saturating_sub(longest);
        let keep = (from..self.held.len())
            .find(|&at| self.held.is_char_boundary(at) && begins(at))
            .unwrap_or(self.held.len());
        let rest = self.held.split_off(keep);
        std::mem::replace(&mut self.held, rest)
    }

    /// The text that was held back for nothing.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// Whether a stop text was found.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }
}

/// Where the answer ends: at the start of the stop text that is complete first, so that pieces do not matter.
fn first_end(texts: &[String], answer: &str) -> Option<usize> {
    let ends = texts
        .iter()
        .filter_map(|text| answer.find(text).map(|at| (at + text.len(), at)));
    ends.min().map(|(_, at)| at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_stop_text_that_is_complete_first_counts() {
        let texts = ["büüü".to_owned(), "üü".to_owned()];
        for pieces in [vec!["büüü"], vec!["b", "üü", "ü"], vec!["bü", "üü"]] {
            let mut stop = StopTexts::new(texts.clone());
            let out: String = pieces.iter().map(|piece| stop.push(piece)).collect();
            assert_eq!(out, "b", "{pieces:?}");
        }
    }

    proptest! {
        #[test]
        fn pieces_give_what_the_whole_gives(
            texts in prop::collection::vec("[abü]{1,4}", 0..4),
            pieces in prop::collection::vec("[abcü]{0,3}", 0..20),
        ) {
            let whole = pieces.concat();
            let end = first_end(&texts, &whole);
            let mut stop = StopTexts::new(texts.clone());
            let mut out: String = pieces.iter().map(|piece| stop.push(piece)).collect();
            prop_assert_eq!(stop.is_stopped(), end.is_some());
            out += &stop.finish();
            prop_assert_eq!(out, &whole[..end.unwrap_or(whole.len())]);
        }
    }
}
