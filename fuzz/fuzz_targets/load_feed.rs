#![no_main]

use std::path::Path;

use ragtune_retrieve::Loader;
use ragtune_retrieve::load::FeedLoader;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let loaded = FeedLoader::default().load(Path::new("a.xml"), data);
    if let Ok(loaded) = loaded {
        assert!(loaded.markers.iter().all(|marker| loaded.text.is_char_boundary(marker.at)));
    }
});
