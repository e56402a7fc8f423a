//! A number for all that a run learns from.

use ragtune_core::adapters::{AdapterBase, Module};
use rayon::prelude::*;

use crate::objective::Objective;

/// The BLAKE3 sum, in hexadecimal digits, of all examples of some sets as the objective tells them apart: two runs with the
/// same sum learn from the same tokens.
pub fn fingerprint<O: Objective>(objective: &O, sets: &[&[O::Example]]) -> String {
    let mut hasher = blake3::Hasher::new();
    for set in sets {
        hasher.update(&set.len().to_le_bytes());
        for example in *set {
            let mut parts = blake3::Hasher::new();
            objective.digest(example, &mut |bytes| {
                parts.update(bytes);
            });
            hasher.update(parts.finalize().as_bytes());
        }
    }
    hasher.finalize().to_hex().to_string()
}

/// The BLAKE3 sum, in hexadecimal digits, of all weights of a model with the names of their modules, as they are computed
/// with: two models with the same sum are the same, whatever files they came from. It reads every weight once.
pub fn weights_fingerprint(base: &dyn AdapterBase) -> String {
    let modules = base.modules();
    let sum = |module: &Module<'_>| {
        let mut hasher = blake3::Hasher::new();
        hasher.update(module.slot().as_bytes());
        let mut bytes = Vec::new();
        module.each_value(&mut |values| {
            bytes.clear();
            bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            hasher.update(&bytes);
        });
        hasher.finalize()
    };
    let sums: Vec<blake3::Hash> = modules.par_iter().map(sum).collect();
    let mut hasher = blake3::Hasher::new();
    for sum in sums {
        hasher.update(sum.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}
