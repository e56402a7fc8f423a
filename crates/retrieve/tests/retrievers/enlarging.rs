//! Hits with the text around them: parents, windows, merged siblings.

use super::*;

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
