//! Precision, recall and F1 of every class with their averages: what scikit-learn and seqeval print as a report.

use std::fmt;

use serde::Serialize;

use super::scores::{Counts, F1Scores};

/// The scores of one class.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassScores {
    /// The name of the class.
    pub label: String,
    /// Its scores.
    #[serde(flatten)]
    pub scores: F1Scores,
    /// How many items of the class there are.
    pub support: usize,
}

/// The scores of all classes and three ways to average them.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct ScoreTable {
    /// One row for each class, in the order given.
    pub classes: Vec<ClassScores>,
    /// From the counts of all classes together.
    pub micro: F1Scores,
    /// The mean over classes, each as heavy as any other.
    #[serde(rename = "macro")]
    pub macro_: F1Scores,
    /// The mean over classes, each as heavy as its support.
    pub weighted: F1Scores,
    /// The items of all classes.
    pub support: usize,
}

impl ScoreTable {
    /// The table of classes by name.
    pub fn new(classes: impl IntoIterator<Item = (String, Counts)>) -> Self {
        let mut total = Counts::default();
        let mut table = Self::default();
        for (label, counts) in classes {
            total += counts;
            table.classes.push(ClassScores {
                label,
                scores: counts.scores(),
                support: counts.actual,
            });
        }
        table.micro = total.scores();
        table.support = total.actual;
        let count = table.classes.len() as f64;
        table.macro_ = table.average(|_| 1.0, count);
        table.weighted = table.average(|class| class.support as f64, total.actual as f64);
        table
    }

    /// The row of a class.
    pub fn class(&self, label: &str) -> Option<&ClassScores> {
        self.classes.iter().find(|class| class.label == label)
    }

    fn average(&self, weight: impl Fn(&ClassScores) -> f64, total: f64) -> F1Scores {
        if total == 0.0 {
            return F1Scores::default();
        }
        let mean = |part: fn(&F1Scores) -> f64| {
            let sum: f64 = self
                .classes
                .iter()
                .map(|class| weight(class) * part(&class.scores))
                .sum();
            sum / total
        };
        F1Scores {
            precision: mean(|scores| scores.precision),
            recall: mean(|scores| scores.recall),
            f1: mean(|scores| scores.f1),
        }
    }
}

impl fmt::Display for ScoreTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let averages = [
            ("micro avg", self.micro),
            ("macro avg", self.macro_),
            ("weighted avg", self.weighted),
        ];
        let width = self
            .classes
            .iter()
            .map(|class| class.label.chars().count())
            .chain([12])
            .max()
            .unwrap_or(12);
        writeln!(
            f,
            "{:width$}  precision  recall      f1  support",
            "",
            width = width
        )?;
        let mut row = |label: &str, scores: F1Scores, support: usize| {
            writeln!(
                f,
                "{label:>width$}  {:>9.4}  {:>6.4}  {:>6.4}  {support:>7}",
                scores.precision, scores.recall, scores.f1
            )
        };
        for class in &self.classes {
            row(&class.label, class.scores, class.support)?;
        }
        averages
            .into_iter()
            .try_for_each(|(label, scores)| row(label, scores, self.support))
    }
}
