//! A set that changes every weight of a model.

use ragtune_core::adapters::{AdapterBase, AdapterSet, EmbeddingChange, LinearChange, Module, NormChange};
use ragtune_core::kernels::LinearWeight;

/// A set that changes every weight of a model.
pub fn everything(base: &impl AdapterBase) -> AdapterSet {
    base.modules()
        .into_iter()
        .fold(AdapterSet::new(), |set, module| match module {
            Module::Linear(layer) => {
                let change = LinearChange {
                    weight: Some(LinearWeight::new(layer.weight() * 1.1 + 0.01)),
                    bias: layer.bias().map(|bias| bias.clone() * 0.9 - 0.01),
                    ..LinearChange::default()
                };
                set.with_linear(layer.slot(), change)
            }
            Module::Embedding(table) => {
                let weight = Some(table.weight() * 0.9 + 0.01);
                set.with_embedding(
                    table.slot(),
                    EmbeddingChange {
                        weight,
                        ..EmbeddingChange::default()
                    },
                )
            }
            Module::LayerNorm(norm) => {
                let (weight, bias) = (norm.weight().clone() * 0.8, norm.bias().clone() + 0.1);
                set.with_norm(
                    norm.slot(),
                    NormChange {
                        weight: Some(weight),
                        bias: Some(bias),
                    },
                )
            }
            Module::RmsNorm(norm) => {
                let weight = Some(norm.weight().clone() * 0.9);
                set.with_norm(norm.slot(), NormChange { weight, bias: None })
            }
            other => panic!("{other:?}"),
        })
}
