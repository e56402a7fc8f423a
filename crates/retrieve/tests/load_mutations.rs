//! Damaged files: cut short, with bits turned and pieces doubled. Whatever becomes of them, a loader answers.
//!
//! CI tries a few of each; `RAGTUNE_MUTATIONS=500 cargo test --test load_mutations` tries more, and with RAGTUNE_SHARED the
//! real documents there too.

#![cfg(all(feature = "pdf", feature = "office"))]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "functions of tests, which the lints do not know for such"
)]

#[path = "support/load_entries.rs"]
mod entries;

use std::path::{Path, PathBuf};

use ragtune_retrieve::load::{defaults, threads_left_behind};

/// Larger samples are cut to this, so that a test build gets through them.
const MAX_BYTES: u64 = 400 << 10;

/// A generator with a fixed seed (Knuth's MMIX constants).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end.max(1)
    }
}

fn mutated(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    match random.below(4) {
        0 => bytes.truncate(random.below(bytes.len() + 1)),
        1 => {
            for _ in 0..=random.below(16) {
                let at = random.below(bytes.len());
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
        }
        2 => {
            let from = random.below(bytes.len());
            let to = (from + random.below(64)).min(bytes.len());
            let piece = bytes[from..to].to_vec();
            let at = random.below(bytes.len() + 1);
            bytes.splice(at..at, piece);
        }
        _ => {
            // Numbers at their ends are what sizes and offsets are hurt by.
            let at = random.below(bytes.len());
            let end = (at + 4).min(bytes.len());
            let value = [0xFF, 0x00, b'9', 0x7F][random.below(4)];
            bytes[at..end].fill(value);
        }
    }
    bytes
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file() && path.metadata().unwrap().len() <= MAX_BYTES)
        .collect();
    files.sort();
    files
}

fn try_all(folder: &Path, rounds: usize) {
    let loaders = defaults();
    for path in files(folder) {
        let Some(loader) = loaders.iter().find(|loader| loader.accepts(&path)) else {
            continue;
        };
        let bytes = std::fs::read(&path).unwrap();
        for round in 0..rounds {
            let mut random = Random(round as u64 + 1);
            let damaged = mutated(&bytes, &mut random);
            match loader.load(&path, &damaged) {
                Ok(loaded) => assert!(
                    loaded
                        .markers
                        .iter()
                        .all(|marker| loaded.text.is_char_boundary(marker.at)),
                    "{} in round {round}",
                    path.display()
                ),
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        }
    }
    assert_eq!(threads_left_behind(), 0, "a reader hangs");
}

/// Texts that the readers of text formats start from.
const TEXTS: [&str; 6] = [
    "name,price\n\"Tea, green\",4.50\nCoffee,\n\"two\nlines\",\"a \"\"quoted\"\" word\"\n",
    "{\"title\": \"Tea\", \"steps\": [{\"n\": 1, \"text\": \"Boil \\u00e9 \\ud83c\\udf75\"}, [1e9, null, true]]}\n{\"b\": []}\n",
    "{\"nbformat\": 4, \"metadata\": {}, \"cells\": [{\"cell_type\": \"markdown\", \"source\": [\"# Tea\\n\", \"Steep.\"]}, \
     {\"cell_type\": \"code\", \"source\": \"1 + 1\", \"outputs\": [{\"output_type\": \"stream\", \"text\": [\"2\"]}]}]}",
    "<html><head><title>Tea</title></head><body><article><h1>Tea &amp; more</h1><p>Steep <b>three</b> minutes.</p>\
     <table><tr><th>Kind</th><td>Green</td></tr></table><ul><li>One<li>Two</ul></article></body></html>",
    "<?xml version=\"1.0\"?><rss version=\"2.0\"><channel><title>Tea</title><item><title>First flush</title>\
     <description><![CDATA[<p>Picked &amp; dried.</p>]]></description><link>https://example.org/1</link></item></channel></rss>",
    "<feed xmlns=\"http://www.w3.org/2005/Atom\"><title>Tea</title><entry><title>A</title><content type=\"html\">&lt;p&gt;B\
     </content></entry></feed>",
];

/// The functions of the fuzz targets on damaged copies of files of every format, their own and others.
#[test]
fn every_fuzz_target_bears_damaged_inputs() {
    let rounds = rounds().unwrap_or(8);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/loaders");
    let read = |path: PathBuf| {
        (
            path.file_name().unwrap().to_string_lossy().into_owned(),
            std::fs::read(&path).unwrap(),
        )
    };
    let mut seeds: Vec<(String, Vec<u8>)> = files(&folder).into_iter().map(read).collect();
    seeds.retain(|(name, _)| !name.ends_with(".py"));
    seeds.extend(TEXTS.map(|text| ("text".to_owned(), text.as_bytes().to_vec())));
    let mut tried = 0;
    for (at, (target, run)) in entries::ENTRIES.iter().enumerate() {
        let mut random = Random(at as u64 + 1);
        run(b"");
        for (name, seed) in &seeds {
            let is_own = match *target {
                "load_any" => true,
                "load_spreadsheet" => name.ends_with(".xls") || name.ends_with(".xlsx"),
                target => {
                    target
                        .strip_prefix("load_")
                        .is_some_and(|kind| name.ends_with(kind))
                        || name == "text"
                }
            };
            for _ in 0..rounds * if is_own { 4 } else { 1 } {
                run(&mutated(seed, &mut random));
                tried += 1;
            }
        }
    }
    assert!(tried >= 11 * rounds, "{tried}");
    assert_eq!(threads_left_behind(), 0, "a reader hangs");
}

/// How often each file is damaged, where the caller says so.
fn rounds() -> Option<usize> {
    std::env::var("RAGTUNE_MUTATIONS").ok()?.parse().ok()
}

#[test]
fn damaged_files_are_answered() {
    let rounds = rounds();
    try_all(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/loaders"),
        rounds.unwrap_or(40),
    );
    match (std::env::var_os("RAGTUNE_SHARED"), rounds) {
        (Some(shared), Some(rounds)) => {
            let files = "data/loader-files/packages/markitdown/tests/test_files";
            try_all(&Path::new(&shared).join(files), rounds);
        }
        _ => println!("skipped the real documents: set RAGTUNE_SHARED and RAGTUNE_MUTATIONS"),
    }
}
