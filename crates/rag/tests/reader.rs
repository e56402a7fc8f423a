//! A reader over a tiny checkpoint: one scale for all passages, exact citations, thresholds that hold.
#![cfg(feature = "cpu")]
#![cfg(feature = "train")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that meets them fails")]

use std::borrow::Cow;
use std::path::Path;

use ragtune::core::device;
use ragtune::core::models::{SpanOptions, SpanReader};
use ragtune::core::weights::ModelFiles;
use ragtune::reader::{Calibrating, LabelledQuestion, ReaderOptions};
use ragtune::testing::{OneDocument, conformance};
use ragtune::train::data::{Answer as Marked, Dataset, Question};
use ragtune::{Abstention, Chunk, Document, Error, ExtractiveReader, Query, Rag, ScoreKind, ScoredChunk};

/// The tiny BERT of the core's fixtures, random but for its family's shape.
fn model() -> SpanReader {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/tests/fixtures");
    let head = fixtures.join("heads/span/bert");
    let tokenizer = fixtures.join("encoders/models/bert");
    let files = [
        (&head, "config.json"),
        (&head, "model.safetensors"),
        (&tokenizer, "tokenizer.json"),
        (&tokenizer, "tokenizer_config.json"),
    ];
    let files = files.map(|(folder, name)| {
        let bytes = std::fs::read(folder.join(name)).unwrap();
        (name.to_owned(), Cow::Owned(bytes))
    });
    SpanReader::from_files(&ModelFiles::in_memory("span/bert", files), &device::cpu())
        .unwrap()
        .with_max_seq_length(48)
        .unwrap()
        .with_options(SpanOptions::default().with_stride(4).with_max_answer_tokens(6))
}

const TEXTS: [&str; 3] = [
    "Rust is a systems programming language; it has no garbage collector.",
    "Tea is drunk all over the world, mostly in the morning, and it is steeped at eighty degrees for two minutes or so.",
    "The café opens at nine.",
];

fn hits() -> Vec<ScoredChunk> {
    let hit = |(at, text): (usize, &&str)| {
        let document = Document::new(format!("{at}.md"), format!("# Page\n\n{text}"));
        let mut chunk = Chunk::whole(&document);
        chunk.span = ragtune::Span::new(8, document.text.len());
        chunk.text = (*text).to_owned();
        ScoredChunk::new(chunk, ScoreKind::Cosine, 1.0 / (1 + at) as f32)
    };
    TEXTS.iter().enumerate().map(hit).collect()
}

#[test]
fn the_best_span_over_all_passages_is_cited_exactly() {
    let reader = ExtractiveReader::new(model());
    let answer = reader
        .read(&Query::new("What is Rust?"), &hits())
        .unwrap()
        .unwrap();
    // Recomputed: how far the best span of each passage is above its own "no answer".
    let model = model();
    let margins = TEXTS.map(|text| {
        let reading = model.read("What is Rust?", text).unwrap();
        (
            reading.answers[0].score - reading.no_answer_score,
            reading.answers[0].span,
        )
    });
    let best = (0..3)
        .max_by(|a, b| margins[*a].0.total_cmp(&margins[*b].0))
        .unwrap();
    assert_eq!(answer.source, best + 1);
    let span = margins[best].1;
    assert_eq!(answer.text, span.of(TEXTS[best]).unwrap().trim());
    let whole = format!("# Page\n\n{}", TEXTS[best]);
    assert_eq!(answer.span.of(&whole), Some(answer.text.as_str()));
    assert!((0.0..=1.0).contains(&answer.probability));
    assert_eq!(reader.read(&Query::new("What is Rust?"), &[]).unwrap(), None);
}

#[test]
fn an_answerer_like_any_other() {
    let reader =
        ExtractiveReader::new(model()).with_options(ReaderOptions::default().with_min_probability(0.0));
    assert_eq!(conformance::answerer(&reader), Vec::<String>::new());
    let text = TEXTS.join("\n\n");
    let rag = Rag::builder()
        .retriever(OneDocument::new("page.md", &text))
        .answerer(reader.clone())
        .build()
        .unwrap();
    let answer = rag.ask("What is Rust?").unwrap();
    let citation = &answer.citations[0];
    assert_eq!(citation.span.of(&text), Some(citation.text.as_str()));
    assert_eq!(
        citation.answer_span.of(&answer.text),
        Some(citation.text.as_str())
    );
    assert!(answer.trace.rejected_citations.is_empty());
    let shy = reader.with_options(ReaderOptions::default().with_min_probability(1.0));
    let rag = Rag::builder()
        .retriever(OneDocument::new("page.md", &text))
        .answerer(shy)
        .build()
        .unwrap();
    let answer = rag.ask("What is Rust?").unwrap();
    assert!(
        matches!(answer.abstention, Some(Abstention::WeakEvidence { min: 1.0, .. })),
        "{:?}",
        answer.abstention
    );
}

/// Questions on one text, the first of which have the tiny model's own answers.
fn labelled(right: usize, all: usize) -> Dataset<Question> {
    let model = model();
    let reader = ExtractiveReader::new(model);
    let questions = (0..all).map(|number| {
        let question = format!("What is it that has {number} of it?");
        let hit = &hits()[1];
        let answer = reader
            .read(&Query::new(&question), std::slice::from_ref(hit))
            .unwrap()
            .unwrap();
        let text = match number < right {
            true => answer.text,
            false => "world".to_owned(),
        };
        let start = TEXTS[1].find(&text).unwrap();
        Question {
            id: number.to_string(),
            question,
            context: TEXTS[1].to_owned(),
            answers: vec![Marked { text, start }],
            document: None,
        }
    });
    questions.collect::<Vec<_>>().into()
}

#[test]
fn a_threshold_keeps_its_promise_or_there_is_none() {
    let reader = ExtractiveReader::new(model());
    let calibrated = reader
        .clone()
        .calibrate_on(&labelled(60, 60), &Calibrating::to(0.2))
        .unwrap();
    let found = calibrated.calibration().unwrap();
    assert!(
        found.error_bound <= 0.2 && found.wrong == 0 && found.coverage() > 0.9,
        "{found}"
    );
    let kept: ragtune::reader::ReaderCalibration =
        serde_json::from_str(&serde_json::to_string(found).unwrap()).unwrap();
    assert_eq!(&kept, found);
    let again = reader.clone().with_calibration(kept);
    let hits = hits();
    let question = Query::new("What is it that has 3 of it?");
    assert_eq!(
        again.read(&question, &hits).unwrap(),
        calibrated.read(&question, &hits).unwrap()
    );

    let error = reader
        .clone()
        .calibrate_on(&labelled(0, 40), &Calibrating::to(0.2))
        .unwrap_err();
    assert!(
        matches!(error, Error::NotCalibrated { questions: 40, .. }),
        "{error}"
    );
    // Unanswerable questions make every answer wrong.
    let none = [LabelledQuestion::new("What is Rust?", [] as [&str; 0])];
    let retriever = OneDocument::new("page.md", TEXTS[0]);
    assert!(
        reader
            .calibrate(&retriever, &none, &Calibrating::to(0.2))
            .is_err()
    );
}
