//! What a loader must do.

use std::path::Path;

use crate::load::Loader;

/// Checks a loader on damaged and hostile content under a name that it accepts: an answer or an error, never a panic;
/// markers in order and inside the text; the same answer again.
///
/// ```
/// use std::path::Path;
/// use ragtune_retrieve::load::TextLoader;
/// use ragtune_retrieve::testing::conformance;
/// assert_eq!(conformance::loader(&TextLoader, Path::new("a.txt")), Vec::<String>::new());
/// ```
pub fn loader(loader: &dyn Loader, path: &Path) -> Vec<String> {
    let mut violations = Vec::new();
    if loader.id().is_empty() || loader.id() != loader.id() {
        violations.push("id() is empty or changes: a store could not tell when the method does".to_owned());
    }
    if !loader.accepts(path) {
        violations.push(format!("accepts({}) is false", path.display()));
    }
    let every_byte: Vec<u8> = (0..=u8::MAX).cycle().take(4096).collect();
    let contents: [Vec<u8>; 12] = [
        Vec::new(),
        b"\n".to_vec(),
        b"plain text".to_vec(),
        "Grüße, 茶".as_bytes().to_vec(),
        "Grüße".as_bytes()[..3].to_vec(),
        vec![0; 4096],
        vec![0xFF; 4096],
        every_byte,
        b"\xEF\xBB\xBF".to_vec(),
        b"\xFF\xFEt\0e\0a\0".to_vec(),
        b"<div>".repeat(20_000),
        b"# [[[```---<!--<script>".repeat(500),
    ];
    for content in contents {
        let start = String::from_utf8_lossy(&content[..content.len().min(24)]).into_owned();
        let loaded = match loader.load(path, &content) {
            Ok(loaded) => loaded,
            Err(error) => {
                if error.to_string().is_empty() {
                    violations.push(format!("the error on {start:?} says nothing"));
                }
                continue;
            }
        };
        let mut before = 0;
        for marker in &loaded.markers {
            if marker.at < before || !loaded.text.is_char_boundary(marker.at) {
                violations.push(format!(
                    "the marker at byte {} of {start:?} is out of order or place",
                    marker.at
                ));
            }
            before = marker.at;
        }
        match loader.load(path, &content) {
            Ok(again) if again == loaded => {}
            _ => violations.push(format!("a second load() of {start:?} differs")),
        }
    }
    violations
}
