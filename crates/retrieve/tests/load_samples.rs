//! Documents as people have them: the samples of a well-known converter, which are not part of this repository.

#![cfg(all(feature = "pdf", feature = "office"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "functions of tests, which the lints do not know for such"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ragtune_retrieve::load::{ArticleLoader, defaults};
use ragtune_retrieve::{Error, KnowledgeBase, Loaded, Loader, Result};

fn folder() -> Option<PathBuf> {
    let shared = std::env::var_os("RAGTUNE_SHARED");
    if shared.is_none() {
        println!("skipped: RAGTUNE_SHARED does not name the folder with the data sets");
    }
    Some(Path::new(&shared?).join("data/loader-files/packages/markitdown/tests/test_files"))
}

fn load(path: &Path) -> Result<Loaded> {
    let loaders = defaults();
    let loader = loaders
        .iter()
        .find(|loader| loader.accepts(path))
        .unwrap_or_else(|| panic!("{}", path.display()));
    loader.load(path, &std::fs::read(path).unwrap())
}

fn words(text: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for word in text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
    {
        *counts.entry(word.to_lowercase()).or_default() += 1;
    }
    counts
}

/// The share of the expected words that are found, each as often as it is expected.
fn recall(found: &str, expected: &str) -> f64 {
    let (found, expected) = (words(found), words(expected));
    let both: usize = expected
        .iter()
        .map(|(word, count)| (*count).min(found.get(word).copied().unwrap_or(0)))
        .sum();
    both as f64 / expected.values().sum::<usize>().max(1) as f64
}

#[test]
fn texts_are_those_that_are_expected() {
    let Some(folder) = folder() else {
        return;
    };
    for (name, least) in [
        ("RECEIPT-2024-TXN-98765_retail_purchase", 0.95),
        ("REPAIR-2022-INV-001_multipage", 0.9),
        ("SPARSE-2024-INV-1234_borderless_table", 0.95),
        ("movie-theater-booking-2024", 0.95),
        ("test", 0.95),
    ] {
        let loaded = load(&folder.join(format!("{name}.pdf"))).unwrap();
        let expected = std::fs::read_to_string(folder.join(format!("expected_outputs/{name}.md"))).unwrap();
        let left_out = loaded
            .metadata
            .get("repeated_lines")
            .map(ToString::to_string)
            .unwrap_or_default();
        let there = recall(&loaded.text, &expected);
        let precise = recall(&expected, &loaded.text);
        println!(
            "{name}: {there:.3} of the expected words, {precise:.3} of ours are expected, left out {left_out:?}"
        );
        assert!(there >= least, "{name}: {there}\n{}", loaded.text);
    }
}

#[test]
fn key_phrases_are_there() {
    let Some(folder) = folder() else {
        return;
    };
    for (name, phrases) in [
        ("masterformat_partial_numbering.pdf", &["RFP"][..]),
        (
            "test.docx",
            &[
                "AutoGen",
                "# Abstract",
                "314b0a30-5b04-470b-b9f7-eed2c2bec74a",
                "49e168b7-d2ae-407f-a055-2167576f39a1",
            ],
        ),
        ("test_with_comment.docx", &["This is a test comment", "AutoGen"]),
        ("equations.docx", &["For m=1", "mλ/a", "10^(-4)"]),
        ("rlink.docx", &["Testing Linked Images"]),
        (
            "test.pptx",
            &[
                "2cdda5c8-e50e-4db4-b5f0-9722a649f455",
                "04191ea8-5c73-4215-a1d3-1cfb43aaaf12",
                "44bf7d06-5e7a-4a40-a2e1-a2e42ef28c8a",
                "1b92870d-e3b5-4e65-8153-919f4ff45592",
                "AutoGen",
            ],
        ),
        (
            "test.xlsx",
            &[
                "## 09060124-b5e7-4717-9d07-3c046eb",
                "6ff4173b-42a5-4784-9b19-f49caff4d93d",
                "affc7dad-52dc-4b98-9b5d-51e65d8a8ad0",
            ],
        ),
        (
            "test.xls",
            &[
                "09060124-b5e7-4717-9d07-3c046eb",
                "6ff4173b-42a5-4784-9b19-f49caff4d93d",
                "affc7dad-52dc-4b98-9b5d-51e65d8a8ad0",
            ],
        ),
        ("test.epub", &["Chapter 1", "bullet"]),
        (
            "test.json",
            &[
                "5b64c88c-b3c3-4510-bcb8-da0b200602d8: uuid_key",
                "uuid_value: 9700dc99-6685-40b4-9a3a-5e406dcb37f3",
            ],
        ),
        (
            "test_notebook.ipynb",
            &[
                "# Test Notebook",
                "print(\"markitdown\")",
                "## Code Cell Below",
                "print(42)",
            ],
        ),
        (
            "test_rss.xml",
            &[
                "# The Official Microsoft Blog",
                "Ignite 2024: Why nearly 70% of the Fortune 500 now use Microsoft 365 Copilot",
                "In the case of AI, it is absolutely true",
            ],
        ),
        (
            "test_mskanji.csv",
            &[
                "- 名前: 佐藤太郎; 年齢: 30; 住所: 東京",
                "- 名前: 髙橋淳; 年齢: 35; 住所: 名古屋",
            ],
        ),
        (
            "test_blog.html",
            &["Large language models (LLMs) are powerful tools"],
        ),
        (
            "test_wikipedia.html",
            &["Microsoft entered the operating system (OS) business in 1980"],
        ),
        ("test_serp.html", &["Microsoft"]),
    ] {
        let loaded = load(&folder.join(name)).unwrap_or_else(|error| panic!("{error}"));
        let start: String = loaded.text.chars().take(2000).collect();
        println!(
            "{name}: {} bytes, {} places, {:?}",
            loaded.text.len(),
            loaded.markers.len(),
            loaded.metadata
        );
        if std::env::var_os("RAGTUNE_SHOW").is_some() {
            println!("{start}\n-----");
        }
        for phrase in phrases {
            assert!(loaded.text.contains(phrase), "{name} lacks {phrase:?}: {start}");
        }
    }
}

#[test]
fn what_has_no_text_is_refused_with_its_reason() {
    let Some(folder) = folder() else {
        return;
    };
    let scan = load(&folder.join("MEDRPT-2024-PAT-3847_medical_report_scan.pdf"));
    assert!(matches!(&scan, Err(Error::NoText { .. })), "{scan:?}");
    let kb = KnowledgeBase::in_memory()
        .unwrap()
        .with_embedder(ragtune_core::testing::HashingEmbedder::new(64))
        .unwrap();
    let report = kb.sync_folder(&folder).unwrap();
    let skipped: Vec<_> = report.skipped.iter().map(|file| file.path.as_str()).collect();
    let expected = [
        "MEDRPT-2024-PAT-3847_medical_report_scan.pdf",
        "random.bin",
        "test.jpg",
        "test.m4a",
        "test.mp3",
        "test.wav",
        "test_files.zip",
        "test_llm.jpg",
        "test_outlook_msg.msg",
    ];
    assert_eq!(skipped, expected, "{:?}", report.skipped);
    for file in &report.skipped {
        println!("{}: {}", file.path, file.reason);
        assert!(file.reason.len() > 20, "{file:?}");
    }
}

#[test]
fn articles_are_parts_of_their_pages() {
    let Some(folder) = folder() else {
        return;
    };
    for (name, says) in [
        (
            "test_blog.html",
            "Large language models (LLMs) are powerful tools",
        ),
        (
            "test_wikipedia.html",
            "Microsoft entered the operating system (OS) business in 1980",
        ),
        ("test_serp.html", "Microsoft"),
    ] {
        let path = folder.join(name);
        let article = ArticleLoader::default()
            .load(&path, &std::fs::read(&path).unwrap())
            .unwrap();
        let page = load(&path).unwrap();
        println!(
            "{name}: article {:?} {} bytes, page {} bytes",
            article.metadata,
            article.text.len(),
            page.text.len()
        );
        assert!(article.text.contains(says), "{name}");
    }
}
