//! The sentences among which the answer is looked for.

use std::collections::BTreeSet;

use ragtune_core::text::{ScoredChunk, Span, Value};

use crate::code;
use crate::passages::{Passage, code_passages, passages};
use crate::words::{self, Rarity};

/// How much the rank of its passage counts against words in common, when sentences are chosen for comparison.
const RANK_SHARE: f32 = 0.3;

/// Formats whose texts have fences around code, so that a passage that is code without one is the middle of a block.
const FENCED: [&str; 5] = ["markdown", "html", "article", "notebook", "epub"];

/// A sentence of a passage.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    /// Index of its passage among the hits.
    pub hit: usize,
    /// Index among the passage's sentences.
    pub at: usize,
    pub passage: Passage,
    /// The sentence as it stands.
    pub text: String,
    /// What it says in words: a row of a table without its lines, of source code the comments.
    pub said: String,
    /// What it says under its heading, or behind the sentence before it where there is no heading.
    pub in_context: String,
    /// Its stems, those of the code or list that it introduces among them.
    pub stems: BTreeSet<String>,
    /// The stems of its headings.
    pub heading_stems: BTreeSet<String>,
}

impl Candidate {
    /// Whether it is a question, which is no answer by itself.
    pub fn asks(&self) -> bool {
        let text = self
            .text
            .trim_end_matches(['*', '_', '"', '”', '\'', '’', ')', ' ', '|']);
        text.ends_with(['?', '？', '؟'])
    }
}

/// The likely sentences, in the order of their passages, and how rare stems are in all of them.
pub(super) struct Candidates {
    pub list: Vec<Candidate>,
    pub rarity: Rarity,
}

impl Candidates {
    /// The `max` sentences with most of the question's words in the best passages.
    pub fn of(hits: &[ScoredChunk], question: &BTreeSet<String>, max: usize) -> Self {
        let mut list: Vec<Candidate> = hits
            .iter()
            .enumerate()
            .flat_map(|(at, hit)| divide(at, hit))
            .collect();
        let rarity = Rarity::of(list.iter().map(|candidate| &candidate.stems));
        let likely = |candidate: &Candidate| {
            let own = rarity.coverage(question, &candidate.stems);
            let with_heading: BTreeSet<_> =
                candidate.stems.union(&candidate.heading_stems).cloned().collect();
            let together = rarity.coverage(question, &with_heading);
            (own + together) / 2.0 + RANK_SHARE * by_rank(candidate.hit)
        };
        let mut order: Vec<(usize, f32)> = list.iter().map(likely).enumerate().collect();
        order.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let mut kept: BTreeSet<usize> = order.into_iter().take(max).map(|(at, _)| at).collect();
        // The answer to a question of the text need not have a word of it.
        let answers = |at: usize| list[at].asks().then_some(at + 1).filter(|at| *at < list.len());
        kept.extend(kept.iter().filter_map(|at| answers(*at)).collect::<Vec<_>>());
        let mut at = 0..;
        list.retain(|_| at.next().is_some_and(|at| kept.contains(&at)));
        Self { list, rarity }
    }
}

/// 1 for the best passage, falling with the rank.
pub(super) fn by_rank(hit: usize) -> f32 {
    1.0 / (1.0 + hit as f32)
}

/// Whether a passage was cut out of the middle of a code block, so that it has no fence.
fn is_inside_code(format: &str, text: &str) -> bool {
    let has_fence = ["```", "~~~"].iter().any(|fence| text.contains(fence));
    FENCED.contains(&format) && !has_fence && code::is_code(text)
}

/// The cells of a table's row behind each other; other text as it is.
fn without_lines(text: &str) -> String {
    if !text.starts_with('|') {
        return text.to_owned();
    }
    let cells = text.split('|').map(str::trim).filter(|cell| !cell.is_empty());
    cells.collect::<Vec<_>>().join(", ")
}

fn divide(at_hit: usize, hit: &ScoredChunk) -> Vec<Candidate> {
    let chunk = &hit.chunk;
    let part = |span: Span| span.of(&chunk.text).unwrap_or_default();
    let title = chunk.metadata.get("title").and_then(Value::as_text);
    let outer = chunk.locator.headings.last().map(String::as_str).or(title);
    let above: BTreeSet<String> = chunk
        .locator
        .headings
        .iter()
        .map(String::as_str)
        .chain(title)
        .flat_map(words::content)
        .collect();
    let format = chunk.metadata.get("format").and_then(Value::as_text);
    let is_source = format == Some("code");
    let passages = match format {
        Some(_) if is_source => code_passages(&chunk.text),
        Some(format) if is_inside_code(format, &chunk.text) => Vec::new(),
        _ => passages(&chunk.text),
    };
    let mut before = "";
    let mut candidates = Vec::with_capacity(passages.len());
    for (at, passage) in passages.into_iter().enumerate() {
        let text = part(passage.span);
        let said = match is_source {
            true => code::comments(text).unwrap_or_else(|| text.to_owned()),
            false => without_lines(text),
        };
        let heading = passage.heading.map(part).or(outer);
        let in_context = match heading {
            Some(heading) => format!("{heading}: {said}"),
            None if before.is_empty() => said.clone(),
            None => format!("{before} {said}"),
        };
        let mut stems = words::content_set(text);
        if let Some(tail) = passage.tail {
            stems.extend(words::content(part(tail)));
        }
        let mut heading_stems = above.clone();
        heading_stems.extend(passage.heading.map(part).map(words::content).unwrap_or_default());
        before = if is_source { "" } else { text };
        candidates.push(Candidate {
            hit: at_hit,
            at,
            text: text.to_owned(),
            said,
            in_context,
            stems,
            heading_stems,
            passage,
        });
    }
    candidates
}
