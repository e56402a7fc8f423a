//! Dividing a part of a text that is too long, at the best places it has.

use std::cmp::Ordering;

use ragtune_core::text::Span;
use text_splitter::{ChunkCapacity, ChunkConfig, MarkdownSplitter, TextSplitter};

use super::sentence::sentences;
use super::size::{Sizes, TokenMap, WordCounts, invalid};
use crate::error::Result;

/// Bytes that are divided at once: bounds the memory and the time of the splitter on texts of any length.
const WINDOW_BYTES: usize = 32 << 10;

/// A text with longer words is divided without regard to words.
const MAX_WORD_BYTES: usize = 1 << 10;

/// How a part is divided.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Tokens that a passage reaches for.
    pub(super) target_tokens: usize,
    /// Tokens that it never exceeds.
    pub(super) max_tokens: usize,
    /// Tokens that it repeats of the one before.
    pub(super) overlap_tokens: usize,
    /// Whether the text is Markdown.
    pub(super) markdown: bool,
}

/// The span without white space at its ends; `None` where nothing else is in it.
pub(super) fn trimmed(text: &str, span: Span) -> Option<Span> {
    let part = span.of(text)?;
    let start = span.start + (part.len() - part.trim_start().len());
    let trimmed = part.trim();
    (!trimmed.is_empty()).then(|| Span::new(start, start + trimmed.len()))
}

/// Divides a part of a text into passages within the limits, in order, each without white space at its ends; together
/// they cover everything that is not white space.
pub(super) fn split(text: &str, span: Span, limits: Limits, sizes: &Sizes) -> Result<Vec<Span>> {
    let mut passages = Vec::new();
    let mut counts = WordCounts::new(sizes);
    for window in windows(text, span) {
        let Some(part) = window.of(text) else { continue };
        if is_unbroken(part) {
            split_unbroken(text, window, limits, sizes, &mut counts, &mut passages);
            continue;
        }
        let map = TokenMap::new(part, &mut counts);
        let total = map.count(Span::new(0, part.len()));
        // Passages of about equal length, where filling each to the brim leaves a crumb at the end.
        let count = total.div_ceil(limits.target_tokens).max(1);
        let target = total.div_ceil(count).clamp(1, limits.target_tokens);
        let capacity = ChunkCapacity::new(target)
            .with_max(limits.max_tokens.max(target))
            .map_err(|error| invalid("max_tokens", error.to_string()))?;
        let config = ChunkConfig::new(capacity)
            .with_sizer(map)
            .with_overlap(limits.overlap_tokens.min(target.saturating_sub(1)))
            .map_err(|error| invalid("overlap_tokens", error.to_string()))?
            .with_trim(false);
        let mut take = |(at, passage): (usize, &str)| {
            let start = window.start + at;
            if let Some(span) = trimmed(text, Span::new(start, start + passage.len())) {
                bisect(text, span, limits.max_tokens, sizes, &mut passages);
            }
        };
        if limits.markdown {
            MarkdownSplitter::new(config)
                .chunk_indices(part)
                .for_each(&mut take);
        } else {
            TextSplitter::new(config).chunk_indices(part).for_each(&mut take);
        }
    }
    Ok(passages)
}

/// Whether a text has words without end, as in scripts without spaces and in encoded data: the splitter looks at each
/// character of them again and again.
fn is_unbroken(text: &str) -> bool {
    text.split_whitespace().any(|word| word.len() > MAX_WORD_BYTES)
}

/// Divides such a text in one pass: at its sentences, and those that are too long where the tokens are enough.
fn split_unbroken<'t>(
    text: &'t str,
    window: Span,
    limits: Limits,
    sizes: &Sizes,
    counts: &mut WordCounts<'t, '_>,
    passages: &mut Vec<Span>,
) {
    let Some(part) = window.of(text) else { return };
    let map = TokenMap::new(part, counts);
    let mut open: Option<Span> = None;
    let mut found = Vec::new();
    for sentence in sentences(part) {
        let joined = open.map(|open| Span::new(open.start, sentence.end));
        if let Some(joined) = joined.filter(|joined| map.count(*joined) <= limits.target_tokens) {
            open = Some(joined);
            continue;
        }
        found.extend(open.take());
        let tokens = map.count(sentence);
        if tokens <= limits.target_tokens {
            open = Some(sentence);
            continue;
        }
        let bytes = (sentence.len() * limits.target_tokens / tokens).max(1);
        let mut start = sentence.start;
        while start < sentence.end {
            let end = part.ceil_char_boundary(start + bytes).min(sentence.end);
            found.push(Span::new(start, end));
            start = end;
        }
    }
    found.extend(open);
    for span in found {
        if let Some(span) = trimmed(text, span.shifted(window.start)) {
            bisect(text, span, limits.max_tokens, sizes, passages);
        }
    }
}

/// Cuts a span into windows, at blank lines where there are some, else at line ends, spaces, characters.
fn windows(text: &str, span: Span) -> Vec<Span> {
    let mut windows = Vec::new();
    let mut start = span.start;
    while span.end - start > WINDOW_BYTES {
        let end = text.floor_char_boundary(start + WINDOW_BYTES);
        let window = &text[start..end];
        let later_half = |at: usize| (at > WINDOW_BYTES / 2).then_some(at);
        let cut = ["\n\n", "\n", " "]
            .into_iter()
            .find_map(|mark| window.rfind(mark).map(|at| at + mark.len()).and_then(later_half))
            .unwrap_or(window.len());
        windows.push(Span::new(start, start + cut));
        start += cut;
    }
    windows.push(Span::new(start, span.end));
    windows
}

/// Adds the passage, halved as often as its exact count of tokens asks for: at white space near the middle, else
/// between characters.
pub(super) fn bisect(text: &str, span: Span, max_tokens: usize, sizes: &Sizes, passages: &mut Vec<Span>) {
    let mut todo = vec![span];
    while let Some(span) = todo.pop() {
        let Some(part) = span.of(text) else { continue };
        let middle = part.ceil_char_boundary(part.len() / 2);
        let fits = sizes.count(part).cmp(&max_tokens) != Ordering::Greater;
        if fits || middle == 0 || middle == part.len() {
            passages.push(span);
            continue;
        }
        let quarter = part.ceil_char_boundary(part.len() / 4);
        let cut = match part[quarter..middle].rfind(char::is_whitespace) {
            Some(at) => quarter + at,
            None => middle,
        };
        let halves = [
            Span::new(span.start + cut, span.end),
            Span::new(span.start, span.start + cut),
        ];
        todo.extend(halves.into_iter().filter_map(|half| trimmed(text, half)));
    }
}
