//! Precision, recall and F1 from counts: the numbers that classification, entities and ROUGE share.

use serde::Serialize;

/// How many items are right, how many were predicted and how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// Predicted and true.
    pub correct: usize,
    /// Predicted.
    pub predicted: usize,
    /// True: the support.
    pub actual: usize,
}

impl Counts {
    /// Precision, recall and F1 of the counts; a ratio over nothing is 0, as scikit-learn's `zero_division=0`.
    pub fn scores(self) -> F1Scores {
        let precision = ratio(self.correct, self.predicted);
        let recall = ratio(self.correct, self.actual);
        F1Scores {
            precision,
            recall,
            f1: harmonic_mean(precision, recall),
        }
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.correct += other.correct;
        self.predicted += other.predicted;
        self.actual += other.actual;
    }
}

/// Precision, recall and their harmonic mean, each from 0 to 1.
///
/// ```
/// use ragtune_train::metrics::Counts;
///
/// let scores = Counts { correct: 3, predicted: 4, actual: 6 }.scores();
/// assert_eq!((scores.precision, scores.recall), (0.75, 0.5));
/// assert!((scores.f1 - 0.6).abs() < 1e-12);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct F1Scores {
    /// The share of the predicted that is right.
    pub precision: f64,
    /// The share of the true that was predicted.
    pub recall: f64,
    /// The harmonic mean of both.
    pub f1: f64,
}

/// A share, 0 where there is nothing to share.
pub(super) fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

/// 2pr / (p + r), 0 where both are 0.
pub(super) fn harmonic_mean(precision: f64, recall: f64) -> f64 {
    if precision + recall > 0.0 {
        2.0 * precision * recall / (precision + recall)
    } else {
        0.0
    }
}
