//! The weights of one adapter, by slot.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use burn::tensor::Tensor;

use super::base::{AdapterBase, ModuleKind, ModuleShapes};
use super::{
    AdapterConfig, AdapterError, Bottleneck, EmbeddingChange, LinearChange, LowRank, LowRankEmbedding,
    NormChange,
};
use crate::error::{Error, Result};
use crate::kernels::LinearWeight;

/// What was trained beside one base model.
///
/// A set belongs to the shapes of its base, not to one copy of it: any number of sets is used beside one base, and a
/// set is shared by an `Arc`.
///
/// # Example
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use burn::tensor::Tensor;
/// use std::sync::Arc;
/// use ragtune_core::adapters::{AdapterSet, AdapterStack, LowRank};
/// use ragtune_core::{device, nn::{Context, Linear, Segments}};
///
/// let device = device::cpu();
/// let layer = Linear::new("q_proj", Tensor::from_floats([[1.0, 2.0]], &device), None)?;
/// let (a, b) = (Tensor::from_floats([[0.0, 1.0]], &device), Tensor::from_floats([[3.0]], &device));
/// let set = Arc::new(AdapterSet::new().with_low_rank("q_proj", LowRank::new(a, b, 2.0)));
///
/// // Two texts of one token each: the first with the adapter, the second without.
/// let context = Context::new(Segments::from_lengths([1, 1]))
///     .with_adapters(vec![AdapterStack::base().with(set, 1.0), AdapterStack::base()]);
/// let y = layer.forward(Tensor::ones([2, 2], &device), &context);
/// assert_eq!(y.into_data().try_to_vec::<f32>().unwrap(), [9.0, 3.0]);
/// # }
/// # Ok::<(), ragtune_core::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct AdapterSet {
    config: AdapterConfig,
    linears: BTreeMap<String, LinearChange>,
    embeddings: BTreeMap<String, EmbeddingChange>,
    norms: BTreeMap<String, NormChange>,
    bottlenecks: BTreeMap<String, Bottleneck>,
    /// The shapes that the set was checked against.
    pub(super) base: Option<Arc<ModuleShapes>>,
}

impl AdapterSet {
    /// A set without weights.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What `adapter_config.json` says besides the weights.
    #[must_use]
    pub fn with_config(mut self, config: AdapterConfig) -> Self {
        self.config = config;
        self
    }

    /// Adds the pair of a linear layer.
    #[must_use]
    pub fn with_low_rank(mut self, slot: impl Into<String>, pair: LowRank) -> Self {
        self.linear_mut(slot).low_rank = Some(pair);
        self
    }

    /// Adds the pair of a table of embeddings.
    #[must_use]
    pub fn with_low_rank_embedding(mut self, slot: impl Into<String>, pair: LowRankEmbedding) -> Self {
        self.embedding_mut(slot).low_rank = Some(pair);
        self
    }

    /// Sets all that happens to a linear layer.
    #[must_use]
    pub fn with_linear(mut self, slot: impl Into<String>, change: LinearChange) -> Self {
        *self.linear_mut(slot) = change;
        self
    }

    /// Sets all that happens to a table of embeddings.
    #[must_use]
    pub fn with_embedding(mut self, slot: impl Into<String>, change: EmbeddingChange) -> Self {
        *self.embedding_mut(slot) = change;
        self
    }

    /// Sets all that happens to a norm.
    #[must_use]
    pub fn with_norm(mut self, slot: impl Into<String>, change: NormChange) -> Self {
        *self.norm_mut(slot) = change;
        self
    }

    /// Sets the bottleneck behind a sublayer.
    #[must_use]
    pub fn with_bottleneck(mut self, slot: impl Into<String>, bottleneck: Bottleneck) -> Self {
        self.bottlenecks.insert(slot.into(), bottleneck);
        self
    }

    /// Notes the base that the set is for, after a check that it has every module that the set changes, in its shape.
    ///
    /// # Errors
    ///
    /// [`Error::Adapter`] names the module that does not fit.
    pub fn beside(mut self, base: &(impl AdapterBase + ?Sized)) -> Result<Self> {
        let shapes = base.module_shapes();
        self.check(shapes).map_err(|source| Error::Adapter {
            path: PathBuf::from("in memory"),
            source,
        })?;
        self.base = Some(Arc::clone(shapes));
        Ok(self)
    }

    /// What `adapter_config.json` says.
    #[must_use]
    pub fn config(&self) -> &AdapterConfig {
        &self.config
    }

    /// The linear layers that are changed, by slot.
    pub fn linears(&self) -> impl ExactSizeIterator<Item = (&str, &LinearChange)> {
        self.linears.iter().map(|(slot, change)| (slot.as_str(), change))
    }

    /// The tables of embeddings that are changed, by slot.
    pub fn embeddings(&self) -> impl ExactSizeIterator<Item = (&str, &EmbeddingChange)> {
        self.embeddings
            .iter()
            .map(|(slot, change)| (slot.as_str(), change))
    }

    /// The norms that are changed, by slot.
    pub fn norms(&self) -> impl ExactSizeIterator<Item = (&str, &NormChange)> {
        self.norms.iter().map(|(slot, change)| (slot.as_str(), change))
    }

    /// The bottlenecks behind sublayers, by slot.
    pub fn bottlenecks(&self) -> impl ExactSizeIterator<Item = (&str, &Bottleneck)> {
        self.bottlenecks
            .iter()
            .map(|(slot, bottleneck)| (slot.as_str(), bottleneck))
    }

    /// Sets the rows of virtual tokens beside the table of words at a slot.
    ///
    /// # Shapes
    ///
    /// `rows [n, h]`.
    #[must_use]
    pub fn with_prompt(mut self, slot: impl Into<String>, rows: Tensor<2>) -> Self {
        self.embedding_mut(slot).prompt = Some(rows);
        self
    }

    /// Whether the set can be folded into the base's weights.
    #[must_use]
    pub fn is_mergeable(&self) -> bool {
        self.bottlenecks.is_empty() && self.prompt().is_none()
    }

    /// The part of the set that can be folded into the base's weights: all but bottlenecks and prompts.
    #[must_use]
    pub fn mergeable(&self) -> Self {
        let mut set = self.clone();
        set.bottlenecks.clear();
        for change in set.embeddings.values_mut() {
            change.prompt = None;
        }
        set
    }

    /// Whether the set has weights for a slot.
    #[must_use]
    pub fn touches(&self, slot: &str) -> bool {
        self.linears.contains_key(slot)
            || self.embeddings.contains_key(slot)
            || self.norms.contains_key(slot)
            || self.bottlenecks.contains_key(slot)
    }

    /// Number of weights of the set.
    #[must_use]
    pub fn parameters(&self) -> usize {
        let vector = |part: &Option<Tensor<1>>| part.as_ref().map_or(0, |part| part.dims()[0]);
        let area = |[rows, columns]: [usize; 2]| rows * columns;
        let pair = |[o, i]: [usize; 2], rank: usize, magnitude: Option<&Tensor<1>>| {
            rank * (o + i) + magnitude.map_or(0, |magnitude| magnitude.dims()[0])
        };
        let linears = self.linears.values().map(|change| {
            let rescaling = match &change.rescaling {
                Some(super::Rescaling::Input(factor) | super::Rescaling::Output(factor)) => factor.dims()[0],
                None => 0,
            };
            let low_rank = change.low_rank.as_ref().map_or(0, |low_rank| {
                pair(low_rank.dims(), low_rank.rank(), low_rank.magnitude())
                    + vector(&low_rank.bias().cloned())
            });
            let weight = change.weight.as_ref().map_or(0, |weight| area(weight.dims()));
            weight + vector(&change.bias) + low_rank + rescaling
        });
        let embeddings = self.embeddings.values().map(|change| {
            let low_rank = change.low_rank.as_ref();
            change.weight.as_ref().map_or(0, |weight| area(weight.dims()))
                + change.prompt.as_ref().map_or(0, |prompt| area(prompt.dims()))
                + low_rank.map_or(0, |low_rank| {
                    pair(low_rank.dims(), low_rank.rank(), low_rank.magnitude())
                })
        });
        let norms = self
            .norms
            .values()
            .map(|change| vector(&change.weight) + vector(&change.bias));
        let bottlenecks = self.bottlenecks.values().map(Bottleneck::parameters);
        linears.sum::<usize>() + embeddings.sum::<usize>() + norms.sum::<usize>() + bottlenecks.sum::<usize>()
    }

    /// Whether a base has every module that the set changes, in the shape that it changes.
    ///
    /// # Errors
    ///
    /// [`AdapterError::MissingModule`] and [`AdapterError::Shape`].
    pub(crate) fn check(&self, base: &Arc<ModuleShapes>) -> Result<(), AdapterError> {
        if self.base.as_ref().is_some_and(|known| Arc::ptr_eq(known, base)) {
            return Ok(());
        }
        let fits = |slot: &str, found: ModuleKind| {
            let shape = base.require(slot)?;
            match shape.kind.same_size(found) {
                true => Ok(()),
                false => Err(AdapterError::Shape {
                    tensor: format!("the weights for {slot}"),
                    expected: shape.kind.dims(),
                    found: found.dims(),
                }),
            }
        };
        for (slot, change) in &self.linears {
            let weight = change.weight.as_ref().map(LinearWeight::dims);
            let pair = change.low_rank.as_ref().map(LowRank::dims);
            for dims in [weight, pair].into_iter().flatten() {
                fits(slot, ModuleKind::linear(dims))?;
            }
            let kind = base.require(slot)?.kind;
            let (ModuleKind::Linear { out_features, .. }, [.., i]) = (kind, kind.dims2()) else {
                return fits(slot, ModuleKind::linear([0, 0]));
            };
            let output = change.bias.as_ref().map(|bias| (bias.dims()[0], out_features));
            let rescaled = change.rescaling.as_ref().map(|rescaling| match rescaling {
                super::Rescaling::Input(factor) => (factor.dims()[0], i),
                super::Rescaling::Output(factor) => (factor.dims()[0], out_features),
            });
            for (found, expected) in [output, rescaled].into_iter().flatten() {
                if found != expected {
                    return Err(AdapterError::Shape {
                        tensor: format!("the vector for {slot}"),
                        expected: vec![expected],
                        found: vec![found],
                    });
                }
            }
        }
        for (slot, change) in &self.embeddings {
            let weight = change.weight.as_ref().map(Tensor::dims);
            let pair = change.low_rank.as_ref().map(LowRankEmbedding::dims);
            for [rows, width] in [weight, pair].into_iter().flatten() {
                fits(slot, ModuleKind::Embedding { rows, width })?;
            }
        }
        for (slot, change) in &self.embeddings {
            let Some(prompt) = &change.prompt else {
                continue;
            };
            let [rows, found] = prompt.dims();
            if base.words().is_none_or(|(words, _)| words != slot) {
                return Err(AdapterError::NoWords { slot: slot.clone() });
            }
            let width = base.require(slot)?.kind.dims2()[1];
            if rows == 0 || found != width {
                return Err(AdapterError::Shape {
                    tensor: "the prompt's rows".to_owned(),
                    expected: vec![rows.max(1), width],
                    found: vec![rows, found],
                });
            }
        }
        for (slot, change) in &self.norms {
            for part in [&change.weight, &change.bias].into_iter().flatten() {
                let [width] = part.dims();
                fits(slot, ModuleKind::Norm { width, bias: false })?;
            }
        }
        for (slot, bottleneck) in &self.bottlenecks {
            let width = base.require_sublayer(slot)?.width;
            if !bottleneck.is_whole() || bottleneck.hidden() != width {
                return Err(AdapterError::Shape {
                    tensor: format!("the bottleneck for {slot}"),
                    expected: vec![bottleneck.width(), width],
                    found: vec![bottleneck.width(), bottleneck.hidden()],
                });
            }
        }
        Ok(())
    }

    /// The rows of virtual tokens, with the slot of the table that they stand beside.
    #[must_use]
    pub fn prompt(&self) -> Option<(&str, &Tensor<2>)> {
        let mut prompts = self.embeddings();
        prompts.find_map(|(slot, change)| Some((slot, change.prompt.as_ref()?)))
    }

    pub(super) fn bottleneck(&self, slot: &str) -> Option<&Bottleneck> {
        self.bottlenecks.get(slot)
    }

    pub(super) fn linear(&self, slot: &str) -> Option<&LinearChange> {
        self.linears.get(slot)
    }

    pub(super) fn embedding(&self, slot: &str) -> Option<&EmbeddingChange> {
        self.embeddings.get(slot)
    }

    pub(super) fn norm(&self, slot: &str) -> Option<&NormChange> {
        self.norms.get(slot)
    }

    pub(super) fn linear_mut(&mut self, slot: impl Into<String>) -> &mut LinearChange {
        self.linears.entry(slot.into()).or_default()
    }

    pub(super) fn embedding_mut(&mut self, slot: impl Into<String>) -> &mut EmbeddingChange {
        self.embeddings.entry(slot.into()).or_default()
    }

    pub(super) fn norm_mut(&mut self, slot: impl Into<String>) -> &mut NormChange {
        self.norms.entry(slot.into()).or_default()
    }
}
