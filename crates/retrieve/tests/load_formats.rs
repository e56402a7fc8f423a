//! Small documents of every format, made by fixtures/loaders/make_fixtures.py.

#![cfg(all(feature = "pdf", feature = "office"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "functions of tests, which the lints do not know for such"
)]

mod support;

use std::path::{Path, PathBuf};

use ragtune_core::testing::HashingEmbedder;
use ragtune_core::text::Query;
use ragtune_retrieve::load::{DocxLoader, PdfLoader, PptxLoader, SpreadsheetLoader, defaults};
use ragtune_retrieve::testing::conformance;
use ragtune_retrieve::{Error, KnowledgeBase, Loaded, Loader, Mode, Result, Retriever};
use support::in_mode;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/loaders")
        .join(name)
}

fn load_as(name: &str, bytes: &[u8]) -> Result<Loaded> {
    let path = Path::new(name);
    let loaders = defaults();
    let loader = loaders.iter().find(|loader| loader.accepts(path)).unwrap();
    loader.load(path, bytes)
}

fn load(name: &str) -> Loaded {
    load_as(name, &std::fs::read(fixture(name)).unwrap()).unwrap()
}

fn metadata(loaded: &Loaded, name: &str) -> String {
    loaded
        .metadata
        .get(name)
        .map(ToString::to_string)
        .unwrap_or_default()
}

/// The page or part at the first byte of these words.
fn place(loaded: &Loaded, words: &str) -> (Option<u32>, Option<String>, Vec<String>) {
    let at = loaded
        .text
        .find(words)
        .unwrap_or_else(|| panic!("{words:?} is not in {}", loaded.text));
    let marker = loaded.markers.iter().rfind(|marker| marker.at <= at);
    let locator = marker.map(|marker| marker.locator.clone()).unwrap_or_default();
    (locator.page, locator.part, locator.headings)
}

#[test]
fn word_documents() {
    let loaded = load("tea.docx");
    assert_eq!(
        loaded.text,
        "# The book of tea\n\n# Green tea\n\nIt is steamed[^2], see [the guide](https://example.org/guide).\n\n\
         [^2]: In Japan.\n\n> Comment by Okakura: Always?\n\nNew words.\n\n1. Warm the pot\n  - Gently\n2. Pour\n- by hand\n\n\
         ## Steeping\n\n| tea | degrees |\n|---|---|\n| sencha | 80 |\n\nx^2\n\nA cup of tea\n\nIn a box\n\n\\# no heading\n"
    );
    assert_eq!(
        (metadata(&loaded, "title"), metadata(&loaded, "author")),
        ("Tea in Word".into(), "Lu Yu".into())
    );
    assert_eq!(
        (place(&loaded, "steamed").0, place(&loaded, "sencha").0),
        (Some(1), Some(2))
    );
    let bytes = std::fs::read(fixture("tea.docx")).unwrap();
    let quiet = DocxLoader::default()
        .with_comments(false)
        .load(Path::new("tea.docx"), &bytes)
        .unwrap();
    assert!(!quiet.text.contains("Always?"));
}

#[test]
fn presentations() {
    let loaded = load("tea.pptx");
    assert_eq!(
        loaded.text,
        "## Welcome to tea\n\nAbove\n  - deeper\n\nBelow\n\nNotes: Speak slowly.\n\n## Slide 2\n\n\
         | tea | grams |\n|---|---|\n| oolong | 5 |\n"
    );
    assert_eq!(
        (metadata(&loaded, "title"), metadata(&loaded, "slides")),
        ("Welcome to tea".into(), "3".into())
    );
    assert_eq!(place(&loaded, "oolong").1.as_deref(), Some("slide 2"));
    assert_eq!(metadata(&loaded, "hidden_slides"), "3");
    let bytes = std::fs::read(fixture("tea.pptx")).unwrap();
    let all = PptxLoader::default().with_hidden(true).with_notes(false);
    let all = all.load(Path::new("a.pptx"), &bytes).unwrap();
    assert!(all.text.contains("Hidden words") && !all.text.contains("Speak"));
}

#[test]
fn workbooks_new_and_old() {
    let loaded = load("tea.xlsx");
    assert_eq!(
        loaded.text,
        "## Stock\n\n- tea: Oolong; picked: 2024-11-19; share: 25.5%\n- far away\n"
    );
    assert_eq!(place(&loaded, "Oolong").1.as_deref(), Some("Stock"));
    assert_eq!(
        (metadata(&loaded, "sheets"), metadata(&loaded, "hidden_sheets")),
        ("Stock".into(), "Secret".into())
    );
    let old = load("tea.xls");
    assert_eq!(
        old.text,
        "## Stock\n\n- tea: Oolong; picked: 2024-11-19; from a formula\n- 5\n"
    );
    assert_eq!(
        (metadata(&old, "format"), place(&old, "Oolong").1.as_deref()),
        ("xls".into(), Some("Stock"))
    );
    let bytes = std::fs::read(fixture("tea.xlsx")).unwrap();
    let all = SpreadsheetLoader::default()
        .with_hidden(true)
        .load(Path::new("a.xlsx"), &bytes)
        .unwrap();
    assert!(all.text.contains("## Secret"));
}

#[test]
fn books() {
    let loaded = load("tea.epub");
    assert_eq!(
        loaded.text,
        "# The cup of humanity\n\nTea began as a medicine.\n\n# Water\n\nWater has three stages.\n"
    );
    assert_eq!(place(&loaded, "stages").1.as_deref(), Some("chapter 2: Water"));
    assert_eq!(
        (metadata(&loaded, "title"), metadata(&loaded, "lang")),
        ("The book of tea".into(), "en".into())
    );
}

#[test]
fn pdf_pages() {
    let loaded = load("tea.pdf");
    assert_eq!(
        (metadata(&loaded, "title"), metadata(&loaded, "pages")),
        ("Tea in a report".into(), "3".into())
    );
    assert!(loaded.text.contains("so that the information"), "{}", loaded.text);
    assert!(
        !loaded.text.contains("The tea report") && !loaded.text.contains("of 3"),
        "{}",
        loaded.text
    );
    assert!(metadata(&loaded, "repeated_lines").contains("The tea report"));
    // The sentence belongs to the page on which it begins, the next one to its own.
    assert_eq!(place(&loaded, "over the end").0, Some(1));
    assert_eq!(place(&loaded, "it is withered").0, Some(2));
    assert_eq!(
        place(&loaded, "Fujian"),
        (Some(3), None, vec!["White tea".to_owned()])
    );
    assert_eq!(place(&loaded, "rolled and dried").2, ["Green tea"]);
    let bytes = std::fs::read(fixture("tea.pdf")).unwrap();
    let all = PdfLoader::default()
        .with_repeated_lines(true)
        .load(Path::new("a.pdf"), &bytes)
        .unwrap();
    assert_eq!(all.text.matches("The tea report").count(), 3);
}

#[test]
fn scans_and_passwords_have_their_own_errors() {
    let bytes = |name| std::fs::read(fixture(name)).unwrap();
    match load_as("scan.pdf", &bytes("scan.pdf")) {
        Err(error @ Error::NoText { pages: 1, .. }) => assert!(error.to_string().contains("OCR"), "{error}"),
        other => panic!("{other:?}"),
    }
    match load_as("secret.pdf", &bytes("secret.pdf")) {
        Err(error @ Error::Encrypted { .. }) => {
            assert!(error.to_string().contains("with_password"), "{error}")
        }
        other => panic!("{other:?}"),
    }
    let path = Path::new("secret.pdf");
    let opened = PdfLoader::default()
        .with_password("wrong")
        .with_password("oolong");
    assert_eq!(
        opened.load(path, &bytes("secret.pdf")).unwrap().text,
        "The secret is oolong.\n"
    );
    let wrong = PdfLoader::default().with_password("green");
    assert!(matches!(
        wrong.load(path, &bytes("secret.pdf")),
        Err(Error::Encrypted { .. })
    ));
    assert!(!format!("{wrong:?}").contains("green"));
}

#[test]
fn content_counts_where_the_name_lies() {
    let bytes = |name| std::fs::read(fixture(name)).unwrap();
    for (name, file, format) in [
        ("report.doc", "tea.docx", "docx"),
        ("report", "tea.pdf", "pdf"),
        ("book.pdf", "tea.epub", "epub"),
        ("table.xlsx", "tea.xls", "xls"),
        ("slides.docx", "tea.pptx", "pptx"),
    ] {
        assert_eq!(
            load_as(name, &bytes(file)).unwrap().metadata["format"],
            format.into(),
            "{name}"
        );
    }
    for (name, content, says) in [
        ("a.pdf", b"plain text".as_slice(), "not a PDF"),
        (
            "a.docx",
            b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
            "not a Word",
        ),
        ("a.doc", b"{\\rtf1 tea}", "RTF"),
        ("unknown", b"not\0text", ".txt"),
        (
            "a.docx",
            b"\xD0\xCF\x11\xE0....E\0n\0c\0r\0y\0p\0t\0e\0d\0P\0a\0c\0k\0a\0g\0e\0",
            "encrypted",
        ),
    ] {
        let error = load_as(name, content).unwrap_err();
        assert!(error.to_string().contains(says), "{name}: {error}");
    }
}

#[test]
fn every_loader_conforms() {
    let mut ids = std::collections::BTreeSet::new();
    let names = [
        "a.md", "a.html", "a.pdf", "a.docx", "a.pptx", "a.xlsx", "a.epub", "a.xml", "a.ipynb", "a.json",
        "a.csv", "a.rs", "a.txt", "unknown",
    ];
    let loaders = defaults();
    assert_eq!(loaders.len(), names.len());
    for (loader, name) in loaders.iter().zip(names) {
        assert_eq!(
            conformance::loader(loader, Path::new(name)),
            Vec::<String>::new(),
            "{name}"
        );
        assert!(ids.insert(loader.id()), "{name}");
    }
}

#[test]
fn a_folder_of_all_formats_answers_with_pages_and_sheets() {
    let folder = tempfile::tempdir().unwrap();
    for name in [
        "tea.docx",
        "tea.pptx",
        "tea.xlsx",
        "tea.xls",
        "tea.epub",
        "tea.pdf",
        "scan.pdf",
        "secret.pdf",
    ] {
        std::fs::copy(fixture(name), folder.path().join(name)).unwrap();
    }
    std::fs::write(folder.path().join("broken.pdf"), "%PDF-1.7 and no more").unwrap();
    let kb = KnowledgeBase::in_memory()
        .unwrap()
        .with_embedder(HashingEmbedder::new(64))
        .unwrap();
    let report = kb.sync_folder(folder.path()).unwrap();
    let skipped: Vec<_> = report.skipped.iter().map(|s| s.path.as_str()).collect();
    assert_eq!(
        (report.added, skipped),
        (6, vec!["broken.pdf", "scan.pdf", "secret.pdf"])
    );
    assert_eq!(kb.sync_folder(folder.path()).unwrap().unchanged, 6);
    let words = in_mode(&kb, Mode::Lexical);
    for (question, document, page, part) in [
        ("Fujian buds", "tea.pdf", Some(3), None),
        ("milk", "tea.pdf", Some(2), None),
        ("sencha", "tea.docx", Some(2), None),
        ("medicine", "tea.epub", None, Some("chapter 1: Humanity")),
        ("speak slowly", "tea.pptx", None, Some("slide 1")),
        ("far away", "tea.xlsx", None, Some("Stock")),
    ] {
        let hits = words.retrieve(&Query::new(question).with_top_k(1)).unwrap();
        let hit = &hits[0].chunk;
        let found = (
            hit.document_id.as_str(),
            hit.locator.page,
            hit.locator.part.as_deref(),
        );
        assert_eq!(found, (document, page, part), "{question}: {}", hit.text);
    }
}
