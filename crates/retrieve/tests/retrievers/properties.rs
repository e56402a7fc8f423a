//! What holds for all documents: nothing leaks of what a user may not see, and what wraps a retriever keeps its promise.

use super::*;

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
                    let mut clean = over_seen.retrieve(&query).unwrap();
                    // The way of the search depends on how many vectors there are, so it is not told either.
                    clean.iter_mut().for_each(|hit| hit.plan = None);
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
