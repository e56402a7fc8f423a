//! How a prompt is continued.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::constraint::Constraint;
use crate::error::{Error, Result};

/// How to continue a prompt.
///
/// The steps from a model's logits to a token are, in this order: logit bias; repetition penalty; frequency and presence
/// penalty; constraint; then, unless `temperature` is 0, temperature, `top_k`, `top_p`, `min_p` and the draw. That is the
/// order of transformers (5.23, `_get_logits_processor` of `generation/utils.py`).
///
/// ```
/// use ragtune_core::text::GenerateOptions;
/// let options = GenerateOptions::default().with_temperature(0.7).with_top_p(0.9).with_max_tokens(64).with_seed(7);
/// assert!(options.check().is_ok());
/// assert!(options.with_top_p(1.5).check().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct GenerateOptions {
    /// Tokens of the answer at most.
    pub max_tokens: usize,
    /// 0 takes the most probable token, of equal ones that with the lowest id; 1 samples from the model's own
    /// distribution.
    pub temperature: f32,
    /// Sample among this many most probable tokens only, and those equal to the last of them.
    pub top_k: Option<usize>,
    /// Sample among the most probable tokens that reach this probability together.
    pub top_p: Option<f32>,
    /// Sample among tokens at least this fraction as probable as the most probable one.
    pub min_p: Option<f32>,
    /// Divides the logit of each token of prompt and answer so far where it is positive, and multiplies it where it is
    /// negative; 1 changes nothing (Keskar et al. 2019, section 4.1).
    pub repetition_penalty: f32,
    /// Taken from a token's logit for each time that the answer has it so far.
    pub frequency_penalty: f32,
    /// Taken from a token's logit once the answer has it.
    pub presence_penalty: f32,
    /// Added to the logits of tokens by their ids; minus infinity forbids a token.
    pub logit_bias: BTreeMap<u32, f32>,
    /// Seed of the sampling.
    pub seed: u64,
    /// Texts that end the answer; they are not part of it.
    pub stop: Vec<String>,
    /// Tokens that end the answer, besides those that the model's own configuration names; they are not part of it.
    pub stop_tokens: Vec<u32>,
    /// Go on after the tokens with which the model ends an answer, until another limit.
    pub ignore_end: bool,
    /// Report each token with its log-probability and those of this many most probable tokens. They are of the model's
    /// own distribution, before penalties, constraint and temperature.
    pub logprobs: Option<usize>,
    /// The form that the answer must have.
    pub constraint: Option<Constraint>,
    /// What to do when prompt and answer do not fit into the context.
    pub overflow: Overflow,
}

/// What happens to a prompt that does not fit into the context together with the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Overflow {
    /// An error says by how many tokens.
    #[default]
    Error,
    /// The answer may only have the tokens that are left; a prompt that leaves none is an error.
    ShortenAnswer,
    /// The oldest tokens of the prompt are left out, as many as the answer needs.
    DropOldest,
}

impl Default for GenerateOptions {
    fn default() -> Self {
        Self {
            max_tokens: 512,
            temperature: 0.0,
            top_k: None,
            top_p: None,
            min_p: None,
            repetition_penalty: 1.0,
            frequency_penalty: 0.0,
            presence_penalty: 0.0,
            logit_bias: BTreeMap::new(),
            seed: 0,
            stop: Vec::new(),
            stop_tokens: Vec::new(),
            ignore_end: false,
            logprobs: None,
            constraint: None,
            overflow: Overflow::Error,
        }
    }
}

impl GenerateOptions {
    /// At most this many tokens.
    pub fn with_max_tokens(mut self, max_tokens: usize) -> Self {
        self.max_tokens = max_tokens;
        self
    }

    /// This temperature; 0 is greedy.
    pub fn with_temperature(mut self, temperature: f32) -> Self {
        self.temperature = temperature;
        self
    }

    /// Sample among this many tokens.
    pub fn with_top_k(mut self, top_k: usize) -> Self {
        self.top_k = Some(top_k);
        self
    }

    /// Sample among tokens of this probability together.
    pub fn with_top_p(mut self, top_p: f32) -> Self {
        self.top_p = Some(top_p);
        self
    }

    /// Sample among tokens at least this fraction as probable as the best.
    pub fn with_min_p(mut self, min_p: f32) -> Self {
        self.min_p = Some(min_p);
        self
    }

    /// This penalty on tokens of prompt and answer; 1 is none.
    pub fn with_repetition_penalty(mut self, penalty: f32) -> Self {
        self.repetition_penalty = penalty;
        self
    }

    /// This penalty for each time that the answer has a token; 0 is none.
    pub fn with_frequency_penalty(mut self, penalty: f32) -> Self {
        self.frequency_penalty = penalty;
        self
    }

    /// This penalty on tokens of the answer; 0 is none.
    pub fn with_presence_penalty(mut self, penalty: f32) -> Self {
        self.presence_penalty = penalty;
        self
    }

    /// Adds this to the logit of a token.
    pub fn with_logit_bias(mut self, token: u32, bias: f32) -> Self {
        self.logit_bias.insert(token, bias);
        self
    }

    /// This seed.
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// One more text that ends the answer.
    pub fn with_stop(mut self, stop: impl Into<String>) -> Self {
        self.stop.push(stop.into());
        self
    }

    /// One more token that ends the answer.
    pub fn with_stop_token(mut self, token: u32) -> Self {
        self.stop_tokens.push(token);
        self
    }

    /// Whether to go on after the model's own end.
    pub fn with_ignore_end(mut self, ignore_end: bool) -> Self {
        self.ignore_end = ignore_end;
        self
    }

    /// Reports log-probabilities, with this many alternatives for each token.
    pub fn with_logprobs(mut self, alternatives: usize) -> Self {
        self.logprobs = Some(alternatives);
        self
    }

    /// The form that the answer must have.
    pub fn with_constraint(mut self, constraint: Constraint) -> Self {
        self.constraint = Some(constraint);
        self
    }

    /// What happens to a prompt that is too long.
    pub fn with_overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// Checks every number against its limits.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] with the first option that is outside.
    pub fn check(&self) -> Result<()> {
        let limits: [Limit; 7] = [
            (
                "max_tokens",
                Some(self.max_tokens as f32),
                |x| x >= 1.0,
                "at least 1",
            ),
            (
                "temperature",
                Some(self.temperature),
                |x| x.is_finite() && x >= 0.0,
                "a number of at least 0",
            ),
            ("top_k", self.top_k.map(|k| k as f32), |x| x >= 1.0, "at least 1"),
            (
                "top_p",
                self.top_p,
                |x| x > 0.0 && x <= 1.0,
                "above 0 and at most 1",
            ),
            ("min_p", self.min_p, |x| (0.0..=1.0).contains(&x), "from 0 to 1"),
            (
                "repetition_penalty",
                Some(self.repetition_penalty),
                |x| x.is_finite() && x > 0.0,
                "a number above 0",
            ),
            (
                "frequency_penalty and presence_penalty",
                Some(self.frequency_penalty + self.presence_penalty),
                f32::is_finite,
                "finite",
            ),
        ];
        for (argument, value, holds, expected) in limits {
            if let Some(value) = value.filter(|&value| !holds(value)) {
                return Err(Error::InvalidArgument {
                    argument,
                    reason: format!("it is {value}; it must be {expected}"),
                });
            }
        }
        let wrong_bias = |bias: &f32| bias.is_nan() || *bias == f32::INFINITY;
        if let Some((token, bias)) = self.logit_bias.iter().find(|(_, bias)| wrong_bias(bias)) {
            return Err(Error::InvalidArgument {
                argument: "logit_bias",
                reason: format!("that of token {token} is {bias}; it must be finite or minus infinity"),
            });
        }
        if self.stop.iter().any(String::is_empty) {
            return Err(Error::InvalidArgument {
                argument: "stop",
                reason: "an empty text would end every answer at once".to_owned(),
            });
        }
        Ok(())
    }

    /// The first option that a generator would have to honour and that is not among those it can: names are those of
    /// the fields. For generators that cannot do everything; `max_tokens`, `temperature` and `seed` are never named.
    pub fn first_beyond(&self, supported: &[&str]) -> Option<&'static str> {
        let set = [
            ("top_k", self.top_k.is_some()),
            ("top_p", self.top_p.is_some()),
            ("min_p", self.min_p.is_some()),
            ("repetition_penalty", self.repetition_penalty != 1.0),
            ("frequency_penalty", self.frequency_penalty != 0.0),
            ("presence_penalty", self.presence_penalty != 0.0),
            ("logit_bias", !self.logit_bias.is_empty()),
            ("stop", !self.stop.is_empty()),
            ("stop_tokens", !self.stop_tokens.is_empty()),
            ("ignore_end", self.ignore_end),
            ("logprobs", self.logprobs.is_some()),
            ("constraint", self.constraint.is_some()),
            ("overflow", self.overflow != Overflow::Error),
        ];
        set.into_iter()
            .find(|(name, set)| *set && !supported.contains(name))
            .map(|(name, _)| name)
    }
}

/// An option's name, its value where it is set, whether a value is within its limits, and the limits in words.
type Limit = (&'static str, Option<f32>, fn(f32) -> bool, &'static str);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_options_are_read_and_new_ones_return() {
        let old: GenerateOptions = serde_json::from_str(r#"{"max_tokens": 7, "stop": ["x"]}"#).unwrap();
        assert_eq!(old, GenerateOptions::default().with_max_tokens(7).with_stop("x"));
        let new = old
            .with_logit_bias(3, -1.5)
            .with_constraint(Constraint::Regex("a+".into()))
            .with_overflow(Overflow::DropOldest)
            .with_logprobs(2);
        let json = serde_json::to_string(&new).unwrap();
        assert_eq!(serde_json::from_str::<GenerateOptions>(&json).unwrap(), new);
    }

    #[test]
    fn numbers_outside_their_limits_are_errors() {
        let options = GenerateOptions::default;
        for wrong in [
            options().with_max_tokens(0),
            options().with_temperature(-0.1),
            options().with_temperature(f32::NAN),
            options().with_top_k(0),
            options().with_top_p(0.0),
            options().with_min_p(1.1),
            options().with_repetition_penalty(0.0),
            options().with_presence_penalty(f32::INFINITY),
            options().with_logit_bias(1, f32::NAN),
            options().with_stop(""),
        ] {
            assert!(wrong.check().is_err(), "{wrong:?}");
        }
        assert!(options().with_logit_bias(1, f32::NEG_INFINITY).check().is_ok());
    }

    #[test]
    fn options_beyond_a_generator_are_named() {
        let options = GenerateOptions::default().with_temperature(1.0).with_stop("x");
        assert_eq!(options.first_beyond(&["stop"]), None);
        assert_eq!(options.first_beyond(&[]), Some("stop"));
        assert_eq!(options.with_min_p(0.1).first_beyond(&["stop"]), Some("min_p"));
    }
}
