//! Folding adapters into the weights of a model, and taking them out again.

use std::sync::Arc;

use burn::tensor::Tensor;

use super::base::{AdapterBase, Module, ModuleMut};
use super::{AdapterStack, LinearChange};
use crate::error::Result;
use crate::kernels::LinearWeight;
use crate::models::{CausalLm, Decoder};
use crate::nn::{Embedding, LayerNorm, Linear, RmsNorm};
use crate::weights::Precision;

/// What was folded into a model; [`CausalLm::unmerge`] takes it out again.
///
/// It keeps the original of what cannot be computed back: whole weights, norms, tables of embeddings, and weights that
/// are rounded. Of the rest it keeps nothing but the adapters.
#[derive(Debug)]
#[must_use = "without it the model cannot be unmerged"]
pub struct Merge {
    stack: AdapterStack,
    tied: bool,
    /// The changed modules in the order of the model.
    originals: Vec<Original>,
}

#[derive(Debug)]
enum Original {
    /// Computed back from the merged weight.
    LowRank,
    Linear(Linear),
    Embedding(Embedding),
    RmsNorm(RmsNorm),
    LayerNorm(LayerNorm),
}

impl CausalLm {
    /// Folds adapters into the weights, so that the model computes with them at no cost. Weights that they do not
    /// change stay shared with clones of the model; those that they change are f32, also where the model's are rounded.
    ///
    /// ```no_run
    /// # fn of(lm: &ragtune_core::models::CausalLm) -> ragtune_core::Result<()> {
    /// use std::sync::Arc;
    /// use ragtune_core::adapters::{AdapterSet, AdapterStack};
    ///
    /// let set = Arc::new(AdapterSet::load("adapters/style", lm)?);
    /// let mut merged = lm.clone(); // shares all weights
    /// let merge = merged.merge(&AdapterStack::base().with(set, 1.0))?;
    /// merged.unmerge(merge)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`crate::Error::Adapter`] when an adapter is for another base, [`crate::Error::InvalidArgument`] for the weight of an
    /// adapter that is not finite in f32.
    pub fn merge(&mut self, stack: &AdapterStack) -> Result<Merge> {
        self.decoder_mut().merge(stack)
    }

    /// Takes out what was folded in last: low-rank updates are subtracted, which restores weights up to rounding.
    ///
    /// # Errors
    /// [`crate::Error::Adapter`] when the merge is of a model of other shapes.
    pub fn unmerge(&mut self, merge: Merge) -> Result<()> {
        self.decoder_mut().unmerge(merge)
    }
}

impl Decoder {
    /// As [`CausalLm::merge`].
    ///
    /// # Errors
    /// As [`CausalLm::merge`].
    pub fn merge(&mut self, stack: &AdapterStack) -> Result<Merge> {
        stack.check_mergeable(self.module_shapes())?;
        let tied = self.shape().tie_word_embeddings;
        let mut originals = Vec::new();
        let mut unties = false;
        let shapes = Arc::clone(self.module_shapes());
        for module in self.modules_mut() {
            match module {
                ModuleMut::Linear(layer) if stack.touches(layer.slot()) => {
                    unties |= shapes.get(layer.slot()).is_some_and(|shape| shape.is_output);
                    let merged = stack.merged_linear(layer);
                    let original = std::mem::replace(layer, merged);
                    // What was rounded is not computed back.
                    let exact = original.precision() == Precision::F32;
                    originals.push(match exact && stack.is_reversible(original.slot()) {
                        true => Original::LowRank,
                        false => Original::Linear(original),
                    });
                }
                ModuleMut::Embedding(table) if stack.touches(table.slot()) => {
                    unties |= table.is_tied();
                    let merged = stack.merged_embedding(table);
                    originals.push(Original::Embedding(std::mem::replace(table, merged)));
                }
                ModuleMut::RmsNorm(norm) if stack.touches(norm.slot()) => {
                    let (weight, _) = stack.merged_norm(norm.slot(), (norm.weight(), None));
                    let merged = norm.with_weight(weight);
                    originals.push(Original::RmsNorm(std::mem::replace(norm, merged)));
                }
                ModuleMut::LayerNorm(norm) if stack.touches(norm.slot()) => {
                    let (weight, bias) = stack.merged_norm(norm.slot(), (norm.weight(), Some(norm.bias())));
                    let merged = norm.with_parts(weight, bias.unwrap_or_else(|| norm.bias().clone()));
                    originals.push(Original::LayerNorm(std::mem::replace(norm, merged)));
                }
                _ => {}
            }
        }
        // Trained together, the two are still one.
        self.set_tied(tied && (!unties || self.has_one_table()));
        Ok(Merge {
            stack: stack.clone(),
            tied,
            originals,
        })
    }

    /// As [`CausalLm::unmerge`].
    ///
    /// # Errors
    /// As [`CausalLm::unmerge`].
    pub fn unmerge(&mut self, merge: Merge) -> Result<()> {
        let Merge {
            stack,
            tied,
            originals,
        } = merge;
        stack.check(self.module_shapes())?;
        let mut originals = originals.into_iter();
        for module in self.modules_mut() {
            let slot = match &module {
                ModuleMut::Linear(layer) => layer.slot(),
                ModuleMut::Embedding(table) => table.slot(),
                ModuleMut::RmsNorm(norm) => norm.slot(),
                ModuleMut::LayerNorm(norm) => norm.slot(),
            };
            if !stack.touches(slot) {
                continue;
            }
            match (module, originals.next()) {
                (ModuleMut::Linear(layer), Some(Original::LowRank)) => *layer = stack.unmerged_linear(layer),
                (ModuleMut::Linear(layer), Some(Original::Linear(original))) => *layer = original,
                (ModuleMut::Embedding(table), Some(Original::Embedding(original))) => *table = original,
                (ModuleMut::RmsNorm(norm), Some(Original::RmsNorm(original))) => *norm = original,
                (ModuleMut::LayerNorm(norm), Some(Original::LayerNorm(original))) => *norm = original,
                // The same adapters fit, so the shapes are the same and the modules follow each other alike.
                _ => {}
            }
        }
        self.set_tied(tied);
        Ok(())
    }
}

impl AdapterStack {
    /// Hands on the weight of a module with all changes, in the order of checkpoints, some rows at a time. A whole weight
    /// is given as it is.
    pub(crate) fn each_merged_weight(&self, module: Module<'_>, hand_on: &mut dyn FnMut(&[f32])) {
        match module {
            Module::Linear(layer) if self.touches(layer.slot()) => {
                Module::Linear(&self.merged_linear(layer)).each_weight(hand_on);
            }
            Module::Embedding(table) if self.touches(table.slot()) => {
                Module::Embedding(&self.merged_embedding(table)).each_weight(hand_on);
            }
            Module::RmsNorm(norm) => {
                hand_on(&values(self.merged_norm(norm.slot(), (norm.weight(), None)).0));
            }
            Module::LayerNorm(norm) => {
                let parts = (norm.weight(), Some(norm.bias()));
                hand_on(&values(self.merged_norm(norm.slot(), parts).0));
            }
            module => module.each_weight(hand_on),
        }
    }

    /// The bias of a module with all changes; `None` where it has none, and gets none.
    pub(crate) fn merged_bias(&self, module: Module<'_>) -> Option<Vec<f32>> {
        match module {
            Module::Linear(layer) if self.touches(layer.slot()) => {
                self.merged_linear(layer).bias().cloned().map(values)
            }
            Module::Linear(layer) => layer.bias().cloned().map(values),
            Module::LayerNorm(norm) => self
                .merged_norm(norm.slot(), (norm.weight(), Some(norm.bias())))
                .1
                .map(values),
            Module::Embedding(_) | Module::RmsNorm(_) => None,
        }
    }

    /// Whether the changes of a linear layer can be computed back: they are updates, and no more.
    fn is_reversible(&self, slot: &str) -> bool {
        let plain = |change: &LinearChange| {
            let pair = change.low_rank.as_ref();
            change.weight.is_none()
                && change.bias.is_none()
                && change.rescaling.is_none()
                && pair.is_some_and(|pair| pair.bias().is_none())
        };
        self.sets()
            .iter()
            .all(|(set, _)| set.linear(slot).is_none_or(plain))
    }

    fn merged_linear(&self, layer: &Linear) -> Linear {
        let (weight, bias) = self.folded(layer);
        layer.with_parts(weight, bias)
    }

    fn unmerged_linear(&self, layer: &Linear) -> Linear {
        let pairs = self.sets().iter().rev().filter_map(|(set, times)| {
            let pair = set.linear(layer.slot())?.low_rank.as_ref()?;
            Some((pair, *times))
        });
        let weight = pairs.fold(layer.weight(), |weight, (pair, times)| {
            pair.unmerge(weight, times)
        });
        layer.with_parts(LinearWeight::new(weight), layer.bias().cloned())
    }

    fn merged_embedding(&self, table: &Embedding) -> Embedding {
        let base: Tensor<2> = table.weight();
        let changes = self
            .sets()
            .iter()
            .filter_map(|(set, times)| Some((set.embedding(table.slot())?, *times)));
        let merged = changes
            .enumerate()
            .fold(base.clone(), |rows, (i, (change, times))| {
                change.merge(&base, rows, times, i == 0)
            });
        Embedding::new(table.slot(), merged)
    }
}

/// The numbers of a tensor in row-major order.
pub(super) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}
