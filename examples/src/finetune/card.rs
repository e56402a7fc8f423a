//! The model card of a result, and the settings that it and `--json` name.

use std::path::Path;

use ragtune::train::batch::BatchSize;
use ragtune::train::objective::{PreferenceLoss, Scores};
use ragtune::train::report::{CardData, CardMetric, CardRun, ModelCard};
use ragtune::train::trainer::{Duration, TrainOptions};
use ragtune::train::tuning::Tuning;
use serde_json::{Value, json};

use super::args::Args;
use super::choices::{ClassWeighting, Task, overflow_name};
use super::result::Finished;
use super::words;

/// Every setting that the result depends on, by the names of the options where there are such.
#[must_use]
pub fn settings(args: &Args, tuning: &Tuning, options: &TrainOptions, steps: usize) -> Vec<(String, Value)> {
    let mut all: Vec<(String, Value)> = vec![("learning rate".to_owned(), json!(args.rate()))];
    let mut add = |name: &str, value: Value| all.push((name.to_owned(), value));
    if !args.task.is_generative() && args.task != Task::Embed {
        add("head learning rate", json!(args.rate() * args.head_ratio()));
    }
    match options.batch {
        BatchSize::Examples(examples) => add("batch", json!(examples)),
        BatchSize::Tokens(tokens) => add("batch tokens", json!(tokens)),
    }
    add("accumulate", json!(options.accumulation));
    match options.duration {
        Duration::Epochs(epochs) => add("epochs", json!(epochs)),
        Duration::Steps(steps) => add("steps", json!(steps)),
    }
    add("schedule", json!(options.decay.to_string()));
    add(
        "warm-up steps",
        json!((options.warmup * steps as f64).ceil() as usize),
    );
    add("weight decay", json!(args.weight_decay));
    add("clip", json!(args.clip));
    add("max tokens", json!(args.max_tokens));
    if args.task != Task::Pretrain {
        add("overflow", json!(overflow_name(args.overflow)));
    }
    add("model dropout", json!(options.model_dropout));
    add("gradient checkpointing", json!(options.gradient_checkpointing));
    add("patience", json!(args.patience));
    add("clean", json!(args.clean));
    add("device", json!(args.device.to_string()));
    add(
        "precision",
        json!(args.precision.map(|precision| precision.to_string())),
    );
    match (args.task, args.preference_loss()) {
        (
            Task::Dpo,
            PreferenceLoss::Dpo {
                beta,
                label_smoothing,
            },
        ) => {
            add("dpo loss", json!("sigmoid"));
            add("beta", json!(beta));
            add("label smoothing", json!(label_smoothing));
        }
        (Task::Dpo, PreferenceLoss::Ipo { beta }) => {
            add("dpo loss", json!("ipo"));
            add("beta", json!(beta));
        }
        _ => {}
    }
    let class_weights = args.class_weights.as_ref();
    add(
        "class weights",
        json!(class_weights.map(ClassWeighting::to_string)),
    );
    add(
        "dims",
        if args.dims.is_empty() {
            Value::Null
        } else {
            json!(args.dims)
        },
    );
    add("hard negatives", json!(args.hard_negatives));
    add("empty windows", json!(args.empty_windows));
    add("overlap tokens", json!(args.overlap_tokens));
    if let Value::Object(of_method) = tuning.to_json() {
        // The method is named of itself.
        for (name, value) in of_method.into_iter().filter(|(name, _)| name != "method") {
            add(&name, value);
        }
    }
    // What is not set is left out.
    all.retain(|(_, value)| !value.is_null());
    all
}

/// The card of a result.
#[must_use]
pub fn card(args: &Args, found: &Finished, notes: &[String]) -> ModelCard {
    let name = args
        .out
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    let base = found.base_model.as_str();
    let mut card = ModelCard::new(name.unwrap_or_default(), base, &found.method)
        .with_pipeline_tag(pipeline(args.task))
        .with_seed(args.seed)
        .with_setting("task", &found.task)
        .with_run(CardRun {
            trainable: found.trainable as u64,
            total: found.total as u64,
            steps: found.steps,
            epochs: found.epochs,
            seconds: found.took.seconds,
            peak_bytes: found.took.peak_bytes,
        })
        .with_snippet("rust", &found.loads);
    for set in &found.data {
        card = card.with_data(CardData {
            split: set.set.to_owned(),
            name: set.source.clone(),
            examples: set.examples,
            fingerprint: format!("blake3:{}", set.fingerprint),
        });
        if set.cut + set.left_out > 0 {
            card = card.with_note(format!(
                "Of the {} examples of the {} set {} were cut and {} left out.",
                set.examples, set.set, set.cut, set.left_out
            ));
        }
    }
    for (name, value) in &found.settings {
        let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        card = card.with_setting(name, shown);
    }
    for (split, scores) in [("validation", &found.valid), ("test", &found.test)] {
        for (name, value) in scores.iter().flat_map(Scores::iter) {
            card = card.with_metric(CardMetric::new(split, name, value));
        }
    }
    for note in notes {
        card = card.with_note(words::of_the_command_line(note));
    }
    card
}

/// The card with the library that loads a written folder in Python, and how it does.
#[must_use]
pub fn in_python(card: ModelCard, args: &Args, tuning: &Tuning, folder: &Path) -> ModelCard {
    let is_adapter = folder.join("adapter_config.json").exists();
    let is_sentence = folder.join("modules.json").exists();
    let (library, code) = match (is_adapter, args.task) {
        (true, _) if matches!(tuning, Tuning::Bottleneck(_)) => ("adapters", None),
        (true, _) => ("peft", None),
        // A head over sentence vectors has no class in transformers.
        (false, Task::Classify) if is_sentence => (
            "sentence-transformers",
            Some(
                "import json\nfrom sentence_transformers import SentenceTransformer\n\nmodel = SentenceTransformer(\".\")\n\
                 with open(\"config_sentence_transformers.json\") as file:\n    labels = json.load(file)[\"id2label\"]\n\
                 logits = model.encode([\"a text\"])  # one row of logits for each text\n\
                 print([labels[str(row.argmax())] for row in logits])",
            ),
        ),
        (false, Task::Classify) => (
            "transformers",
            Some(
                "from transformers import pipeline\n\nprint(pipeline(\"text-classification\", model=\".\")(\"a text\"))",
            ),
        ),
        (false, Task::Embed | Task::Rerank) => ("sentence-transformers", None),
        (false, _) => ("transformers", None),
    };
    let card = card.with_library(library);
    match code {
        Some(code) => card.with_snippet("python", code),
        None => card,
    }
}

/// The hub's name of a task.
fn pipeline(task: Task) -> &'static str {
    match task {
        Task::Sft | Task::Pretrain | Task::Dpo => "text-generation",
        Task::Classify => "text-classification",
        Task::Tag => "token-classification",
        Task::Qa => "question-answering",
        Task::Embed => "sentence-similarity",
        Task::Rerank => "text-ranking",
    }
}
