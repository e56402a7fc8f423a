//! The example `close_the_loop`.

mod args;
mod measured;
mod report;
mod run;
mod subject;
mod train;

pub use args::Args;
pub use run::close_the_loop;
