//! Encoders take each other's place, or do not.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that meets them fails")]

use ragtune::promotion::Promotion;
use ragtune::retrieve::Mode;
use ragtune::retrieve::measure::{BeirDataset, Measure, QuestionSet};
use ragtune::testing::HashingEmbedder;
use ragtune::{Document, Error, KnowledgeBase, Retriever};

const WORDS: [&str; 24] = [
    "anvil", "bridge", "candle", "drum", "engine", "feather", "garden", "harbour", "island", "jacket",
    "kettle", "ladder", "mirror", "needle", "orchard", "pepper", "quarry", "ribbon", "saddle", "temple",
    "umbrella", "violin", "window", "yarn",
];

fn base(dim: usize) -> KnowledgeBase {
    let base = KnowledgeBase::in_memory()
        .unwrap()
        .with_embedder(HashingEmbedder::new(dim))
        .unwrap();
    base.add(WORDS.map(|word| {
        Document::new(
            word,
            format!("A page on the {word}.\n\nWho owns a {word} and why."),
        )
    }))
    .unwrap();
    base
}

fn questions() -> QuestionSet {
    QuestionSet::new(WORDS.map(|word| (format!("who owns the {word}"), [word])))
}

#[test]
fn a_worse_encoder_is_refused_and_the_base_serves_as_before() {
    let base = base(512);
    let before = base.retrieve(&"who owns the violin".into()).unwrap();
    let error = Promotion::default()
        .promote(&base, HashingEmbedder::new(2), &questions())
        .unwrap_err();
    let Error::NotPromoted {
        comparison,
        questions: 24,
        reason,
    } = &error
    else {
        panic!("{error}")
    };
    assert!(comparison.difference.interval.high < 0.0 && reason.contains("worse"));
    assert!(error.to_string().contains("ndcg@10"), "{error}");
    assert_eq!(base.stats().unwrap().dim, Some(512));
    assert_eq!(base.retrieve(&"who owns the violin".into()).unwrap(), before);
}

#[test]
fn a_trial_tells_how_far_it_is() {
    use std::sync::{Arc, Mutex};

    use ragtune::promotion::PromotionEvent;

    let events = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&events);
    let promotion = Promotion::default().with_on_event(move |event| heard.lock().unwrap().push(*event));
    let _trial = promotion
        .try_questions(&base(64), HashingEmbedder::new(128), &questions())
        .unwrap();
    let events = events.lock().unwrap();
    assert_eq!(events[0], PromotionEvent::Embedded { done: 24, total: 24 });
    let last = PromotionEvent::Asking {
        number: 4,
        total: 4,
        questions: 24,
    };
    assert_eq!((events.len(), events.last()), (5, Some(&last)));
}

#[test]
fn a_better_encoder_takes_the_place_and_brings_its_vectors() {
    let base = base(2);
    let trial = Promotion::default()
        .with_requires_gain(true)
        .try_questions(&base, HashingEmbedder::new(512), &questions())
        .unwrap();
    assert!(trial.dense[0].difference.interval.low > 0.0);
    assert_eq!(trial.hybrid[0].measure, "ndcg@10");
    assert_eq!(base.stats().unwrap().dim, Some(2), "a trial changes nothing");
    let promoted = trial.promote(&base).unwrap();
    assert_eq!(promoted.embedding.embedded, base.stats().unwrap().chunks);
    assert_eq!(base.stats().unwrap().dim, Some(512));
    assert_eq!(base.embedder().unwrap().dim(), 512);
    assert_eq!(
        base.dense().retrieve(&"who owns the violin".into()).unwrap()[0]
            .chunk
            .document_id,
        "violin"
    );
}

#[test]
fn without_a_gain_it_depends_on_what_is_asked_for() {
    let base = base(512);
    let twin = || HashingEmbedder::new(512).with_id("twin");
    let wanted = Promotion::default().with_requires_gain(true);
    let error = wanted.promote(&base, twin(), &questions()).unwrap_err();
    assert!(matches!(error, Error::NotPromoted { reason, .. } if reason.contains("no significant gain")));
    Promotion::default().promote(&base, twin(), &questions()).unwrap();
    assert_eq!(base.stats().unwrap().embedder.as_deref(), Some("twin"));
}

#[test]
fn a_benchmark_decides_as_well() {
    let base = base(2);
    let mut data = BeirDataset::default();
    for (word, question) in WORDS.iter().zip(&questions().questions) {
        data.documents
            .push(ragtune::retrieve::measure::beir::BeirDocument {
                id: (*word).to_owned(),
                title: String::new(),
                text: format!("Who owns a {word} and why."),
            });
        data.queries.push(ragtune::retrieve::measure::beir::BeirQuery {
            id: question.id.clone(),
            text: question.text.clone(),
        });
    }
    data.qrels = questions().qrels;
    let promotion = Promotion::default()
        .with_mode(Mode::Hybrid)
        .with_measure(Measure::Mrr(10));
    let trial = promotion
        .try_benchmark(&base, HashingEmbedder::new(512), &data)
        .unwrap();
    assert_eq!(trial.dense[0].measure, "mrr@10");
    assert_eq!(trial.verdict().unwrap().measure, "mrr@10");
    trial.promote(&base).unwrap();
    assert_eq!(base.stats().unwrap().dim, Some(512));
}

#[test]
fn too_few_questions_decide_nothing() {
    let base = base(16);
    let few = QuestionSet::new([("who owns the violin", ["violin"])]);
    let error = Promotion::default()
        .promote(&base, HashingEmbedder::new(512), &few)
        .unwrap_err();
    assert!(
        matches!(error, Error::TooFewQuestions { found: 1, needed: 20 }),
        "{error}"
    );
    let lexical = Promotion::default().with_mode(Mode::Lexical);
    assert!(
        lexical
            .promote(&base, HashingEmbedder::new(512), &questions())
            .is_err()
    );
    let bare = KnowledgeBase::in_memory().unwrap();
    assert!(
        Promotion::default()
            .promote(&bare, HashingEmbedder::new(8), &questions())
            .is_err()
    );
}

#[test]
fn retrievers_are_judged_too() {
    let base = base(512);
    let judged = Promotion::default()
        .judge(&base.dense(), &base.lexical(), &questions())
        .unwrap();
    assert!(judged.first >= 0.9, "{judged}");
}
