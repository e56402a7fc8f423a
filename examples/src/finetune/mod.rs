//! The parts of the program `finetune`: its command line, the tasks, the run.

mod applies;
mod args;
mod card;
mod choices;
mod classes;
mod data;
mod encoders;
mod files;
mod folds;
mod interrupt;
mod language;
mod memory;
mod program;
mod progress;
mod record;
mod result;
mod run;
mod search;
mod settings;
mod spent;
mod words;

pub use args::Args;
pub use memory::peak;
pub use program::main;
pub use progress::Progress;
