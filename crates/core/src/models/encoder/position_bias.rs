//! A learned bias on attention scores by the distance between two tokens (Raffel et al. 2020, arXiv:1910.10683, section
//! 2.1; numbers as transformers 5.23, `modeling_mpnet.py`, `relative_position_bucket`).
//!
//! Letters: `a` heads, `m` side of the bias.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use burn::tensor::Tensor;

use super::EncoderConfig;
use crate::adapters::{AdapterStack, Module};
use crate::error::Result;
use crate::nn::{Context, Embedding, Segments};
use crate::weights::Loader;

/// Buckets of both directions together; fixed in the reference, whatever the table's length.
pub(super) const NUM_BUCKETS: usize = 32;
/// Distances beyond this one share the last bucket.
const MAX_DISTANCE: f64 = 128.0;
/// Sides are rounded up to a multiple of this, so that few are computed.
const SIDE_STEP: usize = 64;

/// The table, and the bias of the longest text so far.
#[derive(Debug)]
pub(super) struct PositionBias {
    relative_attention_bias: Embedding,
    computed: Mutex<Option<Tensor<3>>>,
}

impl PositionBias {
    pub(super) fn load(config: &EncoderConfig, rows: usize, loader: &Loader<'_>) -> Result<Self> {
        let slot = "encoder.relative_attention_bias";
        let weight = loader.tensor(&format!("{slot}.weight"), [rows, config.num_attention_heads])?;
        Ok(Self {
            relative_attention_bias: Embedding::new(slot, weight),
            computed: Mutex::new(None),
        })
    }

    /// A bias whose side reaches texts of `longest` tokens.
    ///
    /// # Shapes
    /// `-> [a, m, m]`, `m >= longest`.
    pub(super) fn forward(&self, longest: usize) -> Result<Tensor<3>> {
        let fits = |bias: &&Tensor<3>| bias.dims()[1] >= longest;
        // Not held while computing: a thread of rayon's pool that waits may take up another batch, which comes here too.
        let computed = || self.computed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bias) = computed().as_ref().filter(fits) {
            return Ok(bias.clone());
        }
        let m = longest.next_multiple_of(SIDE_STEP);
        let a = self.relative_attention_bias.embedding_dim();
        let bias = self
            .relative_attention_bias
            .forward(&buckets(m))? // [m m, a]
            .transpose()
            .reshape([a, m, m]);
        let mut computed = computed();
        match computed.as_ref().filter(fits) {
            Some(bias) => Ok(bias.clone()),
            None => Ok(computed.insert(bias).clone()),
        }
    }

    /// The bias of each run of texts with the same adapters, where adapters change it; `None` where they do not. Rows of
    /// heads, so that it flows with the hidden states.
    ///
    /// # Shapes
    /// `-> [a m, m]` of each run.
    pub(super) fn forward_adapted(&self, context: &Context) -> Result<Option<Vec<Tensor<2>>>> {
        let table = &self.relative_attention_bias;
        if !context.adapts(table.slot()) {
            return Ok(None);
        }
        let m = context.segments().longest().next_multiple_of(SIDE_STEP);
        let buckets = buckets(m);
        let bias = |(_, stack): &(Range<usize>, AdapterStack)| {
            let alone =
                Context::new(Segments::from_lengths([buckets.len()])).with_adapters(vec![stack.clone()]);
            let rows = table.forward_adapted(&buckets, &alone)?; // [m m, a]
            Ok(rows.transpose().reshape([table.embedding_dim() * m, m]))
        };
        context
            .adapter_runs()
            .iter()
            .map(bias)
            .collect::<Result<_>>()
            .map(Some)
    }

    /// The bias as attention takes it.
    ///
    /// # Shapes
    /// `[a m, m] -> [a, m, m]`.
    pub(super) fn unfold(&self, bias: Tensor<2>) -> Tensor<3> {
        let [_, m] = bias.dims();
        bias.reshape([self.relative_attention_bias.embedding_dim(), m, m])
    }

    /// The table as adapters see it.
    pub(super) fn module(&self) -> Module<'_> {
        Module::Embedding(&self.relative_attention_bias)
    }
}

/// The buckets of all pairs of `m` positions, row by row.
fn buckets(m: usize) -> Vec<u32> {
    (0..m * m).map(|at| bucket(at / m, at % m)).collect()
}

/// The bucket of a query at position `i` and a key at position `j`: exact for near ones, logarithmic for far ones, and
/// keys behind the query in the upper half.
fn bucket(i: usize, j: usize) -> u32 {
    const HALF: usize = NUM_BUCKETS / 2;
    const EXACT: usize = HALF / 2;
    let distance = i.abs_diff(j);
    let within = if distance < EXACT {
        distance
    } else {
        // In f32, as the reference computes it.
        let share = (distance as f32 / EXACT as f32).ln() / (MAX_DISTANCE / EXACT as f64).ln() as f32;
        (EXACT + (share * (HALF - EXACT) as f32) as usize).min(HALF - 1)
    };
    (within + if j > i { HALF } else { 0 }) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with `MPNetEncoder.relative_position_bucket(torch.tensor([...]))` of transformers 5.23.
    #[test]
    fn buckets_equal_the_reference() {
        let relative = [
            0i64, 1, -1, 7, -7, 8, -8, 15, 16, -16, 31, 32, -32, 63, 64, -64, 127, 128, -500,
        ];
        let expected = [
            0, 17, 1, 23, 7, 24, 8, 25, 26, 10, 27, 28, 12, 29, 30, 14, 31, 31, 15,
        ];
        let found = relative.map(|r| bucket(1000, (1000 + r) as usize));
        assert_eq!(found, expected);
    }
}
