//! Vectors in int8, one scale each, and products with them by the widest instructions of the processor.

mod instructions;
mod line;
mod table;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(crate) use instructions::Instructions;
pub(crate) use line::Line;
pub(crate) use table::{CodedQuery, Codes};
