//! What the benchmarks share; they stand beside this folder, one file each.

pub mod measure;
pub mod neighbours;
