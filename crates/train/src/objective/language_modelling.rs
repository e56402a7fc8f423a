//! Foretelling the next token: instruction tuning and continued pre-training.

use std::sync::Arc;

use burn::tensor::Tensor;
use ragtune_core::adapters::{AdapterBase, AdapterStack};
use ragtune_core::kernels::{self, CrossEntropyOptions, IGNORED, on_threads};
use ragtune_core::models::CausalLm;
use ragtune_core::models::layered::Tokens;
use ragtune_core::nn::Segments;

use super::batches::by_tokens;
use super::{Objective, Pass, Scores};
use crate::data::{Origin, Record};
use crate::encode::Sequence;
use crate::error::Result;
use crate::memory::Footprint;

/// Tokens that are evaluated at once.
const EVALUATED_TOKENS: usize = 2048;

/// A language model learns to foretell the trained tokens of its sequences.
///
/// The loss is the mean negative log-likelihood of all trained tokens of a step, whichever sequence they stand in. Texts
/// of a batch never see each other, and no logits of the whole batch exist at once.
#[derive(Clone, Debug)]
pub struct LanguageModelling {
    lm: Arc<CausalLm>,
}

impl LanguageModelling {
    /// The task of a model.
    #[must_use]
    pub fn new(lm: Arc<CausalLm>) -> Self {
        Self { lm }
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &Arc<CausalLm> {
        &self.lm
    }

    /// The sum of the losses of trained tokens, and the loss of each.
    fn losses(&self, batch: &[&Record<Sequence>], pass: &mut Pass<'_>) -> Result<(Tensor<1>, Tensor<1>)> {
        let (tokens, segments, targets) = packed(batch.iter().map(|record| &record.value));
        let context = pass.context(segments.clone());
        let hidden = pass.hidden(&self.lm, tokens, segments)?; // [t, h]
        let decoder = self.lm.decoder();
        let (weight, bias) = decoder.output(&context);
        let options = CrossEntropyOptions::default().with_softcap(decoder.shape().final_logit_softcapping);
        Ok(kernels::cross_entropy(
            hidden,
            &weight,
            bias.as_ref(),
            &targets,
            options,
        ))
    }
}

impl Objective for LanguageModelling {
    type Example = Record<Sequence>;

    fn base(&self) -> &dyn AdapterBase {
        &*self.lm
    }

    fn tokens(&self, example: &Self::Example) -> usize {
        example.value.ids.len()
    }

    #[allow(clippy::cast_precision_loss, reason = "texts have far fewer than 2^52 tokens")]
    fn weight(&self, example: &Self::Example) -> f64 {
        counted(&example.value) as f64
    }

    fn digest(&self, example: &Self::Example, into: &mut dyn FnMut(&[u8])) {
        digest(&example.value, into);
    }

    fn loss(&self, batch: &[&Self::Example], pass: &mut Pass<'_>) -> Result<Tensor<1>> {
        Ok(self.losses(batch, pass)?.0)
    }

    /// `loss`, the mean of all trained tokens, and `perplexity`, its exponential.
    #[allow(clippy::cast_precision_loss, reason = "texts have far fewer than 2^52 tokens")]
    fn evaluate(&self, examples: &[Self::Example], adapters: &AdapterStack) -> Result<Scores> {
        let lengths: Vec<usize> = examples.iter().map(|example| self.tokens(example)).collect();
        let mut sum = 0.0;
        for batch in by_tokens(&lengths, EVALUATED_TOKENS) {
            let batch: Vec<&Self::Example> = batch.iter().map(|index| &examples[*index]).collect();
            let losses = on_threads(self.lm.device(), || {
                self.losses(&batch, &mut Pass::forward(adapters))
            })?
            .1;
            sum += losses.into_data().iter::<f32>().map(f64::from).sum::<f64>();
        }
        let tokens: usize = examples.iter().map(|example| counted(&example.value)).sum();
        let mean = sum / tokens.max(1) as f64;
        Ok(Scores::lower("loss", mean).with("perplexity", mean.exp()))
    }

    fn footprint(&self) -> Option<Footprint> {
        Some(Footprint::decoder(self.lm.config()))
    }

    fn origin<'e>(&self, example: &'e Self::Example) -> Option<&'e Origin> {
        Some(&example.origin)
    }
}

/// Sequences one behind another, each token with the one that follows it as its target where that is trained.
pub(super) fn packed<'s>(
    sequences: impl Iterator<Item = &'s Sequence> + Clone,
) -> (Tokens, Segments, Vec<u32>) {
    let mut targets = Vec::new();
    for Sequence { ids, trained } in sequences.clone() {
        let next = ids.iter().zip(trained).skip(1);
        targets.extend(next.map(|(id, trained)| if *trained { *id } else { IGNORED }));
        targets.extend((!ids.is_empty()).then_some(IGNORED)); // nothing follows the last
    }
    let segments = Segments::from_lengths(sequences.clone().map(|sequence| sequence.ids.len()));
    let tokens = Tokens {
        ids: sequences
            .flat_map(|sequence| sequence.ids.iter().copied())
            .collect(),
        type_ids: Vec::new(),
    };
    (tokens, segments, targets)
}

/// Trained tokens that another precedes.
pub(super) fn counted(sequence: &Sequence) -> usize {
    sequence
        .trained
        .iter()
        .skip(1)
        .filter(|trained| **trained)
        .count()
}

pub(super) fn digest(sequence: &Sequence, into: &mut dyn FnMut(&[u8])) {
    into(&sequence.ids.len().to_le_bytes());
    for (id, trained) in sequence.ids.iter().zip(&sequence.trained) {
        into(&id.to_le_bytes());
        into(&[u8::from(*trained)]);
    }
}
