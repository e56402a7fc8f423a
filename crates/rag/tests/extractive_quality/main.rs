//! How well quoting works on real documents and questions; `docs/extractive.md` keeps the numbers.
//!
//! Needs the folder of data in RAGTUNE_SHARED and an encoder in RAGTUNE_EMBED (see fixtures/extractive/embed.py); with
//! RAGTUNE_MEASURES it also writes what fixtures/extractive/fit.py reads.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that meets them fails")]

mod corpus;
mod encoder;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use corpus::{Corpus, lines};
use ragtune::{Embedder, ExtractiveAnswerer, ExtractiveOptions, Query, Rag, Retriever};
use serde_json::{Value, json};

fn questions(name: &str) -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/extractive");
    lines(&folder.join(format!("{name}.jsonl")))
}

/// The area under the ROC curve: how often a positive stands above a negative.
fn auroc(positive: &[f32], negative: &[f32]) -> f64 {
    let wins = positive.iter().flat_map(|p| {
        negative.iter().map(move |n| match p.total_cmp(n) {
            std::cmp::Ordering::Greater => 1.0,
            std::cmp::Ordering::Equal => 0.5,
            std::cmp::Ordering::Less => 0.0,
        })
    });
    wins.sum::<f64>() / (positive.len() * negative.len()) as f64
}

fn share(strengths: &[f32]) -> f64 {
    let min = ExtractiveOptions::default().min_evidence;
    strengths.iter().filter(|strength| **strength >= min).count() as f64 / strengths.len() as f64
}

#[test]
fn answers_what_the_documents_hold_and_abstains_otherwise() {
    let (Ok(shared), Ok(command)) = (std::env::var("RAGTUNE_SHARED"), std::env::var("RAGTUNE_EMBED")) else {
        println!("SKIPPED: set RAGTUNE_SHARED and RAGTUNE_EMBED (see tests/fixtures/extractive/embed.py)");
        return;
    };
    let shared = PathBuf::from(shared);
    let embedder: Arc<dyn Embedder> = Arc::new(encoder::Process::start(&command));
    let book = Corpus::rust_book(&shared, &embedder);
    let docs = Corpus::docs_rag(&shared, &embedder);
    let about_docs: Vec<Value> = lines(&shared.join("data/docs-rag/queries.jsonl"))
        .into_iter()
        .map(|q| json!({"id": q["_id"], "question": q["text"], "answer": q["metadata"]["answer"]}))
        .collect();
    let about_book = questions("rust-book");
    let (off_topic, near) = (questions("off-topic"), questions("near-topic"));

    // "a<b": questions about b, asked to a.
    let sets = [
        ("book", &book, &about_book),
        ("docs", &docs, &about_docs),
        ("book<docs", &book, &about_docs),
        ("docs<book", &docs, &about_book),
        ("book<off", &book, &off_topic),
        ("docs<off", &docs, &off_topic),
        ("book<near", &book, &near),
    ];
    let answerer = ExtractiveAnswerer::new(Arc::clone(&embedder));
    let mut strengths: BTreeMap<&str, Vec<f32>> = BTreeMap::new();
    let mut measures = std::env::var("RAGTUNE_MEASURES")
        .ok()
        .map(|path| std::fs::File::create(path).unwrap());
    for (name, corpus, questions) in sets {
        for question in questions {
            let query = Query::new(question["question"].as_str().unwrap());
            let hits = corpus.retrieve(&query).unwrap();
            let evidence = answerer.evidence(&query, &hits).unwrap();
            strengths.entry(name).or_default().push(evidence.strength);
            if let Some(file) = measures.as_mut() {
                let row = |sentence: &ragtune::SentenceEvidence| {
                    let document = &hits[sentence.source - 1].chunk.document_id;
                    let text = corpus.text(document, sentence.span);
                    json!({"document": document, "text": text, "measures": sentence.measures})
                };
                let rows: Vec<Value> = evidence.sentences.iter().map(row).collect();
                writeln!(
                    file,
                    "{}",
                    json!({"set": name, "question": question, "rows": rows})
                )
                .unwrap();
            }
        }
    }
    for (name, strengths) in &strengths {
        println!(
            "{name}: {:.3} of {} are answered",
            share(strengths),
            strengths.len()
        );
    }
    let joined =
        |names: &[&str]| -> Vec<f32> { names.iter().flat_map(|name| strengths[name].clone()).collect() };
    let answerable = joined(&["book", "docs"]);
    let foreign = joined(&["book<docs", "docs<book", "book<off", "docs<off"]);
    let area = auroc(&answerable, &foreign);
    println!("AUROC answerable against foreign: {area:.4}");
    println!(
        "AUROC book against near-topic: {:.4}",
        auroc(&strengths["book"], &strengths["book<near"])
    );
    assert!(area >= 0.99);
    assert!(share(&answerable) >= 0.95);
    assert!(share(&foreign) <= 0.05);

    let rag = Rag::builder().retriever(book).build().unwrap();
    let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (mut right_file, mut right_words, mut slowest) = (0, 0, 0.0_f64);
    for question in &about_book {
        let answer = rag.ask(question["question"].as_str().unwrap()).unwrap();
        assert!(answer.trace.rejected_citations.is_empty());
        for citation in &answer.citations {
            assert_eq!(
                citation.answer_span.of(&answer.text),
                Some(citation.text.as_str())
            );
        }
        let file = question["file"].as_str().unwrap();
        right_file += usize::from(
            answer
                .citations
                .iter()
                .any(|citation| citation.document_id == file),
        );
        let text = squeezed(&answer.text);
        let wanted = question["contains"].as_array().unwrap();
        right_words += usize::from(
            wanted
                .iter()
                .any(|words| text.contains(&squeezed(words.as_str().unwrap()))),
        );
        slowest = slowest.max(answer.trace.timings.answer_ms);
        println!("\n## {}\n{answer}", answer.question);
    }
    let of = about_book.len();
    println!("\nright file cited: {right_file} of {of}; expected words quoted: {right_words} of {of}");
    println!("slowest answer after retrieval: {slowest:.0} ms (encoder in another process)");
    assert!(right_file * 10 >= of * 9);

    let tests = rag
        .ask("How do I run only the tests whose name contains a word?")
        .unwrap();
    assert_eq!(tests.citations[0].document_id, "ch11-02-running-tests.md");
    assert!(squeezed(&tests.text).contains("any test whose name matches that value will be run"));
    assert!(
        rag.ask("What is the capital of Mongolia?")
            .unwrap()
            .is_abstention()
    );
}
