//! Whether a system knows what it does not know.

use ragtune_core::statistics::{Bootstrap, Interval};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Points of a risk-coverage curve at most.
const POINTS: usize = 60;

/// Resamples for the band of the curve, which is drawn and not tabulated.
const BAND_RESAMPLES: usize = 1_000;

/// What would be, were only the answers given that have at least this confidence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RiskPoint {
    /// The least confidence that is answered; none where the system broke.
    pub confidence: Option<f64>,
    /// The share of questions that are answered.
    pub coverage: f64,
    /// How wrong these answers are, 0 to 1, in the mean.
    pub risk: f64,
    /// The lower end of the risk's interval.
    pub low: f64,
    /// The upper end of the risk's interval.
    pub high: f64,
}

/// How often a positive has a higher score than a negative, ties counted half: the area under the ROC curve, as
/// scikit-learn's `roc_auc_score`. `None` where there are no positives or no negatives.
///
/// ```
/// use ragtune::evaluate::auroc;
///
/// let area = auroc(&[false, false, true, true], &[0.1, 0.4, 0.35, 0.8])?;
/// assert_eq!(area, Some(0.75));
/// # Ok::<(), ragtune::Error>(())
/// ```
///
/// # Errors
/// [`ragtune_core::Error::InvalidArgument`] for two numbers of values, and for a score that is NaN.
pub fn auroc(is_positive: &[bool], scores: &[f64]) -> Result<Option<f64>> {
    let roc = Roc::of(is_positive, scores)?;
    Ok(roc.area(|_| 1))
}

/// Scores of two classes in order, so that resampled sets need no sorting.
pub(super) struct Roc {
    /// Place in the given order, score and class, by rising score.
    sorted: Vec<(usize, f64, bool)>,
}

impl Roc {
    pub fn of(is_positive: &[bool], scores: &[f64]) -> Result<Self> {
        let invalid = |reason: String| {
            Error::Core(ragtune_core::Error::InvalidArgument {
                argument: "scores",
                reason,
            })
        };
        if is_positive.len() != scores.len() {
            let reason = format!(
                "{} for {} examples; give one for each",
                scores.len(),
                is_positive.len()
            );
            return Err(invalid(reason));
        }
        if scores.iter().any(|score| score.is_nan()) {
            return Err(invalid("one is not a number".to_owned()));
        }
        let mut sorted: Vec<_> = scores
            .iter()
            .zip(is_positive)
            .enumerate()
            .map(|(at, (score, positive))| (at, *score, *positive))
            .collect();
        sorted.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
        Ok(Self { sorted })
    }

    /// The area where each example counts `times` (its place) times: Hanley and McNeil 1982, the Mann-Whitney form.
    fn area(&self, times: impl Fn(usize) -> u32) -> Option<f64> {
        let (mut positives, mut negatives, mut wins) = (0.0, 0.0, 0.0);
        for ties in self.sorted.chunk_by(|a, b| a.1 == b.1) {
            let count = |class: bool| -> f64 {
                let of_class = ties.iter().filter(|(_, _, positive)| *positive == class);
                of_class.map(|(at, ..)| f64::from(times(*at))).sum()
            };
            let (more_positives, more_negatives) = (count(true), count(false));
            wins += more_positives * (negatives + more_negatives / 2.0);
            positives += more_positives;
            negatives += more_negatives;
        }
        (positives > 0.0 && negatives > 0.0).then(|| wins / (positives * negatives))
    }

    /// The area with its interval; a resampled set with one class only tells nothing and counts 0.5.
    pub fn interval(&self, bootstrap: &Bootstrap) -> Result<Interval> {
        let count = self.sorted.len();
        let statistic = |drawn: &[usize]| {
            let times = times(drawn, count);
            self.area(|at| times.get(at).copied().unwrap_or(0)).unwrap_or(0.5)
        };
        Ok(bootstrap.statistic(count, statistic)?)
    }
}

/// How often each of `count` examples was drawn.
fn times(drawn: &[usize], count: usize) -> Vec<u32> {
    let mut times = vec![0; count];
    for at in drawn {
        if let Some(times) = times.get_mut(*at) {
            *times += 1;
        }
    }
    times
}

/// The answers of a set, by falling confidence.
pub(super) struct RiskCurve {
    /// Place among all questions, confidence and loss.
    sorted: Vec<(usize, f64, f64)>,
    /// All questions, also those that are not answered.
    questions: usize,
}

impl RiskCurve {
    /// `answers` are the confidence and the loss (0 to 1) of each question, none where there was no answer.
    pub fn of(answers: &[Option<(f64, f64)>]) -> Self {
        let mut sorted: Vec<(usize, f64, f64)> = answers
            .iter()
            .enumerate()
            .filter_map(|(at, answer)| answer.map(|(confidence, loss)| (at, confidence, loss)))
            .collect();
        sorted.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        Self {
            sorted,
            questions: answers.len(),
        }
    }

    /// The number and the loss of the answers of each confidence, highest first, where each question counts `times` times.
    fn groups(&self, times: impl Fn(usize) -> u32) -> Vec<(f64, f64)> {
        let group = |ties: &[(usize, f64, f64)]| {
            let counted = ties.iter().map(|(at, _, loss)| (f64::from(times(*at)), *loss));
            counted.fold((0.0, 0.0), |(all, sum), (count, loss)| {
                (all + count, sum + count * loss)
            })
        };
        self.sorted.chunk_by(|a, b| a.1 == b.1).map(group).collect()
    }

    /// The mean risk over all numbers of answers, surest first: Geifman and El-Yaniv, Selective Classification for Deep
    /// Neural Networks, 2017, with a loss in place of errors. Answers of one confidence come in any order, so each of them
    /// has their mean loss.
    fn area(groups: &[(f64, f64)]) -> f64 {
        let (mut answers, mut losses, mut risks) = (0.0, 0.0, 0.0);
        for (count, loss) in groups.iter().filter(|(count, _)| *count > 0.0) {
            for _ in 0..*count as usize {
                answers += 1.0;
                losses += loss / count;
                risks += losses / answers;
            }
        }
        if answers > 0.0 { risks / answers } else { f64::NAN }
    }

    /// The risk of so many answers, surest first.
    fn risk(groups: &[(f64, f64)], wanted: f64) -> f64 {
        let (mut answers, mut losses) = (0.0, 0.0);
        for (count, loss) in groups.iter().filter(|(count, _)| *count > 0.0) {
            let taken = count.min(wanted - answers);
            if taken <= 0.0 {
                break;
            }
            answers += taken;
            losses += loss * taken / count;
        }
        if answers > 0.0 { losses / answers } else { f64::NAN }
    }

    /// `found` on a resampled set; one in which nothing is answered tells nothing, and counts as the set itself does.
    fn or_whole(&self, found: f64, whole: impl FnOnce(&[(f64, f64)]) -> f64) -> f64 {
        match found.is_nan() {
            true => whole(&self.groups(|_| 1)),
            false => found,
        }
    }

    /// The area under the curve with its interval.
    pub fn interval(&self, bootstrap: &Bootstrap) -> Result<Interval> {
        let statistic = |drawn: &[usize]| {
            let times = times(drawn, self.questions);
            let found = Self::area(&self.groups(|at| times.get(at).copied().unwrap_or(0)));
            self.or_whole(found, Self::area)
        };
        Ok(bootstrap.statistic(self.questions, statistic)?)
    }

    /// The curve, a point for each confidence, of very many only some.
    pub fn points(&self, bootstrap: &Bootstrap) -> Result<Vec<RiskPoint>> {
        let bootstrap = bootstrap.with_resamples(BAND_RESAMPLES)?;
        let mut ends: Vec<(usize, f64)> = Vec::new();
        for ties in self.sorted.chunk_by(|a, b| a.1 == b.1) {
            let before = ends.last().map_or(0, |end| end.0);
            let confidence = ties.first().map_or(f64::NAN, |first| first.1);
            ends.push((before + ties.len(), confidence));
        }
        let last = ends.len().saturating_sub(1);
        let kept = ends.iter().enumerate().filter(|(at, _)| {
            let place = |at: usize| at * (POINTS - 1) / last.max(1);
            ends.len() <= POINTS || *at == 0 || *at == last || place(*at) != place(at - 1)
        });
        let point = |(_, (answers, confidence)): (usize, &(usize, f64))| {
            let wanted = *answers as f64;
            let interval = bootstrap.statistic(self.questions, |drawn| {
                let times = times(drawn, self.questions);
                let found = Self::risk(&self.groups(|at| times.get(at).copied().unwrap_or(0)), wanted);
                self.or_whole(found, |whole| Self::risk(whole, wanted))
            })?;
            Ok(RiskPoint {
                confidence: Some(*confidence).filter(|confidence| confidence.is_finite()),
                coverage: wanted / self.questions as f64,
                risk: interval.estimate,
                low: interval.low,
                high: interval.high,
            })
        };
        kept.map(point).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Counted pair by pair.
    fn plain(is_positive: &[bool], scores: &[f64]) -> Option<f64> {
        let of = |class: bool| -> Vec<f64> {
            let both = is_positive.iter().zip(scores);
            both.filter(|(positive, _)| **positive == class)
                .map(|(_, score)| *score)
                .collect()
        };
        let (positives, negatives) = (of(true), of(false));
        let mut wins = 0.0;
        for positive in &positives {
            for negative in &negatives {
                wins += if positive > negative {
                    1.0
                } else if positive == negative {
                    0.5
                } else {
                    0.0
                };
            }
        }
        let pairs = (positives.len() * negatives.len()) as f64;
        (pairs > 0.0).then(|| wins / pairs)
    }

    #[test]
    fn a_resample_without_an_answer_is_no_perfect_one() {
        // One wrong answer of ten: a third of all resamples has none.
        let mut answers = vec![None; 10];
        answers[3] = Some((0.9, 1.0));
        let curve = RiskCurve::of(&answers);
        let area = curve.interval(&Bootstrap::default()).unwrap();
        assert_eq!((area.low, area.estimate, area.high), (1.0, 1.0, 1.0));
        let points = curve.points(&Bootstrap::default()).unwrap();
        assert_eq!((points[0].low, points[0].risk), (1.0, 1.0));
    }

    proptest! {
        // A curve has an interval at each of its points.
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn the_area_is_the_share_of_pairs(cases in prop::collection::vec((any::<bool>(), 0_i32..6), 0..40)) {
            let (positive, scores): (Vec<bool>, Vec<f64>) =
                cases.iter().map(|(positive, score)| (*positive, f64::from(*score))).unzip();
            let area = auroc(&positive, &scores).unwrap();
            let expected = plain(&positive, &scores);
            prop_assert_eq!(area.is_some(), expected.is_some());
            if let (Some(area), Some(expected)) = (area, expected) {
                prop_assert!((area - expected).abs() < 1e-12);
            }
        }

        #[test]
        fn the_curve_is_that_of_its_definition(
            answers in prop::collection::vec(prop::option::of((0_u32..1000, 0_u32..=4)), 1..30),
        ) {
            // Distinct confidences: each is made one of its own.
            let answers: Vec<Option<(f64, f64)>> = answers
                .iter()
                .enumerate()
                .map(|(at, answer)| answer.map(|(c, loss)| (f64::from(c) + at as f64 / 100.0, f64::from(loss) / 4.0)))
                .collect();
            let mut plain: Vec<(f64, f64)> = answers.iter().flatten().copied().collect();
            plain.sort_by(|a, b| b.0.total_cmp(&a.0));
            let curve = RiskCurve::of(&answers);
            let points = curve.points(&Bootstrap::default().with_resamples(100).unwrap()).unwrap();
            prop_assert_eq!(points.len(), plain.len());
            let mut risks = 0.0;
            for (number, point) in (1..).zip(&points) {
                let risk = plain[..number].iter().map(|answer| answer.1).sum::<f64>() / number as f64;
                risks += risk;
                prop_assert!((point.risk - risk).abs() < 1e-12);
                prop_assert!((point.coverage - number as f64 / answers.len() as f64).abs() < 1e-12);
                prop_assert!(point.low <= point.high);
            }
            if !plain.is_empty() {
                let area = RiskCurve::area(&curve.groups(|_| 1));
                prop_assert!((area - risks / plain.len() as f64).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn what_cannot_be_measured_is_told() {
        assert_eq!(auroc(&[true, true], &[0.1, 0.2]).unwrap(), None);
        assert_eq!(auroc(&[], &[]).unwrap(), None);
        assert!(auroc(&[true], &[]).is_err());
        assert!(auroc(&[true, false], &[f64::NAN, 0.0]).is_err());
        assert_eq!(
            auroc(&[true, false], &[f64::NEG_INFINITY, f64::INFINITY]).unwrap(),
            Some(0.0)
        );
    }

    #[test]
    fn answers_of_one_confidence_share_their_loss() {
        let curve = RiskCurve::of(&[Some((1.0, 0.0)), Some((1.0, 1.0)), None, Some((0.5, 1.0))]);
        // Risks of one, two and three answers: 1/2, 1/2, 2/3.
        let area = RiskCurve::area(&curve.groups(|_| 1));
        assert!((area - (0.5 + 0.5 + 2.0 / 3.0) / 3.0).abs() < 1e-12);
        let points = curve.points(&Bootstrap::default()).unwrap();
        assert_eq!(
            points.iter().map(|point| point.coverage).collect::<Vec<_>>(),
            [0.5, 0.75]
        );
    }
}
