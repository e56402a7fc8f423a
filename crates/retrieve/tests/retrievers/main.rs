//! Every retriever: the contract, and what it promises of itself.
#![allow(clippy::unwrap_used, reason = "a test that meets one fails")]

mod enlarging;
mod properties;
#[path = "../support/mod.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use ragtune_core::testing::{HashingEmbedder, OverlapReranker};
use ragtune_core::text::{Document, Filter, Query, Reranker, ScoreKind, ScoredChunk, Span, Threshold};
use ragtune_retrieve::retrievers::Relevance;
use ragtune_retrieve::testing::conformance;
use ragtune_retrieve::{
    AutoMergingRetriever, DividedDocument, DocumentPassage, DocumentStore, Error, Fusion, FusionMethod,
    HybridRetriever, KnowledgeBase, MmrRetriever, Mode, MultiQueryRetriever, NamespaceRetriever,
    Normalisation, Parent, ParentDocumentRetriever, RerankRetriever, RestrictedRetriever, Retriever, Route,
    RouterRetriever, SentenceWindowRetriever,
};
use support::*;

fn documents() -> Vec<Document> {
    let document = |id: &str, text: &str, year: i64| {
        Document::new(id, text)
            .with_metadata("year", year)
            .with_metadata("path", format!("{id}.md"))
    };
    vec![
        document(
            "black",
            "# Black tea\n\nBlack tea is steeped in boiling water. It is strong.\n\nIt is oxidised.",
            2001,
        ),
        document(
            "green",
            "Tea of all kinds.\n\n# Green tea\n\nGreen tea is steeped at 80 degrees. Never boil it.\n\nIt is steamed or \
             roasted.\n\n# Sencha\n\nSencha is green tea. It is steamed.\n\nIt is steeped for two minutes.",
            2002,
        ),
        document(
            "coffee",
            "# Coffee\n\nCoffee beans are roasted and ground. Then they are brewed.",
            2003,
        ),
        document(
            "white",
            "# White tea\n\nWhite tea is steeped for some minutes.",
            2003,
        ),
        document(
            "pot",
            "The pot is rinsed.\n\nThe pot is filled.\n\nThe pot is emptied.\n\nThe tea is served.",
            2001,
        ),
    ]
}

const QUESTIONS: &[&str] = &[
    "how is tea steeped",
    "roasted",
    "zebra",
    "",
    "\"green tea\" steamed",
    "the pot is steeped steeped coffee",
];

fn base() -> KnowledgeBase {
    let kb = in_memory();
    kb.add(documents()).unwrap();
    kb
}

/// A retriever as a user writes one: documents that share a word with the question; it knows no threshold.
#[derive(Clone)]
struct Words(Vec<Document>);

impl Retriever for Words {
    fn retrieve(&self, query: &Query) -> ragtune_retrieve::Result<Vec<ScoredChunk>> {
        if let Some(threshold) = &query.threshold {
            return Err(Error::Unsupported {
                retriever: "words",
                what: format!("a threshold on {}", threshold.kind()),
                remedy: "leave it out".to_owned(),
            });
        }
        let condition = query.condition();
        let words: BTreeSet<&str> = query.text.split_whitespace().collect();
        let mut hits = Vec::new();
        for document in &self.0 {
            if condition
                .as_ref()
                .is_none_or(|condition| condition.matches(&document.metadata))
            {
                let shared = document
                    .text
                    .split_whitespace()
                    .filter(|word| words.contains(word))
                    .count();
                let mut chunk = ragtune_core::text::Chunk::whole(document);
                // Not the id under which a passage of the base could come.
                chunk.id = format!("{}#words", document.id);
                if shared > 0 {
                    hits.push(ScoredChunk::new(
                        chunk,
                        ScoreKind::Custom("shared".into()),
                        shared as f32,
                    ));
                }
            }
        }
        ScoredChunk::sort(&mut hits);
        hits.truncate(query.top_k);
        Ok(hits)
    }
}

/// One of each kind, and some inside others, over a base and the documents that are in it.
fn every_retriever(kb: &KnowledgeBase, documents: &[Document]) -> Vec<(&'static str, Box<dyn Retriever>)> {
    let own = || Words(documents.to_vec());
    let hybrid = || HybridRetriever::new(kb.dense(), kb.lexical());
    let theoretical = FusionMethod::Convex {
        normalisation: Normalisation::Theoretical,
    };
    let routes = || {
        [
            Route::new("words", "green tea and sencha", kb.lexical()).with_example("roasted"),
            Route::new("vectors", "coffee and other drinks, pots", kb.dense()),
            Route::new("own", "how is it done", own()),
        ]
    };
    // How windows divide a text between them depends on the order of the hits, and that of a fused list on the condition; the
    // suite compares numbers of hits with and without one.
    let windows = || SentenceWindowRetriever::new(kb.dense(), kb.clone(), 1);
    vec![
        ("dense", Box::new(kb.dense())),
        ("lexical", Box::new(kb.lexical())),
        ("rrf", Box::new(hybrid())),
        (
            "convex",
            Box::new(hybrid().with_fusion(Fusion::convex().with_weights([0.3, 0.7]).unwrap())),
        ),
        (
            "theoretical",
            Box::new(hybrid().with_fusion(Fusion::new(theoretical))),
        ),
        ("dbsf", Box::new(hybrid().with_fusion(Fusion::dbsf()))),
        ("with one's own", Box::new(hybrid().with_retriever(own()))),
        ("mmr", Box::new(MmrRetriever::new(kb.clone()))),
        (
            "mmr of stored vectors",
            Box::new(
                MmrRetriever::new(hybrid())
                    .with_relevance(Relevance::Ranking)
                    .with_lambda(0.7)
                    .unwrap()
                    .with_stored_vectors(kb.clone()),
            ),
        ),
        (
            "documents",
            Box::new(ParentDocumentRetriever::new(
                kb.clone(),
                kb.clone(),
                Parent::Document,
            )),
        ),
        (
            "sections",
            Box::new(ParentDocumentRetriever::new(
                kb.dense(),
                kb.clone(),
                Parent::INNERMOST,
            )),
        ),
        (
            "short parents",
            Box::new(
                ParentDocumentRetriever::new(kb.lexical(), kb.clone(), Parent::Document).with_max_bytes(90),
            ),
        ),
        ("windows", Box::new(windows())),
        (
            "merging",
            Box::new(AutoMergingRetriever::new(kb.clone(), kb.clone())),
        ),
        (
            "merging most",
            Box::new(
                AutoMergingRetriever::new(kb.dense(), kb.clone())
                    .with_ratio(0.8)
                    .unwrap()
                    .with_leaves(8),
            ),
        ),
        (
            "reranked",
            Box::new(RerankRetriever::new(hybrid(), OverlapReranker).with_candidates(10)),
        ),
        (
            "routed by likeness",
            Box::new(RouterRetriever::by_similarity(routes(), HashingEmbedder::new(64)).unwrap()),
        ),
        (
            "routed to two",
            Box::new(
                RouterRetriever::by_similarity(routes(), HashingEmbedder::new(64))
                    .unwrap()
                    .with_nearest(2),
            ),
        ),
        (
            "routed by rule",
            Box::new(RouterRetriever::by_rule(routes(), |query: &Query| {
                let to_words = query.text.contains("tea");
                vec![if to_words { "words" } else { "vectors" }.to_owned()]
            })),
        ),
        (
            "several questions",
            Box::new(MultiQueryRetriever::new(kb.clone(), |query: &Query| {
                Ok(vec![
                    query.text.replace("steeped", "brewed"),
                    "degrees".to_owned(),
                ])
            })),
        ),
        (
            "a diverse choice of reranked windows",
            Box::new(
                MmrRetriever::new(RerankRetriever::new(windows(), OverlapReranker))
                    .with_stored_vectors(kb.clone()),
            ),
        ),
        (
            "parents routed with windows",
            Box::new(RouterRetriever::by_rule(
                [
                    Route::new(
                        "parents",
                        "",
                        ParentDocumentRetriever::new(kb.dense(), kb.clone(), Parent::Section(1)),
                    ),
                    Route::new("windows", "", windows()),
                ],
                |_: &Query| vec!["parents".to_owned(), "windows".to_owned()],
            )),
        ),
    ]
}

#[test]
fn every_retriever_keeps_the_contract() {
    let kb = base();
    for (name, retriever) in every_retriever(&kb, &documents()) {
        let violations = conformance::retriever(&retriever, &documents(), QUESTIONS);
        assert_eq!(violations, Vec::<String>::new(), "{name}");
    }
}

#[test]
fn names_and_rules_around_a_retriever_keep_the_contract() {
    let kb = base();
    let renamed: Vec<Document> = documents()
        .into_iter()
        .map(|document| Document {
            id: format!("teas/{}", document.id),
            ..document
        })
        .collect();
    let named = NamespaceRetriever::new("teas", kb.clone());
    assert_eq!(
        conformance::retriever(&named, &renamed, QUESTIONS),
        Vec::<String>::new()
    );

    let rule = Filter::at_least("year", 2002);
    let seen: Vec<Document> = documents()
        .into_iter()
        .filter(|document| rule.matches(&document.metadata))
        .collect();
    let restricted = RestrictedRetriever::new(kb, rule);
    assert_eq!(
        conformance::retriever(&restricted, &seen, QUESTIONS),
        Vec::<String>::new()
    );
}

#[test]
fn a_hybrid_of_both_views_is_the_hybrid_of_the_base() {
    let kb = base();
    for fusion in [
        Fusion::rrf(),
        Fusion::rrf().with_weights([0.2, 0.9]).unwrap(),
        Fusion::dbsf(),
    ] {
        let whole = kb
            .clone()
            .with_search(kb.search_options().clone().with_fusion(fusion.clone()));
        let parts = HybridRetriever::new(kb.dense(), kb.lexical()).with_fusion(fusion);
        for question in QUESTIONS {
            let tell = |hits: Vec<ScoredChunk>| -> Vec<(String, u32)> {
                hits.into_iter()
                    .map(|hit| (hit.chunk.id.clone(), hit.score().to_bits()))
                    .collect()
            };
            let query = Query::new(*question);
            assert_eq!(
                tell(whole.retrieve(&query).unwrap()),
                tell(parts.retrieve(&query).unwrap())
            );
        }
    }
}

#[test]
fn thresholds_are_honoured_or_refused() {
    let kb = base();
    let near =
        Query::new("green tea is steeped").with_threshold(Threshold::new(ScoreKind::Cosine, 0.5).unwrap());
    for (name, retriever) in every_retriever(&kb, &documents()) {
        match retriever.retrieve(&near) {
            Ok(hits) => assert!(
                hits.iter().all(|hit| hit.scores[&ScoreKind::Cosine] >= 0.5),
                "{name}"
            ),
            Err(Error::Unsupported { .. }) => {}
            Err(error) => panic!("{name}: {error}"),
        }
    }
    let parts = HybridRetriever::new(kb.dense(), Words(documents()));
    assert!(
        !parts.retrieve(&near).unwrap().is_empty(),
        "the part that knows it decides"
    );
    let parts = HybridRetriever::new(Words(documents()), Words(documents()));
    assert!(matches!(
        parts.retrieve(&near),
        Err(Error::Unsupported {
            retriever: "words",
            ..
        })
    ));
    // What the library does not let one make may still come out of a file.
    let fused: Threshold = serde_json::from_str(r#"{"kind": "rrf", "min": 0.01}"#).unwrap();
    let fused = Query::new("tea").with_threshold(fused);
    for (name, retriever) in every_retriever(&kb, &documents()) {
        assert!(
            matches!(retriever.retrieve(&fused), Err(Error::Unsupported { .. })),
            "{name}"
        );
    }
    let likely = Query::new("green tea").with_threshold(Threshold::new(ScoreKind::Rerank, 1.0).unwrap());
    let hits = RerankRetriever::new(kb, OverlapReranker)
        .retrieve(&likely)
        .unwrap();
    assert!(!hits.is_empty() && hits.iter().all(|hit| hit.score() == 1.0));
}

#[test]
fn every_retriever_fits_in_a_box() {
    fn is_retriever(_: &dyn Retriever) {}
    for (_, retriever) in every_retriever(&base(), &documents()) {
        is_retriever(&retriever);
        is_retriever(&std::sync::Arc::<dyn Retriever>::from(retriever));
    }
}
