//! How long a question takes in a base of 10,000 chunks. It asserts nothing; run it in release mode:
//! `cargo test --release -p ragtune-retrieve --test speed -- --ignored --nocapture`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "functions of tests, which the lints do not know for such"
)]

mod support;

use std::time::{Duration, Instant};

use ragtune_core::testing::HashingEmbedder;
use ragtune_core::text::{Document, Filter, Query};
use ragtune_retrieve::{KnowledgeBase, Mode, Retriever};
use support::*;

const CHUNKS: usize = 10_000;
const DIM: usize = 384;

fn time(name: &str, mut work: impl FnMut(usize)) {
    let mut times: Vec<Duration> = (0..200)
        .map(|i| {
            let start = Instant::now();
            work(i);
            start.elapsed()
        })
        .collect();
    times.sort();
    println!(
        "{name}: median {:?}, 95th of 100 {:?}, worst {:?}",
        times[100], times[190], times[199]
    );
}

#[test]
#[ignore = "a measurement"]
fn a_question_to_10_000_chunks() {
    let folder = tempfile::tempdir().unwrap();
    let kb = with_parts(
        KnowledgeBase::open(folder.path()).unwrap(),
        HashingEmbedder::new(DIM),
    );
    // Words by a rough Zipf distribution over 20,000 forms.
    let mut state = 7u64;
    let mut word = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let uniform = (state >> 11) as f64 / (1u64 << 53) as f64;
        format!("w{}", (20_000f64.powf(uniform)) as u32)
    };
    let documents: Vec<_> = (0..CHUNKS / 10)
        .map(|i| {
            let paragraph = |_| (0..100).map(|_| word()).collect::<Vec<_>>().join(" ");
            let text = (0..10).map(paragraph).collect::<Vec<_>>().join("\n\n");
            Document::new(format!("document-{i}"), text).with_metadata("part", (i % 10) as i64)
        })
        .collect();
    let start = Instant::now();
    kb.add(documents).unwrap();
    println!("added {CHUNKS} chunks in {:?}", start.elapsed());
    let questions: Vec<Query> = (0..200)
        .map(|_| Query::new((0..8).map(|_| word()).collect::<Vec<_>>().join(" ")))
        .collect();
    drop(kb);
    let start = Instant::now();
    let kb = open_large(folder.path());
    kb.retrieve(&questions[0]).unwrap();
    println!("opened, first question answered after {:?}", start.elapsed());
    for mode in [Mode::Dense, Mode::Lexical, Mode::Hybrid] {
        let kb = in_mode(&kb, mode);
        time(&format!("{mode:?}"), |i| {
            drop(kb.retrieve(&questions[i]).unwrap())
        });
    }
    let filter = Filter::eq("part", 3);
    time("Hybrid, filtered to a tenth", |i| {
        drop(
            kb.retrieve(&questions[i].clone().with_filter(filter.clone()))
                .unwrap(),
        );
    });
    let start = Instant::now();
    kb.add([Document::new("one more", "w1 w2 w3")]).unwrap();
    println!("one more document in {:?}", start.elapsed());
    let start = Instant::now();
    kb.retrieve(&questions[0]).unwrap();
    println!("the question after it in {:?}", start.elapsed());
}

fn open_large(folder: &std::path::Path) -> KnowledgeBase {
    with_parts(KnowledgeBase::open(folder).unwrap(), HashingEmbedder::new(DIM))
}
