//! Models with heads: numbers of transformers and PEFT (`fixtures/heads/make.py`), new heads, and folders that Python
//! loads (`fixtures/heads/check.py`).

#![cfg(all(feature = "cpu", feature = "testing"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "functions of tests, which the lints do not know for such"
)]

mod decoders;
#[path = "../everything/mod.rs"]
mod everything;
mod fixture;
mod new_heads;
mod out;
mod parity;
mod saving;
mod tuning;
