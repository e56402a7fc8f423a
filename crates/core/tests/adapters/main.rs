//! Adapters beside a base model: PEFT's files and numbers, mixed batches, stacks, merging, damage.

#![cfg(feature = "cpu")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "functions of tests, which the lints do not know for such"
)]

mod damage;
mod fixture;
mod merging;
mod parity;
mod run_time;
