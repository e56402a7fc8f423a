//! One class for each example.

use std::fmt;

use serde::Serialize;

use super::confusion::ConfusionMatrix;
use super::score_table::ScoreTable;
use super::scores::ratio;
use crate::error::{Error, Result};

/// How well classes were predicted, as scikit-learn measures it.
///
/// ```
/// use ragtune_train::metrics::Classification;
///
/// let scores = Classification::evaluate(&[0, 0, 1, 1], &[0, 1, 1, 1], &["ham", "spam"])?;
/// assert_eq!(scores.accuracy, 0.75);
/// assert!((scores.table.class("spam").map_or(0.0, |c| c.scores.f1) - 0.8).abs() < 1e-12);
/// println!("{scores}");
/// # Ok::<(), ragtune_train::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Classification {
    /// Examples.
    pub examples: usize,
    /// The share of examples whose class was found.
    pub accuracy: f64,
    /// Matthews' correlation coefficient, -1 to 1.
    pub matthews: f64,
    /// The scores of each class that occurs in the truth or among the predictions, and their averages. A class that
    /// occurs in neither is left out, so that it does not pull the macro average down, as scikit-learn does.
    pub table: ScoreTable,
    /// Which class was taken for which.
    pub confusion: ConfusionMatrix,
}

impl Classification {
    /// Measures predicted class numbers against the true ones; `labels` names the classes.
    ///
    /// # Errors
    /// [`Error::LengthMismatch`], [`Error::LabelOutOfRange`] and [`Error::Empty`].
    pub fn evaluate<S: AsRef<str>>(truth: &[usize], predicted: &[usize], labels: &[S]) -> Result<Self> {
        let confusion = ConfusionMatrix::new(truth, predicted, labels)?;
        let rows = confusion
            .labels()
            .iter()
            .cloned()
            .zip(confusion.class_counts())
            .filter(|(_, counts)| counts.predicted + counts.actual > 0);
        Ok(Self {
            examples: truth.len(),
            accuracy: ratio(confusion.correct(), truth.len()),
            matthews: confusion.matthews(),
            table: ScoreTable::new(rows),
            confusion,
        })
    }
}

impl fmt::Display for Classification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "accuracy {:.4} of {} examples, Matthews correlation {:.4}",
            self.accuracy, self.examples, self.matthews
        )?;
        write!(f, "{}", self.table)
    }
}

/// Checks that there are as many predictions as truths, and any at all.
pub(super) fn same_length(metric: &'static str, truths: usize, predictions: usize) -> Result<()> {
    if truths != predictions {
        return Err(Error::LengthMismatch {
            metric,
            truths,
            predictions,
        });
    }
    if truths == 0 {
        return Err(nothing(metric));
    }
    Ok(())
}

/// There is nothing to measure.
pub(super) fn nothing(metric: &'static str) -> Error {
    Error::Empty {
        what: format!("the set that {metric} is measured on"),
        hint: String::new(),
    }
}
