//! Adapters: small weights beside an immutable base model.
//!
//! An [`AdapterSet`] holds what was trained, by the slot (module path) of the layer that it belongs to. A forward pass
//! carries an [`AdapterStack`] for each text in its [`Context`](crate::nn::Context), and every layer adds the side path
//! of its slot to its own product. So the base is never copied or changed, and one batch can mix adapters.
//!
//! Sets are read from PEFT's files ([`AdapterSet::load`]) and written to them ([`AdapterSet::save`]). A merge
//! ([`CausalLm::merge`](crate::models::CausalLm::merge)) folds adapters into the weights of one copy of a model.

mod base;
mod bottleneck;
mod bottleneck_config;
mod change;
mod config;
mod config_fields;
mod error;
mod experts;
mod key;
mod low_rank;
mod merge;
mod prompt;
mod read;
mod read_bottleneck;
mod resolve;
mod set;
mod stack;
mod target;
mod values;
mod write;
mod write_bottleneck;

pub(crate) use base::ModuleMut;
pub use base::{AdapterBase, Module, ModuleKind, ModuleShape, ModuleShapes, SublayerKind, SublayerShape};
pub use bottleneck::Bottleneck;
pub use bottleneck_config::{BottleneckConfig, BottleneckTarget};
pub use change::{EmbeddingChange, LinearChange, NormChange, Rescaling};
pub use config::{AdapterConfig, AdapterMethod, Targets, TrainedBiases};
pub use error::AdapterError;
pub use low_rank::{LowRank, LowRankEmbedding};
pub use merge::Merge;
pub use prompt::PromptConfig;
pub use resolve::ResolvedTarget;
pub use set::AdapterSet;
pub use stack::AdapterStack;
