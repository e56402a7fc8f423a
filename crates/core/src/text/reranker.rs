//! A question and passages to probabilities of relevance.

use crate::error::Result;

/// Judges how well passages answer a question, reading both together.
///
/// ```
/// use ragtune_core::text::Reranker;
///
/// /// Prefers short passages.
/// struct Shortest;
///
/// impl Reranker for Shortest {
///     fn score(&self, _: &str, passages: &[&str]) -> ragtune_core::Result<Vec<f32>> {
///         Ok(passages.iter().map(|passage| 1.0 / (1.0 + passage.len() as f32)).collect())
///     }
/// }
///
/// let scores = Shortest.score("tea?", &["a long passage", "tea"])?;
/// assert!(scores[1] > scores[0]);
/// # Ok::<(), ragtune_core::Error>(())
/// ```
pub trait Reranker: Send + Sync {
    /// The probability of relevance (0 to 1) of each passage, in order.
    ///
    /// # Errors
    /// Whatever keeps the model from answering; a passage is never left out.
    fn score(&self, query: &str, passages: &[&str]) -> Result<Vec<f32>>;
}
