//! Several adapters at once, each with a weight.
//!
//! Letters: `t` tokens, `i` input width, `o` output width.

use std::sync::Arc;

use burn::tensor::Tensor;

use super::AdapterSet;
use crate::nn::{Context, Linear};

/// The adapters that a text is computed with; empty is the base model.
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

    /// One more adapter, whose side path is multiplied by `weight`.
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

    /// Whether both are the same adapters with the same weights.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        let equal = |((a, u), (b, v)): (&(Arc<AdapterSet>, f64), &(Arc<AdapterSet>, f64))| {
            Arc::ptr_eq(a, b) && u == v
        };
        self.sets.len() == other.sets.len() && self.sets.iter().zip(&other.sets).all(equal)
    }

    /// Whether any adapter has weights for a slot.
    #[must_use]
    pub fn touches(&self, slot: &str) -> bool {
        self.sets.iter().any(|(set, _)| set.touches(slot))
    }

    /// The output `y` of a layer, changed for each text by its adapters.
    ///
    /// # Shapes
    ///
    /// `x [t, i]`, `y [t, o] -> [t, o]`.
    pub(crate) fn apply_all(context: &Context, layer: &Linear, x: &Tensor<2>, y: Tensor<2>) -> Tensor<2> {
        let stacks = context.adapters();
        let offsets = context.segments().offsets();
        let ([t, i], [_, o]) = (x.dims(), y.dims());
        let mut y = y;
        let mut text = 0;
        while text < stacks.len() {
            let stack = &stacks[text];
            let run = stacks[text..]
                .iter()
                .take_while(|other| stack.same(other))
                .count();
            let rows = offsets[text]..offsets[text + run];
            text += run;
            if rows.is_empty() || !stack.touches(layer.slot()) {
                continue;
            }
            let apply = |x: Tensor<2>, y: Tensor<2>| {
                let step = |y, (set, weight): &(Arc<AdapterSet>, f64)| set.apply(layer, &x, y, *weight);
                stack.sets.iter().fold(y, step)
            };
            y = if rows.len() == t {
                apply(x.clone(), y)
            } else {
                let part = y.clone().slice([rows.clone(), 0..o]);
                let part = apply(x.clone().slice([rows.clone(), 0..i]), part);
                y.slice_assign([rows, 0..o], part)
            };
        }
        y
    }
}
