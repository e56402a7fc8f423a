//! Every chunker on random and hostile texts: exact, whole, in order, within its limits.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that meets the first two fails, and prints only that it was skipped"
)]

use std::sync::Arc;

use proptest::prelude::*;
use ragtune_core::testing::HashingEmbedder;
use ragtune_core::text::{Document, Embedder, Embeddings, Role, TokenCount};
use ragtune_retrieve::Chunker;
use ragtune_retrieve::chunk::{ParagraphChunker, SemanticChunker, SentenceChunker, TokenChunker};
use ragtune_retrieve::testing::conformance;

/// Counts a token for each character that is not white space: sums over words are exact, every word can be too long.
struct CharEmbedder(HashingEmbedder);

impl Embedder for CharEmbedder {
    fn id(&self) -> &str {
        "chars"
    }
    fn dim(&self) -> usize {
        self.0.dim()
    }
    fn max_tokens(&self) -> usize {
        512
    }
    fn embed(&self, texts: &[&str], role: Role) -> ragtune_core::Result<Embeddings> {
        self.0.embed(texts, role)
    }
    fn count_tokens(&self, text: &str) -> TokenCount {
        TokenCount::Exact(text.chars().filter(|c| !c.is_whitespace()).count())
    }
}

fn chunkers(embedder: &Arc<dyn Embedder>, max: usize) -> Vec<Box<dyn Chunker>> {
    let e = || Arc::clone(embedder);
    vec![
        Box::new(TokenChunker::new(e()).with_max_tokens(max).unwrap()),
        Box::new(
            TokenChunker::new(e())
                .with_max_tokens(max)
                .unwrap()
                .with_overlap_tokens(max / 4)
                .unwrap(),
        ),
        Box::new(SentenceChunker::new(e()).with_max_tokens(max).unwrap()),
        Box::new(
            SentenceChunker::new(e())
                .with_sentences(3, 2)
                .unwrap()
                .with_max_tokens(max)
                .unwrap(),
        ),
        Box::new(ParagraphChunker::new(e()).with_max_tokens(max).unwrap()),
        Box::new(
            SemanticChunker::new(e())
                .with_max_tokens(max)
                .unwrap()
                .with_percentile(50.0)
                .unwrap(),
        ),
    ]
}

/// Violations of a chunker on a text, plain and as Markdown.
fn check(chunker: &dyn Chunker, text: &str, max: usize) -> Vec<String> {
    let mut violations = Vec::new();
    for format in ["text", "markdown"] {
        let document = Document::new("a", text).with_metadata("format", format);
        violations.extend(conformance::chunker_on(chunker, &document));
        for chunk in chunker.chunk(&document).unwrap() {
            let passage = chunk.span.of(text).unwrap();
            let tokens = passage.chars().filter(|c| !c.is_whitespace()).count();
            if passage != passage.trim() || tokens > max {
                violations.push(format!("{} is not trimmed or has {tokens} tokens", chunk.span));
            }
        }
    }
    violations
        .into_iter()
        .map(|violation| format!("{}: {violation}", chunker.id()))
        .collect()
}

/// Markdown and Unicode without rhyme or reason.
fn markdown() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-zA-Z ]{1,40}[.!?]? ",
        "#{1,7} [a-z]{1,9}\n",
        "(```|~~~)[a-z]{0,4}\n[a-z#\n ]{0,60}(```|~~~)?\n",
        "[-*+] [a-z ]{1,20}\n( {1,6}[a-z]{1,9}\n)?",
        "\\|[a-z ]{0,5}\\|[a-z]{0,5}\\|\n(\\|-+\\|-+\\|\n)?",
        "> [a-z ]{0,30}\n",
        "(\r?\n){1,3}",
        "[\\[\\]()*_`<>&~!$^\\\\]{1,12}",
        "(-{3}|\\+{3}|={3})\n",
        "[ぁ-ん一-三。！é\u{300}\u{200d}\u{a0}\u{2028}🦀]{1,40}",
        "[a-z]{60,200}",
    ];
    prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn random_texts_are_divided_exactly(text in markdown(), max in 8usize..80) {
        let embedder: Arc<dyn Embedder> = Arc::new(CharEmbedder(HashingEmbedder::new(8)));
        for chunker in chunkers(&embedder, max) {
            prop_assert_eq!(check(&*chunker, &text, max), Vec::<String>::new());
        }
    }

    #[test]
    fn any_text_is_divided_exactly(text in any::<String>()) {
        let embedder: Arc<dyn Embedder> = Arc::new(CharEmbedder(HashingEmbedder::new(8)));
        for chunker in chunkers(&embedder, 16) {
            prop_assert_eq!(check(&*chunker, &text, 16), Vec::<String>::new());
        }
    }
}

#[test]
fn hostile_texts_are_divided_exactly() {
    let embedder: Arc<dyn Embedder> = Arc::new(CharEmbedder(HashingEmbedder::new(8)));
    let texts = [
        "x".repeat(1 << 20),
        "茶".repeat(100_000),
        "> ".repeat(50_000) + "deep",
        "- ".repeat(20_000) + "deep",
        "[".repeat(100_000),
        "*a_".repeat(50_000),
        "<div>".repeat(50_000),
        "|".repeat(100_000),
        format!("# {}\n\nx\n\n# y\n", "h".repeat(300_000)),
        "# h\n".repeat(20_000),
        "a\r\n\r\n".repeat(30_000),
        "```\n".repeat(30_001),
        "a. ".repeat(60_000),
        "\u{301}".repeat(50_000),
    ];
    for text in &texts {
        for chunker in chunkers(&embedder, 200) {
            assert_eq!(check(&*chunker, text, 200), Vec::<String>::new());
        }
    }
}

#[test]
fn every_chunker_conforms_and_has_its_own_id() {
    let embedder: Arc<dyn Embedder> = Arc::new(HashingEmbedder::new(8));
    let mut ids = std::collections::BTreeSet::new();
    for chunker in chunkers(&embedder, 100) {
        assert_eq!(conformance::chunker(&*chunker), Vec::<String>::new());
        assert!(ids.insert(chunker.id()), "{}", chunker.id());
    }
}

#[test]
fn the_rust_book_is_divided() {
    let Some(shared) = std::env::var_os("RAGTUNE_SHARED") else {
        println!("skipped: RAGTUNE_SHARED does not name the folder with the data sets");
        return;
    };
    let embedder: Arc<dyn Embedder> = Arc::new(HashingEmbedder::new(8));
    let book = std::path::Path::new(&shared).join("data/rust-book");
    let texts: Vec<String> = std::fs::read_dir(book)
        .unwrap()
        .flatten()
        .filter(|file| file.path().extension().is_some_and(|e| e == "md"))
        .map(|file| std::fs::read_to_string(file.path()).unwrap())
        .collect();
    let documents: Vec<_> = texts
        .iter()
        .map(|text| Document::new("a", text).with_metadata("format", "markdown"))
        .collect();
    let mut all = chunkers(&embedder, 200);
    all.push(Box::new(TokenChunker::new(Arc::clone(&embedder))));
    for chunker in all {
        for document in &documents {
            assert_eq!(conformance::chunker_on(&*chunker, document), Vec::<String>::new());
        }
    }
}
