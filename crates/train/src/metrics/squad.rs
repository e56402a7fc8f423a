//! Exact match and token F1 of answers, as the official scripts of SQuAD 1.1 and 2.0 compute them.

use std::collections::HashMap;
use std::fmt;

use serde::Serialize;

use super::characters::{is_word, words};
use super::classification::same_length;
use super::scores::harmonic_mean;
use crate::data::Question;
use crate::error::{Error, Result};

/// Which official script is followed where they differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub enum Version {
    /// `evaluate-v1.1.py`: every question has an answer.
    V1,
    /// `evaluate-v2.0.py`: a question without true answers wants an empty one.
    #[default]
    V2,
}

/// How answers are measured.
///
/// ```
/// use ragtune_train::metrics::Squad;
///
/// let truth = [vec!["the Eiffel Tower", "Eiffel Tower, Paris"], vec![]];
/// let scores = Squad::default().evaluate(&truth, &["Eiffel tower", ""])?;
/// assert_eq!((scores.all.exact, scores.all.f1), (100.0, 100.0));
/// assert_eq!(scores.no_answer.map(|part| part.questions), Some(1));
/// # Ok::<(), ragtune_train::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Squad {
    version: Version,
}

/// Exact match and F1 of some questions, in percent.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct AnswerScores {
    /// The questions.
    pub questions: usize,
    /// The percentage of answers that equal a true one, but for case, punctuation and articles.
    pub exact: f64,
    /// The mean F1 between the words of an answer and of the true answer that suits it best, in percent.
    pub f1: f64,
}

/// The scores of a set of questions.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct SquadScores {
    /// All questions.
    pub all: AnswerScores,
    /// Those that have an answer, if any.
    pub has_answer: Option<AnswerScores>,
    /// Those that have none, if any.
    pub no_answer: Option<AnswerScores>,
}

/// Below which probability of "no answer" an answer should be given, to be best on a set.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct BestThresholds {
    /// Exact match at its best threshold, in percent.
    pub exact: f64,
    /// That threshold: answers with a higher probability of "no answer" are withheld.
    pub exact_threshold: f64,
    /// F1 at its best threshold, in percent.
    pub f1: f64,
    /// That threshold.
    pub f1_threshold: f64,
}

impl Version {
    /// The script that a set asks for: SQuAD 1.1's where every question has an answer.
    pub fn of<'q>(questions: impl IntoIterator<Item = &'q Question>) -> Self {
        match questions.into_iter().all(|question| !question.answers.is_empty()) {
            true => Self::V1,
            false => Self::V2,
        }
    }
}

impl Squad {
    /// Follows another of the official scripts; that of SQuAD 2.0 by default.
    #[must_use]
    pub fn with_version(mut self, version: Version) -> Self {
        self.version = version;
        self
    }

    /// Exact match (0 or 1) and F1 of one answer against the true ones, the best of each.
    pub fn score<S: AsRef<str>>(&self, truth: &[S], prediction: &str) -> (f64, f64) {
        let mut golds: Vec<&str> = truth.iter().map(AsRef::as_ref).collect();
        if self.version == Version::V2 {
            golds.retain(|gold| !normalize(gold).is_empty());
            if golds.is_empty() {
                golds.push("");
            }
        }
        golds.into_iter().fold((0.0, 0.0), |(exact, f1), gold| {
            (
                f64::max(exact, f64::from(exact_match(gold, prediction))),
                f64::max(f1, token_f1(gold, prediction, self.version)),
            )
        })
    }

    /// Measures an answer to each question against its true answers; an empty answer says that there is none.
    ///
    /// # Errors
    /// [`Error::LengthMismatch`] and [`Error::Empty`].
    pub fn evaluate<T, S, P>(&self, truth: &[T], predictions: &[P]) -> Result<SquadScores>
    where
        T: AsRef<[S]>,
        S: AsRef<str>,
        P: AsRef<str>,
    {
        same_length("SQuAD", truth.len(), predictions.len())?;
        let mut parts = [AnswerScores::default(); 2];
        for (truth, prediction) in truth.iter().zip(predictions) {
            let truth = truth.as_ref();
            let (exact, f1) = self.score(truth, prediction.as_ref());
            let [has, none] = &mut parts;
            let part = if truth.is_empty() { none } else { has };
            part.questions += 1;
            part.exact += 100.0 * exact;
            part.f1 += 100.0 * f1;
        }
        let [has, none] = parts;
        let all = AnswerScores {
            questions: has.questions + none.questions,
            exact: has.exact + none.exact,
            f1: has.f1 + none.f1,
        };
        Ok(SquadScores {
            all: all.mean(),
            has_answer: (has.questions > 0).then(|| has.mean()),
            no_answer: (none.questions > 0).then(|| none.mean()),
        })
    }

    /// The thresholds on the probability of "no answer" that suit a set best; `predictions` are the answers that
    /// would be given were none withheld.
    ///
    /// Choose a threshold on the validation set, never on the test set.
    ///
    /// # Errors
    /// [`Error::LengthMismatch`] and [`Error::Empty`]; [`Error::InvalidArgument`] for a probability that is
    /// not a number.
    pub fn best_thresholds<T, S, P>(
        &self,
        truth: &[T],
        predictions: &[P],
        no_answer_probabilities: &[f64],
    ) -> Result<BestThresholds>
    where
        T: AsRef<[S]>,
        S: AsRef<str>,
        P: AsRef<str>,
    {
        same_length("SQuAD", truth.len(), predictions.len())?;
        same_length("SQuAD", truth.len(), no_answer_probabilities.len())?;
        if no_answer_probabilities.iter().any(|p| p.is_nan()) {
            return Err(Error::InvalidArgument {
                argument: "no_answer_probabilities",
                reason: "one is not a number".into(),
            });
        }
        let mut gains = Vec::with_capacity(truth.len());
        for ((truth, prediction), &probability) in truth.iter().zip(predictions).zip(no_answer_probabilities)
        {
            let (truth, prediction) = (truth.as_ref(), prediction.as_ref());
            let (exact, f1) = if !truth.is_empty() {
                self.score(truth, prediction)
            } else if prediction.is_empty() {
                (0.0, 0.0)
            } else {
                (-1.0, -1.0)
            };
            gains.push((probability, exact, f1));
        }
        gains.sort_by(|a, b| a.0.total_cmp(&b.0));
        let withheld = truth.iter().filter(|truth| truth.as_ref().is_empty()).count();
        let best = |gain: fn(&(f64, f64, f64)) -> f64| {
            let start = withheld as f64;
            let (mut sum, mut best) = (start, (start, 0.0));
            for entry in &gains {
                sum += gain(entry);
                if sum > best.0 {
                    best = (sum, entry.0);
                }
            }
            (100.0 * best.0 / truth.len() as f64, best.1)
        };
        let (exact, exact_threshold) = best(|entry| entry.1);
        let (f1, f1_threshold) = best(|entry| entry.2);
        Ok(BestThresholds {
            exact,
            exact_threshold,
            f1,
            f1_threshold,
        })
    }
}

impl AnswerScores {
    fn mean(self) -> Self {
        Self {
            questions: self.questions,
            exact: self.exact / self.questions as f64,
            f1: self.f1 / self.questions as f64,
        }
    }
}

impl fmt::Display for SquadScores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "               exact      F1  questions")?;
        let rows = [
            ("all", Some(self.all)),
            ("has answer", self.has_answer),
            ("no answer", self.no_answer),
        ];
        for (name, part) in rows {
            if let Some(part) = part {
                writeln!(
                    f,
                    "{name:<12} {:>7.2} {:>7.2} {:>10}",
                    part.exact, part.f1, part.questions
                )?;
            }
        }
        Ok(())
    }
}

/// A text without what does not matter to an answer: in lower case, without punctuation (ASCII's), without the articles
/// `a`, `an` and `the`, and with single spaces.
///
/// ```
/// assert_eq!(ragtune_train::metrics::squad::normalize("The  U.S., a nation"), "us nation");
/// ```
pub fn normalize(text: &str) -> String {
    let lower: String = text
        .to_lowercase()
        .chars()
        .filter(|c| !c.is_ascii_punctuation())
        .collect();
    // `\b(a|an|the)\b` replaced by a space: an article is a whole run of word characters.
    let mut kept = String::with_capacity(lower.len());
    let mut rest = lower.as_str();
    while !rest.is_empty() {
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (run, tail) = rest.split_at(end);
        kept.push_str(if matches!(run, "a" | "an" | "the") {
            " "
        } else {
            run
        });
        let other = tail.find(is_word).unwrap_or(tail.len());
        let (between, tail) = tail.split_at(other);
        kept.push_str(between);
        rest = tail;
    }
    words(&kept).collect::<Vec<_>>().join(" ")
}

/// Are two answers the same once normalised?
pub fn exact_match(truth: &str, prediction: &str) -> bool {
    normalize(truth) == normalize(prediction)
}

/// F1 between the normalised words of two answers.
///
/// Where one of them has no words, SQuAD 2.0 gives 1 if both have none, SQuAD 1.1 gives 0.
pub fn token_f1(truth: &str, prediction: &str, version: Version) -> f64 {
    let (truth, prediction) = (normalize(truth), normalize(prediction));
    if version == Version::V2 && (truth.is_empty() || prediction.is_empty()) {
        return f64::from(truth == prediction);
    }
    let mut left: HashMap<&str, usize> = HashMap::new();
    let mut actual = 0;
    for word in words(&truth) {
        *left.entry(word).or_default() += 1;
        actual += 1;
    }
    let (mut predicted, mut correct) = (0, 0);
    for word in words(&prediction) {
        predicted += 1;
        if let Some(count) = left.get_mut(word)
            && *count > 0
        {
            *count -= 1;
            correct += 1;
        }
    }
    if correct == 0 {
        return 0.0;
    }
    harmonic_mean(
        f64::from(correct) / f64::from(predicted),
        f64::from(correct) / f64::from(actual),
    )
}
