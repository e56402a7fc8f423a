//! A folder of all kinds of files, synced by the default loaders and the default chunker.

#![allow(
    clippy::unwrap_used,
    reason = "functions of tests, which the lint does not know for such"
)]

mod support;

use std::path::Path;

use ragtune_core::testing::HashingEmbedder;
use ragtune_core::text::{Filter, Query, ScoredChunk};
use ragtune_retrieve::{KnowledgeBase, Mode, Retriever, SyncOptions};
use support::{assert_whole, in_mode, write};

const MARKDOWN: &str =
    "---\ntitle: Teas\n---\n\n# Green tea\n\nIt is steamed.\n\n## Steeping\n\nAt eighty degrees, not more.\n";
const HTML: &str = "<html lang=\"en\"><title>Oolong</title><nav>Home</nav>\n<h1>Oolong</h1>\n<h2>Rolling</h2>\n\
    <p>The leaves are bruised and rolled.</p></html>";
const RUST: &str =
    "//! Kettles.\n\n/// Heats water.\nfn boil(litres: f32) -> Kettle {\n    Kettle::hot(litres)\n}\n";

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let bytes = |name: &str, bytes: &[u8]| std::fs::write(root.join(name), bytes).unwrap();
    write(root, "tea/green.md", MARKDOWN);
    write(root, "tea/oolong.html", HTML);
    write(root, "src/kettle.rs", RUST);
    // Long enough that the passages about it start on several lines.
    let german = "Grüße aus Köln.\n\n".repeat(150) + "Der Tee zieht für drei Minuten über heißer Glut.\n";
    let latin: Vec<u8> = german.chars().map(|c| c as u8).collect();
    bytes("latin1.txt", &latin);
    let utf16 = "\u{FEFF}Erste Zeile.\r\n\r\nDie Nebelkrähe trinkt Tee.\r\n";
    let utf16: Vec<u8> = utf16.encode_utf16().flat_map(u16::to_le_bytes).collect();
    bytes("utf16.txt", &utf16);
    bytes("bom.md", b"\xEF\xBB\xBF# White tea\n\nWhite tea is withered.\n");
    bytes("empty.md", b"");
    bytes("picture.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR");
    bytes("binary.txt", &[0, 159, 146, 150, 0, 1, 2, 3]);
    let mut large = String::new();
    while large.len() < 3 << 20 {
        large.push_str("The ledger of the tea house goes on and on.\n");
    }
    let lines = large.lines().count();
    large.push_str(&format!("\nOn line {} the abalone is entered.\n", lines + 2));
    write(root, "ledger.txt", &large);
    folder
}

fn base() -> KnowledgeBase {
    KnowledgeBase::in_memory()
        .unwrap()
        .with_embedder(HashingEmbedder::new(64))
        .unwrap()
}

/// The best hit by words.
fn best(kb: &KnowledgeBase, words: &str) -> ScoredChunk {
    in_mode(kb, Mode::Lexical)
        .retrieve(&Query::new(words).with_top_k(1))
        .unwrap()
        .remove(0)
}

#[test]
fn every_kind_of_file_is_stored_or_reported() {
    let folder = folder();
    let kb = base();
    let report = kb.sync_folder(folder.path()).unwrap();
    let stored = [
        "bom.md",
        "empty.md",
        "latin1.txt",
        "ledger.txt",
        "src/kettle.rs",
        "tea/green.md",
        "tea/oolong.html",
        "utf16.txt",
    ];
    assert_eq!(kb.document_ids().unwrap(), stored);
    assert_eq!((report.added, report.empty), (8, vec!["empty.md".to_owned()]));
    let skipped: Vec<_> = report
        .skipped
        .iter()
        .map(|s| (s.path.as_str(), s.kept, s.reason.as_str()))
        .collect();
    assert_eq!(
        (skipped[0].0, skipped[1].0, skipped.len()),
        ("binary.txt", "picture.png", 2)
    );
    assert!(
        skipped[0].2.contains("binary") && skipped[1].2.contains("loader"),
        "{skipped:?}"
    );

    let metadata = |id: &str, name: &str| {
        let document = kb.document(id).unwrap().unwrap();
        document.metadata.get(name).map(ToString::to_string)
    };
    for (id, name, expected) in [
        ("tea/green.md", "title", Some("Teas")),
        ("tea/green.md", "format", Some("markdown")),
        ("tea/green.md", "path", Some("tea/green.md")),
        ("bom.md", "title", Some("White tea")),
        ("tea/oolong.html", "title", Some("Oolong")),
        ("tea/oolong.html", "format", Some("html")),
        ("tea/oolong.html", "lang", Some("en")),
        ("src/kettle.rs", "format", Some("code")),
        ("src/kettle.rs", "language", Some("rust")),
        ("latin1.txt", "format", Some("text")),
        ("latin1.txt", "title", None),
    ] {
        assert_eq!(metadata(id, name).as_deref(), expected, "{name} of {id}");
    }
    let filter = Filter::eq("language", "rust");
    let hits = kb.retrieve(&Query::new("tea").with_filter(filter)).unwrap();
    assert!(hits.iter().all(|hit| hit.chunk.document_id == "src/kettle.rs") && !hits.is_empty());
    assert_whole(&kb);
    assert_eq!(kb.sync_folder(folder.path()).unwrap().unchanged, 8);
}

/// The line of the file, decoded, on which the passage starts.
fn assert_line(folder: &Path, hit: &ScoredChunk) {
    let path = hit.chunk.metadata["path"].to_string();
    let bytes = std::fs::read(folder.join(&path)).unwrap();
    let text = ragtune_retrieve::load::decode(&bytes, None).unwrap();
    let line = hit.chunk.locator.line.unwrap() as usize;
    let first = hit.chunk.text.lines().next().unwrap();
    assert!(
        text.lines().nth(line - 1).unwrap().contains(first),
        "{path}: line {line} is not {first:?}"
    );
}

#[test]
fn lines_and_headings_lead_to_the_passage_in_the_file() {
    let folder = folder();
    let kb = base();
    kb.sync_folder(folder.path()).unwrap();
    for (words, id) in [
        ("eighty degrees", "tea/green.md"),
        ("boil litres", "src/kettle.rs"),
        ("Minuten Glut", "latin1.txt"),
        ("Nebelkrähe", "utf16.txt"),
        ("withered", "bom.md"),
        ("abalone", "ledger.txt"),
    ] {
        let hit = best(&kb, words);
        assert_eq!(hit.chunk.document_id, id);
        assert_line(folder.path(), &hit);
    }
    assert!(best(&kb, "Minuten Glut").chunk.locator.line > Some(200));
    assert_eq!(best(&kb, "withered").chunk.locator.line, Some(1));
    let html = best(&kb, "bruised rolled").chunk;
    assert_eq!(html.locator.line, None, "the text of a page is not its source");
    assert!(
        html.locator.headings.contains(&"Oolong".to_owned()),
        "{:?}",
        html.locator
    );
    assert!(html.text.contains("bruised"), "{}", html.text);
}

#[cfg(unix)]
#[test]
fn loops_and_forbidden_files_are_reported_and_the_rest_is_stored() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = folder();
    let root = folder.path();
    symlink(root, root.join("tea/loop")).unwrap();
    let secret = root.join("secret.md");
    write(root, "secret.md", "A secret.");
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o000)).unwrap();
    // Root may read everything.
    let is_forbidden = std::fs::read(&secret).is_err();
    let kb = base();
    for follow in [false, true] {
        let options = SyncOptions::default().with_follow_links(follow);
        let report = kb.sync_folder_with(root, &options).unwrap();
        let reported = |path: &str| report.skipped.iter().any(|skipped| skipped.path == path);
        assert!(reported("tea/loop"), "{report:?}");
        assert_eq!(reported("secret.md"), is_forbidden, "{report:?}");
    }
    assert_eq!(kb.document_ids().unwrap().len(), 8 + usize::from(!is_forbidden));
    assert_whole(&kb);
}
