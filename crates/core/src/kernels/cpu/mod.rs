//! The fused operations of the CPU backend, in safe Rust.
//!
//! Vector code is written once against [`pulp::Simd`] and compiled for AVX-512, AVX2, NEON and plain scalars; which of
//! them runs is found out at run time. Work is divided among the threads of the current rayon pool.

mod adamw;
mod attention;
mod blocks;
mod cached_attention;
mod coded;
mod coded_product;
mod embedding;
mod layer_norm;
mod linear;
#[cfg(feature = "autodiff")]
mod matmul;
mod packed;
mod panels;
mod pointwise;
mod product;
mod rms_norm;
mod rotary;
mod rows;
mod tensor;
mod vector_math;

pub(super) use adamw::{adamw, square_sum};
pub(super) use attention::attention;
pub(super) use cached_attention::{Cached, attention_cached, write_rows};
pub(super) use embedding::embedding;
pub(super) use layer_norm::layer_norm;
pub(super) use linear::{Map, linear};
#[cfg(feature = "autodiff")]
pub(super) use matmul::{times, transposed_times};
pub(super) use packed::Packed;
pub(super) use pointwise::{activate, gated};
pub(super) use rms_norm::rms_norm;
pub(super) use rotary::rotary;
pub(super) use tensor::{from_flex, into_flex, pack};
