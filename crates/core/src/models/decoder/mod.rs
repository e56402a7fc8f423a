//! The pre-norm transformer decoder, one for all families.

mod attention;
mod causal;
mod config;
mod experts;
mod families;
mod layer;
mod limits;
mod mlp;
mod model;
mod names;
mod norm;
mod prompt;
mod rope;
mod rope_config;

pub(in crate::models) use attention::Angles;
pub use causal::Decoder;
pub use config::{DecoderConfig, ExpertsConfig, LayerConfig, NormKind, Positions};
pub use families::DECODER_FAMILIES;
pub(in crate::models) use families::class_prefix as decoder_class;
pub use model::DecoderModel;
pub(in crate::models) use model::indices;
pub use prompt::Prompted;
pub use rope::{Rope, RopeRegime};
pub(in crate::models) use rope_config::RopeFields;
