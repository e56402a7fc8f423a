//! The foretold peak of memory against bytes that are counted, on tiny models. The benchmark `train_memory` compares it with
//! what the system says of processes with larger ones.
//!
//! `unsafe`: an allocator that counts has to be one. It hands every call on to the system's and adds numbers; the counts
//! are compared with sizes that are known in `it_counts`.

#![allow(clippy::unwrap_used, reason = "a test that meets them fails")]
#![allow(unsafe_code, reason = "see above")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ragtune_core::adapters::Targets;
use ragtune_core::device;
use ragtune_core::models::{CausalLm, Encoder, Labels, NewHead, SequenceClassifier};
use ragtune_train::data::{Origin, Record};
use ragtune_train::encode::{ClassifiedTokens, Sequence, TextTuple};
use ragtune_train::memory::{Footprint, MemoryPlan};
use ragtune_train::objective::{Classification, EmbeddingRanking, LanguageModelling, Objective};
use ragtune_train::trainer::{Duration, TrainOptions, Trainer};
use ragtune_train::tuning::{Adapter, Lora, Prompt, Selection, Trainable, Tuning};

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

struct Counting;

impl Counting {
    fn grow(bytes: usize) {
        let live = LIVE.fetch_add(bytes, Ordering::Relaxed) + bytes;
        PEAK.fetch_max(live, Ordering::Relaxed);
    }
}

// SAFETY: every call goes to `System` as it came; the counters own no memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::grow(layout.size());
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::grow(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::grow(size);
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// How far the counted peak may lie from the foretold one.
const TOLERANCE: f64 = 0.1;

/// Runs of each configuration.
const RUNS: usize = 5;

/// Method, texts of a batch, tokens of each, batches of a step, whether layers run again, whether it is evaluated.
type Configuration = (&'static str, usize, usize, usize, bool, bool);

// One test alone: others beside it would be counted as well.
#[test]
fn counted_peaks_are_as_foretold() {
    it_counts();
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/tests/fixtures");
    let lm = Arc::new(CausalLm::load(models.join("decoder/llama"), &device::cpu()).unwrap());
    let mut off = Vec::new();
    for configuration @ (method, texts, tokens, batches, ..) in [
        ("full", 32, 128, 1, false, false),
        ("full", 32, 128, 1, false, true),
        ("full", 16, 128, 4, false, false),
        ("full", 32, 128, 1, true, false),
        ("last:1", 32, 128, 1, false, false),
        ("lora", 32, 128, 1, false, true),
        ("lora", 32, 128, 1, true, false),
        ("lora", 16, 64, 1, false, false),
        ("dora", 32, 128, 1, false, false),
        ("ia3", 32, 128, 1, false, false),
        ("adapter", 32, 128, 1, false, false),
        ("adapter", 32, 128, 1, true, false),
        ("adapter-both", 16, 64, 1, false, true),
        ("prompt", 32, 128, 1, false, false),
        ("prompt", 32, 128, 1, true, false),
        ("prompt", 16, 64, 2, false, true),
        // Short runs with few weights.
        ("lora", 4, 24, 1, false, true),
        ("lora", 4, 24, 1, true, true),
        ("ia3", 2, 24, 1, false, true),
        ("adapter", 4, 24, 1, false, true),
        ("prompt", 4, 24, 1, false, true),
    ] {
        let task = || LanguageModelling::new(Arc::clone(&lm));
        let text = |number: usize| Sequence {
            ids: (0..tokens)
                .map(|index| ((number * tokens + index) * 37 % 64) as u32)
                .collect(),
            trained: vec![true; tokens],
        };
        let examples = records((0..2 * texts * batches).map(text));
        off.push(compare("llama", task, &examples, &tuning(method), configuration));
    }
    let encoder = Arc::new(Encoder::load(models.join("encoders/models/bert"), &device::cpu()).unwrap());
    for configuration @ (method, pairs, tokens, ..) in [
        ("full", 32, 60, 1, false, false),
        ("full", 32, 60, 1, true, false),
        ("lora", 32, 60, 1, false, false),
        ("lora", 32, 60, 1, true, false),
    ] {
        let task = || EmbeddingRanking::new(Arc::clone(&encoder));
        let text =
            |number: usize| (0..tokens).map(move |index| ((number * tokens + index) * 37 % 100 + 5) as u32);
        let pair = |number: usize| TextTuple {
            anchor: text(2 * number).collect(),
            positive: text(2 * number + 1).collect(),
            negatives: Vec::new(),
        };
        let examples = records((0..2 * pairs).map(pair));
        off.push(compare("bert", task, &examples, &tuning(method), configuration));
    }
    let labels = Labels::new(["a", "b"]).unwrap();
    let classifiers = ["encoders/models/bert", "decoder/llama"].map(|folder| {
        let head = NewHead::new(labels.clone()).with_seed(1);
        SequenceClassifier::with_new_head(models.join(folder), &head, &device::cpu()).unwrap()
    });
    for (name, classifier) in ["bert classifier", "llama classifier"]
        .into_iter()
        .zip(classifiers)
    {
        let classifier = Arc::new(classifier);
        for configuration @ (method, texts, tokens, ..) in [
            ("full", 32, 60, 1, false, true),
            ("lora", 32, 60, 1, false, false),
            ("lora", 4, 24, 1, false, true),
            ("adapter", 32, 60, 1, false, true),
            ("head", 32, 60, 1, false, true),
            ("head", 4, 24, 1, false, true),
        ] {
            let task = || Classification::new(Arc::clone(&classifier)).unwrap();
            let text = |number: usize| ClassifiedTokens {
                ids: (0..tokens)
                    .map(|index| ((number * tokens + index) * 37 % 60 + 3) as u32)
                    .collect(),
                type_ids: vec![0; tokens],
                labels: vec![(number % 2) as u32],
            };
            let examples = records((0..2 * texts).map(text));
            off.push(compare(name, task, &examples, &tuning(method), configuration));
        }
    }
    for (said, _) in &off {
        println!("{said}");
    }
    let far: Vec<&String> = off
        .iter()
        .filter(|(_, off)| off.abs() > TOLERANCE)
        .map(|(said, _)| said)
        .collect();
    assert!(far.is_empty(), "too far off: {far:#?}");
}

/// The allocator counts what is known.
fn it_counts() {
    let before = LIVE.load(Ordering::Relaxed);
    let block = std::hint::black_box(vec![1_u8; 3 << 20]);
    assert!(LIVE.load(Ordering::Relaxed) - before >= block.len());
    assert!(PEAK.load(Ordering::Relaxed) >= before + block.len());
    drop(block);
    assert!(LIVE.load(Ordering::Relaxed) < before + (1 << 20));
}

fn tuning(method: &str) -> Tuning {
    let lora = || Lora::default().with_rank(4, 8.0);
    match method {
        "full" => Tuning::Full,
        "lora" => Tuning::Lora(lora()),
        "dora" => Tuning::Lora(lora().with_dora().with_targets(Targets::AllLinear)),
        "ia3" => Tuning::Ia3 { targets: None },
        "head" => Tuning::Head,
        "adapter" => Tuning::Bottleneck(Adapter::default().with_reduction(4.0)),
        "adapter-both" => Tuning::Bottleneck(Adapter::default().with_reduction(4.0).behind_attention()),
        "prompt" => Tuning::Prompt(Prompt::default().with_virtual_tokens(8)),
        last => Tuning::Selective(Selection::last_layers(
            last.trim_start_matches("last:").parse().unwrap(),
        )),
    }
}

fn records<T>(values: impl Iterator<Item = T>) -> Vec<Record<T>> {
    let record = |(index, value)| Record {
        value,
        origin: Origin::in_memory(index),
    };
    values.enumerate().map(record).collect()
}

/// How far the counted peak of two steps is from the foretold one, as a share of the counted.
fn compare<O: Objective>(
    model: &str,
    new_task: impl Fn() -> O,
    examples: &[O::Example],
    tuning: &Tuning,
    (method, texts, tokens, batches, again, evaluated): Configuration,
) -> (String, f64) {
    let task = new_task();
    let mut trainable = Trainable::new(task.base(), tuning, &task.heads(), 1).unwrap();
    let options = TrainOptions::default()
        .with_duration(Duration::Steps(2))
        .with_batch(texts)
        .with_accumulation(batches)
        .with_gradient_checkpointing(again)
        .with_evaluate_every(1)
        .with_learning_rate(1e-5);
    let lengths: Vec<usize> = examples.iter().map(|example| task.tokens(example)).collect();
    let footprint = Footprint::of(&task, examples).unwrap();
    let valid = if evaluated { &examples[..texts] } else { &[] };
    let evaluated_lengths = &lengths[..valid.len()];
    let resident = LIVE.load(Ordering::Relaxed);
    let plan = MemoryPlan::new(
        resident as u64,
        &footprint,
        &trainable,
        &options,
        &lengths,
        evaluated_lengths,
    )
    .unwrap();
    // The least of several runs: where the machine is busy, a thread that is kept waiting holds what it works on longer.
    // Each has a task of its own: one keeps what a frozen base makes of its texts.
    let run = |trainable: &mut Trainable| {
        let task = new_task();
        PEAK.store(LIVE.load(Ordering::Relaxed), Ordering::Relaxed);
        Trainer::new(&task, examples, options.clone())
            .with_valid(valid)
            .run(tuning, trainable)
            .unwrap();
        PEAK.load(Ordering::Relaxed)
    };
    let counted = (0..RUNS).map(|_| run(&mut trainable)).min().unwrap() as f64;
    let foretold = (plan.peak - plan.overhead) as f64;
    let off = foretold / counted - 1.0;
    let said = format!(
        "{model} {method} {texts} x {tokens}, {batches} batches, again {again}, evaluated {evaluated}: {:.2} MB foretold, \
         {:.2} counted, {:.2} before, {:+.1} %",
        foretold / 1e6,
        counted / 1e6,
        resident as f64 / 1e6,
        100.0 * off
    );
    (said, off)
}
