//! Answers over real documents with a real encoder, as a user gets them: folder, knowledge base, hybrid search, quotes.
//!
//! Needs the folder of data in RAGTUNE_SHARED. The documents are indexed once for all tests of this file. Other
//! settings, for the records in `docs/extractive.md`: RAGTUNE_ENCODER is a folder of an encoder to use in place of the
//! one inside the library, RAGTUNE_WHOLE asks all questions instead of every fourth, and RAGTUNE_MEASURES names a file
//! for `fixtures/extractive/fit.py`.
#![cfg(feature = "builtin")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that meets them fails")]
#![allow(
    clippy::print_stdout,
    reason = "the figures are what it is for, and a skipped test says so"
)]

mod bases;
mod quality;
mod rust_book;
