//! Several adapters at once, each with a weight.
//!
//! Letters: `t` tokens, `i` input width, `o` output width, `h` hidden width.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use burn::tensor::Tensor;

use super::change::{Output, is_one};
use super::{AdapterError, AdapterSet, Bottleneck, ModuleShapes};
use crate::error::{Error, Result};
use crate::kernels::LinearWeight;
use crate::nn::{Context, Embedding, Linear};

/// The adapters that a text is computed with, in the order in which they act; empty is the base model.
///
/// Low-rank updates add up, whatever their order. What multiplies (DoRA, (IA)³) acts on what the adapters before it
/// made. A whole weight counts as its difference from the base's.
#[derive(Clone, Debug, Default)]
pub struct AdapterStack {
    sets: Vec<(Arc<AdapterSet>, f64)>,
}

impl AdapterStack {
    /// The base model.
    #[must_use]
    pub fn base() -> Self {
        Self::default()
    }

    /// One more adapter, whose change of the model is multiplied by `weight`.
    #[must_use]
    pub fn with(mut self, set: Arc<AdapterSet>, weight: f64) -> Self {
        self.sets.push((set, weight));
        self
    }

    /// Whether this is the base model.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    /// The adapters with their weights.
    #[must_use]
    pub fn sets(&self) -> &[(Arc<AdapterSet>, f64)] {
        &self.sets
    }

    /// Whether both are the same adapters with the same weights.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        let mut pairs = self.sets.iter().zip(&other.sets);
        self.sets.len() == other.sets.len() && pairs.all(|((a, u), (b, v))| Arc::ptr_eq(a, b) && u == v)
    }

    /// Whether any adapter has weights for a slot.
    #[must_use]
    pub fn touches(&self, slot: &str) -> bool {
        self.sets.iter().any(|(set, _)| set.touches(slot))
    }

    /// Number of virtual tokens that stand before a text, beside the table of words at a slot.
    #[must_use]
    pub fn virtual_tokens(&self, slot: &str) -> usize {
        self.prompts(slot).map(|rows| rows.dims()[0]).sum()
    }

    /// The rows of all virtual tokens, in the order of the adapters.
    ///
    /// # Shapes
    ///
    /// `-> [n, h]`.
    pub(crate) fn prompt(&self, slot: &str) -> Option<Tensor<2>> {
        let mut rows: Vec<Tensor<2>> = self.prompts(slot).cloned().collect();
        match rows.len() {
            0 | 1 => rows.pop(),
            _ => Some(Tensor::cat(rows, 0)),
        }
    }

    fn prompts(&self, slot: &str) -> impl Iterator<Item = &Tensor<2>> {
        self.sets
            .iter()
            .filter_map(move |(set, _)| set.embedding(slot)?.prompt.as_ref())
    }

    /// Whether all adapters are for a base of these modules.
    ///
    /// # Errors
    ///
    /// [`Error::Adapter`] names the module that does not fit; [`Error::InvalidArgument`] for a weight that is not finite in f32.
    pub(crate) fn check(&self, base: &Arc<ModuleShapes>) -> Result<()> {
        self.sets.iter().try_for_each(|(set, weight)| {
            if !(*weight as f32).is_finite() {
                return Err(Error::InvalidArgument {
                    argument: "weight",
                    reason: format!("an adapter cannot act with weight {weight}: it is not finite in f32"),
                });
            }
            if set.prompt().is_some() && !is_one(*weight) {
                return Err(Error::InvalidArgument {
                    argument: "weight",
                    reason: format!(
                        "a tuned prompt stands before a text or does not: its weight is 1, not {weight}"
                    ),
                });
            }
            set.check(base).map_err(|source| Error::Adapter {
                path: PathBuf::from("in memory"),
                source,
            })
        })
    }

    /// Whether all adapters can be folded into the weights of a base of these modules.
    ///
    /// # Errors
    ///
    /// [`Error::Adapter`] for an adapter that is more than a change of weights, and as [`check`](Self::check).
    pub(crate) fn check_mergeable(&self, base: &Arc<ModuleShapes>) -> Result<()> {
        self.check(base)?;
        match self.sets.iter().all(|(set, _)| set.is_mergeable()) {
            true => Ok(()),
            false => Err(Error::Adapter {
                path: PathBuf::from("in memory"),
                source: AdapterError::NotMergeable,
            }),
        }
    }

    /// Feeds what the adapters change to a hash; nothing for the base model.
    pub(crate) fn hash_into(&self, hasher: &mut blake3::Hasher) {
        for (set, weight) in &self.sets {
            hasher.update(&weight.to_le_bytes());
            set.hash_into(hasher);
        }
    }

    /// The output of a linear layer, changed for each text by its adapters; `y` is the base's where it is known.
    ///
    /// # Shapes
    ///
    /// `x [t, i]`, `y [t, o] -> [t, o]`.
    pub(crate) fn linear(context: &Context, layer: &Linear, x: Tensor<2>, y: Option<Tensor<2>>) -> Tensor<2> {
        if let [(_, stack)] = context.adapter_runs() {
            return stack.through(layer, x, y, context.dropout_key_of(layer.slot()));
        }
        let y = y.unwrap_or_else(|| layer.base(x.clone()));
        let i = x.dims()[1];
        Self::by_run(context, layer.slot(), y, 1, |stack, rows, y| {
            let key = context
                .dropout_key_of(layer.slot())
                .map(|key| key.wrapping_add(rows.start as u64));
            stack.through(layer, x.clone().slice([rows, 0..i]), Some(y), key)
        })
    }

    /// Looked-up rows of a table, changed for each text by its adapters.
    ///
    /// # Shapes
    ///
    /// `ids [t]`, `y [t, h] -> [t, h]`.
    pub(crate) fn embedding(context: &Context, table: &Embedding, ids: &[u32], y: Tensor<2>) -> Tensor<2> {
        Self::by_run(context, table.slot(), y, 1, |stack, rows, base| {
            let mut first = true;
            stack.sets.iter().fold(base.clone(), |y, (set, weight)| {
                let Some(change) = set.embedding(table.slot()) else {
                    return y;
                };
                let y = change.apply(&ids[rows.clone()], &base, y, *weight, first);
                first = false;
                y
            })
        })
    }

    /// What a sublayer gives, changed for each text by the bottlenecks of its adapters, one behind another. `stream` computes
    /// the stream of hidden states with such rows in it.
    ///
    /// # Shapes
    ///
    /// `y [t, h] -> [t, h]`.
    pub(crate) fn sublayer(
        context: &Context,
        slot: &str,
        y: Tensor<2>,
        stream: impl Fn(Tensor<2>) -> Tensor<2>,
    ) -> Tensor<2> {
        let runs = context.adapter_runs();
        let depth = runs.iter().map(|(_, stack)| stack.sets.len()).max();
        (0..depth.unwrap_or_default()).fold(y, |y, level| {
            let reads = |(_, stack): &(Range<usize>, Self)| {
                let found = stack.bottleneck(level, slot);
                found.is_some_and(|(bottleneck, _)| bottleneck.reads_stream())
            };
            let whole = runs.iter().any(reads).then(|| stream(y.clone())); // [t, h]
            Self::by_run(context, slot, y, 1, |stack, rows, y| {
                let Some((bottleneck, weight)) = stack.bottleneck(level, slot) else {
                    return y;
                };
                let x = match &whole {
                    Some(whole) if bottleneck.reads_stream() && runs.len() == 1 => whole.clone(),
                    Some(whole) if bottleneck.reads_stream() => {
                        whole.clone().slice([rows.clone(), 0..whole.dims()[1]])
                    }
                    _ => y.clone(),
                };
                #[allow(clippy::cast_possible_truncation, reason = "a stack has few adapters")]
                let key = context
                    .dropout_key_of(slot)
                    .map(|key| key.rotate_left(level as u32).wrapping_add(rows.start as u64));
                bottleneck.apply(x, y, weight, key)
            })
        })
    }

    /// The normalised rows of texts, each with the norm that its adapters make; `rows_per_token` rows of `x` belong to
    /// each token.
    ///
    /// # Shapes
    ///
    /// `x [t rows_per_token, h]`, `weight [h]`, `bias [h] -> [t rows_per_token, h]`.
    pub(crate) fn norm(
        context: &Context,
        slot: &str,
        rows_per_token: usize,
        x: Tensor<2>,
        base: (&Tensor<1>, Option<&Tensor<1>>),
        normalise: impl Fn(Tensor<2>, Tensor<1>, Option<Tensor<1>>) -> Tensor<2>,
    ) -> Tensor<2> {
        Self::by_run_and_base(context, slot, x, rows_per_token, |stack, _, x| {
            let base_parts = (base.0.clone(), base.1.cloned());
            let (weight, bias) = match stack {
                Some(stack) => stack.merged_norm(slot, base),
                None => base_parts,
            };
            normalise(x, weight, bias)
        })
    }

    /// A norm's weight and bias with the changes of all adapters.
    ///
    /// # Shapes
    ///
    /// All `[h]`.
    pub(super) fn merged_norm(
        &self,
        slot: &str,
        base: (&Tensor<1>, Option<&Tensor<1>>),
    ) -> (Tensor<1>, Option<Tensor<1>>) {
        let mut parts = (base.0.clone(), base.1.cloned());
        let changes = self
            .sets
            .iter()
            .filter_map(|(set, weight)| Some((set.norm(slot)?, *weight)));
        for (i, (change, weight)) in changes.enumerate() {
            parts = change.merge(base, parts, weight, i == 0);
        }
        parts
    }

    /// The bottleneck that one adapter of the stack has behind a sublayer, and the adapter's weight.
    fn bottleneck(&self, level: usize, slot: &str) -> Option<(&Bottleneck, f64)> {
        let (set, weight) = self.sets.get(level)?;
        Some((set.bottleneck(slot)?, *weight))
    }

    /// A linear layer's output with the changes of all adapters.
    ///
    /// # Shapes
    ///
    /// `x [t, i]`, `y [t, o] -> [t, o]`.
    fn through(
        &self,
        layer: &Linear,
        x: Tensor<2>,
        y: Option<Tensor<2>>,
        dropout_key: Option<u64>,
    ) -> Tensor<2> {
        let mut output = Output {
            y,
            bias: layer.bias().cloned(),
            untouched: true,
            dropout_key,
        };
        for (set, weight) in &self.sets {
            if let Some(change) = set.linear(layer.slot()) {
                output = change.apply(layer, &x, output, *weight);
            }
        }
        output.take(layer, &x)
    }

    /// A linear layer's weight and bias with the changes of all adapters. A whole weight that stands alone is handed on as
    /// it is.
    ///
    /// # Shapes
    ///
    /// `-> [o, i], [o]`.
    pub(crate) fn folded(&self, layer: &Linear) -> (LinearWeight, Option<Tensor<1>>) {
        let changes = self
            .sets
            .iter()
            .filter_map(|(set, weight)| Some((set.linear(layer.slot())?, *weight)));
        let changes: Vec<_> = changes.collect();
        if let [(change, 1.0)] = changes[..]
            && change.low_rank.is_none()
            && change.rescaling.is_none()
        {
            let weight = change.weight.as_ref().unwrap_or_else(|| layer.linear_weight());
            return (weight.clone(), change.bias.as_ref().or(layer.bias()).cloned());
        }
        let parts = (layer.weight(), layer.bias().cloned());
        let (weight, bias) = changes
            .into_iter()
            .enumerate()
            .fold(parts, |(weight, bias), (i, (change, times))| {
                change.merge(layer, weight, bias, (times, i == 0))
            });
        (LinearWeight::new(weight), bias)
    }

    /// Changes the rows of those texts whose adapters touch a slot.
    ///
    /// # Shapes
    ///
    /// `y [t rows_per_token, o] -> [t rows_per_token, o]`.
    fn by_run(
        context: &Context,
        slot: &str,
        y: Tensor<2>,
        rows_per_token: usize,
        mut change: impl FnMut(&Self, Range<usize>, Tensor<2>) -> Tensor<2>,
    ) -> Tensor<2> {
        Self::by_run_and_base(context, slot, y, rows_per_token, |stack, rows, y| match stack {
            Some(stack) => change(stack, rows, y),
            None => y,
        })
    }

    /// As [`by_run`](Self::by_run), where the rows of the other texts are changed as well.
    fn by_run_and_base(
        context: &Context,
        slot: &str,
        y: Tensor<2>,
        rows_per_token: usize,
        mut change: impl FnMut(Option<&Self>, Range<usize>, Tensor<2>) -> Tensor<2>,
    ) -> Tensor<2> {
        let runs = context.adapter_runs();
        let touching = |stack: &'_ Self| stack.touches(slot);
        if let [(tokens, stack)] = runs {
            let rows = tokens.start * rows_per_token..tokens.end * rows_per_token;
            return change(touching(stack).then_some(stack), rows, y);
        }
        let [_, width] = y.dims();
        let parts = runs.iter().map(|(tokens, stack)| {
            let rows = tokens.start * rows_per_token..tokens.end * rows_per_token;
            let part = y.clone().slice([rows.clone(), 0..width]);
            change(touching(stack).then_some(stack), rows, part)
        });
        let parts: Vec<Tensor<2>> = parts.collect();
        match parts.is_empty() {
            true => y,
            false => Tensor::cat(parts, 0), // [t rows_per_token, width]
        }
    }
}
