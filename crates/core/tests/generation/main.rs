//! The token loop, on a tiny model with random weights; with `RAGTUNE_SHARED`, on a real one.

#![cfg(feature = "cpu")]

mod constraints;
mod loops;
mod stories;
mod text;
mod tiny;
