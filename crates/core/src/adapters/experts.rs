//! Updates of all experts of a layer in one pair of matrices, as PEFT 0.21 saves them for Mixtral in transformers 5
//! (`target_parameters`; `tuners/lora/layer.py`, `ParamWrapper`).
//!
//! transformers keeps the experts of a layer in two stacked parameters, `gate_up_proj` and `down_proj`; our base has a
//! linear layer for each matrix of each expert, as checkpoints do. A pair for a stacked parameter holds those of the
//! experts side by side: the first matrix expert by expert, the second rank by rank.
//!
//! Letters: `e` experts, `r` rank of one expert's update, `i` input width, `o` output width.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};

use super::base::ModuleShapes;
use super::{AdapterSet, LowRank};

/// Between a layer's path and its experts, in checkpoints and in transformers 5.
const STORED: &str = ".block_sparse_moe.experts.";
const STACKED: &str = ".mlp.experts";
/// The same for the router.
const STORED_ROUTER: &str = ".block_sparse_moe.gate";
const STACKED_ROUTER: &str = ".mlp.gate";

/// The experts of one layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Experts {
    /// The layer's path.
    layer: String,
    experts: usize,
    hidden: usize,
    intermediate: usize,
}

/// A parameter of transformers 5 that stands for many layers of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stacked {
    GateUp,
    Down,
}

impl Experts {
    /// The layers with experts that a base has.
    pub(super) fn of(shapes: &ModuleShapes) -> Vec<Self> {
        let mut layers: BTreeMap<&str, Self> = BTreeMap::new();
        for (slot, shape) in shapes.iter() {
            let Some((layer, inside)) = slot.split_once(STORED) else {
                continue;
            };
            let [intermediate, hidden] = shape.kind.dims2();
            if inside.ends_with(".w1") {
                let found = layers.entry(layer).or_insert_with(|| Self {
                    layer: layer.to_owned(),
                    experts: 0,
                    hidden,
                    intermediate,
                });
                found.experts += 1;
            }
        }
        layers.into_values().collect()
    }

    /// The module that holds the stacked parameters.
    pub(super) fn module(&self) -> String {
        format!("{}{STACKED}", self.layer)
    }

    /// The path of a stacked parameter, which patterns are compared with.
    pub(super) fn path(&self, which: Stacked) -> String {
        match which {
            Stacked::GateUp => format!("{}.gate_up_proj", self.module()),
            Stacked::Down => format!("{}.down_proj", self.module()),
        }
    }

    /// The path of the router's weight, and the slots of the router here and in transformers 5.
    pub(super) fn router(&self) -> (String, String, String) {
        let stacked = format!("{}{STACKED_ROUTER}", self.layer);
        (
            format!("{stacked}.weight"),
            format!("{}{STORED_ROUTER}", self.layer),
            stacked,
        )
    }

    /// `[o, i]` of one expert's part of a stacked parameter.
    pub(super) fn dims(&self, which: Stacked) -> [usize; 2] {
        match which {
            Stacked::GateUp => [2 * self.intermediate, self.hidden],
            Stacked::Down => [self.hidden, self.intermediate],
        }
    }

    /// The shapes of the pair of a stacked parameter, for a rank of each expert.
    ///
    /// # Shapes
    /// `-> [e r, i], [o, r e]`.
    pub(super) fn pair_dims(&self, which: Stacked, rank: usize) -> [[usize; 2]; 2] {
        let [o, i] = self.dims(which);
        [[self.experts * rank, i], [o, rank * self.experts]]
    }

    /// Divides the pair of a stacked parameter among the experts' layers, which it gives with their pairs.
    ///
    /// # Shapes
    /// `a [e r, i]`, `b [o, r e]`.
    pub(super) fn split(
        &self,
        which: Stacked,
        rank: usize,
        scaling: f64,
        (a, b): (&[f32], &[f32]),
        device: &Device,
    ) -> Vec<(String, LowRank)> {
        let ([o, i], e) = (self.dims(which), self.experts);
        let tensor = |values: Vec<f32>, shape: [usize; 2]| {
            Tensor::<2>::from_data(TensorData::new(values, shape), device)
        };
        let mut pairs = Vec::new();
        for expert in 0..e {
            let a = &a[expert * rank * i..(expert + 1) * rank * i]; // [r, i]
            for (name, rows) in parts(which, o) {
                let column = |row: usize, k: usize| b[row * rank * e + k * e + expert];
                let first = rows.start;
                let count = rows.len();
                let b: Vec<f32> = rows
                    .flat_map(|row| (0..rank).map(move |k| (row, k)))
                    .map(|(row, k)| column(row, k))
                    .collect();
                debug_assert!(first + count <= o);
                let pair = LowRank::new(tensor(a.to_vec(), [rank, i]), tensor(b, [count, rank]), scaling);
                pairs.push((self.slot(expert, name), pair));
            }
        }
        pairs
    }

    /// The pair of a stacked parameter, where a set has one that can be written so: a plain update of every expert, of
    /// one rank and scaling, with one first matrix for `w1` and `w3`.
    ///
    /// # Shapes
    /// `-> a [e r, i], b [o, r e]`, rank and scaling.
    pub(super) fn join(&self, which: Stacked, set: &AdapterSet) -> Option<(Vec<f32>, Vec<f32>, usize, f64)> {
        let ([o, i], e) = (self.dims(which), self.experts);
        let names = parts(which, o);
        let pair = |expert: usize, name: &str| {
            let change = set.linear(&self.slot(expert, name))?;
            let plain = change.weight.is_none() && change.bias.is_none() && change.rescaling.is_none();
            let pair = change.low_rank.as_ref().filter(|_| plain)?;
            (pair.bias().is_none() && pair.magnitude().is_none()).then_some(pair)
        };
        let first = pair(0, names.first()?.0)?;
        let (rank, scaling) = (first.rank(), first.scaling());
        let mut a = Vec::with_capacity(e * rank * i);
        let mut b = vec![0.0; o * rank * e];
        for expert in 0..e {
            let mut shared: Option<Vec<f32>> = None;
            for (name, rows) in parts(which, o) {
                let pair = pair(expert, name)?;
                if pair.rank() != rank || pair.scaling().to_bits() != scaling.to_bits() {
                    return None;
                }
                let own = values(pair.a());
                match &shared {
                    None => shared = Some(own),
                    Some(shared) if *shared == own => {}
                    Some(_) => return None,
                }
                let own = values(pair.b()); // [rows, r]
                for (row, own) in rows.zip(own.chunks_exact(rank)) {
                    for (k, value) in own.iter().enumerate() {
                        b[row * rank * e + k * e + expert] = *value;
                    }
                }
            }
            a.extend(shared?);
        }
        Some((a, b, rank, scaling))
    }

    /// The slots of all layers that a stacked parameter stands for.
    pub(super) fn slots(&self, which: Stacked) -> Vec<String> {
        let [o, _] = self.dims(which);
        let names = parts(which, o);
        (0..self.experts)
            .flat_map(|expert| names.iter().map(move |(name, _)| self.slot(expert, name)))
            .collect()
    }

    fn slot(&self, expert: usize, name: &str) -> String {
        format!("{}{STORED}{expert}.{name}", self.layer)
    }
}

/// Whether an entry of `target_parameters` names a parameter.
pub(super) fn names(entry: &str, path: &str) -> bool {
    path.strip_suffix(entry)
        .is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

/// The layers of an expert that a stacked parameter stands for, with their rows in it.
fn parts(which: Stacked, o: usize) -> Vec<(&'static str, std::ops::Range<usize>)> {
    match which {
        Stacked::GateUp => vec![("w1", 0..o / 2), ("w3", o / 2..o)],
        Stacked::Down => vec![("w2", 0..o)],
    }
}

fn values(tensor: Tensor<2>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}
