//! The post-norm transformer encoder, one for all families.

mod config;
mod embeddings;
mod families;
mod layer;
mod model;
mod position_bias;

pub use config::EncoderConfig;
pub use families::FAMILIES;
pub(super) use families::{Family, class_prefix as encoder_class};
pub(super) use layer::linear;
pub use model::EncoderModel;
