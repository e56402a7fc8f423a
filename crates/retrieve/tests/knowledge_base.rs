//! Adding, removing, searching and refusing.

mod support;

use std::error::Error as _;

use ragtune_core::testing::HashingEmbedder;
use ragtune_core::text::{Document, Embedder, Embeddings, Filter, Query, Role, ScoreKind, Span, Threshold};
use ragtune_retrieve::testing::conformance;
use ragtune_retrieve::{Error, Fusion, KnowledgeBase, Language, Metric, Mode, Retriever, SearchOptions};
use support::*;

fn teas() -> Vec<Document> {
    let document = |id: &str, text: &str, year: i64| {
        Document::new(id, text)
            .with_metadata("year", year)
            .with_metadata("path", format!("{id}.md"))
    };
    vec![
        document(
            "black",
            "# Black tea\n\nBlack tea is steeped in boiling water.\n\nIt is oxidised.",
            2001,
        ),
        document(
            "green",
            "# Green tea\n\nGreen tea is steeped at 80 degrees.\n\nIt is steamed or roasted.",
            2002,
        ),
        document("coffee", "# Coffee\n\nCoffee beans are roasted and ground.", 2003),
        document(
            "white",
            "# White tea\n\nWhite tea is steeped for some minutes.",
            2003,
        ),
    ]
}

#[test]
fn every_mode_keeps_the_contract_of_a_retriever() {
    let kb = in_memory();
    kb.add(teas()).unwrap();
    let convex = SearchOptions::default().with_fusion(Fusion::convex());
    let questions = [
        "how is tea steeped",
        "roasted",
        "zebra",
        "",
        "\"green tea\"",
        "steeped steeped tea coffee",
    ];
    for mode in [Mode::Dense, Mode::Lexical, Mode::Hybrid] {
        assert_eq!(
            conformance::retriever(&in_mode(&kb, mode), &teas(), &questions),
            Vec::<String>::new()
        );
    }
    assert_eq!(
        conformance::retriever(&kb.with_search(convex), &teas(), &questions),
        Vec::<String>::new()
    );
}

#[test]
fn hits_carry_all_scores_place_and_metadata() {
    let kb = in_memory();
    kb.add(teas()).unwrap();
    let hits = kb.retrieve(&"green tea at how many degrees".into()).unwrap();
    let chunk = &hits[0].chunk;
    assert_eq!(
        (chunk.id.as_str(), chunk.document_id.as_str()),
        ("green#000001", "green")
    );
    assert_eq!(chunk.locator.line, Some(3));
    assert_eq!(chunk.locator.headings, ["Green tea"]);
    assert_eq!(chunk.metadata["path"], "green.md".into());
    for hit in &hits {
        let kinds: Vec<_> = hit.scores.keys().cloned().collect();
        assert_eq!(
            kinds,
            [ScoreKind::Cosine, ScoreKind::Bm25, ScoreKind::Rrf],
            "{hit:?}"
        );
    }
    // What fusion needed not, because one list lacked the chunk, is the same value that the list alone gives.
    for mode in [Mode::Dense, Mode::Lexical] {
        for single in in_mode(&kb, mode)
            .retrieve(&"green tea at how many degrees".into())
            .unwrap()
        {
            let fused = hits.iter().find(|hit| hit.chunk.id == single.chunk.id).unwrap();
            assert_eq!(fused.scores[&single.ranked_by], single.score());
        }
    }
    assert_eq!(
        kb.stored_text("green", chunk.span).unwrap().as_deref(),
        Some(chunk.text.as_str())
    );
    assert_eq!(kb.stored_text("green", Span::new(0, 10_000)).unwrap(), None);
    assert_eq!(kb.stored_text("nobody", Span::new(0, 1)).unwrap(), None);
}

#[test]
fn adding_again_costs_nothing_and_a_change_costs_its_chunk() {
    let embedder = Counting::new();
    let kb = with_parts(KnowledgeBase::in_memory().unwrap(), embedder.clone());
    let report = kb.add(teas()).unwrap();
    assert_eq!((report.added, report.embedding.embedded), (4, embedder.take()));
    assert_eq!(kb.add(teas()).unwrap().unchanged, 4);
    assert_eq!(embedder.take(), 0);
    let mut changed = teas().remove(1);
    changed.text = changed.text.replace("80", "70");
    let report = kb.add([changed]).unwrap();
    assert_eq!(
        (
            report.replaced,
            report.embedding.embedded,
            report.embedding.reused
        ),
        (1, 1, 2)
    );
    assert_eq!(embedder.take(), 1);
    // Metadata alone change nothing that is embedded.
    assert_eq!(
        kb.add([teas().remove(2).with_metadata("year", 1900)])
            .unwrap()
            .replaced,
        1
    );
    assert_eq!(embedder.take(), 0);
    assert!(
        kb.retrieve(&Query::new("coffee").with_filter(Filter::eq("year", 1900)))
            .unwrap()
            .len()
            == 2
    );
    assert_whole(&kb);
}

#[test]
fn of_repeated_ids_the_last_is_stored_and_reported() {
    let kb = in_memory();
    let report = kb
        .add([
            Document::new("a", "first"),
            Document::new("b", ""),
            Document::new("a", "second"),
        ])
        .unwrap();
    assert_eq!(
        (report.duplicates, report.empty, report.added),
        (vec!["a".to_owned()], vec!["b".to_owned()], 2)
    );
    assert_eq!(kb.document("a").unwrap().unwrap().text, "second");
    assert_eq!(kb.document_ids().unwrap(), ["a", "b"]);
    assert_eq!(kb.remove(["a", "c"]).unwrap(), ["c"]);
    assert_eq!(kb.document("a").unwrap(), None);
    assert!(ids(&kb, "second").is_empty());
    assert_whole(&kb);
}

#[test]
fn conditions_limit_what_is_looked_through() {
    let kb = in_memory();
    kb.add(teas()).unwrap();
    for mode in [Mode::Dense, Mode::Lexical, Mode::Hybrid] {
        let kb = in_mode(&kb, mode);
        let query = Query::new("tea steeped roasted").with_top_k(1);
        let late = query
            .clone()
            .with_filter(Filter::at_least("year", 2003))
            .with_access(Filter::prefix("path", "co"));
        assert_eq!(kb.retrieve(&late).unwrap()[0].chunk.document_id, "coffee");
        assert!(
            kb.retrieve(&query.clone().with_filter(Filter::eq("year", 1)))
                .unwrap()
                .is_empty()
        );
    }
}

#[test]
fn thresholds_are_honoured_or_refused() {
    let kb = in_memory();
    kb.add(teas()).unwrap();
    let query = Query::new("green tea");
    for mode in [Mode::Dense, Mode::Lexical, Mode::Hybrid] {
        let kb = in_mode(&kb, mode);
        for (kind, min) in [(ScoreKind::Cosine, 0.4), (ScoreKind::Bm25, 0.5)] {
            let threshold = Threshold::new(kind.clone(), min).unwrap();
            let hits = kb.retrieve(&query.clone().with_threshold(threshold)).unwrap();
            assert!(!hits.is_empty() && hits.len() < 8, "{mode:?} {kind}");
            assert!(hits.iter().all(|hit| hit.scores[&kind] >= min));
        }
        for kind in [ScoreKind::Rerank, ScoreKind::Custom("x".into()), ScoreKind::L2] {
            let threshold = Threshold::new(kind, 0.5).unwrap();
            let refused = kb.retrieve(&query.clone().with_threshold(threshold));
            assert!(matches!(refused, Err(Error::Unsupported { .. })));
        }
    }
}

#[test]
fn without_an_embedder_words_are_searched_and_the_rest_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).add(teas()).unwrap();
    let kb = KnowledgeBase::open(folder.path())
        .unwrap()
        .with_chunker(Paragraphs);
    for refused in [
        kb.retrieve(&"tea".into()).map(drop),
        kb.add([Document::new("x", "y")]).map(drop),
    ] {
        let error = refused.unwrap_err();
        assert!(
            matches!(error, Error::NoEmbedder { .. }) && error.to_string().contains("with_embedder"),
            "{error}"
        );
    }
    assert_eq!(ids(&in_mode(&kb, Mode::Lexical), "coffee").len(), 2);
    // The base has vectors: a document without one would never be found by them.
    assert!(matches!(
        in_mode(&kb, Mode::Lexical).add([Document::new("x", "y")]),
        Err(Error::NoEmbedder { .. })
    ));
}

#[test]
fn a_base_can_stay_lexical_and_get_vectors_later() {
    let kb = in_mode(
        &KnowledgeBase::in_memory().unwrap().with_chunker(Paragraphs),
        Mode::Lexical,
    );
    kb.add(teas()).unwrap();
    assert_eq!(ids(&kb, "ground coffee")[0], "coffee");
    assert_whole(&kb);
    assert!(matches!(
        kb.clone().with_embedder(HashingEmbedder::new(64)),
        Err(Error::NoVectors)
    ));
    kb.reembed(HashingEmbedder::new(64)).unwrap();
    assert_whole(&kb);
    let fresh = in_memory();
    fresh.add(teas()).unwrap();
    assert_eq!(seen(&kb, "green tea", 9), seen(&fresh, "green tea", 9));
}

#[test]
fn another_embedder_or_metric_is_refused_with_both_named() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).add(teas()).unwrap();
    let error = KnowledgeBase::open(folder.path())
        .unwrap()
        .with_embedder(HashingEmbedder::new(32))
        .unwrap_err();
    assert!(matches!(
        error,
        Error::EmbedderMismatch {
            built_dim: 64,
            given_dim: 32,
            ..
        }
    ));
    for part in ["hashing-64", "hashing-32", "same embedder", "reembed"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    let same = open(folder.path());
    assert!(same.clone().with_metric(Metric::Cosine).is_ok());
    assert!(matches!(
        same.clone().with_metric(Metric::Dot),
        Err(Error::MetricMismatch { .. })
    ));
    // A base without chunks is bound to nothing.
    same.remove(same.document_ids().unwrap()).unwrap();
    let other = same
        .with_embedder(HashingEmbedder::new(32))
        .unwrap()
        .with_metric(Metric::L2)
        .unwrap();
    other.add(teas()).unwrap();
    assert_eq!(
        (other.stats().unwrap().dim, other.stats().unwrap().metric),
        (Some(32), Some(Metric::L2))
    );
    assert_eq!(ids(&other, "coffee")[0], "coffee");
    assert_whole(&other);
}

/// Gives one kind of bad vector for texts that contain "bad".
struct Bad(fn(&mut Vec<f32>));

impl Embedder for Bad {
    fn id(&self) -> &str {
        "bad"
    }
    fn dim(&self) -> usize {
        2
    }
    fn max_tokens(&self) -> usize {
        9
    }
    fn embed(&self, texts: &[&str], _: Role) -> ragtune_core::Result<Embeddings> {
        let mut data = vec![1.0; 2 * texts.len()];
        if texts.iter().any(|text| text.contains("bad")) {
            (self.0)(&mut data);
        }
        Embeddings::new(2, data, 0)
    }
}

#[test]
fn bad_vectors_are_errors_and_nothing_stored_is_lost() {
    let spoil: [fn(&mut Vec<f32>); 3] = [
        |data| data[1] = f32::NAN,
        |data| data.extend([1.0, 1.0]),
        |data| data.iter_mut().for_each(|x| *x = 0.0),
    ];
    for spoil in spoil {
        let kb = KnowledgeBase::in_memory()
            .unwrap()
            .with_embedder(Bad(spoil))
            .unwrap()
            .with_chunker(Paragraphs);
        kb.add([Document::new("good", "good text")]).unwrap();
        let error = kb.add([Document::new("bad", "bad text")]).unwrap_err();
        assert!(
            matches!(
                error,
                Error::Core(ragtune_core::Error::NotFinite { .. } | ragtune_core::Error::Dimension { .. })
                    | Error::ZeroVector { .. }
            ),
            "{error}"
        );
        assert_eq!(kb.document_ids().unwrap(), ["good"]);
        assert_eq!(ids(&kb, "good"), ["good"]);
        assert!(kb.retrieve(&"bad question".into()).is_err());
        assert_whole(&kb);
    }
}

#[test]
fn foreign_newer_and_damaged_stores_are_told_apart_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("base");
    open(&base).add(teas()).unwrap();
    let file = base.join("base.sqlite3");
    let original = std::fs::read(&file).unwrap();
    let refuse = |content: &[u8]| {
        std::fs::write(&file, content).unwrap();
        let error = KnowledgeBase::open(&base).and_then(|kb| kb.check()).unwrap_err();
        assert_eq!(std::fs::read(&file).unwrap(), content, "{error}");
        error
    };
    let mut newer = original.clone();
    newer[60..64].copy_from_slice(&99u32.to_be_bytes());
    assert!(matches!(refuse(&newer), Error::NewerStore { found: 99, .. }));
    let mut other = original.clone();
    other[68..72].copy_from_slice(&7u32.to_be_bytes());
    assert!(matches!(refuse(&other), Error::ForeignStore { .. }));
    assert!(matches!(refuse(b"a text file"), Error::ForeignStore { .. }));
    assert!(matches!(refuse(&original[..50]), Error::Damaged { .. }));
    let mut overwritten = original.clone();
    overwritten[100..4096].fill(0xff);
    let error = refuse(&overwritten);
    assert!(
        matches!(error, Error::Damaged { .. }),
        "{error:?} {:?}",
        error.source()
    );
    std::fs::write(&file, &original).unwrap();
    assert_whole(&open(&base));

    // A folder of something else, and a file, are refused too.
    let documents = folder.path().join("documents");
    write(&documents, "a.md", "text");
    assert!(matches!(
        KnowledgeBase::open(&documents),
        Err(Error::ForeignStore { .. })
    ));
    assert_eq!(std::fs::read_dir(&documents).unwrap().count(), 1);
    assert!(matches!(
        KnowledgeBase::open(documents.join("a.md")),
        Err(Error::ForeignStore { .. })
    ));
}

#[test]
fn damage_inside_is_found_by_check() {
    let folder = tempfile::tempdir().unwrap();
    let secret = "steeped at 80 degrees";
    let kb = open(folder.path());
    kb.add(teas()).unwrap();
    drop(kb);
    let file = folder.path().join("base.sqlite3");
    let mut bytes = std::fs::read(&file).unwrap();
    let at = bytes
        .windows(secret.len())
        .position(|part| part == secret.as_bytes())
        .unwrap();
    bytes[at] = b'S';
    std::fs::write(&file, bytes).unwrap();
    let report = open(folder.path()).check().unwrap();
    assert!(
        report.problems.iter().any(|problem| problem.contains("green")),
        "{:?}",
        report.problems
    );
}

#[test]
fn a_damaged_or_missing_lexical_index_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let kb = open(folder.path());
    kb.add(teas()).unwrap();
    let before = seen(&kb, "green tea", 9);
    drop(kb);
    let lexical = folder.path().join("lexical");
    for entry in std::fs::read_dir(&lexical).unwrap() {
        std::fs::write(entry.unwrap().path(), b"garbage").unwrap();
    }
    let kb = open(folder.path());
    assert_eq!(seen(&kb, "green tea", 9), before);
    assert_whole(&kb);
    drop(kb);
    std::fs::remove_dir_all(&lexical).unwrap();
    assert_eq!(seen(&open(folder.path()), "green tea", 9), before);
}

#[test]
fn the_language_is_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let german = [Document::new("a", "Die Häuser stehen am Fluss.")];
    let kb = open(folder.path());
    kb.add(german).unwrap();
    let lexical = |kb: &KnowledgeBase| in_mode(kb, Mode::Lexical).retrieve(&"haus".into()).unwrap().len();
    assert_eq!(lexical(&kb), 0);
    let kb = kb.with_language(Language::German).unwrap();
    assert_eq!(lexical(&kb), 1);
    drop(kb);
    assert_eq!(lexical(&open(folder.path())), 1);
}

#[test]
fn a_huge_document_is_stored_read_and_found() {
    let mut text = String::with_capacity(51 << 20);
    let mut count = 0;
    while text.len() < 50 << 20 {
        text.push_str(&format!("Paragraph {count} of the ledger. ").repeat(200));
        text.push_str("\n\n");
        count += 1;
    }
    text.push_str("The needle lies here — at the very end.");
    let kb = in_memory();
    kb.add([Document::new("huge", text.clone())]).unwrap();
    let hits = in_mode(&kb, Mode::Lexical).retrieve(&"needle".into()).unwrap();
    assert_eq!(hits[0].chunk.text, "The needle lies here — at the very end.");
    assert_eq!(hits[0].chunk.locator.line, Some(2 * count + 1));
    assert_eq!(kb.document("huge").unwrap().unwrap().text, text);
}

#[test]
fn searches_run_while_documents_are_added() {
    let folder = tempfile::tempdir().unwrap();
    let kb = open(folder.path());
    kb.add(teas()).unwrap();
    std::thread::scope(|scope| {
        let searching: Vec<_> = (0..3)
            .map(|_| {
                let kb = kb.clone();
                scope.spawn(move || {
                    for _ in 0..60 {
                        let hits = kb.retrieve(&"green tea steeped".into()).unwrap();
                        assert_eq!(hits[0].chunk.document_id, "green");
                    }
                })
            })
            .collect();
        for i in 0..40 {
            kb.add([Document::new(
                format!("new-{i}"),
                format!("Something else, number {i}."),
            )])
            .unwrap();
            if i % 3 == 0 {
                kb.remove([format!("new-{}", i / 2)]).unwrap();
            }
        }
        for search in searching {
            search.join().unwrap();
        }
    });
    assert_whole(&kb);
}
