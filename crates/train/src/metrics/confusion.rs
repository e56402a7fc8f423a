//! Which class was taken for which.

use std::fmt;

use serde::Serialize;

use super::scores::Counts;
use crate::error::{Error, Result};

/// Above this many classes a printed matrix is unreadable, and the most frequent mistakes are printed instead.
const MAX_PRINTED_CLASSES: usize = 16;

/// How many mistakes are printed of a matrix that is too large to print.
const PRINTED_MISTAKES: usize = 20;

/// Counts of true classes (rows) against predicted classes (columns).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConfusionMatrix {
    labels: Vec<String>,
    /// Row after row.
    counts: Vec<Vec<usize>>,
}

impl ConfusionMatrix {
    /// The matrix of true and predicted class numbers.
    ///
    /// # Errors
    /// [`Error::LengthMismatch`] where the lists differ in length, [`Error::LabelOutOfRange`] for a number that is no
    /// class, [`Error::Empty`] for empty lists.
    pub fn new<S: AsRef<str>>(truth: &[usize], predicted: &[usize], labels: &[S]) -> Result<Self> {
        super::classification::same_length("classification", truth.len(), predicted.len())?;
        let mut counts = vec![vec![0; labels.len()]; labels.len()];
        for (index, (&row, &column)) in truth.iter().zip(predicted).enumerate() {
            let out_of_range = |label| Error::LabelOutOfRange {
                index,
                label,
                labels: labels.len(),
            };
            let cells = counts.get_mut(row).ok_or_else(|| out_of_range(row))?;
            *cells.get_mut(column).ok_or_else(|| out_of_range(column))? += 1;
        }
        Ok(Self {
            labels: labels.iter().map(|label| label.as_ref().to_owned()).collect(),
            counts,
        })
    }

    /// The names of the classes.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// How often `truth` was taken for `predicted`; `None` for a number that is no class.
    pub fn get(&self, truth: usize, predicted: usize) -> Option<usize> {
        self.counts.get(truth)?.get(predicted).copied()
    }

    /// All examples.
    pub fn total(&self) -> usize {
        self.counts.iter().flatten().sum()
    }

    /// Examples whose class was found.
    pub fn correct(&self) -> usize {
        self.counts
            .iter()
            .enumerate()
            .filter_map(|(class, row)| row.get(class))
            .sum()
    }

    /// The counts of each class, in the order of the labels.
    pub fn class_counts(&self) -> Vec<Counts> {
        (0..self.labels.len())
            .map(|class| Counts {
                correct: self.get(class, class).unwrap_or(0),
                predicted: self.counts.iter().filter_map(|row| row.get(class)).sum(),
                actual: self.counts.get(class).map_or(0, |row| row.iter().sum()),
            })
            .collect()
    }

    /// The mistakes, the most frequent first: true class, predicted class, how often.
    pub fn mistakes(&self) -> Vec<(&str, &str, usize)> {
        let mut mistakes = Vec::new();
        for (truth, row) in self.labels.iter().zip(&self.counts) {
            for (predicted, &count) in self.labels.iter().zip(row) {
                if count > 0 && truth != predicted {
                    mistakes.push((truth.as_str(), predicted.as_str(), count));
                }
            }
        }
        mistakes.sort_by_key(|&(_, _, count)| std::cmp::Reverse(count));
        mistakes
    }

    /// Matthews' correlation coefficient for any number of classes, -1 to 1; 0 where it is not defined.
    ///
    /// The R_K statistic of Gorodkin 2004, "Comparing two K-category assignments by a K-category correlation
    /// coefficient", in the form that scikit-learn computes.
    pub fn matthews(&self) -> f64 {
        let classes = self.class_counts();
        let total = self.total() as f64;
        let correct = self.correct() as f64;
        let sum = |part: fn(&Counts) -> f64| classes.iter().map(part).sum::<f64>();
        let joint = sum(|c| c.actual as f64 * c.predicted as f64);
        let actual = sum(|c| (c.actual as f64).powi(2));
        let predicted = sum(|c| (c.predicted as f64).powi(2));
        let spread = (total * total - predicted) * (total * total - actual);
        if spread > 0.0 {
            (correct * total - joint) / spread.sqrt()
        } else {
            0.0
        }
    }
}

impl fmt::Display for ConfusionMatrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.labels.len() > MAX_PRINTED_CLASSES {
            for (truth, predicted, count) in self.mistakes().into_iter().take(PRINTED_MISTAKES) {
                writeln!(f, "{count:>7}  {truth} taken for {predicted}")?;
            }
            return Ok(());
        }
        let name = self.labels.iter().map(|l| l.chars().count()).max().unwrap_or(0);
        let digits = self.total().to_string().len().max(5);
        write!(f, "{:>name$}", "")?;
        for column in 0..self.labels.len() {
            write!(f, "  {:>digits$}", format!("[{column}]"))?;
        }
        writeln!(f, "   rows: true, columns: predicted")?;
        for (index, (label, row)) in self.labels.iter().zip(&self.counts).enumerate() {
            write!(f, "{label:>name$}")?;
            for count in row {
                write!(f, "  {count:>digits$}")?;
            }
            writeln!(f, "  [{index}]")?;
        }
        Ok(())
    }
}
