//! How a reader answers, and how it is calibrated.

use ragtune_core::Cancel;

use super::calibration::CalibrationMethod;

/// How an [`crate::ExtractiveReader`] answers.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ReaderOptions {
    /// Passages that are read at most, the best first.
    pub max_passages: usize,
    /// The least probability with which an answer is given; calibration replaces it.
    pub min_probability: f64,
    /// Whether a span counts by how far it is above "no answer" in its own window, as readers that know unanswerable
    /// questions (SQuAD 2.0) need it; without it by its logits alone, for readers that were never shown one.
    pub has_no_answer: bool,
}

impl Default for ReaderOptions {
    /// Ten passages, a probability of one half, a reader that knows "no answer".
    fn default() -> Self {
        Self {
            max_passages: 10,
            min_probability: 0.5,
            has_no_answer: true,
        }
    }
}

impl ReaderOptions {
    /// Reads at most so many passages.
    #[must_use]
    pub fn with_max_passages(mut self, passages: usize) -> Self {
        self.max_passages = passages;
        self
    }

    /// Answers with this probability or more.
    #[must_use]
    pub fn with_min_probability(mut self, probability: f64) -> Self {
        self.min_probability = probability;
        self
    }

    /// Whether the reader knows that a passage may hold no answer.
    #[must_use]
    pub fn with_has_no_answer(mut self, has_no_answer: bool) -> Self {
        self.has_no_answer = has_no_answer;
        self
    }
}

/// What is asked of a calibration.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Calibrating {
    /// The share of wrong answers among those that are given, at most.
    pub max_error: f64,
    /// The probability that the true share lies above it all the same.
    pub delta: f64,
    /// How odds become probabilities.
    pub method: CalibrationMethod,
    /// From which token F1 on (0 to 1) an answer is right; 1 is exact match, but for case, articles and punctuation.
    pub min_f1: f64,
    /// Passages that are asked of the retriever for each question.
    pub top_k: usize,
    pub(super) cancel: Cancel,
}

impl Calibrating {
    /// At most this share of wrong answers, with 95 % confidence.
    #[must_use]
    pub fn to(max_error: f64) -> Self {
        Self {
            max_error,
            delta: 0.05,
            method: CalibrationMethod::default(),
            min_f1: 1.0,
            top_k: 10,
            cancel: Cancel::new(),
        }
    }

    /// Another probability that the promise does not hold.
    #[must_use]
    pub fn with_delta(mut self, delta: f64) -> Self {
        self.delta = delta;
        self
    }

    /// Makes probabilities in another way.
    #[must_use]
    pub fn with_method(mut self, method: CalibrationMethod) -> Self {
        self.method = method;
        self
    }

    /// An answer is right from this token F1 on.
    #[must_use]
    pub fn with_min_f1(mut self, min_f1: f64) -> Self {
        self.min_f1 = min_f1;
        self
    }

    /// Asks the retriever for so many passages.
    #[must_use]
    pub fn with_top_k(mut self, top_k: usize) -> Self {
        self.top_k = top_k;
        self
    }

    /// Stops when the flag is set.
    #[must_use]
    pub fn with_cancel(mut self, cancel: Cancel) -> Self {
        self.cancel = cancel;
        self
    }
}
