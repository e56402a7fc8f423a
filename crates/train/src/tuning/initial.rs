//! Trained weights before the first step.

use burn::tensor::{Device, Tensor, TensorData};
use ragtune_core::adapters::Module;

use super::{Parameter, Part};
use crate::batch::{Purpose, Random};

/// A part of a module as it is in the base.
pub(super) fn whole(module: Module<'_>, part: Part) -> Option<Parameter> {
    let flat = |matrix: Tensor<2>| {
        let dims = matrix.dims();
        (dims.to_vec(), matrix.reshape([dims[0] * dims[1]]))
    };
    let vector = |vector: &Tensor<1>| (vector.dims().to_vec(), vector.clone());
    let is_norm = matches!(module, Module::RmsNorm(_) | Module::LayerNorm(_));
    let (dims, values) = match (module, part) {
        (Module::Linear(layer), Part::Weight) => flat(layer.weight()),
        (Module::Linear(layer), Part::Bias) => vector(layer.bias()?),
        (Module::Embedding(table), Part::Weight) => flat(table.weight()),
        (Module::RmsNorm(norm), Part::Weight) => vector(norm.weight()),
        (Module::LayerNorm(norm), Part::Weight) => vector(norm.weight()),
        (Module::LayerNorm(norm), Part::Bias) => vector(norm.bias()),
        _ => return None,
    };
    Some(Parameter {
        slot: module.slot().to_owned(),
        part,
        dims,
        values,
        decays: part == Part::Weight && !is_norm,
        rate: 1.0,
    })
}

/// The first matrix of an update: evenly spread within `1 / sqrt(width)`, which is Kaiming's uniform initialisation with
/// `a = sqrt(5)` (PEFT 0.21, `tuners/lora/layer.py`). Of a table of embeddings it is 0, and the second is normal.
pub(super) fn first(slot: &str, dims: [usize; 2], seed: u64, device: &Device) -> Parameter {
    spread(slot, Part::LoraA, dims, seed, device)
}

/// A matrix evenly spread within `1 / sqrt(width)`.
pub(super) fn spread(slot: &str, which: Part, dims: [usize; 2], seed: u64, device: &Device) -> Parameter {
    #[allow(clippy::cast_precision_loss, reason = "layers are far narrower than 2^24")]
    let bound = 1.0 / (dims[1] as f32).sqrt();
    let mut random = Random::of(seed, Purpose::Initialisation, part(slot));
    let values = (0..dims[0] * dims[1]).map(|_| (2.0 * random.next_f32() - 1.0) * bound);
    parameter(slot, which, &dims, values.collect(), device)
}

/// The second matrix of an update of a table, from the normal distribution.
pub(super) fn normal(slot: &str, dims: [usize; 2], seed: u64, device: &Device) -> Parameter {
    let mut random = Random::of(seed, Purpose::Initialisation, part(slot));
    #[allow(clippy::cast_possible_truncation, reason = "weights are f32")]
    let values = (0..dims[0] * dims[1]).map(|_| random.next_normal() as f32);
    parameter(slot, Part::LoraB, &dims, values.collect(), device)
}

/// A weight of equal components.
pub(super) fn constant(slot: &str, which: Part, dims: &[usize], value: f32, device: &Device) -> Parameter {
    parameter(slot, which, dims, vec![value; dims.iter().product()], device)
}

/// A weight of given components.
pub(super) fn parameter(
    slot: &str,
    which: Part,
    dims: &[usize],
    values: Vec<f32>,
    device: &Device,
) -> Parameter {
    let count = values.len();
    Parameter {
        slot: slot.to_owned(),
        part: which,
        dims: dims.to_vec(),
        values: Tensor::from_data(TensorData::new(values, [count]), device),
        decays: true,
        rate: 1.0,
    }
}

/// A number for a slot, the same in every run and on every machine.
pub(super) fn part(slot: &str) -> u64 {
    let hash = blake3::hash(slot.as_bytes());
    hash.as_bytes()[..7]
        .iter()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}
