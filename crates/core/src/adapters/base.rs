//! What adapters need to know of a base model: its modules by slot, with their shapes.

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::tensor::Device;

use super::AdapterError;
use crate::nn::{Embedding, LayerNorm, Linear, RmsNorm};
use crate::weights::nearest;

/// Suggestions for a module that does not exist.
const SUGGESTIONS: usize = 3;
/// What transformers 5 calls the layer that gives the logits, also where files have an older name.
pub(super) const OUTPUT: &str = "lm_head";

/// A model that adapters can stand beside.
///
/// # Example
///
/// ```no_run
/// # fn of(lm: &ragtune_core::models::CausalLm) {
/// use ragtune_core::adapters::AdapterBase;
///
/// for (slot, shape) in lm.module_shapes().iter() {
///     println!("{slot}: {:?}", shape.kind); // model.layers.0.self_attn.q_proj: Linear { .. }
/// }
/// # }
/// ```
pub trait AdapterBase {
    /// The shapes of all modules that adapters can change.
    fn module_shapes(&self) -> &Arc<ModuleShapes>;

    /// All modules that adapters can change, in the order of the data flow.
    fn modules(&self) -> Vec<Module<'_>>;

    /// The device that the weights are on.
    fn device(&self) -> &Device;

    /// The slots of the table of words and of the output layer where the two are one weight.
    fn tied(&self) -> Option<(&str, &str)> {
        None
    }
}

impl<T: AdapterBase + ?Sized> AdapterBase for Arc<T> {
    fn module_shapes(&self) -> &Arc<ModuleShapes> {
        (**self).module_shapes()
    }

    fn modules(&self) -> Vec<Module<'_>> {
        (**self).modules()
    }

    fn device(&self) -> &Device {
        (**self).device()
    }

    fn tied(&self) -> Option<(&str, &str)> {
        (**self).tied()
    }
}

/// A module that adapters can change.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Module<'a> {
    /// A linear layer.
    Linear(&'a Linear),
    /// A table of embeddings.
    Embedding(&'a Embedding),
    /// A norm by root mean square.
    RmsNorm(&'a RmsNorm),
    /// A norm by mean and variance.
    LayerNorm(&'a LayerNorm),
}

/// A module whose weights are replaced, in a merge.
pub(crate) enum ModuleMut<'a> {
    Linear(&'a mut Linear),
    Embedding(&'a mut Embedding),
    RmsNorm(&'a mut RmsNorm),
    LayerNorm(&'a mut LayerNorm),
}

/// The modules of a model by slot.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModuleShapes {
    shapes: BTreeMap<String, ModuleShape>,
    sublayers: BTreeMap<String, SublayerShape>,
    words: Option<Words>,
    prefix: Option<Prefix>,
}

/// The table that virtual tokens stand beside.
#[derive(Clone, Debug, PartialEq)]
struct Words {
    slot: String,
    /// What its rows are multiplied by.
    scale: f64,
}

/// What PEFT may put in front of the slots of a bare model.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Prefix {
    text: String,
    /// The whole path of each slot that has it.
    paths: BTreeMap<String, String>,
    /// Whether it is written too.
    written: bool,
}

/// The shape of one module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModuleShape {
    /// What it is, and how large.
    pub kind: ModuleKind,
    /// Whether files store the weight of a linear layer `[in, out]`, as GPT-2's do.
    pub transposed: bool,
    /// Whether it is the layer that gives the logits.
    pub is_output: bool,
}

/// The end of a sublayer, where bottleneck adapters act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SublayerShape {
    /// The layer that it belongs to, counted from 0.
    pub layer: usize,
    /// Which of the layer's two it is.
    pub kind: SublayerKind,
    /// Hidden width.
    pub width: usize,
}

/// The two parts of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SublayerKind {
    /// Attention with its projection back.
    Attention,
    /// The feed-forward layer.
    FeedForward,
}

/// What a module is, and how large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModuleKind {
    /// A linear layer.
    Linear {
        /// Input width.
        in_features: usize,
        /// Output width.
        out_features: usize,
        /// Whether it has a bias.
        bias: bool,
    },
    /// A table of embeddings.
    Embedding {
        /// Rows.
        rows: usize,
        /// Components of a row.
        width: usize,
    },
    /// A norm.
    Norm {
        /// Components.
        width: usize,
        /// Whether it has a bias.
        bias: bool,
    },
}

impl Module<'_> {
    /// The module path in the checkpoint.
    #[must_use]
    pub fn slot(&self) -> &str {
        match self {
            Self::Linear(layer) => layer.slot(),
            Self::Embedding(table) => table.slot(),
            Self::RmsNorm(norm) => norm.slot(),
            Self::LayerNorm(norm) => norm.slot(),
        }
    }

    /// What it is, and how large.
    #[must_use]
    pub fn kind(&self) -> ModuleKind {
        match self {
            Self::Linear(layer) => ModuleKind::Linear {
                in_features: layer.in_features(),
                out_features: layer.out_features(),
                bias: layer.bias().is_some(),
            },
            Self::Embedding(table) => ModuleKind::Embedding {
                rows: table.num_embeddings(),
                width: table.embedding_dim(),
            },
            Self::RmsNorm(norm) => ModuleKind::Norm {
                width: norm.weight().dims()[0],
                bias: false,
            },
            Self::LayerNorm(norm) => ModuleKind::Norm {
                width: norm.weight().dims()[0],
                bias: true,
            },
        }
    }
}

impl ModuleShapes {
    /// The shapes of modules; `transposed` says of which linear layers files store the weight `[in, out]`, `output` is
    /// the slot of the layer that gives the logits.
    #[must_use]
    pub fn new(modules: &[Module<'_>], transposed: impl Fn(&str) -> bool, output: Option<&str>) -> Self {
        let shape = |module: &Module<'_>| {
            let (slot, kind) = (module.slot(), module.kind());
            let shape = ModuleShape {
                kind,
                transposed: matches!(kind, ModuleKind::Linear { .. }) && transposed(slot),
                is_output: output == Some(slot),
            };
            (slot.to_owned(), shape)
        };
        Self {
            shapes: modules.iter().map(shape).collect(),
            sublayers: BTreeMap::new(),
            words: None,
            prefix: None,
        }
    }

    /// The same modules with the ends of sublayers, by slot.
    #[must_use]
    pub fn with_sublayers(mut self, sublayers: impl IntoIterator<Item = (String, SublayerShape)>) -> Self {
        self.sublayers = sublayers.into_iter().collect();
        self
    }

    /// Lets virtual tokens stand before texts, beside the table of words at a slot whose rows the model multiplies by a number.
    #[must_use]
    pub fn with_words(mut self, slot: &str, scale: f64) -> Self {
        self.words = Some(Words {
            slot: slot.to_owned(),
            scale,
        });
        self
    }

    /// Says that PEFT knows the modules that `inside` names by a path in front of which the prefix of the bare model
    /// stands (`bert.encoder...`), as where it is trained with a head around it.
    #[must_use]
    pub fn with_prefix(self, prefix: &str, inside: impl Fn(&str) -> bool) -> Self {
        self.prefixed(prefix, inside, true)
    }

    /// As [`with_prefix`](Self::with_prefix), for a bare model: adapters are read with the prefix and without it, and
    /// written without.
    #[must_use]
    pub fn with_optional_prefix(self, prefix: &str, inside: impl Fn(&str) -> bool) -> Self {
        self.prefixed(prefix, inside, false)
    }

    fn prefixed(mut self, prefix: &str, inside: impl Fn(&str) -> bool, written: bool) -> Self {
        // Layers always belong to the bare model.
        let modules = self.shapes.keys().filter(|slot| inside(slot));
        let slots = modules.chain(self.sublayers.keys());
        self.prefix = Some(Prefix {
            text: prefix.to_owned(),
            paths: slots
                .map(|slot| (slot.clone(), format!("{prefix}{slot}")))
                .collect(),
            written,
        });
        self
    }

    /// The shape of the module at a slot.
    #[must_use]
    pub fn get(&self, slot: &str) -> Option<ModuleShape> {
        self.shapes.get(slot).copied()
    }

    /// All modules, sorted by slot.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, ModuleShape)> {
        self.shapes.iter().map(|(slot, shape)| (slot.as_str(), *shape))
    }

    /// The slot of the table of words that virtual tokens stand beside, and what the model multiplies its rows by; `None` for
    /// a model that cannot have any, such as an encoder.
    #[must_use]
    pub fn words(&self) -> Option<(&str, f64)> {
        self.words
            .as_ref()
            .map(|words| (words.slot.as_str(), words.scale))
    }

    /// The ends of all sublayers, sorted by slot.
    pub fn sublayers(&self) -> impl ExactSizeIterator<Item = (&str, SublayerShape)> {
        self.sublayers.iter().map(|(slot, shape)| (slot.as_str(), *shape))
    }

    /// The end of the sublayer at a slot.
    pub(super) fn require_sublayer(&self, slot: &str) -> Result<SublayerShape, AdapterError> {
        self.sublayers
            .get(slot)
            .copied()
            .ok_or_else(|| AdapterError::MissingModule {
                module: slot.to_owned(),
                did_you_mean: nearest(slot, self.sublayers.keys().map(String::as_str), SUGGESTIONS),
            })
    }

    /// The path by which PEFT knows the module at a slot, as adapters are written.
    pub(crate) fn path<'s>(&'s self, slot: &'s str) -> &'s str {
        let written = self.prefix.as_ref().is_some_and(|prefix| prefix.written);
        match self.get(slot) {
            Some(shape) if shape.is_output => OUTPUT,
            _ => self.path_in(slot, written),
        }
    }

    /// The path of a slot in an adapter whose paths have the prefix of the bare model, or have not.
    pub(super) fn path_in<'s>(&'s self, slot: &'s str, prefixed: bool) -> &'s str {
        let prefix = self.prefix.as_ref().filter(|_| prefixed);
        let path = prefix.and_then(|prefix| prefix.paths.get(slot));
        path.map_or(slot, String::as_str)
    }

    /// Whether a path has the prefix of the bare model.
    pub(super) fn has_prefix(&self, path: &str) -> bool {
        self.without_prefix(path).is_some()
    }

    /// The slot of the module that PEFT knows by a path.
    pub(super) fn slot<'s>(&'s self, path: &'s str) -> &'s str {
        if self.shapes.contains_key(path) || self.sublayers.contains_key(path) {
            return path;
        }
        if path != OUTPUT {
            return self.without_prefix(path).unwrap_or(path);
        }
        let mut outputs = self.shapes.iter().filter(|(_, shape)| shape.is_output);
        outputs.next().map_or(path, |(slot, _)| slot.as_str())
    }

    fn without_prefix<'s>(&self, path: &'s str) -> Option<&'s str> {
        let prefix = self.prefix.as_ref()?;
        let slot = path.strip_prefix(prefix.text.as_str())?;
        prefix.paths.contains_key(slot).then_some(slot)
    }

    pub(super) fn require(&self, slot: &str) -> Result<ModuleShape, AdapterError> {
        self.get(slot).ok_or_else(|| AdapterError::MissingModule {
            module: slot.to_owned(),
            did_you_mean: nearest(slot, self.shapes.keys().map(String::as_str), SUGGESTIONS),
        })
    }
}

impl ModuleKind {
    pub(super) fn linear([out_features, in_features]: [usize; 2]) -> Self {
        Self::Linear {
            in_features,
            out_features,
            bias: false,
        }
    }

    /// The shape of the weight.
    #[must_use]
    pub fn dims(self) -> Vec<usize> {
        match self {
            Self::Norm { width, .. } => vec![width],
            other => other.dims2().to_vec(),
        }
    }

    /// Whether the module has a bias.
    #[must_use]
    pub fn has_bias(self) -> bool {
        matches!(
            self,
            Self::Linear { bias: true, .. } | Self::Norm { bias: true, .. }
        )
    }

    /// The shape of the weight as a matrix, `[out, in]` or `[rows, width]`; a norm's has one row.
    pub(super) fn dims2(self) -> [usize; 2] {
        match self {
            Self::Linear {
                in_features,
                out_features,
                ..
            } => [out_features, in_features],
            Self::Embedding { rows, width } => [rows, width],
            Self::Norm { width, .. } => [1, width],
        }
    }

    /// Whether both are of one kind and size, whatever their biases.
    pub(super) fn same_size(self, other: Self) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other) && self.dims() == other.dims()
    }
}
