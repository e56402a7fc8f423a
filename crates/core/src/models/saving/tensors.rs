//! The tensors of modules, with what adapters make of them.

use std::path::Path;

use crate::adapters::{AdapterError, AdapterStack, Module, ModuleKind};
use crate::error::{Error, Result};
use crate::weights::save::{HandOn, LazyTensor, save};
use crate::weights::{Checkpoint, FloatType, ModelFiles};

/// The tensors of one module under a path, computed when they are written. What is trained as a whole is written as it
/// is, to the last bit.
pub(in crate::models) fn module_tensors<'a>(
    module: Module<'a>,
    path: &str,
    transposed: bool,
    adapters: &'a AdapterStack,
) -> Vec<LazyTensor<'a>> {
    let dims = module.kind().dims();
    let weight = LazyTensor {
        name: format!("{path}.weight"),
        shape: match transposed {
            true => dims.iter().rev().copied().collect(),
            false => dims,
        },
        values: match module {
            Module::Linear(layer) if transposed => {
                let (o, i) = (layer.out_features(), layer.in_features());
                Box::new(move |hand_on| {
                    let mut whole = Vec::with_capacity(o * i);
                    adapters.each_merged_weight(module, &mut |rows| whole.extend_from_slice(rows));
                    turned(&whole, o, i, hand_on);
                })
            }
            _ => Box::new(move |hand_on| adapters.each_merged_weight(module, hand_on)),
        },
    };
    let width = match module.kind() {
        ModuleKind::Linear { out_features, .. } => out_features,
        ModuleKind::Norm { width, .. } => width,
        ModuleKind::Embedding { .. } => 0,
    };
    let bias = module.kind().has_bias().then(|| LazyTensor {
        name: format!("{path}.bias"),
        shape: vec![width],
        values: Box::new(move |hand_on| hand_on(&adapters.merged_bias(module).unwrap_or_default())),
    });
    std::iter::once(weight).chain(bias).collect()
}

/// Writes the weights file of a transformer: its modules, by the paths that `path` gives them, with the changes of adapters,
/// turned where `transposed` says so, and tensors of the checkpoint that no module has but a reader of the bare model may want (a pooler nobody uses here).
pub(in crate::models) fn save_modules(
    modules: &[Module<'_>],
    path: impl Fn(&str) -> String,
    transposed: impl Fn(&str) -> bool,
    adapters: &AdapterStack,
    left_over: LeftOver<'_>,
    (file, dtype): (&Path, FloatType),
) -> Result<()> {
    let mut tensors = Vec::new();
    for module in modules {
        if !module.kind().has_bias() && adapters.merged_bias(*module).is_some() {
            return Err(unexpected_bias(module.slot(), file));
        }
        let slot = module.slot();
        tensors.extend(module_tensors(*module, &path(slot), transposed(slot), adapters));
    }
    // Of a model from memory, the weights are not kept.
    let files = [Checkpoint::FILE, Checkpoint::INDEX];
    let is_there = files.iter().any(|name| left_over.files.contains(name));
    let checkpoint = is_there.then(|| left_over.files.checkpoint()).transpose()?;
    let left = left_over
        .names
        .iter()
        .filter_map(|name| Some((checkpoint.as_ref()?, name)));
    for (checkpoint, stored) in left {
        let bare = stored.strip_prefix(left_over.prefix).unwrap_or(stored);
        let is_float = checkpoint.dtype(stored).is_some_and(|dtype| dtype.contains('F'));
        if !bare.starts_with(POOLER) || !is_float {
            continue;
        }
        let shape = checkpoint.shape(stored).unwrap_or_default().to_vec();
        let values = checkpoint.read(stored, &shape)?.unwrap_or_default();
        tensors.push(LazyTensor {
            name: path(bare),
            shape,
            values: Box::new(move |hand_on| hand_on(&values)),
        });
    }
    save(file, tensors, dtype)
}

/// What a pooler's tensors are called in every family.
const POOLER: &str = "pooler.";

/// Tensors of a checkpoint that no module has, where the checkpoint can be read again.
pub(in crate::models) struct LeftOver<'a> {
    pub(in crate::models) files: &'a ModelFiles,
    pub(in crate::models) names: &'a [String],
    /// The prefix of the bare model's tensors in the family.
    pub(in crate::models) prefix: &'a str,
}

/// The error of a layer that got a bias from an adapter.
pub(in crate::models) fn unexpected_bias(slot: &str, folder: &Path) -> Error {
    Error::Adapter {
        path: folder.to_owned(),
        source: AdapterError::NotWritable {
            reason: format!(
                "{slot} has a bias, which the architecture has no place for; keep the adapter beside the base"
            ),
        },
    }
}

/// Hands on a matrix `[o, i]` as `[i, o]`.
fn turned(matrix: &[f32], o: usize, i: usize, hand_on: HandOn<'_>) {
    let mut line = Vec::with_capacity(o);
    for column in 0..i {
        line.clear();
        line.extend((0..o).map(|row| matrix[row * i + column]));
        hand_on(&line);
    }
}
