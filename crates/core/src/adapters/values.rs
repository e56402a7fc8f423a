//! The numbers of a module, some rows at a time: no copy of a whole table is made.

use super::base::Module;
use super::merge::values;

/// Numbers that are handed on at once: 1 MiB of them.
const BLOCK: usize = 1 << 18;

impl Module<'_> {
    /// Hands on all numbers of the module, of the weight in the order of checkpoints and of the bias behind it, some rows
    /// at a time; what is kept rounded is decoded. Written this way, a model needs no memory beside itself.
    ///
    /// ```
    /// use burn::tensor::Tensor;
    /// use ragtune_core::adapters::Module;
    /// use ragtune_core::{device, nn::Linear};
    ///
    /// let device = device::cpu();
    /// let weight = Tensor::<2>::from_floats([[1.0, 2.0], [3.0, 4.0]], &device);
    /// let layer = Linear::new("out", weight, Some(Tensor::from_floats([5.0, 6.0], &device)))?;
    /// let mut all = Vec::new();
    /// Module::Linear(&layer).each_value(&mut |part| all.extend_from_slice(part));
    /// assert_eq!(all, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    /// # Ok::<(), ragtune_core::Error>(())
    /// ```
    pub fn each_value(&self, hand_on: &mut dyn FnMut(&[f32])) {
        self.each_weight(hand_on);
        match self {
            Module::Linear(layer) => {
                if let Some(bias) = layer.bias() {
                    hand_on(&values(bias.clone()));
                }
            }
            Module::LayerNorm(norm) => hand_on(&values(norm.bias().clone())),
            Module::Embedding(_) | Module::RmsNorm(_) => {}
        }
    }

    /// The numbers of the weight alone.
    pub(crate) fn each_weight(&self, hand_on: &mut dyn FnMut(&[f32])) {
        match self {
            Module::Linear(layer) => {
                let weight = layer.linear_weight();
                in_blocks(weight.dims(), |ids| hand_on(&values(weight.rows(ids))));
            }
            Module::Embedding(table) => {
                let dims = [table.num_embeddings(), table.embedding_dim()];
                in_blocks(dims, |ids| hand_on(&values(table.rows(ids))));
            }
            Module::RmsNorm(norm) => hand_on(&values(norm.weight().clone())),
            Module::LayerNorm(norm) => hand_on(&values(norm.weight().clone())),
        }
    }
}

/// Calls with the numbers of all rows, as many at a time as have so many numbers.
fn in_blocks([rows, width]: [usize; 2], take: impl FnMut(&[u32])) {
    let many = (BLOCK / width.max(1)).max(1);
    let ids: Vec<u32> = (0..u32::try_from(rows).unwrap_or(u32::MAX)).collect();
    ids.chunks(many).for_each(take);
}
