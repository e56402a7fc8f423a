//! What changes logits before a token is chosen, each as transformers 5.23 does it (`generation/logits_process.py`).
//!
//! # Shapes
//! `logits` has one number for each token of the vocabulary. A token that is ruled out gets minus infinity.

use crate::error::{Error, Result};

/// Checks that a token can be chosen: no logit is NaN or plus infinity, and one at least is a number.
///
/// # Errors
/// [`Error::BadLogits`].
pub fn check(logits: &[f32]) -> Result<()> {
    // One pass without branches; what is wrong is looked for only where something is.
    let bad = logits.iter().fold(0_u32, |bad, &x| {
        bad | u32::from(x.is_nan() | (x == f32::INFINITY))
    });
    let wrong = match bad {
        0 if logits.iter().any(|x| x.is_finite()) => return Ok(()),
        _ => logits
            .iter()
            .position(|x| x.is_nan() || *x == f32::INFINITY)
            .unwrap_or(0),
    };
    Err(Error::BadLogits {
        found: logits.get(wrong).copied().unwrap_or(f32::NAN),
        token: wrong,
    })
}

/// Adds to the logits of tokens (`SequenceBiasLogitsProcessor` for single tokens).
///
/// # Errors
/// [`Error::InvalidArgument`] for a token that the vocabulary does not have.
pub fn logit_bias<'a>(logits: &mut [f32], bias: impl IntoIterator<Item = (&'a u32, &'a f32)>) -> Result<()> {
    let size = logits.len();
    for (&token, &bias) in bias {
        match logits.get_mut(token as usize) {
            Some(logit) => *logit += bias,
            None => {
                return Err(Error::InvalidArgument {
                    argument: "logit_bias",
                    reason: format!("there is no token {token}; the vocabulary has {size}"),
                });
            }
        }
    }
    Ok(())
}

/// Divides positive logits of the tokens by the penalty and multiplies the others
/// (`RepetitionPenaltyLogitsProcessor`); each token is named once.
pub fn repetition_penalty(logits: &mut [f32], tokens: impl IntoIterator<Item = u32>, penalty: f32) {
    for token in tokens {
        if let Some(logit) = logits.get_mut(token as usize) {
            *logit = if *logit < 0.0 {
                *logit * penalty
            } else {
                *logit / penalty
            };
        }
    }
}

/// Takes `count * frequency + presence` from the logit of each token that was said `count` times (the OpenAI interface,
/// "frequency and presence penalties").
pub fn count_penalties(
    logits: &mut [f32],
    counts: impl IntoIterator<Item = (u32, u32)>,
    frequency: f32,
    presence: f32,
) {
    for (token, count) in counts {
        if let Some(logit) = logits.get_mut(token as usize) {
            *logit -= count as f32 * frequency + presence;
        }
    }
}

/// Rules out every token whose bit is not set; bit `i % 32` of word `i / 32` is that of token `i`.
///
/// # Errors
/// [`Error::Constraint`] when no token is left.
pub fn mask(logits: &mut [f32], words: &[u32]) -> Result<()> {
    let mut left = false;
    for (token, logit) in logits.iter_mut().enumerate() {
        let allowed = words
            .get(token / 32)
            .is_some_and(|word| word >> (token % 32) & 1 == 1);
        if !allowed {
            *logit = f32::NEG_INFINITY;
        }
        left |= *logit > f32::NEG_INFINITY;
    }
    match left {
        true => Ok(()),
        false => Err(Error::Constraint {
            reason: "no token of the vocabulary may follow; are the others forbidden by logit_bias?"
                .to_owned(),
        }),
    }
}

/// Divides by the temperature (`TemperatureLogitsWarper`).
pub fn temperature(logits: &mut [f32], temperature: f32) {
    logits.iter_mut().for_each(|logit| *logit /= temperature);
}

/// Keeps the `k` largest logits and those equal to the last of them (`TopKLogitsWarper`).
pub fn top_k(logits: &mut [f32], k: usize) {
    if k == 0 || k >= logits.len() {
        return;
    }
    let mut sorted = logits.to_vec();
    let (_, least, _) = sorted.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a));
    let least = *least;
    rule_out(logits, |logit| logit < least);
}

/// Keeps the most probable tokens that reach the probability `p` together (`TopPLogitsWarper`): ascending by
/// probability, every token up to which the sum is at most `1 - p` goes. Of equal ones the highest id goes first; the
/// most probable always stays.
pub fn top_p(logits: &mut [f32], p: f32) {
    if p >= 1.0 {
        return;
    }
    let probabilities = probabilities(logits);
    let spare = 1.0 - f64::from(p);
    // All tokens that are at most this probable are at most `spare` together, so they go without being sorted.
    let surely = spare / logits.len() as f64;
    let mut sum: f64 = probabilities.iter().filter(|&&x| x <= surely).sum();
    let mut order: Vec<usize> = (0..logits.len()).filter(|&i| probabilities[i] > surely).collect();
    order.sort_unstable_by(|&a, &b| probabilities[a].total_cmp(&probabilities[b]).then(b.cmp(&a)));
    let best = order.last().copied().unwrap_or_default();
    for &i in &order {
        sum += probabilities[i];
        if sum > spare || i == best {
            break;
        }
        logits[i] = f32::NEG_INFINITY;
    }
    for (i, logit) in logits.iter_mut().enumerate() {
        if probabilities[i] <= surely && i != best {
            *logit = f32::NEG_INFINITY;
        }
    }
}

/// Keeps tokens at least `min_p` times as probable as the most probable one (`MinPLogitsWarper`).
pub fn min_p(logits: &mut [f32], min_p: f32) {
    // p(i) / p(best) = exp(logit(i) - logit(best)).
    let best = largest(logits);
    rule_out(logits, |logit| f64::from(logit - best).exp() < f64::from(min_p));
}

/// The token with the largest logit, of equal ones the lowest id.
pub fn argmax(logits: &[f32]) -> u32 {
    let mut best = (0, f32::NEG_INFINITY);
    for (token, &logit) in logits.iter().enumerate() {
        if logit > best.1 {
            best = (token, logit);
        }
    }
    best.0 as u32
}

/// Draws a token from the distribution of the logits; `random` is from 0 to below 1.
pub fn draw(logits: &[f32], random: f64) -> u32 {
    let best = largest(logits);
    let weight = |logit: f32| f64::from(logit - best).exp();
    let total: f64 = logits.iter().map(|&logit| weight(logit)).sum();
    let mut left = random * total;
    let mut last = argmax(logits);
    for (token, &logit) in logits.iter().enumerate() {
        let weight = weight(logit);
        if weight > 0.0 {
            last = token as u32;
            left -= weight;
            if left < 0.0 {
                break;
            }
        }
    }
    last
}

/// The logarithm of the sum of `exp(logit)`, by which logits become log-probabilities.
pub fn log_sum_exp(logits: &[f32]) -> f64 {
    let best = largest(logits);
    let sum: f64 = logits.iter().map(|&logit| f64::from(logit - best).exp()).sum();
    f64::from(best) + sum.ln()
}

fn probabilities(logits: &[f32]) -> Vec<f64> {
    let sum = log_sum_exp(logits);
    logits
        .iter()
        .map(|&logit| (f64::from(logit) - sum).exp())
        .collect()
}

fn largest(logits: &[f32]) -> f32 {
    logits.iter().copied().fold(f32::NEG_INFINITY, f32::max)
}

fn rule_out(logits: &mut [f32], goes: impl Fn(f32) -> bool) {
    for logit in logits {
        if goes(*logit) {
            *logit = f32::NEG_INFINITY;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO: f32 = f32::NEG_INFINITY;

    #[test]
    fn what_cannot_be_chosen_from_is_an_error() {
        assert!(check(&[0.0, NO]).is_ok());
        for (logits, token) in [
            (vec![0.0, f32::NAN], 1),
            (vec![0.0, 1.0, f32::INFINITY], 2),
            (vec![NO, NO], 0),
            (vec![], 0),
        ] {
            match check(&logits) {
                Err(Error::BadLogits { token: found, .. }) => assert_eq!(found, token),
                other => panic!("{logits:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn ties_go_to_the_lowest_id() {
        assert_eq!(argmax(&[1.0, 3.0, 3.0]), 1);
        let mut logits = [0.0; 4];
        top_p(&mut logits, 0.5);
        assert_eq!(logits, [0.0, 0.0, NO, NO]);
        let mut logits = [0.0; 3];
        top_p(&mut logits, 1e-6);
        assert_eq!(logits, [0.0, NO, NO]);
        let mut logits = [1.0, 2.0, 2.0, 3.0];
        top_k(&mut logits, 2);
        assert_eq!(logits, [NO, 2.0, 2.0, 3.0]);
    }

    #[test]
    fn draws_follow_the_distribution() {
        let logits = [0.0, NO, (2.0_f32).ln(), NO];
        let counts =
            (0..300)
                .map(|i| draw(&logits, f64::from(i) / 300.0))
                .fold([0; 4], |mut counts, token| {
                    counts[token as usize] += 1;
                    counts
                });
        assert_eq!(counts, [100, 0, 200, 0]);
        assert_eq!(draw(&logits, 0.999_999_999_999), 2);
    }

    #[test]
    fn a_mask_rules_out_and_must_leave_something() {
        let mut logits = vec![0.0; 40];
        mask(&mut logits, &[1 << 3, 1]).unwrap();
        let left: Vec<usize> = (0..40).filter(|&i| logits[i] == 0.0).collect();
        assert_eq!(left, [3, 32]);
        assert!(mask(&mut logits, &[0]).is_err());
        assert!(logit_bias(&mut logits, [(&40, &1.0)]).is_err());
    }
}
