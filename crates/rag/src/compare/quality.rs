//! Which number of the scores is compared.

use crate::error::Result;

/// What the quality of a system is, over the scores of its questions.
///
/// ```
/// use ragtune::compare::Quality;
/// // F1 of the class that questions 1 and 2 are of; the third is taken for it wrongly.
/// let spam = Quality::f1("F1 of spam", [true, true, false, false]);
/// assert_eq!(spam.of(&[1.0, 1.0, 0.0, 1.0]), 0.8);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quality {
    name: String,
    /// Which questions are of the class, for F1.
    positive: Option<Vec<bool>>,
}

impl Quality {
    /// The mean of the scores: accuracy, nDCG, token F1, whatever a score is.
    pub fn mean(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            positive: None,
        }
    }

    /// F1 of one class, for scores of 1 (right) and 0 (wrong). A wrong answer to a question of the class missed it, any
    /// other wrong answer took the question for one of the class; so the answers must be of two classes.
    pub fn f1(name: impl Into<String>, positive: impl IntoIterator<Item = bool>) -> Self {
        Self {
            name: name.into(),
            positive: Some(positive.into_iter().collect()),
        }
    }

    /// What the number is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of all questions.
    pub fn of(&self, scores: &[f64]) -> f64 {
        let all: Vec<usize> = (0..scores.len()).collect();
        self.on(scores, &all)
    }

    /// The number of some of the questions, each as often as it is named.
    pub(super) fn on(&self, scores: &[f64], questions: &[usize]) -> f64 {
        let score = |question: usize| scores.get(question).copied().unwrap_or(0.0);
        let Some(positive) = &self.positive else {
            let sum: f64 = questions.iter().map(|&question| score(question)).sum();
            return sum / questions.len() as f64;
        };
        let (mut found, mut wrong) = (0.0, 0.0);
        for &question in questions {
            let is_right = score(question) > 0.5;
            let is_positive = positive.get(question).copied().unwrap_or(false);
            match (is_right, is_positive) {
                (true, true) => found += 1.0,
                (true, false) => {}
                (false, _) => wrong += 1.0,
            }
        }
        // Without the class in truth and answers there was nothing to find, and nothing was wrong.
        if found + wrong == 0.0 {
            return 1.0;
        }
        2.0 * found / (2.0 * found + wrong)
    }

    /// Refuses scores that the number cannot be of.
    pub(super) fn check(&self, name: &str, scores: &[f64]) -> Result<()> {
        let Some(positive) = &self.positive else {
            return Ok(());
        };
        let reason = if positive.len() != scores.len() {
            format!("{} questions, but {} of {name:?}", positive.len(), scores.len())
        } else if let Some(score) = scores.iter().find(|&&score| score != 0.0 && score != 1.0) {
            format!("{name:?} has the score {score}; F1 is of answers that are right (1) or wrong (0)")
        } else {
            return Ok(());
        };
        Err(ragtune_core::Error::InvalidArgument {
            argument: "quality",
            reason,
        }
        .into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f1_is_that_of_the_class() {
        // 3 of the class, 2 found; 1 of 3 others taken for it: precision 2/3, recall 2/3.
        let quality = Quality::f1("f1", [true, true, true, false, false, false]);
        let scores = [1.0, 1.0, 0.0, 0.0, 1.0, 1.0];
        assert!((quality.of(&scores) - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(quality.of(&[0.0; 6]), 0.0);
        assert!(quality.check("x", &[0.5; 6]).is_err() && quality.check("x", &[1.0; 5]).is_err());
    }
}
