//! One post-norm transformer layer (Vaswani et al. 2017, arXiv:1706.03762, section 3.1).
//!
//! Letters: `t` tokens of all texts, `h` hidden width, `f` width of the feed-forward layer, `a` heads, `m` side of the
//! position bias.

use std::ops::Range;

use burn::tensor::Tensor;

use super::EncoderConfig;
use super::embeddings::layer_norm;
use super::families::LayerNames;
use crate::adapters::{Module, SublayerKind};
use crate::error::Result;
use crate::nn::{Activation, Attention, Context, Dropout, LayerNorm, Linear, Segments, Sublayer};
use crate::weights::Loader;

/// Attention, then a feed-forward layer, each added to its input and normalised.
#[derive(Debug)]
pub(super) struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    attention: Attention,
    attention_output: Linear,
    attention_dropout: Dropout,
    attention_end: Sublayer,
    attention_norm: LayerNorm,
    intermediate: Linear,
    hidden_act: Activation,
    output: Linear,
    dropout: Dropout,
    end: Sublayer,
    output_norm: LayerNorm,
}

/// The bias on attention scores by distance.
pub(super) enum LayerBias<'a> {
    None,
    /// `[a, m, m]`, of all texts.
    Shared(&'a Tensor<3>),
    /// `[a, m, m]` of each run of texts with the same adapters, where adapters change it.
    OfRuns(Vec<Tensor<3>>),
}

impl Layer {
    pub(super) fn load(
        config: &EncoderConfig,
        names: &LayerNames,
        index: usize,
        loader: &Loader<'_>,
    ) -> Result<Self> {
        let (h, f) = (config.hidden_size, config.intermediate_size);
        let slot = |name: &str| format!("{}.{index}.{name}", names.layer);
        let dense = |name: &str, i: usize, o: usize| linear(loader, &slot(name), i, o);
        Ok(Self {
            query: dense(names.query, h, h)?,
            key: dense(names.key, h, h)?,
            value: dense(names.value, h, h)?,
            attention: Attention::new(config.num_attention_heads, config.head_dim())?
                .with_dropout(&slot("attention.dropout"), config.dropout.attention),
            attention_output: dense(names.attention_output, h, h)?,
            attention_dropout: Dropout::new(
                slot("attention_output.dropout"),
                config.dropout.attention_output,
            ),
            attention_end: Sublayer::new(slot(names.attention_end)),
            attention_norm: layer_norm(config, loader, &slot(names.attention_norm))?,
            intermediate: dense(names.intermediate, h, f)?,
            hidden_act: config.hidden_act,
            output: dense(names.output, f, h)?,
            dropout: Dropout::new(slot("output.dropout"), config.dropout.feed_forward),
            end: Sublayer::new(slot(names.end)),
            output_norm: layer_norm(config, loader, &slot(names.output_norm))?,
        })
    }

    /// # Shapes
    /// `x [t, h] -> [t, h]`.
    pub(super) fn forward(
        &self,
        x: Tensor<2>,
        position_bias: &LayerBias<'_>,
        context: &Context,
    ) -> Tensor<2> {
        // 1. Attention, added to its input and normalised.
        let [q, k, v] = Linear::forward_each([&self.query, &self.key, &self.value], x.clone(), context);
        let mixed = self.attend([q, k, v], position_bias, context); // [t, h]
        let y = self.attention_output.forward(mixed, context);
        let y = self.attention_dropout.forward(y, context);
        let normed = |y| self.attention_norm.forward_adapted(y, Some(x.clone()), context);
        let y = self.attention_end.forward(y, normed, context);
        let x = self.attention_norm.forward_adapted(y, Some(x), context);
        // 2. Feed-forward, added to its input and normalised.
        let y = self
            .intermediate
            .forward_activated(x.clone(), self.hidden_act, context); // [t, f]
        let y = self.output.forward(y, context); // [t, h]
        let y = self.dropout.forward(y, context);
        let normed = |y| self.output_norm.forward_adapted(y, Some(x.clone()), context);
        let y = self.end.forward(y, normed, context);
        self.output_norm.forward_adapted(y, Some(x), context)
    }

    /// # Shapes
    /// Each `[t, h] -> [t, h]`.
    fn attend(
        &self,
        [q, k, v]: [Tensor<2>; 3],
        position_bias: &LayerBias<'_>,
        context: &Context,
    ) -> Tensor<2> {
        match position_bias {
            LayerBias::None => self.attention.forward(q, k, v, None, context),
            LayerBias::Shared(bias) => self.attention.forward(q, k, v, Some(bias), context),
            LayerBias::OfRuns(biases) => {
                let outer = context;
                let texts = runs(context).into_iter().zip(biases);
                let mixed = texts.map(|((tokens, segments), bias)| {
                    let rows = |x: &Tensor<2>| x.clone().slice([tokens.clone(), 0..x.dims()[1]]);
                    let context = outer.like(segments, tokens.start);
                    self.attention
                        .forward(rows(&q), rows(&k), rows(&v), Some(bias), &context)
                });
                Tensor::cat(mixed.collect(), 0)
            }
        }
    }

    /// The ends of attention and of the feed-forward layer.
    pub(super) fn ends(&self) -> [(&Sublayer, SublayerKind); 2] {
        [
            (&self.attention_end, SublayerKind::Attention),
            (&self.end, SublayerKind::FeedForward),
        ]
    }

    /// The modules that adapters can change, in the order of the data flow.
    pub(super) fn modules<'a>(&'a self, into: &mut Vec<Module<'a>>) {
        let linears = [&self.query, &self.key, &self.value, &self.attention_output];
        into.extend(linears.map(Module::Linear));
        into.push(Module::LayerNorm(&self.attention_norm));
        into.extend([&self.intermediate, &self.output].map(Module::Linear));
        into.push(Module::LayerNorm(&self.output_norm));
    }
}

/// The neighbouring texts with the same adapters: their tokens, and where each text stands among them.
pub(super) fn runs(context: &Context) -> Vec<(Range<usize>, Segments)> {
    let texts_of = |tokens: &Range<usize>| {
        let inside = |text: &Range<usize>| tokens.start <= text.start && text.end <= tokens.end;
        let texts = context.segments().iter().filter(move |text| !text.is_empty());
        texts.filter(inside).map(|text| text.len()).collect::<Vec<_>>()
    };
    let runs = context.adapter_runs().iter();
    runs.map(|(tokens, _)| (tokens.clone(), Segments::from_lengths(texts_of(tokens))))
        .collect()
}

/// A linear layer from `i` to `o` components, with its bias.
pub(in crate::models) fn linear(loader: &Loader<'_>, slot: &str, i: usize, o: usize) -> Result<Linear> {
    let weight = loader.tensor(&format!("{slot}.weight"), [o, i])?;
    let bias = loader.tensor(&format!("{slot}.bias"), [o])?;
    Linear::new(slot, weight, Some(bias))
}
