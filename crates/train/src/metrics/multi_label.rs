//! Any number of classes for each example.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use super::classification::same_length;
use super::score_table::ScoreTable;
use super::scores::{Counts, F1Scores, ratio};
use crate::error::{Error, Result};

/// How well sets of classes were predicted, as scikit-learn measures them over an indicator matrix.
///
/// ```
/// use ragtune_train::metrics::MultiLabel;
///
/// let truth = [vec![0, 2], vec![1], vec![]];
/// let predicted = [vec![0], vec![1], vec![2]];
/// let scores = MultiLabel::evaluate(&truth, &predicted, &["bug", "docs", "help"])?;
/// assert_eq!(scores.table.micro.precision, 2.0 / 3.0);
/// assert_eq!(scores.subset_accuracy, 1.0 / 3.0);
/// # Ok::<(), ragtune_train::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MultiLabel {
    /// Examples.
    pub examples: usize,
    /// The share of examples whose set was found exactly.
    pub subset_accuracy: f64,
    /// The share of the examples-times-classes decisions that are wrong.
    pub hamming_loss: f64,
    /// The scores of every class, occurring or not, and their averages.
    pub table: ScoreTable,
    /// The mean of each example's own scores; an example without true or predicted classes counts as 0.
    pub samples: F1Scores,
}

impl MultiLabel {
    /// Measures predicted sets of class numbers against the true ones; a class named twice counts once.
    ///
    /// # Errors
    /// [`Error::LengthMismatch`], [`Error::LabelOutOfRange`] and [`Error::Empty`].
    pub fn evaluate<S: AsRef<str>, T: AsRef<[usize]>, P: AsRef<[usize]>>(
        truth: &[T],
        predicted: &[P],
        labels: &[S],
    ) -> Result<Self> {
        same_length("multi-label classification", truth.len(), predicted.len())?;
        let mut classes = vec![Counts::default(); labels.len()];
        let mut samples = F1Scores::default();
        let (mut exact, mut wrong) = (0, 0);
        for (index, (truth, predicted)) in truth.iter().zip(predicted).enumerate() {
            let truth = set(index, truth.as_ref(), labels.len())?;
            let predicted = set(index, predicted.as_ref(), labels.len())?;
            let counts = Counts {
                correct: truth.intersection(&predicted).count(),
                predicted: predicted.len(),
                actual: truth.len(),
            };
            exact += usize::from(truth == predicted);
            wrong += truth.symmetric_difference(&predicted).count();
            let scores = counts.scores();
            samples.precision += scores.precision;
            samples.recall += scores.recall;
            samples.f1 += scores.f1;
            for (class, counts) in classes.iter_mut().enumerate() {
                let (actual, found) = (truth.contains(&class), predicted.contains(&class));
                counts.correct += usize::from(actual && found);
                counts.predicted += usize::from(found);
                counts.actual += usize::from(actual);
            }
        }
        let examples = truth.len();
        for part in [&mut samples.precision, &mut samples.recall, &mut samples.f1] {
            *part /= examples as f64;
        }
        Ok(Self {
            examples,
            subset_accuracy: ratio(exact, examples),
            hamming_loss: ratio(wrong, examples * labels.len()),
            table: ScoreTable::new(labels.iter().map(|l| l.as_ref().to_owned()).zip(classes)),
            samples,
        })
    }
}

impl fmt::Display for MultiLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "exact sets {:.4} of {} examples, Hamming loss {:.4}, F1 by example {:.4}",
            self.subset_accuracy, self.examples, self.hamming_loss, self.samples.f1
        )?;
        write!(f, "{}", self.table)
    }
}

fn set(index: usize, classes: &[usize], labels: usize) -> Result<BTreeSet<usize>> {
    match classes.iter().find(|&&label| label >= labels) {
        Some(&label) => Err(Error::LabelOutOfRange { index, label, labels }),
        None => Ok(classes.iter().copied().collect()),
    }
}
