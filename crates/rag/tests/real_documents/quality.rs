//! How well quoting works: which questions are answered, and with what; `docs/extractive.md` keeps the figures.

use std::collections::BTreeMap;
use std::io::Write;

use ragtune::{
    ExtractiveAnswerer, ExtractiveOptions, KnowledgeBase, Query, Rag, Retriever, SentenceEvidence,
};
use serde_json::{Value, json};

use crate::bases::{about_docs, bases, questions};
use crate::rust_book::check_citations;

/// Every how manieth question is asked, unless RAGTUNE_WHOLE is set.
const SAMPLE: usize = 4;

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

fn answered(strengths: &[f32]) -> usize {
    let min = ExtractiveOptions::default().min_evidence;
    strengths.iter().filter(|strength| **strength >= min).count()
}

fn share(strengths: &[f32]) -> f64 {
    answered(strengths) as f64 / strengths.len() as f64
}

/// What is measured of every candidate sentence, for the script that fits the weights.
fn rows(base: &KnowledgeBase, hits: &[ragtune::ScoredChunk], sentences: &[SentenceEvidence]) -> Vec<Value> {
    let row = |sentence: &SentenceEvidence| {
        let document = &hits[sentence.source - 1].chunk.document_id;
        let text = base.stored_text(document, sentence.span).unwrap().unwrap();
        json!({"document": document, "text": text, "measures": sentence.measures})
    };
    sentences.iter().map(row).collect()
}

#[test]
fn answers_what_the_documents_hold_and_abstains_otherwise() {
    let Some(bases) = bases() else { return };
    let sample = if std::env::var("RAGTUNE_WHOLE").is_ok() {
        1
    } else {
        SAMPLE
    };
    let sampled = |questions: Vec<Value>| -> Vec<Value> { questions.into_iter().step_by(sample).collect() };
    let about_docs = sampled(about_docs(&bases.shared));
    let about_book = sampled(questions("rust-book"));
    let (off_topic, near) = (sampled(questions("off-topic")), sampled(questions("near-topic")));

    // "a<b": questions about b, asked to a.
    let sets = [
        ("book", &bases.book, &about_book),
        ("docs", &bases.docs, &about_docs),
        ("book<docs", &bases.book, &about_docs),
        ("docs<book", &bases.docs, &about_book),
        ("book<off", &bases.book, &off_topic),
        ("docs<off", &bases.docs, &off_topic),
        ("book<near", &bases.book, &near),
    ];
    let answerer = ExtractiveAnswerer::new(bases.embedder.clone());
    let mut strengths: BTreeMap<&str, Vec<f32>> = BTreeMap::new();
    let mut measures = std::env::var("RAGTUNE_MEASURES")
        .ok()
        .map(|path| std::fs::File::create(path).unwrap());
    for (name, base, questions) in sets {
        let rag = Rag::builder().retriever(base.clone()).build().unwrap();
        for question in questions {
            let query = Query::new(question["question"].as_str().unwrap());
            let hits = rag.retrieve(&query).unwrap();
            let evidence = answerer.evidence(&query, &hits).unwrap();
            strengths.entry(name).or_default().push(evidence.strength);
            if let Some(file) = measures.as_mut() {
                let rows = rows(base, &hits, &evidence.sentences);
                writeln!(
                    file,
                    "{}",
                    json!({"set": name, "question": question, "rows": rows})
                )
                .unwrap();
            }
        }
        let strengths = &strengths[name];
        println!(
            "{name}: {} of {} are answered",
            answered(strengths),
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
    assert!(share(&answerable) >= 0.9);
    assert!(share(&foreign) <= 0.05);

    let rag = Rag::builder().retriever(bases.book.clone()).build().unwrap();
    let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (mut right_file, mut right_words) = (0, 0);
    let mut times = Vec::new();
    for (question, strength) in about_book.iter().zip(&strengths["book"]) {
        let answer = rag.ask(question["question"].as_str().unwrap()).unwrap();
        assert_eq!(answer.is_abstention(), answered(&[*strength]) == 0, "{answer}");
        check_citations(bases, &answer);
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
        times.push(answer.trace.timings.answer_ms);
        println!("\n## {}\n{answer}", answer.question);
    }
    let of = about_book.len();
    println!("\nright file cited: {right_file} of {of}; expected words quoted: {right_words} of {of}");
    times.sort_by(f64::total_cmp);
    println!(
        "from hits to answer: median {:.0} ms, slowest {:.0} ms",
        times[of / 2],
        times[of - 1]
    );
    assert!(right_file * 10 >= of * 7);
}
