//! The token loop, on a tiny model with random weights; with `RAGTUNE_SHARED`, on a real one.

#![cfg(feature = "cpu")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "functions of tests, which the lints do not know for such"
)]

mod constraints;
mod loops;
mod stories;
mod text;
mod tiny;
