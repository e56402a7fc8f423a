//! Every loader on hostile content, and the default set on names.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that meets the first two fails, and prints only that it was skipped"
)]

use std::path::Path;

use ragtune_core::text::Document;
use ragtune_retrieve::load::{TextLoader, defaults};
use ragtune_retrieve::{Error, Loader};

#[test]
fn each_name_has_its_loader() {
    for (name, expected) in [
        ("docs/README.md", "markdown"),
        ("README", "text"),
        ("a.TXT", "text"),
        ("index.htm", "html"),
        ("src/lib.rs", "code"),
        ("CMakeLists.txt", "code"),
        ("Cargo.toml", "code"),
        ("tsconfig.json", "code"),
        ("a.csv", "text"),
        ("a.xml", "code"),
    ] {
        let loaders = defaults();
        let loader = loaders
            .iter()
            .find(|loader| loader.accepts(Path::new(name)))
            .unwrap();
        let loaded = loader.load(Path::new(name), b"tea").unwrap();
        assert_eq!(loaded.metadata["format"], expected.into(), "{name}");
    }
    for name in ["a.png", "a.zip", "a.wav"] {
        assert!(
            !defaults().iter().any(|loader| loader.accepts(Path::new(name))),
            "{name}"
        );
    }
}

#[test]
fn binary_content_is_unreadable_and_says_why() {
    for name in ["a.md", "a.html", "a.csv", "a.rs", "a.json", "a.ipynb", "a.txt"] {
        let loaders = defaults();
        let loader = loaders
            .iter()
            .find(|loader| loader.accepts(Path::new(name)))
            .unwrap();
        match loader.load(Path::new("folder/file"), b"%PDF-1.4 \x00\x01") {
            Err(Error::Unreadable { path, reason }) => {
                assert!(path.ends_with("file") && reason.contains("PDF"), "{reason}");
            }
            other => panic!("{}: {other:?}", loader.id()),
        }
    }
}

#[cfg(not(feature = "pdf"))]
#[test]
fn a_format_that_was_left_out_names_its_feature() {
    let loaders = defaults();
    let loader = loaders
        .iter()
        .find(|loader| loader.accepts(Path::new("a.pdf")))
        .unwrap();
    let error = loader.load(Path::new("a.pdf"), b"%PDF-1.4").unwrap_err();
    assert!(error.to_string().contains("feature \"pdf\""), "{error}");
    assert!(matches!(error, Error::NeedsFeature { feature: "pdf", .. }));
}

#[test]
fn real_pages_become_text() {
    let Some(shared) = std::env::var_os("RAGTUNE_SHARED") else {
        println!("skipped: RAGTUNE_SHARED does not name the folder with the data sets");
        return;
    };
    let files = Path::new(&shared).join("data/loader-files/packages/markitdown/tests/test_files");
    let loaders = defaults();
    for (name, title, says) in [
        (
            "test_blog.html",
            "AutoGen",
            "Large language models (LLMs) are powerful tools",
        ),
        (
            "test_wikipedia.html",
            "Microsoft",
            "Microsoft entered the operating system (OS) business in 1980",
        ),
        ("test_mskanji.csv", "", "佐藤太郎"),
    ] {
        let path = files.join(name);
        let loader = loaders.iter().find(|loader| loader.accepts(&path)).unwrap();
        let loaded = loader.load(&path, &std::fs::read(&path).unwrap()).unwrap();
        assert!(
            loaded.text.contains(says),
            "{name}: {}",
            loaded.text.chars().take(3000).collect::<String>()
        );
        let found = loaded
            .metadata
            .get("title")
            .map(ToString::to_string)
            .unwrap_or_default();
        assert!(found.contains(title), "{found}");
        let mut document = Document::new(name, loaded.text);
        document.metadata = loaded.metadata;
        assert!(!document.text.contains("function("), "{name} has scripts in it");
    }
    let random = files.join("random.bin");
    let refused = TextLoader.load(&random, &std::fs::read(&random).unwrap());
    assert!(matches!(refused, Err(Error::Unreadable { .. })), "{refused:?}");
}
