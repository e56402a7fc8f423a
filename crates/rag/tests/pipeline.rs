//! The pipeline from question to answer: building, thresholds, reranking, abstentions, order of events, trace.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that meets them fails")]

use ragtune::answer::{CitationFault, Component, DropReason};
use ragtune::testing::{HashingEmbedder, OneDocument, OverlapReranker, ScriptedGenerator};
use ragtune::{
    Abstention, Error, ExtractiveAnswerer, Filter, Limits, Message, PromptTemplate, Query, Rag, RagEvent,
    ScoreKind, ScoredChunk, Span, Threshold,
};

const TEA: &str = "# Tea\n\nTea is an old drink.\n\nGreen tea is steeped at 80 degrees. Black tea takes boiling water.\n\n\
    Coffee is roasted.\n\nGreen tea is steeped at 80 degrees.";

fn tea() -> OneDocument {
    OneDocument::new("tea.md", TEA)
}

/// A retriever that gives these hits, whatever is asked.
struct Fixed(Vec<ScoredChunk>);

impl ragtune::Retriever for Fixed {
    fn retrieve(&self, _: &Query) -> ragtune::retrieve::Result<Vec<ScoredChunk>> {
        Ok(self.0.clone())
    }
}

#[test]
fn everything_that_is_missing_is_named_at_once() {
    let error = Rag::builder()
        .retriever(Fixed(Vec::new()))
        .prompt(PromptTemplate::default())
        .limits(Limits::default().with_top_k(0).with_source_tokens(10))
        .threshold(Threshold::new(ScoreKind::Rerank, 0.5).unwrap())
        .build()
        .unwrap_err();
    let message = error.to_string();
    for call in [
        ".generator(..)",
        ".answerer(..)",
        ".prompt(..)",
        ".limits(..)",
        ".reranker(..)",
    ] {
        assert!(message.contains(call), "{call} is not in: {message}");
    }
    let Error::Build { problems } = error else {
        panic!("{error}")
    };
    assert_eq!(problems.len(), 5);

    let both = Rag::builder()
        .retriever(tea())
        .generator(ScriptedGenerator::new(["x"]))
        .answerer(ExtractiveAnswerer::new(HashingEmbedder::new(8)));
    assert!(both.build().unwrap_err().to_string().contains("only one of"));
}

#[test]
fn a_quoted_answer_is_in_the_document() {
    let rag = Rag::builder().retriever(tea()).build().unwrap();
    let answer = rag.ask("At how many degrees is green tea steeped?").unwrap();
    let citation = &answer.citations[0];
    assert_eq!(citation.text, "Green tea is steeped at 80 degrees.");
    assert_eq!(citation.span.of(TEA), Some(citation.text.as_str()));
    assert_eq!(
        citation.answer_span.of(&answer.text),
        Some(citation.text.as_str())
    );
    assert_eq!(
        answer.citations.len(),
        1,
        "the near duplicate is not quoted again"
    );
    let source = answer.source(citation.source).unwrap();
    assert!(source.cited);
    let shown = answer.to_string();
    let line = TEA[..citation.span.start].matches('\n').count() + 1;
    assert!(
        shown.contains(&format!("[{}] tea.md:{line}", citation.source)),
        "{shown}"
    );
    assert!(
        answer
            .trace
            .calls
            .iter()
            .all(|call| call.component == Component::Embedder)
    );
}

#[test]
fn weak_evidence_is_an_abstention() {
    let rag = Rag::builder().retriever(tea()).build().unwrap();
    let answer = rag.ask("Who painted the ceiling of the chapel?").unwrap();
    assert!(matches!(answer.abstention, Some(Abstention::WeakEvidence { best, min }) if best < min));
    assert!(answer.text.is_empty() && answer.citations.is_empty());
    assert!(
        answer
            .to_string()
            .starts_with("No answer: the best evidence is too weak")
    );
}

#[test]
fn events_come_in_order() {
    let rag = Rag::builder()
        .retriever(tea())
        .generator(ScriptedGenerator::new(["At 80 degrees [1]. Boiling [9]."]))
        .build()
        .unwrap();
    let events: Vec<_> = rag
        .stream("How hot is green tea?")
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert!(matches!(&events[0], RagEvent::Sources(sources) if sources.iter().all(|s| !s.cited)));
    let Some(RagEvent::Done(answer)) = events.last() else {
        panic!("no answer at the end")
    };
    let text: String = events[1..events.len() - 1]
        .iter()
        .map(|event| match event {
            RagEvent::Text(piece) => piece.as_str(),
            other => panic!("{other:?} among the text"),
        })
        .collect();
    assert_eq!(text, answer.text);
    assert_eq!(answer.citations.len(), 1);
    let rejected = &answer.trace.rejected_citations;
    assert!(
        matches!(rejected[..], [ref one] if one.source == 9 && one.fault == CitationFault::UnknownSource)
    );
    assert_eq!(answer.trace.calls.last().unwrap().id.as_deref(), Some("scripted"));
    assert!(answer.usage.completion_tokens > 0);
}

#[test]
fn the_trace_holds_the_exact_prompt() {
    let generator = std::sync::Arc::new(ScriptedGenerator::new(["Yes [1]."]));
    let rag = Rag::builder()
        .retriever(tea())
        .generator(generator.clone())
        .build()
        .unwrap();
    let question = Query::new("And green?").with_history([Message::user("How hot is tea steeped in water?")]);
    let answer = rag.ask(question).unwrap();
    assert_eq!(answer.trace.prompt, generator.prompts().pop());
    assert_eq!(answer.trace.folded_turns, 1);
    assert_eq!(
        answer.trace.search_text,
        "How hot is tea steeped in water?\nAnd green?"
    );
    let prompt = answer.trace.prompt.unwrap();
    assert_eq!(prompt.messages[1].content, "How hot is tea steeped in water?");
}

#[test]
fn a_model_that_declines_is_an_abstention() {
    let template = PromptTemplate::default();
    let said = template.no_answer.clone();
    let rag = Rag::builder()
        .retriever(tea())
        .generator(ScriptedGenerator::new([said.clone()]))
        .build()
        .unwrap();
    let events: Vec<_> = rag.stream("Why?").unwrap().map(Result::unwrap).collect();
    assert_eq!(events.len(), 2, "nothing of it is streamed as an answer");
    let RagEvent::Done(answer) = &events[1] else {
        panic!()
    };
    assert_eq!(answer.abstention, Some(Abstention::Declined { said }));
}

#[test]
fn thresholds_name_how_far_off_the_best_was() {
    let threshold = Threshold::new(ScoreKind::Cosine, 0.99).unwrap();
    let rag = Rag::builder()
        .retriever(tea())
        .threshold(threshold)
        .build()
        .unwrap();
    let answer = rag.ask("green coffee").unwrap();
    assert!(matches!(
        answer.abstention,
        Some(Abstention::BelowThreshold { kind: ScoreKind::Cosine, best, min }) if best > 0.0 && best < min
    ));
    // The question's own threshold takes precedence.
    let low = Threshold::new(ScoreKind::Cosine, -1.0).unwrap();
    assert!(
        !rag.retrieve(&Query::new("green coffee").with_threshold(low))
            .unwrap()
            .is_empty()
    );

    let on_rerank = Rag::builder()
        .retriever(tea())
        .reranker(OverlapReranker)
        .threshold(Threshold::new(ScoreKind::Rerank, 0.9).unwrap())
        .build()
        .unwrap();
    let answer = on_rerank.ask("green coffee").unwrap();
    assert!(matches!(answer.abstention, Some(Abstention::BelowThreshold { best, .. }) if best == 0.5));
    let dropped = &answer.trace.dropped;
    assert!(
        dropped
            .iter()
            .any(|d| matches!(d.reason, DropReason::Threshold { .. }))
    );
}

#[test]
fn a_threshold_on_a_score_that_no_hit_has_is_an_error() {
    let rag = Rag::builder().retriever(tea()).build().unwrap();
    let threshold = Threshold::new(ScoreKind::Bm25, 1.0).unwrap();
    let error = rag.ask(Query::new("tea").with_threshold(threshold)).unwrap_err();
    assert!(
        matches!(
            &error,
            Error::MissingScore {
                kind: ScoreKind::Bm25,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("cosine"));
}

#[test]
fn nothing_found_and_nothing_asked() {
    let rag = Rag::builder().retriever(tea()).build().unwrap();
    let nobody = Query::new("tea").with_access(Filter::eq("team", "x"));
    assert_eq!(rag.ask(nobody).unwrap().abstention, Some(Abstention::NoHits));
    assert!(matches!(rag.ask("  \n"), Err(Error::EmptyQuestion)));
    assert!(rag.ask(Query::new("tea").with_top_k(0)).is_err());
}

#[test]
fn reranking_orders_by_probability_and_keeps_all_scores() {
    let rag = Rag::builder()
        .retriever(tea())
        .reranker(OverlapReranker)
        .limits(Limits::default().with_top_k(2))
        .build()
        .unwrap();
    let hits = rag.retrieve(&"coffee roasted".into()).unwrap();
    assert_eq!(hits.len(), 2);
    assert_eq!(hits[0].chunk.text, "Coffee is roasted.");
    assert_eq!(hits[0].ranked_by, ScoreKind::Rerank);
    assert!(hits[0].scores.contains_key(&ScoreKind::Cosine));
}

#[test]
fn a_reranker_that_miscounts_is_an_error() {
    struct Short;
    impl ragtune::Reranker for Short {
        fn score(&self, _: &str, _: &[&str]) -> ragtune::core::Result<Vec<f32>> {
            Ok(vec![f32::NAN])
        }
    }
    let rag = Rag::builder().retriever(tea()).reranker(Short).build().unwrap();
    assert!(matches!(rag.ask("tea"), Err(Error::WrongCount { found: 1, .. })));
    let rag = Rag::builder()
        .retriever(Fixed(tea_hits(1)))
        .reranker(Short)
        .answerer(ExtractiveAnswerer::new(HashingEmbedder::new(8)))
        .build()
        .unwrap();
    assert!(matches!(rag.ask("tea"), Err(Error::InvalidScore { .. })));
}

#[test]
fn answers_travel_as_json() {
    let rag = Rag::builder().retriever(tea()).build().unwrap();
    for question in [
        "At how many degrees is green tea steeped?",
        "Who painted the ceiling?",
    ] {
        let answer = rag.ask(question).unwrap();
        let json = serde_json::to_string(&answer).unwrap();
        let back: ragtune::Answer = serde_json::from_str(&json).unwrap();
        assert_eq!((back.text, back.citations), (answer.text, answer.citations));
    }
}

fn tea_hits(count: usize) -> Vec<ScoredChunk> {
    let rag = Rag::builder().retriever(tea()).build().unwrap();
    let mut hits = rag.retrieve(&"tea".into()).unwrap();
    hits.truncate(count);
    assert!(
        hits.iter()
            .all(|hit| hit.chunk.span.of(TEA) == Some(hit.chunk.text.as_str()))
    );
    assert!(hits.iter().all(|hit| hit.chunk.span != Span::new(0, 0)));
    hits
}
