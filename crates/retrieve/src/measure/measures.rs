//! The measures, as trec_eval 9 defines them (`m_ndcg_cut.c`, `m_map.c`, `m_recip_rank.c`, `m_recall.c`, `m_P.c`,
//! `m_success.c`, `m_Rprec.c`).
//!
//! `tests/measures.rs` compares them with trec_eval's own answers.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use ragtune_core::statistics::{Bootstrap, Interval};

use super::qrels::{Judgements, Qrels, Ranking, Run, trec_order};
use crate::error::{Error, Result};

/// A number in 0..=1 for one question's ranking; higher is better.
///
/// ```
/// use ragtune_retrieve::measure::{Judgements, Measure};
/// let judgements = Judgements::from([("a".into(), 1), ("b".into(), 1)]);
/// let ranking = vec![("x".into(), 3.0), ("a".into(), 2.0)];
/// assert_eq!(Measure::Mrr(10).of(ranking.clone(), &judgements), 0.5);
/// assert_eq!(Measure::Recall(10).of(ranking, &judgements), 0.5);
/// assert_eq!("ndcg@10".parse::<Measure>()?, Measure::Ndcg(10));
/// # Ok::<(), ragtune_retrieve::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Measure {
    /// Normalised discounted cumulative gain of the first k: gains are the judgements, discounts `log2(rank + 1)`, the
    /// ideal ranking is that of all judged documents. K. Järvelin and J. Kekäläinen, ACM TOIS 2002.
    Ndcg(usize),
    /// Average precision: the mean over all relevant documents of the precision at their ranks, 0 for those not found.
    Map,
    /// Reciprocal rank of the first relevant document among the first k.
    Mrr(usize),
    /// Share of the relevant documents that are among the first k.
    Recall(usize),
    /// Share of the first k places that hold a relevant document; missing places count as not relevant.
    Precision(usize),
    /// Whether a relevant document is among the first k: 1 or 0, also called hit rate.
    Success(usize),
    /// Precision at as many places as there are relevant documents.
    RPrecision,
}

impl Measure {
    /// The value for one question; the ranking is brought into trec_eval's order first ([`trec_order`]). Without
    /// relevant documents it is 0.
    pub fn of(self, mut ranking: Ranking, judgements: &Judgements) -> f64 {
        trec_order(&mut ranking);
        self.of_ordered(&gains(&ranking, judgements), judgements)
    }

    fn of_ordered(self, gains: &[i32], judgements: &Judgements) -> f64 {
        let relevant = judgements.values().filter(|&&gain| gain > 0).count();
        if relevant == 0 {
            return 0.0;
        }
        let hits = |k: usize| gains.iter().take(k).filter(|&&gain| gain > 0).count() as f64;
        match self {
            Self::Ndcg(k) => {
                let mut ideal: Vec<i32> = judgements.values().copied().collect();
                ideal.sort_unstable_by(|a, b| b.cmp(a));
                discounted(gains, k) / discounted(&ideal, k).max(f64::MIN_POSITIVE)
            }
            Self::Map => {
                let ranks = gains
                    .iter()
                    .enumerate()
                    .filter(|(_, gain)| **gain > 0)
                    .map(|(i, _)| i + 1);
                let precisions = (1u32..)
                    .zip(ranks)
                    .map(|(found, rank)| f64::from(found) / rank as f64);
                // `sum` makes -0 of nothing.
                precisions.fold(0.0, |sum, precision| sum + precision) / relevant as f64
            }
            Self::Mrr(k) => gains
                .iter()
                .take(k)
                .position(|&gain| gain > 0)
                .map_or(0.0, |i| 1.0 / (i + 1) as f64),
            Self::Recall(k) => hits(k) / relevant as f64,
            Self::Precision(0) => 0.0,
            Self::Precision(k) => hits(k) / k as f64,
            Self::Success(k) => f64::from(hits(k) > 0.0),
            Self::RPrecision => hits(relevant) / relevant as f64,
        }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ndcg(k) => write!(f, "ndcg@{k}"),
            Self::Map => f.write_str("map"),
            Self::Mrr(k) => write!(f, "mrr@{k}"),
            Self::Recall(k) => write!(f, "recall@{k}"),
            Self::Precision(k) => write!(f, "precision@{k}"),
            Self::Success(k) => write!(f, "success@{k}"),
            Self::RPrecision => f.write_str("r-precision"),
        }
    }
}

impl FromStr for Measure {
    type Err = Error;

    /// Reads what [`Measure`] prints, such as `ndcg@10`, `map` or `r-precision`.
    fn from_str(name: &str) -> Result<Self> {
        let (base, k) = match name.split_once('@') {
            Some((base, k)) => (base, k.parse().ok()),
            None => (name, None),
        };
        match (base, k) {
            ("ndcg", Some(k)) => Ok(Self::Ndcg(k)),
            ("mrr", Some(k)) => Ok(Self::Mrr(k)),
            ("recall", Some(k)) => Ok(Self::Recall(k)),
            ("precision", Some(k)) => Ok(Self::Precision(k)),
            ("success", Some(k)) => Ok(Self::Success(k)),
            _ if name == "map" => Ok(Self::Map),
            _ if name == "r-precision" => Ok(Self::RPrecision),
            _ => Err(Error::Core(ragtune_core::Error::InvalidArgument {
                argument: "measure",
                reason: format!(
                    "{name:?} is none; there are ndcg@K, map, mrr@K, recall@K, precision@K, success@K and r-precision"
                ),
            })),
        }
    }
}

/// Measures of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evaluation {
    /// The measures that were asked for.
    pub measures: Vec<Measure>,
    /// Mean of each measure over all judged questions.
    pub means: BTreeMap<Measure, f64>,
    /// Values by question id, in the order of the measures that were asked for.
    pub per_question: BTreeMap<String, Vec<f64>>,
}

impl Evaluation {
    /// The values of a measure in the order of the question ids; `None` where it was not asked for.
    pub fn values(&self, measure: Measure) -> Option<Vec<f64>> {
        let at = self.measures.iter().position(|known| *known == measure)?;
        let values = self.per_question.values();
        Some(values.filter_map(|values| values.get(at).copied()).collect())
    }

    /// The mean of a measure with the interval that it has over sets of questions like this one.
    ///
    /// # Errors
    /// `InvalidArgument` for a measure that was not asked for, and where there is no question.
    pub fn interval(&self, measure: Measure, bootstrap: &Bootstrap) -> Result<Interval> {
        Ok(bootstrap.mean(&self.known_values(measure)?)?)
    }

    pub(super) fn known_values(&self, measure: Measure) -> Result<Vec<f64>> {
        self.values(measure).ok_or_else(|| {
            Error::Core(ragtune_core::Error::InvalidArgument {
                argument: "measure",
                reason: format!("{measure} was not evaluated; name it in the call of evaluate"),
            })
        })
    }
}

/// Measures a run. Every question with judgements counts, one that the run lacks with 0 (trec_eval's option `-c`);
/// rankings of questions without judgements are not looked at.
pub fn evaluate(qrels: &Qrels, run: &Run, measures: &[Measure]) -> Evaluation {
    let mut evaluation = Evaluation {
        measures: measures.to_vec(),
        ..Evaluation::default()
    };
    for (question, judgements) in qrels {
        let mut ranking = run.get(question).cloned().unwrap_or_default();
        trec_order(&mut ranking);
        let gains = gains(&ranking, judgements);
        let values = measures
            .iter()
            .map(|measure| measure.of_ordered(&gains, judgements));
        evaluation.per_question.insert(question.clone(), values.collect());
    }
    for (i, &measure) in measures.iter().enumerate() {
        let sum: f64 = evaluation.per_question.values().map(|values| values[i]).sum();
        evaluation.means.insert(measure, sum / qrels.len().max(1) as f64);
    }
    evaluation
}

/// The judgement at each rank, 0 for documents without one.
fn gains(ranking: &Ranking, judgements: &Judgements) -> Vec<i32> {
    ranking
        .iter()
        .map(|(id, _)| judgements.get(id).copied().unwrap_or(0))
        .collect()
}

/// Discounted cumulative gain of the first k.
fn discounted(gains: &[i32], k: usize) -> f64 {
    let gains = gains.iter().take(k).enumerate();
    gains
        .map(|(i, &gain)| f64::from(gain.max(0)) / ((i + 2) as f64).log2())
        .fold(0.0, |sum, gain| sum + gain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_that_the_run_lacks_count_as_nothing_found() {
        let judged = || Judgements::from([("a".to_owned(), 2)]);
        let qrels = Qrels::from([("1".to_owned(), judged()), ("2".to_owned(), judged())]);
        let run = Run::from([
            ("1".to_owned(), vec![("a".to_owned(), 1.0)]),
            ("3".to_owned(), vec![]),
        ]);
        let evaluation = evaluate(&qrels, &run, &[Measure::Ndcg(10), Measure::Precision(5)]);
        assert_eq!(evaluation.means[&Measure::Ndcg(10)], 0.5);
        assert_eq!(evaluation.per_question["1"], [1.0, 0.2]);
        assert_eq!(evaluation.per_question.len(), 2);
    }

    #[test]
    fn nothing_to_find_is_nothing_found() {
        let none = Judgements::from([("a".to_owned(), 0)]);
        for measure in [
            Measure::Ndcg(10),
            Measure::Map,
            Measure::Mrr(10),
            Measure::Recall(0),
            Measure::Precision(0),
            Measure::Success(1),
            Measure::RPrecision,
        ] {
            assert_eq!(measure.of(vec![("a".to_owned(), 1.0)], &none), 0.0, "{measure}");
            let one = Judgements::from([("a".to_owned(), 1)]);
            let of_nothing = measure.of(Vec::new(), &one);
            assert!(of_nothing == 0.0 && of_nothing.is_sign_positive(), "{measure}");
        }
    }

    #[test]
    fn names_are_read_as_they_are_printed() {
        for measure in [
            Measure::Ndcg(10),
            Measure::Map,
            Measure::Mrr(10),
            Measure::Recall(100),
            Measure::Precision(5),
            Measure::Success(1),
            Measure::RPrecision,
        ] {
            assert_eq!(measure.to_string().parse::<Measure>().unwrap(), measure);
        }
        for wrong in ["", "ndcg", "ndcg@", "map@3", "recall@-1", "success@ten"] {
            assert!(
                wrong.parse::<Measure>().unwrap_err().to_string().contains("none"),
                "{wrong}"
            );
        }
    }

    #[test]
    fn means_have_intervals() {
        let qrels: Qrels = (0..50)
            .map(|i| (format!("{i:02}"), Judgements::from([("a".to_owned(), 1)])))
            .collect();
        let run: Run = (0..25)
            .map(|i| (format!("{i:02}"), vec![("a".to_owned(), 1.0)]))
            .collect();
        let evaluation = evaluate(&qrels, &run, &[Measure::Success(1)]);
        let interval = evaluation
            .interval(Measure::Success(1), &Bootstrap::default())
            .unwrap();
        assert_eq!(interval.estimate, 0.5);
        assert!(
            interval.low > 0.3 && interval.low < 0.45 && interval.high < 0.7,
            "{interval}"
        );
        assert!(evaluation.interval(Measure::Map, &Bootstrap::default()).is_err());
    }
}
