//! Direct preference optimisation (Rafailov et al. 2023, arXiv:2305.18290, equation 7).

use std::sync::Arc;

use burn::tensor::{Tensor, TensorData, activation};
use ragtune_core::adapters::{AdapterBase, AdapterStack};
use ragtune_core::kernels::{self, CrossEntropyOptions, on_threads};
use ragtune_core::models::CausalLm;
use serde_json::{Value, json};

use super::batches::by_tokens;
use super::language_modelling::{counted, digest, packed};
use super::{Objective, Pass, Scores};
use crate::data::{Origin, Record};
use crate::encode::{PreferenceSequences, Sequence};
use crate::error::Result;
use crate::memory::Footprint;

/// Tokens that are evaluated at once.
const EVALUATED_TOKENS: usize = 2048;

/// How preferences become a loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PreferenceLoss {
    /// `-log sigmoid(beta m)` of the margin `m` by which the model prefers the chosen answer more than the reference does.
    /// With smoothing `s`, a share `s` of the labels counts as the wrong way round (conservative DPO).
    Dpo {
        /// How strongly the model is held to the reference, the smaller the less; 0.1 is usual.
        beta: f64,
        /// The share of wrong labels, from 0 to below 0.5.
        label_smoothing: f64,
    },
    /// `(m - 1 / (2 beta))^2` of the margin between means of tokens (IPO, Azar et al. 2023, arXiv:2310.12036, equation 17;
    /// means as in TRL 1.16).
    Ipo {
        /// As for DPO.
        beta: f64,
    },
}

impl Default for PreferenceLoss {
    fn default() -> Self {
        Self::Dpo {
            beta: 0.1,
            label_smoothing: 0.0,
        }
    }
}

/// A language model learns to prefer chosen answers over rejected ones, held to what it was: the reference is the same
/// model without the trained weights, so that it takes no memory of its own.
#[derive(Clone, Debug)]
pub struct PreferenceOptimisation {
    lm: Arc<CausalLm>,
    loss: PreferenceLoss,
}

/// What a batch came to, pair by pair.
struct Margins {
    /// The loss of each pair, `[b]`.
    losses: Tensor<1>,
    /// By how much the model prefers the chosen answer more than the reference does, `[b]`.
    margins: Tensor<1>,
}

impl PreferenceOptimisation {
    /// The task of a model.
    #[must_use]
    pub fn new(lm: Arc<CausalLm>, loss: PreferenceLoss) -> Self {
        Self { lm, loss }
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &Arc<CausalLm> {
        &self.lm
    }

    fn margins(&self, batch: &[&Record<PreferenceSequences>], pass: &mut Pass<'_>) -> Result<Margins> {
        let reference = self
            .log_likelihoods(batch, &mut Pass::forward(&AdapterStack::base()))?
            .inner();
        // Both passes see the same model but for what is trained (TRL's `disable_dropout`).
        pass.without_model_dropout();
        let ours = self.log_likelihoods(batch, pass)?; // [2 b], chosen ones first
        let b = batch.len();
        let half = |x: &Tensor<1>, from: usize| x.clone().narrow(0, from, b);
        let gain = ours - reference;
        let margins = half(&gain, 0) - half(&gain, b);
        let losses = match self.loss {
            PreferenceLoss::Dpo {
                beta,
                label_smoothing,
            } => {
                let likely = activation::log_sigmoid(margins.clone() * beta) * (label_smoothing - 1.0);
                likely - activation::log_sigmoid(margins.clone() * -beta) * label_smoothing
            }
            PreferenceLoss::Ipo { beta } => {
                let distance = margins.clone() - 1.0 / (2.0 * beta);
                distance.clone() * distance
            }
        };
        Ok(Margins { losses, margins })
    }

    /// The logarithms of the answers' probabilities, sums or means of their tokens' as the loss has it: those of all chosen
    /// answers, then those of all rejected ones.
    ///
    /// # Shapes
    /// `-> [2 b]`.
    fn log_likelihoods(
        &self,
        batch: &[&Record<PreferenceSequences>],
        pass: &mut Pass<'_>,
    ) -> Result<Tensor<1>> {
        let chosen = batch.iter().map(|record| &record.value.chosen);
        let sequences: Vec<&Sequence> = chosen
            .chain(batch.iter().map(|record| &record.value.rejected))
            .collect();
        let (tokens, segments, targets) = packed(sequences.iter().copied());
        let context = pass.context(segments.clone());
        let hidden = pass.hidden(&self.lm, tokens, segments.clone())?;
        let decoder = self.lm.decoder();
        let (weight, bias) = decoder.output(&context);
        let options = CrossEntropyOptions::default().with_softcap(decoder.shape().final_logit_softcapping);
        let tokens = kernels::log_probabilities(hidden, &weight, bias.as_ref(), &targets, options); // [t]
        // One row for each answer with its tokens' shares.
        let (n, t) = (sequences.len(), targets.len());
        let mut shares = vec![0.0_f32; n * t];
        for ((row, range), sequence) in shares.chunks_exact_mut(t).zip(segments.iter()).zip(&sequences) {
            #[allow(
                clippy::cast_precision_loss,
                reason = "answers have far fewer than 2^24 tokens"
            )]
            let share = match self.loss {
                PreferenceLoss::Dpo { .. } => 1.0,
                PreferenceLoss::Ipo { .. } => 1.0 / counted(sequence).max(1) as f32,
            };
            row[range].fill(share);
        }
        let shares = Tensor::<2>::from_data(TensorData::new(shares, [n, t]), self.lm.device());
        Ok((shares * tokens.unsqueeze()).sum_dim(1).squeeze_dim(1))
    }
}

impl Objective for PreferenceOptimisation {
    type Example = Record<PreferenceSequences>;

    fn base(&self) -> &dyn AdapterBase {
        &*self.lm
    }

    fn tokens(&self, example: &Self::Example) -> usize {
        example.value.chosen.ids.len() + example.value.rejected.ids.len()
    }

    /// Each pair counts as one, where both answers have trained tokens.
    fn weight(&self, example: &Self::Example) -> f64 {
        let both = counted(&example.value.chosen).min(counted(&example.value.rejected)) > 0;
        f64::from(u8::from(both))
    }

    fn digest(&self, example: &Self::Example, into: &mut dyn FnMut(&[u8])) {
        digest(&example.value.chosen, into);
        digest(&example.value.rejected, into);
    }

    fn loss(&self, batch: &[&Self::Example], pass: &mut Pass<'_>) -> Result<Tensor<1>> {
        Ok(self.margins(batch, pass)?.losses.sum())
    }

    /// `loss`; `accuracy`, the share of pairs whose chosen answer gained more than the rejected one; `margin`, by how much on
    /// average.
    #[allow(clippy::cast_precision_loss, reason = "sets have far fewer than 2^52 pairs")]
    fn evaluate(&self, examples: &[Self::Example], adapters: &AdapterStack) -> Result<Scores> {
        let lengths: Vec<usize> = examples.iter().map(|example| self.tokens(example)).collect();
        let (mut losses, mut margins) = (Vec::new(), Vec::new());
        for batch in by_tokens(&lengths, EVALUATED_TOKENS) {
            let batch: Vec<&Self::Example> = batch.iter().map(|index| &examples[*index]).collect();
            let found = on_threads(self.lm.device(), || {
                self.margins(&batch, &mut Pass::forward(adapters))
            })?;
            losses.extend(found.losses.into_data().iter::<f64>());
            margins.extend(found.margins.into_data().iter::<f64>());
        }
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
        let right: Vec<f64> = margins
            .iter()
            .map(|margin| f64::from(u8::from(*margin > 0.0)))
            .collect();
        Ok(Scores::lower("loss", mean(&losses))
            .with("accuracy", mean(&right))
            .with("margin", mean(&margins)))
    }

    fn settings(&self) -> Value {
        match self.loss {
            PreferenceLoss::Dpo {
                beta,
                label_smoothing,
            } => json!({ "loss": "dpo", "beta": beta, "label_smoothing": label_smoothing }),
            PreferenceLoss::Ipo { beta } => json!({ "loss": "ipo", "beta": beta }),
        }
    }

    fn footprint(&self) -> Option<Footprint> {
        Some(Footprint::decoder(self.lm.config()))
    }

    fn origin<'e>(&self, example: &'e Self::Example) -> Option<&'e Origin> {
        Some(&example.origin)
    }
}
