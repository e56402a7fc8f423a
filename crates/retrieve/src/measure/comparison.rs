//! Whether one run is better than another.

use std::fmt;

use ragtune_core::statistics::{Bootstrap, Difference, RandomisationTest};
use serde::Serialize;

use super::measures::Evaluation;
use crate::error::{Error, Result};

/// The least p-value that four places show.
const LEAST_P: f64 = 0.0001;

/// The difference between two runs in one measure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The measure's name.
    pub measure: String,
    /// Mean of the first run.
    pub first: f64,
    /// Mean of the second run.
    pub second: f64,
    /// First less second over the same questions, with the interval and p-value of the paired bootstrap.
    pub difference: Difference,
    /// Two-sided p-value of Fisher's randomisation test.
    pub randomisation_p: f64,
}

/// Compares two evaluations of the same questions, measure by measure, in the order in which the first was asked for
/// them; a measure that the second lacks is left out.
///
/// The questions are the sample: an interval says how the difference would vary over other questions of the same kind.
///
/// ```
/// use ragtune_core::statistics::Bootstrap;
/// use ragtune_retrieve::measure::{Measure, Qrels, Run, compare, evaluate};
///
/// let qrels: Qrels = (0..20).map(|i| (i.to_string(), [("a".to_owned(), 1)].into())).collect();
/// let found = |first: &str, second: &str| vec![(first.to_owned(), 2.0), (second.to_owned(), 1.0)];
/// let good: Run = (0..20).map(|i| (i.to_string(), found("a", "b"))).collect();
/// let poor: Run = (0..20).map(|i| (i.to_string(), found("b", "a"))).collect();
/// let [good, poor] = [good, poor].map(|run| evaluate(&qrels, &run, &[Measure::Mrr(10)]));
/// let mrr = &compare(&good, &poor, &Bootstrap::default())?[0];
/// assert_eq!((mrr.first, mrr.second, mrr.difference.interval.estimate), (1.0, 0.5, 0.5));
/// assert!(mrr.randomisation_p < 0.001);
/// # Ok::<(), ragtune_retrieve::Error>(())
/// ```
///
/// # Errors
/// `InvalidArgument` when the two are not of the same questions, and when there is none.
pub fn compare(first: &Evaluation, second: &Evaluation, bootstrap: &Bootstrap) -> Result<Vec<Comparison>> {
    let only_in = |a: &Evaluation, b: &Evaluation| {
        let mut questions = a.per_question.keys();
        questions.find(|id| !b.per_question.contains_key(*id)).cloned()
    };
    if let Some(question) = only_in(first, second).or_else(|| only_in(second, first)) {
        return Err(Error::Core(ragtune_core::Error::InvalidArgument {
            argument: "evaluations",
            reason: format!(
                "only one of the two has the question {question:?}; evaluate both runs with the same judgements"
            ),
        }));
    }
    let mut compared = Vec::new();
    for &measure in &first.measures {
        let Some(others) = second.values(measure) else {
            continue;
        };
        let values = first.known_values(measure)?;
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
        compared.push(Comparison {
            measure: measure.to_string(),
            first: mean(&values),
            second: mean(&others),
            difference: bootstrap.difference(&values, &others)?,
            randomisation_p: RandomisationTest::default().p_value(&values, &others)?,
        });
    }
    Ok(compared)
}

/// A p-value to four places; `< 0.0001` where all of these would be 0, which no p-value is.
///
/// ```
/// use ragtune_retrieve::measure::p_value_text;
/// assert_eq!([p_value_text(0.25), p_value_text(1e-5)], ["0.2500", "< 0.0001"]);
/// ```
pub fn p_value_text(p: f64) -> String {
    match p < LEAST_P {
        true => format!("< {LEAST_P}"),
        false => format!("{p:.4}"),
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let interval = &self.difference.interval;
        let p = |p: f64| match p_value_text(p) {
            text if text.starts_with('<') => format!("p {text}"),
            text => format!("p = {text}"),
        };
        write!(
            f,
            "{}: {:.4} beside {:.4}, {:+.4} [{:+.4}, {:+.4}], {} (bootstrap), {} (randomisation)",
            self.measure,
            self.first,
            self.second,
            interval.estimate,
            interval.low,
            interval.high,
            p(self.difference.p_value),
            p(self.randomisation_p)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{Measure, Qrels, Run, evaluate};

    #[test]
    fn no_p_value_is_shown_as_0() {
        let ids: Vec<String> = (0..60).map(|i| i.to_string()).collect();
        let qrels: Qrels = ids
            .iter()
            .map(|id| (id.clone(), [("a".to_owned(), 1)].into()))
            .collect();
        let good: Run = ids
            .iter()
            .map(|id| (id.clone(), vec![("a".to_owned(), 1.0)]))
            .collect();
        let [good, poor] = [good, Run::new()].map(|run| evaluate(&qrels, &run, &[Measure::Mrr(10)]));
        let shown = compare(&good, &poor, &Bootstrap::default()).unwrap()[0].to_string();
        assert!(
            shown.contains("p < 0.0001 (randomisation)") && shown.contains("p = 0.0002 (bootstrap)"),
            "{shown}"
        );
    }

    #[test]
    fn only_the_same_questions_are_compared() {
        let qrels = |ids: &[&str]| -> Qrels {
            let judged = |id: &&str| ((*id).to_owned(), [("a".to_owned(), 1)].into());
            ids.iter().map(judged).collect()
        };
        let evaluated = |ids: &[&str], measures: &[Measure]| evaluate(&qrels(ids), &Run::new(), measures);
        let two = evaluated(&["1", "2"], &[Measure::Map, Measure::Mrr(10)]);
        let bootstrap = Bootstrap::default();
        let error = compare(&two, &evaluated(&["1"], &[Measure::Map]), &bootstrap).unwrap_err();
        assert!(error.to_string().contains("\"2\""), "{error}");
        assert!(
            compare(
                &evaluated(&[], &[Measure::Map]),
                &evaluated(&[], &[Measure::Map]),
                &bootstrap
            )
            .is_err()
        );
        let same = compare(&two, &evaluated(&["1", "2"], &[Measure::Map]), &bootstrap).unwrap();
        assert_eq!(same.len(), 1);
        assert_eq!((same[0].difference.p_value, same[0].randomisation_p), (1.0, 1.0));
    }
}
