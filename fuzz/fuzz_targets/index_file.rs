#![no_main]

#[path = "../../crates/retrieve/tests/support/index_entry.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|data: &[u8]| entry::index_file(data));
