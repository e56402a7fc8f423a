//! The fused operations of the CPU backend, in safe Rust.
//!
//! Vector code is written once against [`pulp::Simd`] and compiled for AVX-512, AVX2, NEON and plain scalars; which of
//! them runs is found out at run time. Work is divided among the threads of the current rayon pool.

mod attention;
mod embedding;
mod layer_norm;
mod linear;
mod panels;
mod pointwise;
mod product;
mod rows;
mod tensor;
mod vector_math;

pub(super) use attention::attention;
pub(super) use embedding::embedding;
pub(super) use layer_norm::layer_norm;
pub(super) use linear::linear;
pub(super) use panels::Panels;
pub(super) use pointwise::activate;
pub(super) use tensor::{from_flex, into_flex, pack};
