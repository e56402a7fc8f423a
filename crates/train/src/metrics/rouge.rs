//! ROUGE of summaries, as the Python package rouge-score 0.1.2 computes it.

use std::collections::HashMap;
use std::fmt;

use serde::Serialize;

use super::classification::{nothing, same_length};
use super::porter::porter_stem;
use super::scores::{Counts, F1Scores, harmonic_mean};
use crate::error::Result;

/// How ROUGE is measured.
///
/// ```
/// use ragtune_train::metrics::Rouge;
///
/// let scores = Rouge::default().score("the cat sat on the mat", "the cat lay on the mat");
/// assert!((scores.rouge1.f1 - 5.0 / 6.0).abs() < 1e-12);
/// assert!((scores.rouge2.f1 - 3.0 / 5.0).abs() < 1e-12);
/// assert!((scores.rouge_l.f1 - 5.0 / 6.0).abs() < 1e-12);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rouge {
    stemmer: bool,
}

/// ROUGE's four common scores.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct RougeScores {
    /// Words in common.
    pub rouge1: F1Scores,
    /// Pairs of neighbouring words in common.
    pub rouge2: F1Scores,
    /// The longest common subsequence of words.
    #[serde(rename = "rougeL")]
    pub rouge_l: F1Scores,
    /// The union of longest common subsequences between lines; a line is a sentence.
    #[serde(rename = "rougeLsum")]
    pub rouge_lsum: F1Scores,
}

impl Rouge {
    /// Compares the stems of words of more than three letters (Porter's stemmer); off by default.
    #[must_use]
    pub fn with_stemmer(mut self, stemmer: bool) -> Self {
        self.stemmer = stemmer;
        self
    }

    /// The scores of a prediction against one reference.
    pub fn score(&self, reference: &str, prediction: &str) -> RougeScores {
        let mut words = Words::default();
        let reference_words = self.words(reference, &mut words);
        let prediction_words = self.words(prediction, &mut words);
        RougeScores {
            rouge1: n_grams(&reference_words, &prediction_words, 1),
            rouge2: n_grams(&reference_words, &prediction_words, 2),
            rouge_l: longest(&reference_words, &prediction_words),
            rouge_lsum: self.lines(reference, prediction, &mut words),
        }
    }

    /// The scores against several references: for each kind of score, those against the reference of the best F1.
    ///
    /// # Errors
    /// [`Error::Empty`](crate::Error::Empty) without references.
    pub fn score_multi<S: AsRef<str>>(&self, references: &[S], prediction: &str) -> Result<RougeScores> {
        let mut scores = references
            .iter()
            .map(|reference| self.score(reference.as_ref(), prediction));
        let first = scores.next().ok_or_else(|| nothing("ROUGE"))?;
        let better = |a: F1Scores, b: F1Scores| if b.f1 > a.f1 { b } else { a };
        Ok(scores.fold(first, |best, next| best.zip(next, better)))
    }

    /// The mean scores of predictions, each against its own references.
    ///
    /// # Errors
    /// [`Error::LengthMismatch`](crate::Error::LengthMismatch) and [`Error::Empty`](crate::Error::Empty).
    pub fn corpus<R, S, P>(&self, references: &[R], predictions: &[P]) -> Result<RougeScores>
    where
        R: AsRef<[S]>,
        S: AsRef<str>,
        P: AsRef<str>,
    {
        same_length("ROUGE", references.len(), predictions.len())?;
        let mut sum = RougeScores::default();
        for (references, prediction) in references.iter().zip(predictions) {
            let scores = self.score_multi(references.as_ref(), prediction.as_ref())?;
            sum = sum.zip(scores, |a, b| F1Scores {
                precision: a.precision + b.precision,
                recall: a.recall + b.recall,
                f1: a.f1 + b.f1,
            });
        }
        let count = predictions.len() as f64;
        Ok(sum.zip(sum, |a, _| F1Scores {
            precision: a.precision / count,
            recall: a.recall / count,
            f1: a.f1 / count,
        }))
    }

    /// Words of ASCII letters and digits as numbers; every other character divides words.
    fn words(&self, text: &str, words: &mut Words) -> Vec<u32> {
        text.to_lowercase()
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|word| !word.is_empty())
            .map(|word| {
                if self.stemmer && word.len() > 3 {
                    words.number(porter_stem(word))
                } else {
                    words.number(word.to_owned())
                }
            })
            .collect()
    }

    /// ROUGE-Lsum: Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries", section 3.2, with the counting
    /// of version 1.5.5, by which no word counts more often than it occurs.
    fn lines(&self, reference: &str, prediction: &str, words: &mut Words) -> F1Scores {
        let mut lines =
            |text: &str| -> Vec<Vec<u32>> { text.split('\n').map(|line| self.words(line, words)).collect() };
        let references = lines(reference);
        let predictions = lines(prediction);
        let mut left_in_reference = frequencies(&references);
        let mut left_in_prediction = frequencies(&predictions);
        let mut correct = 0;
        for line in &references {
            let mut united = vec![false; line.len()];
            for other in &predictions {
                mark_longest(line, other, &mut united);
            }
            for (word, _) in line.iter().zip(&united).filter(|(_, united)| **united) {
                if let (Some(a), Some(b)) =
                    (left_in_reference.get_mut(word), left_in_prediction.get_mut(word))
                    && *a > 0
                    && *b > 0
                {
                    *a -= 1;
                    *b -= 1;
                    correct += 1;
                }
            }
        }
        Counts {
            correct,
            predicted: predictions.iter().map(Vec::len).sum(),
            actual: references.iter().map(Vec::len).sum(),
        }
        .scores()
    }
}

impl RougeScores {
    fn zip(self, other: Self, join: impl Fn(F1Scores, F1Scores) -> F1Scores) -> Self {
        Self {
            rouge1: join(self.rouge1, other.rouge1),
            rouge2: join(self.rouge2, other.rouge2),
            rouge_l: join(self.rouge_l, other.rouge_l),
            rouge_lsum: join(self.rouge_lsum, other.rouge_lsum),
        }
    }
}

impl fmt::Display for RougeScores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "           precision  recall      f1")?;
        let rows = [
            ("ROUGE-1", self.rouge1),
            ("ROUGE-2", self.rouge2),
            ("ROUGE-L", self.rouge_l),
            ("ROUGE-Lsum", self.rouge_lsum),
        ];
        rows.into_iter().try_for_each(|(name, scores)| {
            writeln!(
                f,
                "{name:<10} {:>9.4}  {:>6.4}  {:>6.4}",
                scores.precision, scores.recall, scores.f1
            )
        })
    }
}

/// Words as numbers, so that they are compared fast.
#[derive(Default)]
struct Words(HashMap<String, u32>);

impl Words {
    fn number(&mut self, word: String) -> u32 {
        let next = self.0.len() as u32;
        *self.0.entry(word).or_insert(next)
    }
}

fn n_grams(reference: &[u32], prediction: &[u32], order: usize) -> F1Scores {
    let mut left: HashMap<&[u32], usize> = HashMap::new();
    for gram in reference.windows(order) {
        *left.entry(gram).or_default() += 1;
    }
    let mut correct = 0;
    for gram in prediction.windows(order) {
        if let Some(count) = left.get_mut(gram)
            && *count > 0
        {
            *count -= 1;
            correct += 1;
        }
    }
    let grams = |words: &[u32]| (words.len() + 1).saturating_sub(order);
    Counts {
        correct,
        predicted: grams(prediction),
        actual: grams(reference),
    }
    .scores()
}

/// ROUGE-L from two rows of the table at a time.
fn longest(reference: &[u32], prediction: &[u32]) -> F1Scores {
    let mut row = vec![0usize; prediction.len() + 1];
    for word in reference {
        let mut diagonal = 0;
        let mut left = 0;
        for (cell, other) in row.iter_mut().skip(1).zip(prediction) {
            let above = *cell;
            *cell = if word == other {
                diagonal + 1
            } else {
                above.max(left)
            };
            diagonal = above;
            left = *cell;
        }
    }
    let correct = row.last().copied().unwrap_or(0) as f64;
    if correct == 0.0 {
        return F1Scores::default();
    }
    let precision = correct / prediction.len() as f64;
    let recall = correct / reference.len() as f64;
    F1Scores {
        precision,
        recall,
        f1: harmonic_mean(precision, recall),
    }
}

/// Marks the words of `line` that a longest common subsequence with `other` takes: of several, the one that
/// rouge-score finds walking back from the end. One bit is kept of each cell of the table, not its length.
fn mark_longest(line: &[u32], other: &[u32], marks: &mut [bool]) {
    let width = other.len();
    let mut goes_left = vec![0u64; (line.len() * width).div_ceil(64)];
    let mut row = vec![0u32; width + 1];
    for (i, word) in line.iter().enumerate() {
        let (mut diagonal, mut left) = (0, 0);
        for (j, (cell, candidate)) in row.iter_mut().skip(1).zip(other).enumerate() {
            let above = *cell;
            if left > above
                && let Some(bits) = goes_left.get_mut((i * width + j) / 64)
            {
                *bits |= 1 << ((i * width + j) % 64);
            }
            *cell = if word == candidate {
                diagonal + 1
            } else {
                above.max(left)
            };
            diagonal = above;
            left = *cell;
        }
    }
    let (mut i, mut j) = (line.len(), width);
    while i > 0 && j > 0 {
        let cell = (i - 1) * width + (j - 1);
        if line.get(i - 1) == other.get(j - 1) {
            if let Some(mark) = marks.get_mut(i - 1) {
                *mark = true;
            }
            i -= 1;
            j -= 1;
        } else if goes_left
            .get(cell / 64)
            .is_some_and(|bits| bits >> (cell % 64) & 1 == 1)
        {
            j -= 1;
        } else {
            i -= 1;
        }
    }
}

fn frequencies(lines: &[Vec<u32>]) -> HashMap<u32, usize> {
    let mut counts = HashMap::new();
    for &word in lines.iter().flatten() {
        *counts.entry(word).or_default() += 1;
    }
    counts
}
