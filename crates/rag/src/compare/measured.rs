//! What one system did with every question, and what it cost.

use std::fmt;
use std::time::Instant;

use ragtune_core::Cancel;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::evaluate::{Evaluation, Outcome};

/// How a system comes by what it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Approach {
    /// A model as it came.
    Base,
    /// Looked up in documents or labelled examples.
    Retrieval,
    /// Learned into weights.
    Tuning,
    /// Both.
    TuningAndRetrieval,
}

/// What a system did with one question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// The question's id; the same for every system.
    pub id: String,
    /// How good the answer is, 0 to 1; 0 for a question that the system failed on.
    pub score: f64,
    /// Milliseconds from question to answer.
    pub latency_ms: f64,
    /// The answer, so that a person can look at it.
    pub answer: Option<String>,
    /// Why there is no answer, where the system failed.
    pub failure: Option<String>,
}

/// One system: every question, and what the system costs. It is serialised as one JSON object, so that every system can
/// be measured in a process of its own.
///
/// ```
/// use ragtune::Cancel;
/// use ragtune::compare::{Approach, Measured};
///
/// let questions = [("1", ("Is tea hot?", "yes")), ("2", ("Is ice hot?", "no"))];
/// let always_yes = Measured::run("always yes", Approach::Base, questions, &Cancel::new(), |(_question, truth)| {
///     let answer = "yes";
///     Ok::<_, ragtune::Error>((if answer == truth { 1.0 } else { 0.0 }, Some(answer.to_owned())))
/// })?;
/// assert_eq!(always_yes.mean(), 0.5);
/// # Ok::<(), ragtune::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// What the system is called.
    pub name: String,
    /// How it comes by what it knows.
    pub approach: Approach,
    /// Every question, in the same order for every system.
    pub asked: Vec<Asked>,
    /// Peak of the process's memory in bytes, where the process held this system alone.
    pub peak_bytes: Option<u64>,
    /// Seconds of training; 0 for none.
    pub train_seconds: Option<f64>,
    /// Bytes of what is looked up in: texts, vectors and indexes.
    pub index_bytes: Option<u64>,
    /// Seconds from a change of one fact until the answer changes.
    pub update_seconds: Option<f64>,
    /// What a reader of the row should know.
    pub notes: Vec<String>,
}

/// How long a question takes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Half of the questions take so many milliseconds at most.
    pub p50: f64,
    /// 95 of 100 take so many at most.
    pub p95: f64,
}

impl Measured {
    /// Asks every question, which comes with its id, one at a time. `ask` gives the score of the answer from 0 to 1, and
    /// the answer; an error of its own is a failure: it counts as 0, and is kept with its reason.
    ///
    /// # Errors
    /// [`ragtune_core::Error::Cancelled`] once cancelled; [`ragtune_core::Error::InvalidArgument`] for a score outside
    /// of 0 to 1.
    pub fn run<I: Into<String>, Q, E: fmt::Display>(
        name: impl Into<String>,
        approach: Approach,
        questions: impl IntoIterator<Item = (I, Q)>,
        cancel: &Cancel,
        mut ask: impl FnMut(Q) -> Result<(f64, Option<String>), E>,
    ) -> Result<Self> {
        let mut measured = Self::new(name, approach);
        for (id, question) in questions {
            cancel.check()?;
            let started = Instant::now();
            let answered = ask(question);
            let latency_ms = started.elapsed().as_secs_f64() * 1e3;
            let (score, answer, failure) = match answered {
                Ok((score, answer)) => (score, answer, None),
                Err(error) => (0.0, None, Some(error.to_string())),
            };
            measured.push(Asked {
                id: id.into(),
                score,
                latency_ms,
                answer,
                failure,
            })?;
        }
        Ok(measured)
    }

    /// What [`Evaluator`](crate::evaluate::Evaluator) found, by one measure of a question such as
    /// [`name::F1`](crate::evaluate::name::F1). A question without the measure counts as 0: the system failed on it, or had no
    /// answer.
    ///
    /// # Errors
    /// [`ragtune_core::Error::InvalidArgument`] for a measure that is outside of 0 to 1.
    pub fn of_evaluation(evaluation: &Evaluation, approach: Approach, measure: &str) -> Result<Self> {
        let mut measured = Self::new(&evaluation.name, approach);
        for record in &evaluation.records {
            measured.push(Asked {
                id: record.id.clone(),
                score: record.measures.get(measure).copied().unwrap_or(0.0),
                latency_ms: record.latency_ms,
                answer: (record.outcome == Outcome::Answered).then(|| record.text.clone()),
                failure: match &record.outcome {
                    Outcome::Failed(reason) => Some(reason.clone()),
                    _ => None,
                },
            })?;
        }
        Ok(measured)
    }

    /// A system that nothing was asked yet.
    pub fn new(name: impl Into<String>, approach: Approach) -> Self {
        Self {
            name: name.into(),
            approach,
            asked: Vec::new(),
            peak_bytes: None,
            train_seconds: None,
            index_bytes: None,
            update_seconds: None,
            notes: Vec::new(),
        }
    }

    /// One more question.
    ///
    /// # Errors
    /// [`ragtune_core::Error::InvalidArgument`] for a score outside of 0 to 1.
    pub fn push(&mut self, asked: Asked) -> Result<()> {
        if !(0.0..=1.0).contains(&asked.score) {
            return Err(ragtune_core::Error::InvalidArgument {
                argument: "score",
                reason: format!(
                    "{} for question {:?} of {:?}; scores are from 0 to 1",
                    asked.score, asked.id, self.name
                ),
            }
            .into());
        }
        self.asked.push(asked);
        Ok(())
    }

    /// The process's peak of memory in bytes.
    pub fn with_peak_bytes(mut self, bytes: Option<u64>) -> Self {
        self.peak_bytes = bytes;
        self
    }

    /// Seconds of training; 0 for none.
    pub fn with_train_seconds(mut self, seconds: f64) -> Self {
        self.train_seconds = Some(seconds);
        self
    }

    /// Bytes of what is looked up in.
    pub fn with_index_bytes(mut self, bytes: u64) -> Self {
        self.index_bytes = Some(bytes);
        self
    }

    /// Seconds from a change of one fact until the answer changes.
    pub fn with_update_seconds(mut self, seconds: f64) -> Self {
        self.update_seconds = Some(seconds);
        self
    }

    /// Something that a reader of the row should know.
    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// The mean score; NaN of no question.
    pub fn mean(&self) -> f64 {
        self.asked.iter().map(|asked| asked.score).sum::<f64>() / self.asked.len() as f64
    }

    /// The scores, a number for each question.
    pub fn scores(&self) -> Vec<f64> {
        self.asked.iter().map(|asked| asked.score).collect()
    }

    /// The questions that the system failed on.
    pub fn failures(&self) -> impl Iterator<Item = &Asked> {
        self.asked.iter().filter(|asked| asked.failure.is_some())
    }

    /// The nearest-rank percentiles of the latency, where anything was asked.
    pub fn latency(&self) -> Option<Latency> {
        let mut sorted: Vec<f64> = self.asked.iter().map(|asked| asked.latency_ms).collect();
        sorted.sort_by(f64::total_cmp);
        let rank = |share: f64| {
            let rank = (share * sorted.len() as f64).ceil() as usize;
            sorted.get(rank.saturating_sub(1)).copied()
        };
        Some(Latency {
            p50: rank(0.5)?,
            p95: rank(0.95)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_counts_as_wrong_and_keeps_its_reason() {
        let measured = Measured::run(
            "fragile",
            Approach::Base,
            [("a", 1), ("b", 2), ("c", 3), ("d", 4)],
            &Cancel::new(),
            |question| match question {
                2 => Err("no memory".to_owned()),
                _ => Ok((1.0, None)),
            },
        )
        .expect("valid scores");
        assert_eq!(measured.mean(), 0.75);
        let failures: Vec<_> = measured.failures().collect();
        assert_eq!(failures.len(), 1);
        assert_eq!(
            (failures[0].id.as_str(), failures[0].failure.as_deref()),
            ("b", Some("no memory"))
        );
    }

    #[test]
    fn percentiles_are_those_of_the_nearest_rank() {
        let mut measured = Measured::new("m", Approach::Base);
        for number in (1..=20).rev() {
            let asked = Asked {
                id: number.to_string(),
                score: 1.0,
                latency_ms: f64::from(number),
                answer: None,
                failure: None,
            };
            measured.push(asked).expect("a score");
        }
        let latency = measured.latency().expect("asked");
        assert_eq!((latency.p50, latency.p95), (10.0, 19.0));
        assert_eq!(Measured::new("m", Approach::Base).latency(), None);
    }

    #[test]
    fn cancelling_and_wild_scores_end_it() {
        let cancel = Cancel::new();
        cancel.cancel();
        let run = |cancel: &Cancel, score: f64| {
            Measured::run("m", Approach::Base, [("1", ())], cancel, |()| {
                Ok::<_, String>((score, None))
            })
        };
        assert!(run(&cancel, 1.0).is_err());
        for score in [1.1, -0.1, f64::NAN] {
            let error = run(&Cancel::new(), score).expect_err("no score");
            assert!(error.to_string().contains("from 0 to 1"), "{error}");
        }
    }
}
