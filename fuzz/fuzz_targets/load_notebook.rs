#![no_main]

use std::path::Path;

use ragtune_retrieve::Loader;
use ragtune_retrieve::load::NotebookLoader;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let loaded = NotebookLoader::default().load(Path::new("a.ipynb"), data);
    if let Ok(loaded) = loaded {
        assert!(loaded.markers.iter().all(|marker| loaded.text.is_char_boundary(marker.at)));
    }
});
