//! The blocks that every architecture is made of; an architecture translates `config.json` and tensor names into them.
//!
//! Batches are packed, not padded: the tokens of all texts stand one after another in a `[tokens, hidden]` tensor, and
//! [`Segments`] says where each text begins. So padding is never computed, and what a text yields does not depend on its
//! neighbours.

mod attention;
mod cache;
mod context;
mod dropout;
mod embedding;
mod layer_norm;
mod linear;
mod rms_norm;
mod segments;
mod sublayer;

pub use crate::kernels::Activation;
pub use attention::Attention;
pub use cache::KvCache;
pub use context::Context;
pub use dropout::Dropout;
pub use embedding::Embedding;
pub use layer_norm::LayerNorm;
pub use linear::Linear;
pub use rms_norm::RmsNorm;
pub use segments::Segments;
pub use sublayer::Sublayer;
