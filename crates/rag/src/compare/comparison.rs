//! Several systems on the same questions.

use ragtune_core::statistics::{Bootstrap, Difference, Interval};
use serde::Serialize;
use serde_json::{Value, json};

use super::measured::{Approach, Latency, Measured};
use super::normal;
use super::quality::Quality;
use super::recommendation::{self, Recommendation};
use crate::error::{Error, Result};
use crate::evaluate::widened;

/// The probability with which a test should show a difference that is there, as is usual (J. Cohen, "Statistical Power
/// Analysis for the Behavioral Sciences", 1988).
const POWER: f64 = 0.8;

/// One system's row.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Row {
    /// What the system is called.
    pub name: String,
    /// How it comes by what it knows.
    pub approach: Approach,
    /// How good its answers are, with the interval over questions.
    pub quality: Interval,
    /// Questions that it failed on; they count as wrong.
    pub failures: usize,
    /// Milliseconds for a question.
    pub latency_ms: Option<Latency>,
    /// Peak of the process's memory in bytes.
    pub peak_bytes: Option<u64>,
    /// Seconds of training; 0 for none.
    pub train_seconds: Option<f64>,
    /// Bytes of what is looked up in.
    pub index_bytes: Option<u64>,
    /// Seconds from a change of one fact until the answer changes.
    pub update_seconds: Option<f64>,
    /// What a reader of the row should know.
    pub notes: Vec<String>,
}

/// The best system beside another one.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Pair {
    /// The system with the highest quality.
    pub best: String,
    /// The other one.
    pub other: String,
    /// Best less other over the same questions; the interval is so wide that all intervals of the comparison hold
    /// together at its level (Bonferroni: each at `1 - (1 - level) / pairs`).
    pub difference: Difference,
    /// Questions with different scores.
    pub differing: usize,
    /// Whether the interval lies on one side of 0, and enough questions differ that any test could tell.
    pub is_significant: bool,
    /// The least difference that so many questions show in 80 of 100 samples.
    pub detectable: f64,
    /// Questions that would show a difference as large as the measured one in 80 of 100 samples; absent where none was
    /// measured.
    pub needed: Option<usize>,
}

/// Several systems on the same questions: a row each, their differences, and what follows.
///
/// ```
/// use ragtune::Cancel;
/// use ragtune::compare::{Approach, Comparison, Measured, Quality};
/// use ragtune::core::statistics::Bootstrap;
///
/// // Two systems on 200 questions: one is right on nine of ten, the other on two of three.
/// let system = |name, approach, right: fn(usize) -> bool| {
///     let questions = (0..200).map(|number| (number.to_string(), number));
///     Measured::run(name, approach, questions, &Cancel::new(), |number| {
///         Ok::<_, ragtune::Error>((f64::from(u8::from(right(number))), None))
///     })
/// };
/// let nearest = system("nearest examples", Approach::Retrieval, |number| number % 10 != 0)?.with_train_seconds(0.0);
/// let tuned = system("tuned", Approach::Tuning, |number| number % 3 != 0)?.with_train_seconds(60.0);
/// let comparison = Comparison::new(Quality::mean("accuracy"), vec![nearest, tuned], &Bootstrap::default())?;
/// assert!(comparison.pairs()[0].is_significant);
/// assert!(comparison.recommendation().text.starts_with("Take nearest examples"));
/// # Ok::<(), ragtune::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Comparison {
    quality: Quality,
    questions: usize,
    rows: Vec<Row>,
    pairs: Vec<Pair>,
    recommendation: Recommendation,
}

impl Comparison {
    /// Compares systems that were asked the same questions in the same order.
    ///
    /// # Errors
    /// [`Error::UnlikeSystems`] for other questions or equal names; [`ragtune_core::Error::InvalidArgument`] for no
    /// system, no question, and scores that the quality cannot be of.
    pub fn new(quality: Quality, systems: Vec<Measured>, bootstrap: &Bootstrap) -> Result<Self> {
        check(&quality, &systems)?;
        let scores: Vec<Vec<f64>> = systems.iter().map(Measured::scores).collect();
        let questions = scores.first().map_or(0, Vec::len);
        let rows = systems
            .iter()
            .zip(&scores)
            .map(|(system, scores)| row(&quality, system, scores, bootstrap))
            .collect::<Result<Vec<_>>>()?;
        // The first of equals is the best.
        let best = (0..rows.len()).rev().max_by(|&a, &b| {
            let of = |index: usize| {
                rows.get(index)
                    .map_or(f64::NEG_INFINITY, |row| row.quality.estimate)
            };
            of(a).total_cmp(&of(b))
        });
        let mut pairs = Vec::new();
        if let Some((best, first)) = best.and_then(|best| Some((best, scores.get(best)?))) {
            let others = rows.len() - 1;
            for (index, second) in scores.iter().enumerate().filter(|(index, _)| *index != best) {
                let names = [best, index].map(|i| systems.get(i).map_or("", |system| &system.name));
                let level = rows.get(index).map_or(0.95, |row| row.quality.level);
                let alpha = (1.0 - level) / others as f64;
                pairs.push(pair(&quality, names, [first, second], alpha, bootstrap)?);
            }
        }
        let recommendation = recommendation::recommend(&quality, questions, &rows, &pairs);
        Ok(Self {
            quality,
            questions,
            rows,
            pairs,
            recommendation,
        })
    }

    /// What is compared.
    pub fn quality(&self) -> &Quality {
        &self.quality
    }

    /// How many questions every system was asked.
    pub fn questions(&self) -> usize {
        self.questions
    }

    /// The systems, in the order in which they were given.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The best system beside every other one.
    pub fn pairs(&self) -> &[Pair] {
        &self.pairs
    }

    /// What follows from the rows.
    pub fn recommendation(&self) -> &Recommendation {
        &self.recommendation
    }

    /// The comparison as one JSON object: `systems`, `pairs`, and the recommendation's text, with what it was made of.
    pub fn to_json(&self) -> Value {
        let system = |row: &Row| {
            json!({
                "name": row.name,
                "approach": row.approach,
                "quality": {"mean": row.quality.estimate, "low": row.quality.low, "high": row.quality.high},
                "failures": row.failures,
                "latency_ms": row.latency_ms,
                "peak_bytes": row.peak_bytes,
                "train_seconds": row.train_seconds,
                "index_bytes": row.index_bytes,
                "update_seconds": row.update_seconds,
                "notes": row.notes,
            })
        };
        json!({
            "measure": self.quality.name(),
            "questions": self.questions,
            "systems": self.rows.iter().map(system).collect::<Vec<_>>(),
            "pairs": self.pairs,
            "take": self.recommendation.take,
            "no_significant_difference_to_best": self.recommendation.equals,
            "recommendation": self.recommendation.text,
        })
    }
}

fn check(quality: &Quality, systems: &[Measured]) -> Result<()> {
    let Some(first) = systems.first() else {
        return Err(ragtune_core::Error::InvalidArgument {
            argument: "systems",
            reason: "there are none to compare".to_owned(),
        }
        .into());
    };
    for (number, system) in systems.iter().enumerate() {
        let unlike = |reason: String| Error::UnlikeSystems {
            first: first.name.clone(),
            second: system.name.clone(),
            reason,
        };
        let earlier = systems.iter().take(number);
        if earlier.clone().any(|earlier| earlier.name == system.name) {
            return Err(unlike("have the same name; give each its own".to_owned()));
        }
        if system.asked.len() != first.asked.len() {
            let (a, b) = (first.asked.len(), system.asked.len());
            return Err(unlike(format!("were asked {a} and {b} questions")));
        }
        let mut ids = first.asked.iter().zip(&system.asked).enumerate();
        if let Some((at, (a, b))) = ids.find(|(_, (a, b))| a.id != b.id) {
            let reason = format!("were asked {:?} and {:?} as question {}", a.id, b.id, at + 1);
            return Err(unlike(reason));
        }
        quality.check(&system.name, &system.scores())?;
    }
    Ok(())
}

fn row(quality: &Quality, system: &Measured, scores: &[f64], bootstrap: &Bootstrap) -> Result<Row> {
    Ok(Row {
        name: system.name.clone(),
        approach: system.approach,
        quality: widened(
            bootstrap.statistic(scores.len(), |questions| quality.on(scores, questions))?,
            scores,
        ),
        failures: system.failures().count(),
        latency_ms: system.latency(),
        peak_bytes: system.peak_bytes,
        train_seconds: system.train_seconds,
        index_bytes: system.index_bytes,
        update_seconds: system.update_seconds,
        notes: system.notes.clone(),
    })
}

fn pair(
    quality: &Quality,
    [best, other]: [&str; 2],
    [first, second]: [&[f64]; 2],
    alpha: f64,
    bootstrap: &Bootstrap,
) -> Result<Pair> {
    let bootstrap = bootstrap.with_level(1.0 - alpha)?;
    let questions = first.len();
    let difference = bootstrap.statistic_difference(questions, |drawn| {
        quality.on(first, drawn) - quality.on(second, drawn)
    })?;
    let interval = &difference.interval;
    let differing = first.iter().zip(second).filter(|(a, b)| a != b).count();
    // Of n questions that differ all may differ by chance in the same direction: probability 2^(1-n).
    let can_tell = 0.5_f64.powf(differing as f64 - 1.0) <= alpha;
    let z = normal::quantile(1.0 - alpha / 2.0);
    // Never less than if one more question differed: of questions that all agree the width would be 0.
    let error = ((interval.high - interval.low) / (2.0 * z)).max(1.0 / questions as f64);
    let detectable = ((z + normal::quantile(POWER)) * error).min(1.0);
    // The error falls with the root of the number of questions (D. Card and others, "With Little Power Comes Great
    // Responsibility", EMNLP 2020, on the power of such tests).
    let needed = (interval.estimate > 0.0).then(|| {
        let times = ((z + normal::quantile(POWER)) * error / interval.estimate).powi(2);
        (questions as f64 * times).ceil() as usize
    });
    Ok(Pair {
        best: best.to_owned(),
        other: other.to_owned(),
        is_significant: can_tell && interval.low > 0.0,
        differing,
        detectable,
        needed,
        difference,
    })
}
