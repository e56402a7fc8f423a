//! From a folder of three files to cited answers, with every part that a user can plug in.
#![cfg(feature = "builtin")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that meets them fails")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ragtune::testing::{OverlapReranker, ScriptedGenerator};
use ragtune::{
    Answer, Embedder, Encoder, KnowledgeBase, Limits, Query, Rag, RagEvent, Retriever, ScoreKind,
    ScoredChunk, Span, Threshold, retrieve,
};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/garden")
}

fn garden() -> KnowledgeBase {
    let base = KnowledgeBase::in_memory()
        .unwrap()
        .with_embedder(Encoder::builtin().unwrap())
        .unwrap();
    let report = base.sync_folder(folder()).unwrap();
    assert!(report.skipped.is_empty(), "{:?}", report.skipped);
    base
}

fn check_citations(answer: &Answer) {
    assert!(
        answer.trace.rejected_citations.is_empty(),
        "{:?}",
        answer.trace.rejected_citations
    );
    for citation in &answer.citations {
        let file = std::fs::read(folder().join(&citation.document_id)).unwrap();
        assert_eq!(
            &file[citation.span.start..citation.span.end],
            citation.text.as_bytes()
        );
    }
}

#[test]
fn quoted_answers_from_a_folder() {
    let rag = Rag::builder().retriever(garden()).build().unwrap();
    for (question, file, words) in [
        ("How do I sharpen pruning shears?", "tools.md", "whetstone"),
        (
            "How do I start the pump?",
            "tools.md",
            "pumpctl start --zone orchard",
        ),
        (
            "On which days can visitors see the garden?",
            "visitors.md",
            "Saturdays",
        ),
        (
            "Why does my compost heap smell of ammonia?",
            "compost.md",
            "too much green material",
        ),
    ] {
        let answer = rag.ask(question).unwrap();
        check_citations(&answer);
        assert_eq!(
            answer.citations.first().map(|c| c.document_id.as_str()),
            Some(file),
            "{answer}"
        );
        assert!(answer.text.contains(words), "{answer}");
        assert!(answer.to_string().contains(&format!("{file}:")), "{answer}");
    }
    for question in [
        "What is the capital of Mongolia?",
        "How do I declare a mutable variable?",
        "?!…",
        "蒙古的首都是哪里？",
    ] {
        let answer = rag.ask(question).unwrap();
        assert!(answer.is_abstention(), "{answer}");
    }
}

/// A retriever of the user's own around a knowledge base: only passages of one file.
struct OneFile {
    base: KnowledgeBase,
    file: &'static str,
}

impl Retriever for OneFile {
    fn retrieve(&self, query: &Query) -> retrieve::Result<Vec<ScoredChunk>> {
        let mut hits = self.base.retrieve(query)?;
        hits.retain(|hit| hit.chunk.document_id == self.file);
        Ok(hits)
    }
    fn embedder(&self) -> Option<Arc<dyn Embedder>> {
        self.base.embedder()
    }
    fn stored_text(&self, document_id: &str, span: Span) -> retrieve::Result<Option<String>> {
        self.base.stored_text(document_id, span)
    }
}

#[test]
fn a_retriever_of_ones_own() {
    let base = garden();
    let only = |file| {
        Rag::builder()
            .retriever(OneFile {
                base: base.clone(),
                file,
            })
            .build()
            .unwrap()
    };
    let question = "How do I sharpen pruning shears?";
    let answer = only("tools.md").ask(question).unwrap();
    check_citations(&answer);
    assert!(answer.text.contains("whetstone"), "{answer}");
    assert!(only("visitors.md").ask(question).unwrap().is_abstention());
}

#[test]
fn a_generator_and_a_reranker() {
    let generator = Arc::new(ScriptedGenerator::new([
        "Draw a whetstone along the bevelled side [1]. Sing to it [7].",
    ]));
    let rag = Rag::builder()
        .retriever(garden())
        .reranker(OverlapReranker)
        .generator(Arc::clone(&generator))
        .limits(Limits::default().with_top_k(2))
        .threshold(Threshold::new(ScoreKind::Rerank, 0.3).unwrap())
        .build()
        .unwrap();
    let question = "Along which side do I draw the whetstone to sharpen pruning shears?";
    let events: Vec<_> = rag.stream(question).unwrap().map(Result::unwrap).collect();
    let Some(RagEvent::Done(answer)) = events.last() else {
        panic!("no answer")
    };
    assert_eq!(answer.citations.len(), 1);
    let citation = &answer.citations[0];
    assert_eq!(citation.document_id, "tools.md");
    assert!(citation.text.contains("whetstone"));
    let file = std::fs::read(folder().join("tools.md")).unwrap();
    assert_eq!(
        &file[citation.span.start..citation.span.end],
        citation.text.as_bytes()
    );
    assert_eq!(
        answer.trace.rejected_citations.len(),
        1,
        "there is no seventh source"
    );
    assert!(answer.sources.len() <= 2);
    let scores = &answer.sources[0].chunk.scores;
    for kind in [
        ScoreKind::Rerank,
        ScoreKind::Cosine,
        ScoreKind::Bm25,
        ScoreKind::Rrf,
    ] {
        assert!(scores.contains_key(&kind), "{kind} is not among {scores:?}");
    }
    assert_eq!(answer.trace.prompt, generator.prompts().pop());
    assert!(rag.ask("Mongolia").unwrap().is_abstention());
}
