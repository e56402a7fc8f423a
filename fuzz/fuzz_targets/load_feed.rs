#![no_main]

#[allow(dead_code, reason = "each target is one of the entries")]
#[path = "../../crates/retrieve/tests/support/load_entries.rs"]
mod entries;

libfuzzer_sys::fuzz_target!(|data: &[u8]| entries::load_feed(data));
