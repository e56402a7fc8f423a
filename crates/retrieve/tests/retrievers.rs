//! Every retriever: the contract, and what it promises of itself.
#![allow(clippy::unwrap_used, reason = "a test that meets one fails")]

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
fn parents_are_documents_and_sections() {
    let kb = base();
    let texts = |parent, max_bytes| -> Vec<String> {
        let parents =
            ParentDocumentRetriever::new(kb.lexical(), kb.clone(), parent).with_max_bytes(max_bytes);
        let hits = parents.retrieve(&"two minutes sencha".into()).unwrap();
        let green = hits.into_iter().filter(|hit| hit.chunk.document_id == "green");
        green.map(|hit| hit.chunk.text).collect()
    };
    let whole = documents().remove(1).text;
    assert_eq!(texts(Parent::Document, 1000), [whole.as_str()]);
    let sencha = "# Sencha\n\nSencha is green tea. It is steamed.\n\nIt is steeped for two minutes.";
    assert_eq!(texts(Parent::INNERMOST, 1000), [sencha]);
    assert_eq!(texts(Parent::Section(1), 1000), [sencha]);
    assert_eq!(
        texts(Parent::Document, 100),
        [sencha],
        "the largest part that fits"
    );
    assert!(
        texts(Parent::Document, 10).contains(&"It is steeped for two minutes.".to_owned()),
        "the passage itself"
    );

    let parents = ParentDocumentRetriever::new(kb.lexical(), kb.clone(), Parent::INNERMOST);
    let hit = parents.retrieve(&"sencha".into()).unwrap().remove(0);
    assert_eq!(hit.chunk.locator.headings, ["Sencha"]);
    assert_eq!(hit.chunk.locator.line, Some(9));
    assert_eq!(
        parents.stored_text("green", hit.chunk.span).unwrap(),
        Some(hit.chunk.text)
    );
}

#[test]
fn windows_take_neighbours_and_repeat_nothing() {
    let kb = base();
    let windows = SentenceWindowRetriever::new(kb.lexical(), kb.clone(), 1);
    let hits = windows.retrieve(&"filled".into()).unwrap();
    assert_eq!(
        hits[0].chunk.text,
        "The pot is rinsed.\n\nThe pot is filled.\n\nThe pot is emptied."
    );
    let none = SentenceWindowRetriever::new(kb.lexical(), kb.clone(), 0);
    assert_eq!(
        none.retrieve(&"filled".into()).unwrap()[0].chunk.text,
        "The pot is filled."
    );
    let hits = windows.retrieve(&"pot tea".into()).unwrap();
    for a in &hits {
        for b in &hits {
            let same = a.chunk.document_id == b.chunk.document_id;
            assert!(
                a == b || !same || !a.chunk.span.overlaps(b.chunk.span),
                "{a:?} {b:?}"
            );
        }
    }
}

#[test]
fn siblings_merge_when_enough_of_them_are_found() {
    let kb = base();
    let merged = |ratio: f32, question: &str| -> Vec<String> {
        let merging = AutoMergingRetriever::new(kb.lexical(), kb.clone())
            .with_ratio(ratio)
            .unwrap();
        let hits = merging.retrieve(&question.into()).unwrap();
        let pot = hits.into_iter().filter(|hit| hit.chunk.document_id == "pot");
        pot.map(|hit| hit.chunk.text).collect()
    };
    let whole = documents().remove(4).text;
    assert_eq!(merged(0.5, "rinsed filled"), [whole.as_str()]);
    assert_eq!(merged(0.75, "rinsed filled").len(), 2);
    assert_eq!(
        merged(0.25, "rinsed"),
        ["The pot is rinsed."],
        "one passage alone is not merged"
    );
    for ratio in [0.0, 1.1, f32::NAN] {
        assert!(
            AutoMergingRetriever::new(kb.lexical(), kb.clone())
                .with_ratio(ratio)
                .is_err()
        );
    }
}

#[test]
fn different_documents_under_one_id_are_not_mixed() {
    let other = in_memory();
    other.add([Document::new("green", "Green paint dries.")]).unwrap();
    let kb = base();
    let paragraph_zero = Query::new("green paint tea of all kinds");
    let mixed = HybridRetriever::new(kb.lexical(), other.lexical());
    assert!(
        matches!(mixed.retrieve(&paragraph_zero), Err(Error::ConflictingPassages { id }) if id == "green#000000")
    );
    assert!(matches!(
        mixed.stored_text("green", Span::new(0, 3)),
        Err(Error::ConflictingPassages { .. })
    ));
    let apart = HybridRetriever::new(
        NamespaceRetriever::new("tea", kb.lexical()),
        NamespaceRetriever::new("paint", other.lexical()),
    );
    let found: BTreeSet<String> = apart
        .retrieve(&paragraph_zero)
        .unwrap()
        .into_iter()
        .map(|hit| hit.chunk.document_id)
        .collect();
    assert!(found.contains("tea/green") && found.contains("paint/green"));
    assert_eq!(
        apart
            .stored_text("paint/green", Span::new(0, 5))
            .unwrap()
            .as_deref(),
        Some("Green")
    );
    assert_eq!(apart.stored_text("green", Span::new(0, 5)).unwrap(), None);
}

#[test]
fn parts_that_answer_wrongly_are_errors() {
    struct Wrong(Vec<f32>);
    impl Reranker for Wrong {
        fn score(&self, _: &str, _: &[&str]) -> ragtune_core::Result<Vec<f32>> {
            Ok(self.0.clone())
        }
    }
    let kb = base();
    let few = RerankRetriever::new(kb.clone(), Wrong(vec![])).retrieve(&"tea".into());
    assert!(matches!(few, Err(Error::WrongCount { found: 0, .. })));
    let one = Query::new("tea").with_top_k(1);
    for score in [1.5, f32::NAN] {
        let odd = RerankRetriever::new(kb.clone(), Wrong(vec![score]))
            .with_candidates(1)
            .retrieve(&one);
        assert!(matches!(odd, Err(Error::InvalidScore { .. })));
    }
    let lost = RouterRetriever::by_rule([Route::new("a", "", kb.clone())], |_: &Query| {
        vec!["b".to_owned()]
    });
    assert!(lost.retrieve(&one).unwrap_err().to_string().contains("\"b\""));
    let silent = RouterRetriever::by_rule([Route::new("a", "", kb.clone())], |_: &Query| Vec::new());
    assert!(silent.retrieve(&one).unwrap().is_empty());
    assert!(RouterRetriever::by_similarity([], HashingEmbedder::new(8)).is_err());
    assert!(MmrRetriever::new(kb).with_lambda(1.5).is_err());
    let blind = MmrRetriever::new(Words(documents())).retrieve(&"tea is".into());
    assert!(matches!(blind, Err(Error::NoEmbedder { .. })));
}

/// A document of which some passages may not be seen.
struct Mixed;

impl Mixed {
    fn document() -> Document {
        Document::new("d", "Open one. Open two. Hidden three. Open four.").with_metadata("level", 1)
    }

    fn passages() -> Vec<DocumentPassage> {
        let spans = [(0, 9), (10, 19), (20, 33), (34, 44)];
        spans
            .into_iter()
            .map(|(start, end)| {
                let mut passage = DocumentPassage::new(Span::new(start, end));
                if start == 20 {
                    passage.metadata.insert("level".to_owned(), 2.into());
                }
                passage
            })
            .collect()
    }
}

impl DocumentStore for Mixed {
    fn divided(&self, id: &str) -> ragtune_retrieve::Result<Option<DividedDocument>> {
        Ok((id == "d").then(|| DividedDocument {
            document: Self::document(),
            passages: Self::passages(),
        }))
    }
}

impl Retriever for Mixed {
    fn retrieve(&self, query: &Query) -> ragtune_retrieve::Result<Vec<ScoredChunk>> {
        let document = Self::document();
        let condition = query.condition();
        let mut hits = Vec::new();
        for passage in Self::passages() {
            let mut metadata = document.metadata.clone();
            metadata.extend(passage.metadata);
            if condition
                .as_ref()
                .is_none_or(|condition| condition.matches(&metadata))
            {
                let mut chunk = ragtune_core::text::Chunk::whole(&document);
                chunk.id = format!("d#{:06}", passage.span.start);
                chunk.span = passage.span;
                chunk.text = passage.span.of(&document.text).unwrap().to_owned();
                chunk.metadata = metadata;
                hits.push(ScoredChunk::new(
                    chunk,
                    ScoreKind::Bm25,
                    100.0 - passage.span.start as f32,
                ));
            }
        }
        hits.truncate(query.top_k);
        Ok(hits)
    }
}

#[test]
fn nothing_is_enlarged_over_a_hidden_passage() {
    let enlarging: [(&str, Box<dyn Retriever>); 4] = [
        (
            "document",
            Box::new(ParentDocumentRetriever::new(Mixed, Mixed, Parent::Document)),
        ),
        (
            "section",
            Box::new(ParentDocumentRetriever::new(Mixed, Mixed, Parent::INNERMOST)),
        ),
        ("windows", Box::new(SentenceWindowRetriever::new(Mixed, Mixed, 2))),
        ("merging", Box::new(AutoMergingRetriever::new(Mixed, Mixed))),
    ];
    for (name, retriever) in &enlarging {
        let guest = Query::new("open").with_access(Filter::at_most("level", 1));
        for hit in retriever.retrieve(&guest).unwrap() {
            assert!(!hit.chunk.text.contains("Hidden"), "{name}: {:?}", hit.chunk.text);
        }
        let owner = Query::new("open").with_access(Filter::at_most("level", 2));
        let shown: String = retriever
            .retrieve(&owner)
            .unwrap()
            .into_iter()
            .map(|hit| hit.chunk.text)
            .collect();
        assert!(shown.contains("Hidden"), "{name}");
    }
}

#[test]
fn every_retriever_fits_in_a_box() {
    fn is_retriever(_: &dyn Retriever) {}
    for (_, retriever) in every_retriever(&base(), &documents()) {
        is_retriever(&retriever);
        is_retriever(&std::sync::Arc::<dyn Retriever>::from(retriever));
    }
}

/// Documents of few words in few sections, so that much is alike.
fn any_documents() -> impl Strategy<Value = Vec<Document>> {
    let word = prop::sample::select(vec![
        "green", "tea", "steeped", "pot", "boiling", "coffee", "roasted",
    ]);
    let sentence = prop::collection::vec(word, 1..5).prop_map(|words| format!("{}.", words.join(" ")));
    let paragraph = prop::collection::vec(sentence, 1..4).prop_map(|sentences| sentences.join(" "));
    let heading = prop::sample::select(vec!["", "", "# Tea\n\n", "# Pot\n\n"]);
    let part = (heading, paragraph).prop_map(|(heading, paragraph)| format!("{heading}{paragraph}"));
    let text = prop::collection::vec(part, 1..6).prop_map(|parts| parts.join("\n\n"));
    prop::collection::vec((text, 0i64..3), 1..8).prop_map(|documents| {
        (0..)
            .zip(documents)
            .map(|(i, (text, group))| {
                Document::new(format!("d{i}"), text)
                    .with_metadata("group", group)
                    .with_metadata("even", i % 2 == 0)
            })
            .collect()
    })
}

const ASKED: &[&str] = &[
    "green tea",
    "how is the pot boiling",
    "\"roasted coffee\" tea",
    "steeped",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// For someone who may not see all, every retriever gives to the last bit what it gives over a base in which the hidden
    /// documents never were: no hit, count, text or score tells of them.
    #[test]
    fn hidden_documents_leave_no_trace(documents in any_documents(), group in 0i64..3, even in any::<bool>()) {
        let access = Filter::eq("group", group).not();
        let filter = even.then(|| Filter::eq("even", true));
        let seen: Vec<Document> =
            documents.iter().filter(|document| access.matches(&document.metadata)).cloned().collect();
        let (all, only_seen) = (in_memory(), in_memory());
        all.add(documents.clone()).unwrap();
        only_seen.add(seen.clone()).unwrap();
        let everything = every_retriever(&all, &documents);
        for ((name, over_all), (_, over_seen)) in everything.into_iter().zip(every_retriever(&only_seen, &seen)) {
            for question in ASKED {
                for top_k in [1, 4, 20] {
                    let mut query = Query::new(*question).with_top_k(top_k);
                    query.filter = filter.clone();
                    let clean = over_seen.retrieve(&query).unwrap();
                    let hits = over_all.retrieve(&query.with_access(access.clone())).unwrap();
                    prop_assert_eq!(&hits, &clean, "{} {:?}", name, question);
                }
            }
        }
    }

    /// Enlarged hits show everything that was found, once, with the scores of the best of it, and are what they say.
    #[test]
    fn enlarged_hits_cover_what_was_found(documents in any_documents(), sentences in 0usize..3) {
        let kb = in_memory();
        kb.add(documents.clone()).unwrap();
        let texts: BTreeMap<&str, &str> = documents.iter().map(|d| (d.id.as_str(), d.text.as_str())).collect();
        let parents = |parent| ParentDocumentRetriever::new(kb.lexical(), kb.clone(), parent);
        let enlarging: Vec<(&str, Box<dyn Retriever>)> = vec![
            ("documents", Box::new(parents(Parent::Document))),
            ("sections", Box::new(parents(Parent::INNERMOST))),
            ("windows", Box::new(SentenceWindowRetriever::new(kb.lexical(), kb.clone(), sentences))),
            ("merging", Box::new(AutoMergingRetriever::new(kb.lexical(), kb.clone()).with_leaves(100))),
        ];
        let wide = Query::new("green tea pot").with_top_k(100);
        let small = kb.lexical().retrieve(&wide).unwrap();
        for (name, retriever) in &enlarging {
            let large = retriever.retrieve(&wide).unwrap();
            let mut shown: BTreeMap<&str, Vec<usize>> = texts.iter().map(|(id, text)| (*id, vec![0; text.len()])).collect();
            for hit in &large {
                let text = texts[hit.chunk.document_id.as_str()];
                prop_assert_eq!(hit.chunk.span.of(text), Some(hit.chunk.text.as_str()));
                for at in hit.chunk.span.start..hit.chunk.span.end {
                    shown.get_mut(hit.chunk.document_id.as_str()).unwrap()[at] += 1;
                }
                let best = small.iter().find(|small| {
                    small.chunk.document_id == hit.chunk.document_id && hit.chunk.span.overlaps(small.chunk.span)
                });
                prop_assert_eq!(best.map(|best| &best.scores), Some(&hit.scores), "{}", name);
                prop_assert!(*name != "documents" || hit.chunk.text == text);
            }
            for (id, times) in &shown {
                prop_assert!(times.iter().all(|times| *times <= 1), "{} shows a part of {} twice", name, id);
            }
            for hit in &small {
                let text = texts[hit.chunk.document_id.as_str()].as_bytes();
                let times = &shown[hit.chunk.document_id.as_str()];
                let lacks = |at: &usize| times[*at] == 0 && !text[*at].is_ascii_whitespace();
                prop_assert!(!(hit.chunk.span.start..hit.chunk.span.end).any(|at| lacks(&at)), "{} {:?}", name, hit.chunk.span);
            }
        }
    }

    /// A reranked list is the inner one in the reranker's order.
    #[test]
    fn reranking_orders_by_the_reranker(documents in any_documents()) {
        let kb = in_memory();
        kb.add(documents).unwrap();
        let query = Query::new("green tea pot").with_top_k(5);
        let inner = in_mode(&kb, Mode::Hybrid).retrieve(&query.clone().with_top_k(30)).unwrap();
        let mut expected: Vec<(f32, String)> = inner
            .iter()
            .map(|hit| {
                let score = OverlapReranker.score(&query.text, &[hit.chunk.text.as_str()]).unwrap()[0];
                (score, hit.chunk.id.clone())
            })
            .collect();
        expected.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        expected.truncate(5);
        let reranked = RerankRetriever::new(kb, OverlapReranker).with_candidates(30).retrieve(&query).unwrap();
        let found: Vec<(f32, String)> = reranked.into_iter().map(|hit| (hit.score(), hit.chunk.id)).collect();
        prop_assert_eq!(found, expected);
    }
}
