#![no_main]

use std::path::Path;

use ragtune_retrieve::Loader;
use ragtune_retrieve::load::SpreadsheetLoader;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let loaded = SpreadsheetLoader::default().load(Path::new("a.xls"), data);
    if let Ok(loaded) = loaded {
        assert!(loaded.markers.iter().all(|marker| loaded.text.is_char_boundary(marker.at)));
    }
});
