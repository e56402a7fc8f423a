//! How well a model foretells a text.

use burn::tensor::Tensor;

use super::processors::log_sum_exp;
use crate::adapters::AdapterStack;
use crate::error::{Error, Result};
use crate::kernels::on_threads;
use crate::models::CausalLm;
use crate::nn::{Context, Segments};

/// Rows of logits that are computed at once: a large vocabulary makes a row hundreds of kilobytes.
const ROWS: usize = 64;

/// The perplexity of a text and what it was measured on.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Perplexity {
    /// `exp` of the mean negative log-likelihood of a token.
    pub perplexity: f64,
    /// Tokens that were counted.
    pub tokens: usize,
    /// Tokens of a window.
    pub context_tokens: usize,
}

/// The perplexity of a sequence of tokens by a sliding window, as the documentation of transformers measures it
/// (5.23, "Perplexity of fixed-length models"): windows of `context_tokens` begin every `stride` tokens; in each, only
/// the tokens count that no earlier window has; the mean loss of a window weighs by the number of its counted tokens
/// less one, so that a small stride leaves a noticeable part of the text out of the measure.
///
/// # Errors
/// [`Error::InvalidArgument`] for fewer than two tokens, or a stride that is below 2 or larger than the window; and those of
/// the model.
pub fn perplexity(
    lm: &CausalLm,
    ids: &[u32],
    context_tokens: usize,
    stride: usize,
    adapters: &AdapterStack,
    mut progress: impl FnMut(usize, usize),
) -> Result<Perplexity> {
    if stride < 2 || stride > context_tokens {
        return Err(Error::InvalidArgument {
            argument: "stride",
            reason: format!(
                "it is {stride}; it must be from 2 to the window of {context_tokens} tokens: of each window's new tokens \
                 one does not count, as in transformers"
            ),
        });
    }
    if ids.len() < 2 {
        return Err(Error::InvalidArgument {
            argument: "ids",
            reason: format!("a text of {} tokens has none that another precedes", ids.len()),
        });
    }
    let (mut sum, mut tokens, mut counted_to) = (0.0_f64, 0_usize, 0_usize);
    for begin in (0..ids.len()).step_by(stride) {
        let end = ids.len().min(begin + context_tokens);
        let window = &ids[begin..end];
        let fresh = end - counted_to;
        // Targets are the fresh tokens of the window; its very first has nothing before it.
        let from = (window.len() - fresh).max(1);
        if from < window.len() && fresh > 1 {
            let losses = on_threads(lm.decoder().device(), || {
                negative_log_likelihoods(lm, window, from, adapters)
            })?;
            let mean = losses.iter().sum::<f64>() / losses.len() as f64;
            sum += mean * (fresh - 1) as f64;
            tokens += fresh - 1;
        }
        counted_to = end;
        progress(end, ids.len());
        if end == ids.len() {
            break;
        }
    }
    Ok(Perplexity {
        perplexity: (sum / tokens as f64).exp(),
        tokens,
        context_tokens,
    })
}

/// The negative log-likelihood of each token of a window from one on, given those before it.
fn negative_log_likelihoods(
    lm: &CausalLm,
    window: &[u32],
    from: usize,
    adapters: &AdapterStack,
) -> Result<Vec<f64>> {
    let context = Context::new(Segments::from_lengths([window.len()])).with_adapters(vec![adapters.clone()]);
    let hidden = lm.decoder().forward(window, &context)?; // [t, h]
    let mut losses = Vec::with_capacity(window.len() - from);
    for start in (from..window.len()).step_by(ROWS) {
        let targets = &window[start..window.len().min(start + ROWS)];
        // The row before a token foretells it.
        let rows: Vec<usize> = (start - 1..start - 1 + targets.len()).collect();
        let logits: Tensor<2> = lm.decoder().logits_of(hidden.clone(), &rows, &context); // [rows, v]
        let [_, v] = logits.dims();
        let logits = logits
            .into_data()
            .convert::<f32>()
            .try_into_vec::<f32>()
            .map_err(|source| Error::external("the device", format!("{source:?}")))?;
        for (row, &target) in logits.chunks_exact(v).zip(targets) {
            let logit = row.get(target as usize).copied().unwrap_or(f32::NAN);
            let loss = log_sum_exp(row) - f64::from(logit);
            if !loss.is_finite() {
                return Err(Error::BadLogits {
                    found: logit,
                    token: target as usize,
                });
            }
            losses.push(loss);
        }
    }
    Ok(losses)
}
