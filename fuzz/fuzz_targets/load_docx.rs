#![no_main]

use std::path::Path;

use ragtune_retrieve::Loader;
use ragtune_retrieve::load::DocxLoader;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let loaded = DocxLoader::default().load(Path::new("a.docx"), data);
    if let Ok(loaded) = loaded {
        assert!(loaded.markers.iter().all(|marker| loaded.text.is_char_boundary(marker.at)));
    }
});
