//! The operations that decide how fast a model runs, each with a plain twin composed of burn's own operations.
//!
//! On the CPU backend an operation runs as one fused pass; on every other backend, and wherever gradients are recorded,
//! its composed twin runs instead. Callers see one function and need not know which of the two answered.

#![allow(
    clippy::result_large_err,
    reason = "the error is the tensor itself, handed back to be computed elsewhere"
)]

mod activation;
mod adamw;
mod attention;
#[cfg(feature = "cpu")]
mod cpu;
mod embedding;
mod gated;
#[cfg(feature = "autodiff")]
mod gradient;
mod layer_cache;
mod layer_norm;
mod linear;
#[cfg(feature = "autodiff")]
mod linear_gradient;
#[cfg(feature = "autodiff")]
mod matmul;
mod rms_norm;
mod rotary;
mod threads;
#[cfg(all(test, feature = "cpu"))]
mod twins;
#[cfg(all(test, feature = "autodiff", feature = "cpu"))]
mod twins_gradient;
mod weight;

pub use activation::{Activation, activate};
pub use adamw::{AdamWStep, adamw, square_sum};
pub use attention::{AttentionOptions, attention, attention_cached};
pub use embedding::embedding;
pub use gated::gated;
pub use layer_cache::LayerCache;
pub use layer_norm::layer_norm;
pub use linear::{linear, linear_each, linear_gated};
pub use rms_norm::rms_norm;
pub use rotary::rotary;
pub(crate) use threads::on_threads;
pub use weight::LinearWeight;
