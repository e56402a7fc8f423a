//! What is right, what was found.

use std::collections::BTreeMap;

/// How relevant documents are to one question: 0 or less is not relevant, more is more so.
pub type Judgements = BTreeMap<String, i32>;

/// Judgements by question id.
pub type Qrels = BTreeMap<String, Judgements>;

/// Documents found for one question with their scores, higher is better.
pub type Ranking = Vec<(String, f32)>;

/// Rankings by question id.
pub type Run = BTreeMap<String, Ranking>;

/// Brings a ranking into trec_eval's order: by score, best first; of equal scores the greater document id comes first,
/// ids compared byte by byte. Where the run came in does not matter.
///
/// ```
/// let mut ranking = vec![("a".to_owned(), 1.0), ("b".to_owned(), 2.0), ("c".to_owned(), 1.0)];
/// ragtune_retrieve::measure::trec_order(&mut ranking);
/// assert_eq!(ranking.iter().map(|(id, _)| id.as_str()).collect::<String>(), "bca");
/// ```
pub fn trec_order(ranking: &mut Ranking) {
    ranking.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| b.0.cmp(&a.0)));
}
