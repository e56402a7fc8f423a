//! The next token of one answer.

use std::collections::{BTreeMap, BTreeSet};

use super::processors;
use super::random::Random;
use crate::error::Result;
use crate::text::GenerateOptions;

/// Chooses the tokens of one answer; remembers what was said for the penalties.
///
/// ```
/// use ragtune_core::generation::Sampler;
/// use ragtune_core::text::GenerateOptions;
/// let mut sampler = Sampler::new(&GenerateOptions::default().with_presence_penalty(2.0), &[5])?;
/// assert_eq!(sampler.choose(&mut [0.0, 3.0, 2.0], None)?.id, 1);
/// assert_eq!(sampler.choose(&mut [0.0, 3.0, 2.0], None)?.id, 2); // 3.0 - 2.0 < 2.0
/// # Ok::<(), ragtune_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Sampler {
    options: GenerateOptions,
    random: Random,
    /// Tokens of prompt and answer.
    seen: BTreeSet<u32>,
    /// Tokens of the answer and how often it has them.
    said: BTreeMap<u32, u32>,
}

/// A token that was chosen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chosen {
    /// Its id.
    pub id: u32,
    /// Its log-probability in the model's own distribution, if options ask for it.
    pub logprob: Option<f32>,
    /// The most probable tokens in that distribution with their log-probabilities, best first.
    pub alternatives: Vec<(u32, f32)>,
}

impl Sampler {
    /// A sampler for the answer to a prompt of these tokens.
    ///
    /// # Errors
    /// [`crate::Error::InvalidArgument`] for options outside their limits.
    pub fn new(options: &GenerateOptions, prompt: &[u32]) -> Result<Self> {
        options.check()?;
        let penalised = options.repetition_penalty != 1.0;
        Ok(Self {
            random: Random::new(options.seed),
            seen: if penalised {
                prompt.iter().copied().collect()
            } else {
                BTreeSet::new()
            },
            said: BTreeMap::new(),
            options: options.clone(),
        })
    }

    /// The next token, which counts as said from now on; `mask` has a bit for each token that the constraint allows
    /// (see [`processors::mask`]). The logits are changed on the way.
    ///
    /// # Shapes
    /// `logits`: one for each token of the vocabulary.
    ///
    /// # Errors
    /// [`crate::Error::BadLogits`]; [`crate::Error::Constraint`] when no token is left;
    /// [`crate::Error::InvalidArgument`] for a bias on a token that does not exist.
    pub fn choose(&mut self, logits: &mut [f32], mask: Option<&[u32]>) -> Result<Chosen> {
        processors::check(logits)?;
        let options = &self.options;
        let own = options.logprobs.map(|alternatives| Own::of(logits, alternatives));
        processors::logit_bias(logits, &options.logit_bias)?;
        if options.repetition_penalty != 1.0 {
            processors::repetition_penalty(logits, self.seen.iter().copied(), options.repetition_penalty);
        }
        if options.frequency_penalty != 0.0 || options.presence_penalty != 0.0 {
            let counts = self.said.iter().map(|(&token, &count)| (token, count));
            processors::count_penalties(
                logits,
                counts,
                options.frequency_penalty,
                options.presence_penalty,
            );
        }
        if let Some(words) = mask {
            processors::mask(logits, words)?;
        }
        let id = self.pick(logits)?;
        self.seen.insert(id);
        *self.said.entry(id).or_default() += 1;
        Ok(match own {
            None => Chosen {
                id,
                ..Chosen::default()
            },
            Some(own) => Chosen {
                id,
                logprob: Some(own.logprob(id)),
                alternatives: own.alternatives,
            },
        })
    }

    fn pick(&mut self, logits: &mut [f32]) -> Result<u32> {
        // Biases may have ruled out everything.
        processors::check(logits)?;
        let options = &self.options;
        if options.temperature == 0.0 {
            return Ok(processors::argmax(logits));
        }
        processors::temperature(logits, options.temperature);
        if let Some(k) = options.top_k {
            processors::top_k(logits, k);
        }
        if let Some(p) = options.top_p {
            processors::top_p(logits, p);
        }
        if let Some(min_p) = options.min_p {
            processors::min_p(logits, min_p);
        }
        Ok(processors::draw(logits, self.random.next_f64()))
    }
}

/// The model's own distribution.
struct Own {
    logits: Vec<f32>,
    sum: f64,
    alternatives: Vec<(u32, f32)>,
}

impl Own {
    fn of(logits: &[f32], alternatives: usize) -> Self {
        let sum = processors::log_sum_exp(logits);
        let mut own = Self {
            logits: logits.to_vec(),
            sum,
            alternatives: Vec::new(),
        };
        let wanted = alternatives.min(logits.len());
        if wanted > 0 {
            let better = |a: &u32, b: &u32| {
                let (x, y) = (logits[*a as usize], logits[*b as usize]);
                y.total_cmp(&x).then(a.cmp(b))
            };
            let mut order: Vec<u32> = (0..logits.len() as u32).collect();
            if wanted < order.len() {
                order.select_nth_unstable_by(wanted, better);
                order.truncate(wanted);
            }
            order.sort_unstable_by(better);
            own.alternatives = order.into_iter().map(|id| (id, own.logprob(id))).collect();
        }
        own
    }

    fn logprob(&self, id: u32) -> f32 {
        let logit = self.logits.get(id as usize).copied().unwrap_or(f32::NEG_INFINITY);
        (f64::from(logit) - self.sum) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn the_same_seed_says_the_same() {
        let run = |seed| {
            let options = GenerateOptions::default().with_temperature(1.0).with_seed(seed);
            let mut sampler = Sampler::new(&options, &[]).unwrap();
            (0..50)
                .map(|_| sampler.choose(&mut [0.0; 100], None).unwrap().id)
                .collect::<Vec<_>>()
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
    }

    #[test]
    fn log_probabilities_are_the_models_own() {
        let options = GenerateOptions::default()
            .with_logprobs(2)
            .with_logit_bias(2, f32::NEG_INFINITY)
            .with_temperature(3.0)
            .with_top_k(1);
        let logits = [0.1_f32, 0.2, 0.7].map(f32::ln);
        let chosen = Sampler::new(&options, &[])
            .unwrap()
            .choose(&mut logits.clone(), None)
            .unwrap();
        assert_eq!(chosen.id, 1);
        assert!((chosen.logprob.unwrap() - 0.2_f32.ln()).abs() < 1e-6);
        let ids: Vec<u32> = chosen.alternatives.iter().map(|(id, _)| *id).collect();
        assert_eq!(ids, [2, 1]);
        assert!((chosen.alternatives[0].1 - 0.7_f32.ln()).abs() < 1e-6);
    }

    #[test]
    fn damaged_logits_and_impossible_biases_are_errors() {
        let mut sampler = Sampler::new(&GenerateOptions::default(), &[]).unwrap();
        assert!(matches!(
            sampler.choose(&mut [f32::NAN, 1.0], None),
            Err(Error::BadLogits { .. })
        ));
        let options = GenerateOptions::default()
            .with_logit_bias(0, f32::NEG_INFINITY)
            .with_logit_bias(1, f32::NEG_INFINITY);
        let mut sampler = Sampler::new(&options, &[]).unwrap();
        assert!(sampler.choose(&mut [0.0, 1.0], None).is_err());
        let options = GenerateOptions::default().with_logit_bias(7, 1.0);
        assert!(
            Sampler::new(&options, &[])
                .unwrap()
                .choose(&mut [0.0], None)
                .is_err()
        );
    }
}
