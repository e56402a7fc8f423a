//! How much is quoted, and how strong its evidence must be.

/// How much an [`crate::ExtractiveAnswerer`] quotes, and how strong its evidence must be.
///
/// The defaults were calibrated on questions over two sets of documents; `docs/extractive.md` says how.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ExtractiveOptions {
    /// The least strength of all evidence together, 0 to 1, at which there is an answer.
    pub min_evidence: f32,
    /// Sentences in the answer at most; code and lists that they introduce come along.
    pub max_sentences: usize,
    /// A further sentence is quoted when its odds to be the best one have at least this share of the best one's.
    pub further_evidence: f32,
    /// Sentences that are compared with the question by the encoder at most; the others have too few of its words or
    /// too low a rank.
    pub max_candidates: usize,
}

impl Default for ExtractiveOptions {
    fn default() -> Self {
        Self {
            min_evidence: 0.5,
            max_sentences: 3,
            further_evidence: 0.7,
            max_candidates: 30,
        }
    }
}

impl ExtractiveOptions {
    /// There is an answer when the evidence is at least so strong (0 to 1).
    pub fn with_min_evidence(mut self, min_evidence: f32) -> Self {
        self.min_evidence = min_evidence;
        self
    }

    /// At most this many sentences are quoted.
    pub fn with_max_sentences(mut self, max_sentences: usize) -> Self {
        self.max_sentences = max_sentences;
        self
    }

    /// Further sentences have at least this share of the best one's odds.
    pub fn with_further_evidence(mut self, further_evidence: f32) -> Self {
        self.further_evidence = further_evidence;
        self
    }

    /// At most this many sentences are compared by the encoder.
    pub fn with_max_candidates(mut self, max_candidates: usize) -> Self {
        self.max_candidates = max_candidates;
        self
    }
}
