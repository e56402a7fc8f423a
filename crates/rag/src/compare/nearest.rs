//! Classification by retrieval: the labels of the nearest examples vote.

use std::collections::BTreeMap;

use ragtune_core::text::{Query, ScoredChunk, Value};
use ragtune_retrieve::Retriever;

use crate::error::{Error, Result};

/// Classifies a text by the labels of the labelled examples nearest to it (k nearest neighbours, votes weighted by
/// score: S. A. Dudani, "The Distance-Weighted k-Nearest-Neighbor Rule", IEEE SMC 1976).
///
/// The examples are the passages of a retriever, with the label as a metadata value. A new example counts as soon as it
/// is added; nothing is trained.
///
/// ```
/// use ragtune::compare::NearestExamples;
/// use ragtune::core::testing::HashingEmbedder;
/// use ragtune::{Document, KnowledgeBase};
///
/// let examples = KnowledgeBase::in_memory()?.with_embedder(HashingEmbedder::new(256))?;
/// examples.add([
///     Document::new("1", "My card was stolen").with_metadata("label", "card"),
///     Document::new("2", "Somebody has stolen my card").with_metadata("label", "card"),
///     Document::new("3", "What does a transfer cost?").with_metadata("label", "fees"),
/// ])?;
/// let nearest = NearestExamples::new(examples.dense()).with_neighbours(2);
/// assert_eq!(nearest.classify("stolen card")?.label, "card");
/// # Ok::<(), ragtune::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct NearestExamples<R> {
    retriever: R,
    field: String,
    neighbours: usize,
}

/// What the examples say of a text.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Vote {
    /// The label with the most votes, the first in the alphabet of equals.
    pub label: String,
    /// Its share of the votes, 0 to 1.
    pub share: f64,
    /// The examples that voted, nearest first.
    pub examples: Vec<ScoredChunk>,
}

impl<R: Retriever> NearestExamples<R> {
    /// Five neighbours, whose label is the metadata value `label`.
    pub fn new(retriever: R) -> Self {
        Self {
            retriever,
            field: "label".to_owned(),
            neighbours: 5,
        }
    }

    /// The label is this metadata value.
    pub fn with_field(mut self, field: impl Into<String>) -> Self {
        self.field = field.into();
        self
    }

    /// So many examples vote, at least one.
    pub fn with_neighbours(mut self, neighbours: usize) -> Self {
        self.neighbours = neighbours.max(1);
        self
    }

    /// How many examples vote.
    pub fn neighbours(&self) -> usize {
        self.neighbours
    }

    /// The label of a text.
    ///
    /// # Errors
    /// Those of the retriever; [`Error::NoExample`] when it finds nothing, and [`Error::NoLabel`] for an example without
    /// its label.
    pub fn classify(&self, text: &str) -> Result<Vote> {
        let hits = self
            .retriever
            .retrieve(&Query::new(text).with_top_k(self.neighbours))?;
        self.vote(hits)
    }

    /// The number of neighbours out of `candidates` with which most of the examples named by id and text are given their
    /// own label by the others (leave one out), the fewest of equals.
    ///
    /// # Errors
    /// As [`NearestExamples::classify`], and [`ragtune_core::Error::InvalidArgument`] for no candidate or no example.
    pub fn choose_neighbours<'e>(
        mut self,
        candidates: &[usize],
        examples: impl IntoIterator<Item = (&'e str, &'e str)>,
    ) -> Result<Self> {
        let most = candidates.iter().copied().max().unwrap_or(0);
        let mut right = vec![0_usize; candidates.len()];
        let mut asked = 0;
        for (id, text) in examples {
            asked += 1;
            // One more, because the example finds itself.
            let hits = self.retriever.retrieve(&Query::new(text).with_top_k(most + 1))?;
            let own = hits.iter().find(|hit| hit.chunk.document_id == id);
            let own = own.map(|hit| self.label(hit).map(str::to_owned)).transpose()?;
            let others: Vec<&ScoredChunk> = hits.iter().filter(|hit| hit.chunk.document_id != id).collect();
            for (right, &neighbours) in right.iter_mut().zip(candidates) {
                let some = others.iter().take(neighbours.max(1)).copied();
                let winner = self.winner(some)?.map(|(label, _)| label.to_owned());
                *right += usize::from(winner.is_some() && winner == own);
            }
        }
        let best = right.iter().copied().max().filter(|_| asked > 0);
        let chosen = candidates
            .iter()
            .zip(&right)
            .filter(|(_, right)| Some(**right) == best);
        match chosen.map(|(neighbours, _)| *neighbours).min() {
            Some(neighbours) => self.neighbours = neighbours.max(1),
            None => {
                return Err(ragtune_core::Error::InvalidArgument {
                    argument: "candidates",
                    reason: "numbers of neighbours to choose from, and examples to choose by, are needed"
                        .to_owned(),
                }
                .into());
            }
        }
        Ok(self)
    }

    fn vote(&self, hits: Vec<ScoredChunk>) -> Result<Vote> {
        let Some((label, share)) = self.winner(&hits)? else {
            return Err(Error::NoExample);
        };
        Ok(Vote {
            label: label.to_owned(),
            share,
            examples: hits,
        })
    }

    /// The label with most votes, and its share.
    fn winner<'h>(&self, hits: impl IntoIterator<Item = &'h ScoredChunk>) -> Result<Option<(&'h str, f64)>> {
        let mut votes: BTreeMap<&str, f64> = BTreeMap::new();
        for hit in hits {
            // A negative cosine is no vote against a label; the small number lets far examples decide among themselves.
            *votes.entry(self.label(hit)?).or_default() += f64::from(hit.score()).max(1e-6);
        }
        let all: f64 = votes.values().sum();
        let mut best: Option<(&str, f64)> = None;
        for (label, votes) in votes {
            if best.is_none_or(|(_, most)| votes > most) {
                best = Some((label, votes));
            }
        }
        Ok(best.map(|(label, votes)| (label, votes / all)))
    }

    fn label<'h>(&self, hit: &'h ScoredChunk) -> Result<&'h str> {
        let value = hit.chunk.metadata.get(&self.field);
        value.and_then(Value::as_text).ok_or_else(|| Error::NoLabel {
            document_id: hit.chunk.document_id.clone(),
            field: self.field.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use ragtune_core::testing::HashingEmbedder;
    use ragtune_core::text::Document;
    use ragtune_retrieve::KnowledgeBase;

    use super::*;

    fn base(examples: &[(&str, &str, &str)]) -> KnowledgeBase {
        let base = KnowledgeBase::in_memory()
            .and_then(|base| base.with_embedder(HashingEmbedder::new(512)))
            .expect("a base");
        let documents = examples.iter().map(|(id, text, label)| {
            let document = Document::new(*id, *text);
            if label.is_empty() {
                document
            } else {
                document.with_metadata("label", *label)
            }
        });
        base.add(documents).expect("added");
        base
    }

    #[test]
    fn a_new_example_counts_at_once() {
        let base = base(&[
            ("1", "lost my card", "card"),
            ("2", "price of a transfer", "fees"),
        ]);
        let nearest = NearestExamples::new(base.dense()).with_neighbours(1);
        assert_eq!(nearest.classify("passport lost").expect("a vote").label, "card");
        base.add([Document::new("3", "passport lost").with_metadata("label", "identity")])
            .expect("added");
        let vote = NearestExamples::new(base.dense())
            .with_neighbours(1)
            .classify("passport lost")
            .expect("a vote");
        assert_eq!((vote.label.as_str(), vote.share), ("identity", 1.0));
    }

    #[test]
    fn the_number_of_neighbours_is_chosen_by_leaving_one_out() {
        // Each class has two examples alike, and one wrong label stands beside them.
        let examples = [
            ("1", "red apple tree", "fruit"),
            ("2", "red apple garden", "fruit"),
            ("3", "red apple pie", "fruit"),
            ("4", "steel bridge north", "bridge"),
            ("5", "steel bridge south", "bridge"),
            ("6", "steel bridge east", "bridge"),
        ];
        let base = base(&examples);
        let texts = examples.iter().map(|(id, text, _)| (*id, *text));
        let chosen = NearestExamples::new(base.dense())
            .choose_neighbours(&[1, 2, 5], texts)
            .expect("chosen");
        // With five all of the other class outvote the two of its own.
        assert!(chosen.neighbours() < 5, "{}", chosen.neighbours());
        let none = NearestExamples::new(base.dense()).choose_neighbours(&[], [("1", "red")]);
        assert!(none.is_err());
        let none = NearestExamples::new(base.dense()).choose_neighbours(&[1], []);
        assert!(none.is_err());
    }

    #[test]
    fn examples_without_labels_are_named() {
        let base = base(&[("notes.md", "lost my card", "")]);
        let error = NearestExamples::new(base.dense())
            .classify("card")
            .expect_err("no label");
        assert!(error.to_string().contains("notes.md"), "{error}");
        let empty = super::tests::base(&[]);
        assert!(matches!(
            NearestExamples::new(empty.dense()).classify("card"),
            Err(Error::NoExample)
        ));
    }
}
