//! The example `evaluate`.

mod args;
mod run;
mod show;

pub use args::Args;
pub use run::evaluate;
