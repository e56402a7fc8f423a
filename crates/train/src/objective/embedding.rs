//! Sentence encoders: texts that belong together come near each other.

use std::sync::Arc;

use burn::tensor::{Int, Tensor, TensorData, activation};
use ragtune_core::adapters::{AdapterBase, AdapterStack};
use ragtune_core::kernels::on_threads;
use ragtune_core::models::Encoder;
use ragtune_core::models::layered::Tokens;
use ragtune_core::nn::Segments;
use ragtune_core::text::Role;
use serde_json::{Value, json};

use super::{Objective, Pass, Scores};
use crate::data::{Origin, Record};
use crate::encode::TextTuple;
use crate::error::{Error, Result};
use crate::memory::Footprint;

/// The shortest vectors that are divided by their length.
const MIN_NORM: f64 = 1e-12;
/// Anchors that are compared at once in evaluation; every positive of the block is a candidate for every anchor of it.
const EVALUATED: usize = 64;

/// Multiple negatives ranking (Henderson et al. 2017, arXiv:1705.00652, section 4.4): for each anchor, its positive must be
/// found among the positives and negatives of the whole batch. The loss is the cross entropy over `scale` times the cosines,
/// as in sentence-transformers 6.2.
///
/// With `dims`, it is the sum of the losses of vectors that are cut after so many components (Matryoshka, Kusupati et al.
/// 2022, arXiv:2205.13147, equation 1), so that short vectors serve as well.
#[derive(Clone, Debug)]
pub struct EmbeddingRanking {
    encoder: Arc<Encoder>,
    scale: f64,
    dims: Vec<usize>,
}

impl EmbeddingRanking {
    /// The task of an encoder, with a scale of 20.
    #[must_use]
    pub fn new(encoder: Arc<Encoder>) -> Self {
        Self {
            encoder,
            scale: 20.0,
            dims: Vec::new(),
        }
    }

    /// Another factor of the cosines: the larger, the more the hardest negative counts.
    #[must_use]
    pub fn with_scale(mut self, scale: f64) -> Self {
        self.scale = scale;
        self
    }

    /// Also trains vectors cut after so many components.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a number of components that vectors do not have.
    pub fn with_dims(mut self, dims: impl IntoIterator<Item = usize>) -> Result<Self> {
        use ragtune_core::text::Embedder;
        self.dims = dims.into_iter().collect();
        match self
            .dims
            .iter()
            .find(|dim| **dim == 0 || **dim > self.encoder.dim())
        {
            None => Ok(self),
            Some(dim) => Err(Error::invalid(
                "dims",
                format!("{dim}; vectors have 1 to {} components", self.encoder.dim()),
            )),
        }
    }

    /// The encoder.
    #[must_use]
    pub fn model(&self) -> &Arc<Encoder> {
        &self.encoder
    }

    /// Scores of all candidates for every anchor, `[b, c]`, for each number of components; the candidates are all positives,
    /// then all negatives.
    fn scores(&self, batch: &[&Record<TextTuple>], pass: &mut Pass<'_>) -> Result<Vec<Tensor<2>>> {
        let anchors = self.vectors(batch.iter().map(|record| &record.value.anchor), Role::Query, pass)?;
        let positives = batch.iter().map(|record| &record.value.positive);
        let negatives = batch.iter().flat_map(|record| &record.value.negatives);
        let candidates = self.vectors(positives.chain(negatives), Role::Document, pass)?;
        let whole = anchors.dims()[1];
        let dims = if self.dims.is_empty() {
            vec![whole]
        } else {
            self.dims.clone()
        };
        let scores = dims.into_iter().map(|dim| {
            let cut = |x: &Tensor<2>| normalised(x.clone().slice([0..x.dims()[0], 0..dim]));
            cut(&anchors).matmul(cut(&candidates).transpose()) * self.scale
        });
        Ok(scores.collect())
    }

    /// # Shapes
    /// `-> [n, dim]`.
    fn vectors<'t>(
        &self,
        texts: impl Iterator<Item = &'t Vec<u32>> + Clone,
        role: Role,
        pass: &mut Pass<'_>,
    ) -> Result<Tensor<2>> {
        let segments = Segments::from_lengths(texts.clone().map(Vec::len));
        let ids: Vec<u32> = texts.flatten().copied().collect();
        let tokens = Tokens {
            type_ids: Vec::new(),
            ids,
        };
        let context = pass.context(segments.clone());
        let hidden = pass.hidden(&self.encoder, tokens, segments)?; // [t, h]
        Ok(self.encoder.pooled(&hidden, role, &context)?)
    }
}

impl Objective for EmbeddingRanking {
    type Example = Record<TextTuple>;

    fn base(&self) -> &dyn AdapterBase {
        &*self.encoder
    }

    fn tokens(&self, example: &Self::Example) -> usize {
        let TextTuple {
            anchor,
            positive,
            negatives,
        } = &example.value;
        anchor.len() + positive.len() + negatives.iter().map(Vec::len).sum::<usize>()
    }

    /// Anchors go through the model first, then all candidates.
    fn tokens_at_once(&self, example: &Self::Example) -> usize {
        let anchor = example.value.anchor.len();
        anchor.max(self.tokens(example) - anchor)
    }

    fn digest(&self, example: &Self::Example, into: &mut dyn FnMut(&[u8])) {
        let TextTuple {
            anchor,
            positive,
            negatives,
        } = &example.value;
        for text in [anchor, positive].into_iter().chain(negatives) {
            into(&text.len().to_le_bytes());
            text.iter().for_each(|id| into(&id.to_le_bytes()));
        }
    }

    fn loss(&self, batch: &[&Self::Example], pass: &mut Pass<'_>) -> Result<Tensor<1>> {
        let losses = self.scores(batch, pass)?.into_iter().map(|scores| {
            let b = batch.len();
            let right: Vec<i32> = (0..b).map(|row| i32::try_from(row).unwrap_or(i32::MAX)).collect();
            let right =
                Tensor::<1, Int>::from_data(TensorData::from(right.as_slice()), &scores.device().inner());
            let likely = activation::log_softmax(scores, 1).gather(1, right.reshape([b, 1])); // [b, 1]
            likely.sum().neg()
        });
        losses
            .reduce(|sum, loss| sum + loss)
            .ok_or_else(|| Error::invalid("dims", "none; name at least one number of components"))
    }

    /// `mrr`, the mean reciprocal rank of the positive among all candidates of up to 64 examples; `accuracy`, the share of
    /// anchors whose positive comes first.
    #[allow(
        clippy::cast_precision_loss,
        reason = "sets have far fewer than 2^52 examples"
    )]
    fn evaluate(&self, examples: &[Self::Example], adapters: &AdapterStack) -> Result<Scores> {
        let (mut reciprocal, mut first) = (0.0, 0.0);
        for block in examples.chunks(EVALUATED) {
            let batch: Vec<&Self::Example> = block.iter().collect();
            let scores = on_threads(self.encoder.device(), || {
                self.scores(&batch, &mut Pass::forward(adapters))
            })?;
            let Some(scores) = scores.into_iter().next() else {
                continue;
            };
            let candidates = scores.dims()[1];
            let scores: Vec<f32> = scores.into_data().iter::<f32>().collect();
            for (row, scores) in scores.chunks_exact(candidates).enumerate() {
                let rank = 1 + scores.iter().filter(|score| **score > scores[row]).count();
                reciprocal += 1.0 / rank as f64;
                first += f64::from(u8::from(rank == 1));
            }
        }
        let count = examples.len().max(1) as f64;
        Ok(Scores::higher("mrr", reciprocal / count).with("accuracy", first / count))
    }

    fn settings(&self) -> Value {
        json!({ "scale": self.scale, "dims": self.dims })
    }

    fn footprint(&self) -> Option<Footprint> {
        Some(Footprint::encoder(self.encoder.config()))
    }

    fn origin<'e>(&self, example: &'e Self::Example) -> Option<&'e Origin> {
        Some(&example.origin)
    }

    fn couples(&self) -> bool {
        true
    }
}

/// Rows of length 1.
fn normalised(x: Tensor<2>) -> Tensor<2> {
    let length = x.clone().square().sum_dim(1).sqrt().clamp_min(MIN_NORM); // [n, 1]
    x / length
}
