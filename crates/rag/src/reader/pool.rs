//! The spans of all passages on one scale.
//!
//! A reader's logits are made for one window. What compares across windows is how far a span is above "no answer" of its own
//! window; windows without the answer teach a reader that (Clark and Gardner 2018, arXiv:1710.10723, section 3; Devlin et al.
//! 2019, arXiv:1810.04805, section 4.3). The share of a span is its part of the softmax over the spans of all passages and
//! "no answer", where spans that say the same count together.

use ragtune_core::models::SpanReading;
use ragtune_core::text::Span;
use ragtune_train::metrics::Squad;

/// Spans of each passage that are compared.
const SPANS: usize = 10;

/// The best span of all passages.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Best {
    /// Index of its passage.
    pub passage: usize,
    /// Its bytes in the passage, without white space around.
    pub span: Span,
    /// Logarithm of its odds against everything that says something else.
    pub log_odds: f64,
}

struct Scored<'p> {
    passage: usize,
    span: Span,
    text: &'p str,
    margin: f64,
}

/// The best of all spans; `None` where no passage has one.
pub(super) fn best(passages: &[&str], readings: &[SpanReading], has_no_answer: bool) -> Option<Best> {
    let mut spans: Vec<Scored<'_>> = Vec::new();
    for (passage, (text, reading)) in passages.iter().zip(readings).enumerate() {
        let nothing = if has_no_answer {
            reading.no_answer_score
        } else {
            0.0
        };
        for answer in reading.answers.iter().take(SPANS) {
            let Some(trimmed) = trimmed(text, answer.span) else {
                continue;
            };
            spans.push(Scored {
                passage,
                span: trimmed,
                text: trimmed.of(text).unwrap_or_default(),
                margin: f64::from(answer.score) - f64::from(nothing),
            });
        }
    }
    // Equal margins keep the order of the passages.
    spans.sort_by(|a, b| b.margin.total_cmp(&a.margin));
    let first = spans.first()?;
    let squad = Squad::default();
    let agrees = |other: &&Scored<'_>| {
        (other.passage == first.passage && other.span.overlaps(first.span))
            || squad.score(&[first.text], other.text).0 == 1.0
    };
    let for_it: Vec<f64> = spans.iter().filter(agrees).map(|span| span.margin).collect();
    let mut against: Vec<f64> = spans
        .iter()
        .filter(|span| !agrees(span))
        .map(|span| span.margin)
        .collect();
    if has_no_answer {
        against.push(0.0);
    }
    // Without anything else to choose, a reader that knows no "no answer" is as sure as its logits are high.
    if against.is_empty() {
        against.push(0.0);
    }
    Some(Best {
        passage: first.passage,
        span: first.span,
        log_odds: log_sum(&for_it) - log_sum(&against),
    })
}

/// The logarithm of a sum of exponentials.
fn log_sum(values: &[f64]) -> f64 {
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    most + values.iter().map(|value| (value - most).exp()).sum::<f64>().ln()
}

/// A span without white space around it; `None` where nothing is left.
fn trimmed(text: &str, span: Span) -> Option<Span> {
    let part = span.of(text)?;
    let start = span.start + part.len() - part.trim_start().len();
    let trimmed = part.trim();
    trimmed
        .chars()
        .any(char::is_alphanumeric)
        .then(|| Span::new(start, start + trimmed.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_exponentials_do_not_overflow() {
        assert!((log_sum(&[0.0, 0.0]) - 2.0_f64.ln()).abs() < 1e-12);
        assert!((log_sum(&[1000.0, 0.0]) - 1000.0).abs() < 1e-9);
    }

    #[test]
    fn white_space_is_no_answer() {
        assert_eq!(trimmed("a  80 b", Span::new(1, 6)), Some(Span::new(3, 5)));
        assert_eq!(trimmed("a  b", Span::new(1, 3)), None);
        assert_eq!(trimmed("a", Span::new(0, 9)), None);
    }
}
