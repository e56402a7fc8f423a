//! How surprised a language model is by a text.

use std::fmt;

use serde::Serialize;

use crate::error::{Error, Result};

/// Summed log-likelihood over counted tokens; parts of a text add up exactly.
///
/// ```
/// use ragtune_train::metrics::Perplexity;
///
/// let mut perplexity = Perplexity::default();
/// perplexity.add(-2.0 * f64::ln(4.0), 2)?;
/// perplexity.add(-1.0 * f64::ln(4.0), 1)?;
/// assert!((perplexity.value() - 4.0).abs() < 1e-12);
/// assert!((perplexity.bits_per_token() - 2.0).abs() < 1e-12);
/// # Ok::<(), ragtune_train::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Perplexity {
    /// The natural logarithm of the probability of all tokens.
    pub log_likelihood: f64,
    /// The tokens that were predicted: a text's first token, which nothing comes before, is none of them.
    pub tokens: usize,
}

impl Perplexity {
    /// Adds the summed log-likelihood (natural logarithm, not above 0 but for rounding) of some tokens.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] where the likelihood is not a number.
    pub fn add(&mut self, log_likelihood: f64, tokens: usize) -> Result<()> {
        if log_likelihood.is_nan() {
            return Err(Error::InvalidArgument {
                argument: "log_likelihood",
                reason: "is not a number; the model's logits hold NaN".into(),
            });
        }
        self.log_likelihood += log_likelihood;
        self.tokens += tokens;
        Ok(())
    }

    /// The mean negative log-likelihood of a token in nats, which is the loss; 0 without tokens.
    pub fn loss(&self) -> f64 {
        if self.tokens == 0 {
            0.0
        } else {
            -self.log_likelihood / self.tokens as f64
        }
    }

    /// The exponential of the loss: as unsure as among so many equally likely tokens.
    pub fn value(&self) -> f64 {
        self.loss().exp()
    }

    /// The loss in bits.
    pub fn bits_per_token(&self) -> f64 {
        self.loss() / std::f64::consts::LN_2
    }

    /// Bits for each byte of the text that the tokens stand for, which compares models of different tokenizers; 0
    /// for an empty text.
    pub fn bits_per_byte(&self, bytes: usize) -> f64 {
        if bytes == 0 {
            0.0
        } else {
            -self.log_likelihood / std::f64::consts::LN_2 / bytes as f64
        }
    }
}

impl fmt::Display for Perplexity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "perplexity {:.4} (loss {:.4}) over {} tokens",
            self.value(),
            self.loss(),
            self.tokens
        )
    }
}
