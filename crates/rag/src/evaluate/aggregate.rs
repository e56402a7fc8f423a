//! From records to means with intervals.

use ragtune_core::statistics::{Bootstrap, Interval};
use ragtune_train::metrics::Bleu;

use super::abstention::{RiskCurve, RiskPoint, Roc};
use super::answers::bleu_counts;
use super::evaluation::{Absent, Counts, Evaluation, Measured};
use super::evaluator::Parts;
use super::latency::{peak_bytes, percentile};
use super::measure::name;
use super::record::{Outcome, Record};
use crate::error::{Result, counted};

/// Fewer questions than this make intervals that are too narrow.
const FEW: usize = 20;

/// From this F1 on an answer counts as right, where right and wrong ones are told apart.
const RIGHT: f64 = 0.5;

const BROKE: &str = "the system broke on every question";

/// All means, intervals and reasons for what is absent.
pub(super) fn aggregate(parts: Parts<'_>, bootstrap: &Bootstrap) -> Result<Evaluation> {
    let mut tally = Tally {
        records: &parts.records,
        bootstrap,
        metrics: Vec::new(),
        absent: Vec::new(),
    };
    tally.answers(&parts)?;
    tally.sources(&parts)?;
    tally.support(&parts)?;
    let risk_coverage = tally.abstention(&parts)?;
    tally.costs()?;
    let Tally { metrics, absent, .. } = tally;
    let mut notes = Vec::new();
    if parts.records.len() < FEW {
        notes.push(format!(
            "With {}, intervals are narrower than they should be; from about {FEW} on they can be relied on.",
            counted(parts.records.len(), "question")
        ));
    }
    if let Some(judge) = &parts.judge
        && judge.malformed + judge.failed > 0
    {
        notes.push(format!(
            "Of {} verdicts of the judge, {} were not in its format and {} calls failed; they count for nothing.",
            judge.asked, judge.malformed, judge.failed
        ));
    }
    Ok(Evaluation {
        name: parts.name,
        counts: Counts::of(&parts.records),
        metrics,
        absent,
        notes,
        unknown_sources: parts.unknown_sources,
        judge: parts.judge,
        risk: parts.risk.to_owned(),
        risk_coverage,
        peak_bytes: peak_bytes(),
        records: parts.records,
    })
}

struct Tally<'r> {
    records: &'r [Record],
    bootstrap: &'r Bootstrap,
    metrics: Vec<Measured>,
    absent: Vec<Absent>,
}

impl Tally<'_> {
    fn answers(&mut self, parts: &Parts<'_>) -> Result<()> {
        let no_answers = "no answerable question has a right answer in the set";
        self.mean(name::EXACT_MATCH, |_| true, no_answers)?;
        self.mean(name::F1, |_| true, no_answers)?;
        if self.records.iter().all(|record| record.answerable) {
            self.is_absent(name::F1_ANSWERABLE, "every question is answerable, so it is f1");
        } else {
            self.mean_as(
                name::F1_ANSWERABLE,
                name::F1,
                |record| record.answerable,
                no_answers,
            )?;
        }
        let none = "no answerable question of a known right answer was answered";
        self.mean_as(
            name::F1_ANSWERED,
            name::F1,
            |record| record.answerable && record.is_answered(),
            none,
        )?;
        self.mean(name::ROUGE_L, |_| true, no_answers)?;
        let counts = bleu_counts(self.records)?;
        if counts.is_empty() {
            self.is_absent(name::BLEU, no_answers);
        } else {
            let interval = self.bootstrap.statistic(counts.len(), |drawn| {
                Bleu::default()
                    .together(drawn.iter().filter_map(|at| counts.get(*at)))
                    .score
            })?;
            self.is_measured(name::BLEU, interval, counts.len());
        }
        let reason = if parts.has_encoder {
            no_answers
        } else {
            "no encoder was given"
        };
        self.mean(name::SIMILARITY, |_| true, reason)
    }

    fn sources(&mut self, parts: &Parts<'_>) -> Result<()> {
        let reason = if parts.looks_up {
            "no answerable question has a right source in the set"
        } else {
            self.looks_nothing_up()
        };
        for measure in parts.source_measures {
            self.mean(&measure.to_string(), |_| true, reason)?;
        }
        let nothing = if parts.looks_up {
            "nothing was cited for a question whose right sources are known"
        } else {
            reason
        };
        self.mean(name::CITATION_PRECISION, |_| true, nothing)?;
        self.mean(name::CITATION_RECALL, |_| true, reason)?;
        let nothing = if parts.looks_up {
            "nothing was cited"
        } else {
            reason
        };
        self.mean(name::CITATION_VALID, |_| true, nothing)
    }

    /// Whether no question got as far as an answer or an abstention, so that nothing is known of what the system does.
    fn broke(&self) -> bool {
        self.records.iter().all(Record::is_failed)
    }

    fn looks_nothing_up(&self) -> &'static str {
        match self.broke() {
            true => BROKE,
            false => "the system looks nothing up",
        }
    }

    fn support(&mut self, parts: &Parts<'_>) -> Result<()> {
        let nothing = if parts.looks_up {
            "no answer has a sentence"
        } else {
            self.looks_nothing_up()
        };
        self.mean(name::SUPPORT_LEXICAL, |_| true, nothing)?;
        let reason = if parts.has_encoder {
            nothing
        } else {
            "no encoder was given"
        };
        self.mean(name::SUPPORT_ENCODER, |_| true, reason)?;
        self.mean(name::SUPPORTED, |_| true, nothing)?;
        let reason = match &parts.judge {
            None => "no judge was given",
            Some(judge) if judge.asked > 0 => "no verdict of the judge was in its format",
            Some(_) => nothing,
        };
        self.mean(name::SUPPORT_JUDGED, |_| true, reason)
    }

    fn abstention(&mut self, parts: &Parts<'_>) -> Result<Vec<RiskPoint>> {
        let share = |is: fn(&Record) -> bool| move |record: &Record| Some(f64::from(is(record)));
        self.over(name::COVERAGE, share(Record::is_answered), "")?;
        let answered = |record: &Record| record.answerable.then(|| f64::from(record.is_answered()));
        self.over(name::ANSWERED_ANSWERABLE, answered, "no question is answerable")?;
        let abstained = |record: &Record| {
            let right = matches!(record.outcome, Outcome::Abstained(_));
            (!record.answerable).then(|| f64::from(right))
        };
        self.over(
            name::ABSTAINED_UNANSWERABLE,
            abstained,
            "every question is answerable",
        )?;
        self.over(name::FAILED, share(Record::is_failed), "")?;

        let confident = self.records.iter().any(|record| record.confidence.is_some());
        let unsure = match self.broke() {
            true => BROKE,
            false => "the system tells no confidence",
        };
        let mut points = Vec::new();
        let answers = self.losses(parts.risk);
        if !confident {
            self.is_absent(name::AURC, unsure);
        } else if answers.iter().all(Option::is_none) {
            let reason = match self.records.iter().any(Record::is_answered) {
                false => "no question was answered".to_owned(),
                true => format!("no answer with a confidence has the measure {}", parts.risk),
            };
            self.is_absent(name::AURC, &reason);
        } else {
            let curve = RiskCurve::of(&answers);
            points = curve.points(self.bootstrap)?;
            let interval = curve.interval(self.bootstrap)?;
            self.is_measured(name::AURC, interval, answers.len());
        }

        let answerable = self.records.iter().filter(|_| confident).filter_map(|record| {
            // A question on which the system broke is on the wrong side.
            let worst = if record.answerable {
                f64::NEG_INFINITY
            } else {
                f64::INFINITY
            };
            let confidence = if record.is_failed() {
                Some(worst)
            } else {
                record.confidence
            };
            confidence.map(|confidence| (record.answerable, confidence))
        });
        let reason = match Counts::of(self.records) {
            _ if !confident => unsure,
            counts if counts.unanswerable == 0 => "every question is answerable",
            counts if counts.answerable == 0 => "no question is answerable",
            _ => "only answerable or only unanswerable questions have a confidence",
        };
        self.area(name::AUROC_ANSWERABLE, answerable.collect(), reason)?;
        let right = self
            .records
            .iter()
            .filter(|record| record.answerable && record.is_answered());
        let right =
            right.filter_map(|record| Some((*record.measures.get(name::F1)? >= RIGHT, record.confidence?)));
        let reason = if confident {
            "the answers of a known confidence are all right or all wrong"
        } else {
            unsure
        };
        self.area(name::AUROC_RIGHT, right.collect(), reason)?;
        Ok(points)
    }

    /// Confidence and loss of each question that can be measured; none where it was not answered. A question on which the
    /// system broke is wrong, and the last that it would answer.
    fn losses(&self, risk: &str) -> Vec<Option<(f64, f64)>> {
        let of = |record: &Record| {
            let value = record.measures.get(risk)?;
            Some(match (&record.outcome, record.confidence) {
                (Outcome::Abstained(_), _) => None,
                (Outcome::Failed(_), _) => Some((f64::NEG_INFINITY, 1.0)),
                (Outcome::Answered, confidence) => Some((confidence?, (1.0 - value).clamp(0.0, 1.0))),
            })
        };
        self.records.iter().filter_map(of).collect()
    }

    fn costs(&mut self) -> Result<()> {
        let mut times: Vec<f64> = Vec::new();
        times.extend(
            self.records
                .iter()
                .filter(|record| !record.is_failed())
                .map(|record| record.latency_ms),
        );
        for (name, share) in [(name::LATENCY_P50, 0.5), (name::LATENCY_P95, 0.95)] {
            if times.is_empty() {
                self.is_absent(name, BROKE);
                continue;
            }
            let interval = self.bootstrap.statistic(times.len(), |drawn| {
                let mut drawn: Vec<f64> = drawn.iter().filter_map(|at| times.get(*at)).copied().collect();
                drawn.sort_by(f64::total_cmp);
                percentile(&drawn, share)
            })?;
            self.is_measured(name, interval, times.len());
        }
        self.cost(name::PROMPT_TOKENS, |record| record.usage.prompt_tokens)?;
        self.cost(name::COMPLETION_TOKENS, |record| record.usage.completion_tokens)?;
        self.cost(name::MODEL_CALLS, |record| record.model_calls)
    }

    /// The mean of a measure over the records that have it.
    fn mean(&mut self, name: &str, counts: impl Fn(&Record) -> bool, reason: &str) -> Result<()> {
        self.mean_as(name, name, counts, reason)
    }

    fn mean_as(
        &mut self,
        name: &str,
        of: &str,
        counts: impl Fn(&Record) -> bool,
        reason: &str,
    ) -> Result<()> {
        let value = |record: &Record| record.measures.get(of).copied().filter(|_| counts(record));
        self.over(name, value, reason)
    }

    /// The mean of a value from 0 to 1.
    fn over(&mut self, name: &str, value: impl Fn(&Record) -> Option<f64>, reason: &str) -> Result<()> {
        let values: Vec<f64> = self.records.iter().filter_map(value).collect();
        if values.is_empty() {
            self.is_absent(name, reason);
            return Ok(());
        }
        let interval = widened(self.bootstrap.mean(&values)?, &values);
        self.is_measured(name, interval, values.len());
        Ok(())
    }

    /// The mean of a value that may be any.
    fn cost(&mut self, name: &str, value: impl Fn(&Record) -> usize) -> Result<()> {
        let answered = self.records.iter().filter(|record| !record.is_failed());
        let values: Vec<f64> = answered.map(|record| value(record) as f64).collect();
        if values.is_empty() {
            self.is_absent(name, BROKE);
            return Ok(());
        }
        let interval = self.bootstrap.mean(&values)?;
        self.is_measured(name, interval, values.len());
        Ok(())
    }

    fn area(&mut self, name: &str, cases: Vec<(bool, f64)>, reason: &str) -> Result<()> {
        let (classes, scores): (Vec<bool>, Vec<f64>) = cases.into_iter().unzip();
        if classes.iter().all(|class| *class) || !classes.contains(&true) {
            self.is_absent(name, reason);
            return Ok(());
        }
        let interval = Roc::of(&classes, &scores)?.interval(self.bootstrap)?;
        self.is_measured(name, interval, classes.len());
        Ok(())
    }

    fn is_measured(&mut self, name: &str, interval: Interval, questions: usize) {
        self.metrics.push(Measured {
            name: name.to_owned(),
            value: interval.estimate,
            low: interval.low,
            high: interval.high,
            questions,
        });
    }

    fn is_absent(&mut self, name: &str, reason: &str) {
        self.absent.push(Absent {
            name: name.to_owned(),
            reason: reason.to_owned(),
        });
    }
}

/// The interval of a mean of values from 0 to 1 that are all 0 or all 1. Resampling finds nothing else then and leaves no
/// width; how often another value may come is bounded as for a share (Clopper and Pearson 1934: the tail to the power 1 / n).
pub(crate) fn widened(mut interval: Interval, values: &[f64]) -> Interval {
    let tail = (1.0 - interval.level) / 2.0;
    let bound = tail.powf(1.0 / values.len() as f64);
    if values.iter().all(|value| *value == 1.0) {
        interval.low = bound;
    } else if values.iter().all(|value| *value == 0.0) {
        interval.high = 1.0 - bound;
    }
    interval
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_always_so_may_be_otherwise() {
        let of = |values: &[f64]| widened(Bootstrap::default().mean(values).unwrap(), values);
        // scipy.stats.binomtest(30, 30).proportion_ci().low and binomtest(0, 10).proportion_ci().high
        assert!((of(&[1.0; 30]).low - 0.884_296_9).abs() < 1e-6);
        assert!((of(&[0.0; 10]).high - 0.308_497_1).abs() < 1e-6);
        assert_eq!((of(&[1.0; 30]).estimate, of(&[1.0; 30]).high), (1.0, 1.0));
        assert_eq!(of(&[0.5; 10]).low, 0.5);
    }
}
