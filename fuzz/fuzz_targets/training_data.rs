#![no_main]

#[path = "../../crates/train/tests/training_data/entries.rs"]
mod entries;

libfuzzer_sys::fuzz_target!(|data: &[u8]| entries::training_data(data));
