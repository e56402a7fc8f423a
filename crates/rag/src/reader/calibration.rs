//! Odds to probabilities, by questions with known answers.

use serde::{Deserialize, Serialize};

use super::labelled::Outcome;

/// Steps of Newton's method at most.
const STEPS: usize = 100;
/// A step that changes the parameters by less ends the search.
const TOLERANCE: f64 = 1e-10;
/// A temperature at which no odds matter.
const FLAT: f64 = 1e100;
/// What keeps the curvature invertible where all answers are equally sure.
const RIDGE: f64 = 1e-9;

/// How odds become probabilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CalibrationMethod {
    /// A temperature and an offset: two numbers, which some dozens of questions settle.
    #[default]
    Temperature,
    /// The rising steps that fit best: any shape, for a thousand questions or more.
    Isotonic,
}

/// A map from log-odds to a probability, rising everywhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "snake_case")]
#[non_exhaustive]
pub enum CalibrationMap {
    /// `sigmoid(log_odds / temperature + offset)`: temperature scaling (Guo et al. 2017, arXiv:1706.04599, section 4.2) with
    /// the offset of Platt 1999, since a share of right answers of one half is not to be taken for granted.
    Temperature {
        /// What odds are divided by.
        temperature: f64,
        /// What is added then.
        offset: f64,
    },
    /// Steps: from each log-odds on, this probability (Zadrozny and Elkan 2002; pool adjacent violators).
    Isotonic {
        /// Log-odds and probabilities, both rising.
        steps: Vec<(f64, f64)>,
    },
}

impl Default for CalibrationMap {
    /// The odds as they are.
    fn default() -> Self {
        Self::Temperature {
            temperature: 1.0,
            offset: 0.0,
        }
    }
}

impl CalibrationMap {
    /// The map that fits some outcomes.
    pub fn fit(method: CalibrationMethod, outcomes: &[Outcome]) -> Self {
        match method {
            CalibrationMethod::Temperature => temperature(outcomes),
            CalibrationMethod::Isotonic => isotonic(outcomes),
        }
    }

    /// The probability that an answer with these log-odds is right.
    pub fn probability(&self, log_odds: f64) -> f64 {
        match self {
            Self::Temperature { temperature, offset } => sigmoid(log_odds / temperature + offset),
            Self::Isotonic { steps } => {
                let above = steps.partition_point(|(from, _)| *from <= log_odds);
                let step = steps.get(above.saturating_sub(1));
                step.map_or(0.0, |(_, probability)| *probability)
            }
        }
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Maximum likelihood with Platt's targets, which keep the slope finite where all are right (Platt 1999, section 2.2), by
/// Newton's method with halved steps (Lin, Lin and Weng 2007, "A note on Platt's probabilistic outputs", algorithm 1).
fn temperature(outcomes: &[Outcome]) -> CalibrationMap {
    let right = outcomes.iter().filter(|outcome| outcome.is_right).count() as f64;
    let wrong = outcomes.len() as f64 - right;
    let (high, low) = ((right + 1.0) / (right + 2.0), 1.0 / (wrong + 2.0));
    let target = |outcome: &Outcome| if outcome.is_right { high } else { low };
    // -log likelihood = sum of ln(1 + exp(z)) - target * z, with z = slope * log_odds + offset.
    let loss = |(slope, offset): (f64, f64)| -> f64 {
        let of = |outcome: &Outcome| {
            let z = slope * outcome.log_odds + offset;
            z.max(0.0) + (-z.abs()).exp().ln_1p() - target(outcome) * z
        };
        outcomes.iter().map(of).sum()
    };
    let mut at = (0.0, ((right + 1.0) / (wrong + 1.0)).ln());
    let mut value = loss(at);
    for _ in 0..STEPS {
        let (mut g, mut h) = ([0.0; 2], [RIDGE, 0.0, RIDGE]);
        for outcome in outcomes {
            let x = outcome.log_odds;
            let p = sigmoid(at.0 * x + at.1);
            let (error, weight) = (p - target(outcome), p * (1.0 - p));
            g = [g[0] + error * x, g[1] + error];
            h = [h[0] + weight * x * x, h[1] + weight * x, h[2] + weight];
        }
        let determinant = h[0] * h[2] - h[1] * h[1];
        let step = (
            (h[2] * g[0] - h[1] * g[1]) / determinant,
            (h[0] * g[1] - h[1] * g[0]) / determinant,
        );
        let mut size = 1.0;
        let (next, better) = loop {
            let next = (at.0 - size * step.0, at.1 - size * step.1);
            let better = loss(next);
            if better <= value || size < TOLERANCE {
                break (next, better);
            }
            size /= 2.0;
        };
        let moved = (next.0 - at.0).abs() + (next.1 - at.1).abs();
        if better > value || better.is_nan() {
            break;
        }
        (at, value) = (next, better);
        if moved < TOLERANCE {
            break;
        }
    }
    if at.0 > 0.0 {
        return CalibrationMap::Temperature {
            temperature: 1.0 / at.0,
            offset: at.1,
        };
    }
    // A slope that falls would call sure answers doubtful: then the odds say nothing, and all answers are equally likely.
    let mean = (right + 1.0) / (outcomes.len() as f64 + 2.0);
    CalibrationMap::Temperature {
        temperature: FLAT,
        offset: (mean / (1.0 - mean)).ln(),
    }
}

/// Pool adjacent violators (Ayer et al. 1955); equal odds are one step.
fn isotonic(outcomes: &[Outcome]) -> CalibrationMap {
    let mut sorted: Vec<&Outcome> = outcomes.iter().collect();
    sorted.sort_by(|a, b| a.log_odds.total_cmp(&b.log_odds));
    // From, right answers, answers.
    let mut pools: Vec<(f64, f64, f64)> = Vec::new();
    for same in sorted.chunk_by(|a, b| a.log_odds == b.log_odds) {
        let right = same.iter().filter(|outcome| outcome.is_right).count() as f64;
        pools.push((same[0].log_odds, right, same.len() as f64));
        while let [.., before, last] = pools.as_slice()
            && before.1 / before.2 >= last.1 / last.2
        {
            let joined = (before.0, before.1 + last.1, before.2 + last.2);
            pools.truncate(pools.len() - 2);
            pools.push(joined);
        }
    }
    let steps = pools.into_iter().map(|(from, right, all)| (from, right / all));
    CalibrationMap::Isotonic {
        steps: steps.collect(),
    }
}

#[cfg(test)]
mod tests {
    use ragtune_core::statistics::Random;

    use super::*;

    fn drawn(count: usize, temperature: f64, offset: f64) -> Vec<Outcome> {
        let mut random = Random::new(3, 0);
        let draw = |_| {
            let log_odds = random.next_normal() * 3.0;
            let is_right = random.next_f64() < sigmoid(log_odds / temperature + offset);
            Outcome { log_odds, is_right }
        };
        (0..count).map(draw).collect()
    }

    #[test]
    fn the_temperature_of_the_draw_is_found() {
        let map = CalibrationMap::fit(CalibrationMethod::Temperature, &drawn(20_000, 2.5, -0.7));
        let CalibrationMap::Temperature { temperature, offset } = map else {
            panic!()
        };
        assert!(
            (temperature - 2.5).abs() < 0.15 && (offset + 0.7).abs() < 0.06,
            "{temperature} {offset}"
        );
    }

    #[test]
    fn the_steps_rise_and_fit() {
        let outcomes = drawn(20_000, 1.5, 0.3);
        let map = CalibrationMap::fit(CalibrationMethod::Isotonic, &outcomes);
        let CalibrationMap::Isotonic { steps } = &map else {
            panic!()
        };
        assert!(
            steps
                .windows(2)
                .all(|pair| pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1)
        );
        for x in [-3.0, -1.0, 0.0, 2.0] {
            assert!((map.probability(x) - sigmoid(x / 1.5 + 0.3)).abs() < 0.06, "{x}");
        }
        assert_eq!(map.probability(-1e9), steps[0].1);
    }

    #[test]
    fn sets_of_one_kind_stay_finite() {
        for is_right in [true, false] {
            let outcomes: Vec<Outcome> = (0..40)
                .map(|x| Outcome {
                    log_odds: f64::from(x),
                    is_right,
                })
                .collect();
            for method in [CalibrationMethod::Temperature, CalibrationMethod::Isotonic] {
                let p = CalibrationMap::fit(method, &outcomes).probability(20.0);
                assert!(
                    p.is_finite() && (p > 0.9) == is_right && (p < 0.1) != is_right,
                    "{method:?} {p}"
                );
            }
        }
        let same = [
            Outcome {
                log_odds: 1.0,
                is_right: true,
            },
            Outcome {
                log_odds: 1.0,
                is_right: false,
            },
        ];
        let p = CalibrationMap::fit(CalibrationMethod::Temperature, &same).probability(1.0);
        assert!((p - 0.5).abs() < 1e-6, "{p}");
        assert!(
            CalibrationMap::fit(CalibrationMethod::Temperature, &[])
                .probability(1.0)
                .is_finite()
        );
    }

    #[test]
    fn odds_that_say_nothing_make_all_answers_alike() {
        let reversed: Vec<Outcome> = (0..100)
            .map(|x| Outcome {
                log_odds: f64::from(x),
                is_right: x < 50,
            })
            .collect();
        let map = CalibrationMap::fit(CalibrationMethod::Temperature, &reversed);
        assert!((map.probability(0.0) - map.probability(99.0)).abs() < 1e-9);
        assert!((map.probability(5.0) - 0.5).abs() < 0.05);
    }
}
