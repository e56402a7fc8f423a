//! The fused operations of the CPU backend, in safe Rust but for one instruction (`integer_x86.rs`).
//!
//! Vector code is written once against [`pulp::Simd`] and compiled for AVX-512, AVX2, NEON and plain scalars; which of
//! them runs is found out at run time. Work is divided among the threads of the current rayon pool.

mod adamw;
mod attention;
#[cfg(feature = "autodiff")]
mod attention_gradient;
mod blocks;
mod cached_attention;
mod coded;
mod coded_product;
mod coded_rows;
#[cfg(feature = "autodiff")]
mod cross_entropy;
mod dropout;
mod embedding;
mod integer_product;
#[cfg(test)]
mod integer_twins;
#[cfg(target_arch = "x86_64")]
mod integer_x86;
mod layer_norm;
mod linear;
#[cfg(feature = "autodiff")]
mod matmul;
#[cfg(feature = "autodiff")]
mod norm_gradient;
mod packed;
mod panels;
mod pointwise;
#[cfg(feature = "autodiff")]
mod pointwise_gradient;
mod product;
mod rms_norm;
mod rotary;
mod rows;
#[cfg(feature = "autodiff")]
mod slopes;
mod tensor;
#[cfg(feature = "autodiff")]
mod transposed_product;
mod vector_math;

pub(super) use adamw::{adamw, square_sum};
pub(super) use attention::attention;
#[cfg(feature = "autodiff")]
pub(super) use attention::attention_with_sums;
#[cfg(feature = "autodiff")]
pub(super) use attention_gradient::{Kept, attention_backward};
pub(super) use cached_attention::{Cached, attention_cached, write_rows};
#[cfg(feature = "autodiff")]
pub(super) use cross_entropy::{Softened, row_losses};
pub(super) use dropout::dropout;
pub(super) use embedding::embedding;
#[cfg(feature = "autodiff")]
pub(super) use embedding::scatter;
pub(super) use layer_norm::layer_norm;
pub(super) use linear::{Map, linear};
#[cfg(feature = "autodiff")]
pub(super) use matmul::{times, times_packed, transposed_times};
#[cfg(feature = "autodiff")]
pub(super) use norm_gradient::{Norm, column_sums, norm_backward};
pub(super) use packed::Packed;
pub(super) use pointwise::{activate, add, gated};
#[cfg(feature = "autodiff")]
pub(super) use pointwise_gradient::{activate_backward, gated_backward};
pub(super) use rms_norm::rms_norm;
pub(super) use rotary::rotary;
#[cfg(feature = "autodiff")]
pub(super) use tensor::row_major;
pub(super) use tensor::{from_flex, into_flex, pack};
