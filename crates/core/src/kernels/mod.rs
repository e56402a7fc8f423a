//! The operations that decide how fast a model runs, each with a plain twin composed of burn's own operations.
//!
//! On the CPU backend an operation runs as one fused pass; on every other backend its composed twin runs instead. Where
//! gradients are recorded, it is one step of the graph with a way back of its own, fused and composed likewise. Callers see
//! one function and need not know which of them answered.

#![allow(
    clippy::result_large_err,
    reason = "the error is the tensor itself, handed back to be computed elsewhere"
)]

mod activation;
mod adamw;
mod attention;
#[cfg(feature = "autodiff")]
mod attention_gradient;
#[cfg(feature = "cpu")]
mod cpu;
#[cfg(feature = "autodiff")]
mod cross_entropy;
mod dropout;
mod embedding;
#[cfg(feature = "autodiff")]
mod embedding_gradient;
mod gated;
#[cfg(feature = "autodiff")]
mod gradient;
mod layer_cache;
mod layer_norm;
mod linear;
#[cfg(feature = "autodiff")]
mod linear_gradient;
mod low_rank;
#[cfg(feature = "autodiff")]
mod low_rank_gradient;
#[cfg(feature = "autodiff")]
mod matmul;
#[cfg(feature = "autodiff")]
mod norm_gradient;
#[cfg(feature = "autodiff")]
mod pointwise_gradient;
mod rms_norm;
mod rotary;
mod sum;
mod threads;
#[cfg(all(test, feature = "cpu"))]
mod twins;
#[cfg(all(test, feature = "autodiff", feature = "cpu"))]
mod twins_gradient;
mod weight;

pub use activation::{Activation, activate};
pub use adamw::{AdamWStep, adamw, square_sum};
pub use attention::{AttentionOptions, attention, attention_cached};
#[cfg(feature = "autodiff")]
pub use cross_entropy::{CrossEntropyOptions, IGNORED, cross_entropy, log_probabilities};
#[cfg(feature = "cpu")]
use dropout::Mask;
pub use dropout::dropout;
pub use embedding::embedding;
pub use gated::gated;
pub use layer_cache::LayerCache;
pub use layer_norm::layer_norm;
pub use linear::{linear, linear_each, linear_gated};
pub use low_rank::{SidePath, low_rank};
pub use rms_norm::rms_norm;
pub use rotary::rotary;
pub use threads::on_threads;
pub use weight::LinearWeight;
