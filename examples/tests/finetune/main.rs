//! The program `finetune` as people run it: a process with a command line, files, an exit status, and what it prints.
//!
//! The process is this test itself, started again with the command line in its environment, so that it is always the
//! program of these sources. The models are the tiny ones of the core crate.

#![allow(clippy::unwrap_used, reason = "a test that meets them fails")]

mod data;
mod faults;
mod folds;
mod forms;
mod heads;
mod options;
mod output;
mod program;
mod resume;
mod search;
mod tasks;
mod used;

/// Only does something in the processes that are the program.
#[test]
fn program() {
    program::be_the_program();
}
