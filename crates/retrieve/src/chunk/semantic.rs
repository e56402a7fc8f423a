//! Passages by meaning: cut where neighbouring sentences are far apart.
//!
//! The method that G. Kamradt described as semantic chunking (2024): each sentence is embedded with its neighbours,
//! and the text is cut where the distance to the next is above a percentile of the document's distances.

use std::sync::Arc;

use ragtune_core::text::{Document, Embedder, Role, Span};

use super::chunker::{ChunkSpan, Chunker};
use super::outline::{is_markdown, sections};
use super::sentence::sentences;
use super::size::{Sizes, invalid};
use super::split::{Limits, split};
use crate::error::Result;

/// Texts that are embedded in one call.
const BATCH: usize = 256;

/// Divides documents where the meaning changes, measured by the encoder; no passage crosses a heading.
///
/// ```
/// use std::sync::Arc;
/// use ragtune_core::testing::HashingEmbedder;
/// use ragtune_core::text::Document;
/// use ragtune_retrieve::Chunker;
/// use ragtune_retrieve::chunk::SemanticChunker;
///
/// let chunker = SemanticChunker::new(Arc::new(HashingEmbedder::new(64)))
///     .with_neighbours(0)
///     .with_percentile(60.0)?
///     .with_min_tokens(1)?;
/// let text = "Green tea. More green tea. Fast cars. Very fast cars.";
/// let chunks = chunker.chunk(&Document::new("a", text))?;
/// let texts: Vec<_> = chunks.iter().filter_map(|chunk| chunk.span.of(text)).collect();
/// assert_eq!(texts, ["Green tea. More green tea.", "Fast cars. Very fast cars."]);
/// # Ok::<(), ragtune_retrieve::Error>(())
/// ```
#[derive(Clone)]
pub struct SemanticChunker {
    sizes: Sizes,
    neighbours: usize,
    percentile: f32,
    min_tokens: usize,
}

impl SemanticChunker {
    /// Sentences embedded with one neighbour on each side, cuts above the 90th percentile, passages of at least an
    /// eighth of the tokens that the encoder takes.
    pub fn new(embedder: Arc<dyn Embedder>) -> Self {
        let sizes = Sizes::new(embedder);
        Self {
            min_tokens: sizes.max_tokens / 8,
            sizes,
            neighbours: 1,
            percentile: 90.0,
        }
    }

    /// With another number of sentences on each side that a sentence is embedded with.
    pub fn with_neighbours(mut self, neighbours: usize) -> Self {
        self.neighbours = neighbours;
        self
    }

    /// With cuts where the distance is above another percentile of the document's distances: a lower one gives more
    /// passages.
    ///
    /// # Errors
    /// `InvalidArgument` outside 0..=100.
    pub fn with_percentile(mut self, percentile: f32) -> Result<Self> {
        if !(0.0..=100.0).contains(&percentile) {
            return Err(invalid("percentile", format!("{percentile} is not in 0..=100")));
        }
        self.percentile = percentile;
        Ok(self)
    }

    /// With another number of tokens below which no cut is made.
    ///
    /// # Errors
    /// `InvalidArgument` for more than the maximum.
    pub fn with_min_tokens(mut self, min_tokens: usize) -> Result<Self> {
        if min_tokens > self.sizes.max_tokens {
            let reason = format!("{min_tokens} is above the maximum, {}", self.sizes.max_tokens);
            return Err(invalid("min_tokens", reason));
        }
        self.min_tokens = min_tokens;
        Ok(self)
    }

    /// With another number of tokens that a passage never exceeds; no cut is made below an eighth of it.
    ///
    /// # Errors
    /// `InvalidArgument` for 0 and for more than the encoder takes.
    pub fn with_max_tokens(mut self, max_tokens: usize) -> Result<Self> {
        self.sizes = self.sizes.with_max_tokens(max_tokens)?;
        self.min_tokens = max_tokens / 8;
        Ok(self)
    }

    /// `1 - cosine` of each sentence with its neighbours and the next with its own.
    fn distances(&self, text: &str, units: &[Span]) -> Result<Vec<f32>> {
        let group = |i: usize| {
            let first = units[i.saturating_sub(self.neighbours)];
            let last = units[(i + self.neighbours).min(units.len() - 1)];
            Span::new(first.start, last.end).of(text).unwrap_or_default()
        };
        let mut distances = Vec::with_capacity(units.len().saturating_sub(1));
        let mut before: Option<Vec<f32>> = None;
        let all: Vec<usize> = (0..units.len()).collect();
        for batch in all.chunks(BATCH) {
            let texts: Vec<&str> = batch.iter().map(|&i| group(i)).collect();
            let embedder = self.sizes.embedder();
            let vectors = embedder.embed(&texts, Role::Document)?;
            vectors.check(embedder.dim(), texts.len())?;
            for vector in vectors.rows() {
                distances.extend(before.as_deref().map(|before| 1.0 - cosine(before, vector)));
                before = Some(vector.to_vec());
            }
        }
        Ok(distances)
    }
}

impl Chunker for SemanticChunker {
    /// Method, numbers, and the encoder, whose vectors decide.
    fn id(&self) -> String {
        format!(
            "semantic-1 neighbours {} percentile {} min {} max {} by {}",
            self.neighbours,
            self.percentile,
            self.min_tokens,
            self.sizes.max_tokens,
            self.sizes.embedder().id()
        )
    }

    fn chunk(&self, document: &Document) -> Result<Vec<ChunkSpan>> {
        let text = &document.text;
        // Sentences with the number of their section; no cut is asked for where a heading makes one.
        let sections = sections(document);
        let mut units = Vec::new();
        for (number, section) in sections.iter().enumerate() {
            let part = section.span.of(text).unwrap_or_default();
            units.extend(
                sentences(part)
                    .into_iter()
                    .map(|span| (span.shifted(section.span.start), number)),
            );
        }
        let spans: Vec<Span> = units.iter().map(|unit| unit.0).collect();
        let distances = self.distances(text, &spans)?;
        let cut_above = percentile(&distances, self.percentile);

        let mut chunks = Vec::new();
        let mut open: Option<(Span, usize, usize)> = None;
        let mut close = |open: Option<(Span, usize, usize)>| -> Result<()> {
            let Some((span, number, tokens)) = open else {
                return Ok(());
            };
            let headings = &sections[number].headings;
            let max_tokens = self.sizes.max_under(headings);
            let limits = Limits {
                target_tokens: max_tokens,
                max_tokens,
                overlap_tokens: 0,
                markdown: is_markdown(document),
            };
            let spans = if tokens <= max_tokens {
                vec![span]
            } else {
                split(text, span, limits, &self.sizes)?
            };
            chunks.extend(spans.into_iter().map(|span| ChunkSpan {
                span,
                headings: headings.clone(),
            }));
            Ok(())
        };
        for (i, (span, number)) in units.into_iter().enumerate() {
            let tokens = span.of(text).map_or(0, |part| self.sizes.count(part));
            let far = i > 0 && distances[i - 1] > cut_above;
            open = match open {
                Some((so_far, section, before))
                    if section == number
                        && !(far && before >= self.min_tokens)
                        && before + tokens <= self.sizes.max_under(&sections[number].headings) =>
                {
                    Some((Span::new(so_far.start, span.end), section, before + tokens))
                }
                before => {
                    close(before)?;
                    Some((span, number, tokens))
                }
            };
        }
        close(open)?;
        Ok(chunks)
    }
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
    let norms = (dot(a, a) * dot(b, b)).sqrt();
    if norms > 0.0 { dot(a, b) / norms } else { 0.0 }
}

/// The value that so many percent lie at or below, between two values by linear interpolation (as numpy's default).
fn percentile(values: &[f32], percent: f32) -> f32 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f32::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else {
        return f32::INFINITY;
    };
    let at = percent / 100.0 * last as f32;
    let low = sorted[at.floor() as usize];
    let high = sorted[(at.ceil() as usize).min(last)];
    low + (high - low) * at.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_interpolate() {
        assert_eq!(percentile(&[4.0, 1.0, 3.0, 2.0], 50.0), 2.5);
        assert_eq!(percentile(&[1.0, 2.0], 100.0), 2.0);
        assert_eq!(percentile(&[], 50.0), f32::INFINITY);
    }
}
