//! Models with heads: classes of texts, tags of words, answers in passages, relevance of passages; and sentence encoders.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ragtune::core::adapters::{AdapterBase, AdapterSet, AdapterStack};
use ragtune::core::models::{
    CrossEncoder, Encoder, HeadPooling, Labels, NewHead, ProblemType, SequenceClassifier, SpanReader,
    TokenClassifier,
};
use ragtune::core::text::Embedder;
use ragtune::core::weights::FloatType;
use ragtune::train::data::{
    Dataset, JudgedColumns, LabelMap, Labelled, PairColumns, Question, Record, Tagged, beir,
    judged as judged_files, labelled, pairs as pair_files, questions as question_files, tags,
};
use ragtune::train::doctor::{self, Diagnosis, Inputs};
use ragtune::train::encode::{self, EncodeReport, EncodedSet, Limits, Overflow, TextEncoder, WindowLimits};
use ragtune::train::metrics::squad::Version;
use ragtune::train::mining::HardNegatives;
use ragtune::train::objective::{
    Classification, EmbeddingRanking, RelevanceRanking, SpanExtraction, Tagging,
};

use super::args::Args;
use super::data::{self, Examined, Sets};
use super::result::Ended;
use super::run::{self, Form, Part, Prepared};
use super::{classes, files};
use crate::Outcome;
use crate::language_model;

/// Tokens of an example at most unless the command line says otherwise: a decoder may read a hundred thousand.
const MAX_TOKENS: usize = 1024;
/// Tokens of a question's window unless the command line says otherwise.
const WINDOW_TOKENS: usize = 384;
/// Tokens that neighbouring windows of a context share.
const OVERLAP_TOKENS: usize = 128;

/// `--task classify`.
pub fn classify(args: &Args) -> Result<Ended, Box<dyn Error>> {
    let mut columns = labelled::Columns::default();
    columns.text.clone_from(&args.text_column);
    columns.label.clone_from(&args.label_column);
    columns.label_separator.clone_from(&args.label_separator);
    let sets = data::sets(args, |path| labelled::read(path, &columns))?;
    let several = sets
        .train
        .values()
        .any(|value: &Labelled| value.labels.len() != 1);
    classes::check(&sets)?;
    let map = LabelMap::of_texts(&sets.train)?;
    let head = NewHead::new(Labels::new(map.names())?)
        .with_problem_type(if several {
            ProblemType::MultiLabel
        } else {
            ProblemType::SingleLabel
        })
        .with_seed(args.seed);
    let made = match args.new_head {
        true => SequenceClassifier::with_new_head,
        false => SequenceClassifier::for_tuning,
    };
    let model = Arc::new(made(folder(args)?, &head, &args.device.device()?)?);
    let args = &with_head_of(args, &model);
    // A head that goes on has its classes in its own order.
    let map = LabelMap::new(model.labels().iter())?;
    let limits = limits(args, model.max_seq_length());
    let tokenizer = Arc::clone(model.tokenizer());
    let encoder = TextEncoder::new(&tokenizer)?;
    let encode = |set: &Dataset<Labelled>| encoder.labelled(set, &map, limits);
    let train = encode(&sets.train)?;
    let inputs = Inputs::default()
        .with_load_report(model.report())
        .with_head(map.names())
        .with_tokens(tokens(&train, |item| &item.ids));
    let diagnosis = examine(args, &sets, inputs, &*model, (&train.report, limits), false)?;
    let prepared = Prepared {
        train: data::part(args, "training", train)?,
        valid: data::encoded(args, "validation", &sets.valid, encode)?,
        test: data::encoded(args, "test", &sets.test, encode)?,
        sources: sets.sources,
        diagnosis,
        save: |args, task: &Classification, set, form, folder| {
            save(args, set, form, folder, |stack| {
                Ok(task.model().save(folder, stack, FloatType::F32)?)
            })
        },
        merges: true,
        loads: |_| "let model = SequenceClassifier::load(\"OUT\", &device)?;".to_owned(),
        objective: Classification::new(model)?,
    };
    let prepared = Prepared {
        objective: classes::weighted(args, prepared.objective, &prepared.train.examples)?,
        ..prepared
    };
    run::run(args, prepared)
}

/// `--task tag`.
pub fn tag(args: &Args) -> Result<Ended, Box<dyn Error>> {
    let sets = data::sets(args, |path| tags::read(path, &tags::Layout::default()))?;
    let map = LabelMap::of_tags(&sets.train)?;
    let labels = Labels::new(map.names())?;
    let device = args.device.device()?;
    let made = match args.new_head {
        true => TokenClassifier::with_new_head,
        false => TokenClassifier::for_tuning,
    };
    let model = Arc::new(made(folder(args)?, labels, args.seed, &device)?);
    let map = LabelMap::new(model.labels().iter())?;
    let limits = limits(args, model.max_seq_length());
    let tokenizer = Arc::clone(model.tokenizer());
    let encoder = TextEncoder::new(&tokenizer)?;
    // Long sentences come in windows, so that every word has its tag.
    let encode = |set: &Dataset<Tagged>| encoder.tagged_windows(set, &map, limits.max_tokens);
    let train = match args.overflow {
        Overflow::Error => encode(&sets.train)?,
        Overflow::Truncate | Overflow::Drop => encoder.tagged(&sets.train, &map, limits)?,
    };
    let inputs = Inputs::default()
        .with_load_report(model.report())
        .with_head(map.names())
        .with_tokens(tokens(&train, |item| &item.ids));
    let diagnosis = examine(args, &sets, inputs, &*model, (&train.report, limits), false)?;
    let prepared = Prepared {
        train: data::part(args, "training", train)?,
        valid: data::encoded(args, "validation", &sets.valid, encode)?,
        test: data::encoded(args, "test", &sets.test, encode)?,
        sources: sets.sources,
        diagnosis,
        save: |args, task: &Tagging, set, form, folder| {
            save(args, set, form, folder, |stack| {
                Ok(task.model().save(folder, stack, FloatType::F32)?)
            })
        },
        merges: true,
        loads: |_| "let model = TokenClassifier::load(\"OUT\", &device)?;".to_owned(),
        objective: Tagging::new(model),
    };
    run::run(args, prepared)
}

/// `--task qa`.
pub fn questions(args: &Args) -> Result<Ended, Box<dyn Error>> {
    let sets = data::sets(args, |path| {
        let (set, repairs) = question_files::read_repairing(path)?;
        let said = format!(
            "{}: {} of {} answers moved to where they stand",
            path.display(),
            repairs.moved.len(),
            repairs.answers
        );
        let _ = args.say(&said);
        Ok(set)
    })?;
    let made = match args.new_head {
        true => SpanReader::with_new_head,
        false => SpanReader::for_tuning,
    };
    let model = made(folder(args)?, args.seed, &args.device.device()?)?;
    let reads = model.max_seq_length();
    let max_tokens = args.max_tokens.unwrap_or(reads.min(WINDOW_TOKENS));
    let overlap_tokens = args.overlap_tokens.unwrap_or(OVERLAP_TOKENS.min(max_tokens / 3));
    let windows = WindowLimits::default()
        .with_max_tokens(max_tokens)
        .with_overlap_tokens(overlap_tokens)
        .with_overflow(args.overflow);
    // It is asked in windows as it learns from.
    let options = model.options().clone().with_stride(overlap_tokens);
    let model = Arc::new(model.with_max_seq_length(max_tokens)?.with_options(options));
    let tokenizer = Arc::clone(model.tokenizer());
    let encoder = TextEncoder::new(&tokenizer)?;
    // Questions are numbered through all sets, so that the windows of one are told from those of another.
    let offset = |name: &str,
                  set: &Dataset<Question>,
                  first: usize|
     -> Result<Part<Record<encode::Window>>, Box<dyn Error>> {
        let mut encoded = data::encoded(args, name, set, |set| encoder.questions(set, windows))?;
        // An answer that stands in no window as a whole cannot be found, and counts as not found.
        let asked: BTreeSet<usize> = encoded
            .examples
            .iter()
            .map(|window| window.value.question)
            .collect();
        for number in (0..set.len()).filter(|number| !asked.contains(number)) {
            let mut alone = set.select(&[number]);
            alone.records[0].value.answers.clear();
            let mut unanswered = encoder.questions(&alone, windows)?.items;
            unanswered
                .iter_mut()
                .for_each(|window| window.value.question = number);
            encoded.examples.extend(unanswered);
        }
        encoded
            .examples
            .iter_mut()
            .for_each(|window| window.value.question += first);
        Ok(encoded)
    };
    let mut train = encoder.questions(&sets.train, windows)?;
    if let Some(most) = args.empty_windows {
        train = train.with_empty_windows(most, args.seed);
    }
    let inputs = Inputs::default()
        .with_load_report(model.report())
        .with_tokens(tokens(&train, |item| &item.ids));
    let limits = Limits::new(max_tokens).with_overflow(args.overflow);
    let diagnosis = examine(args, &sets, inputs, &*model, (&train.report, limits), false)?;
    let held_out = sets.valid.values().chain(sets.test.values()).cloned();
    let prepared = Prepared {
        train: data::part(args, "training", train)?,
        valid: offset("validation", &sets.valid, 0)?,
        test: offset("test", &sets.test, sets.valid.len())?,
        sources: sets.sources.clone(),
        diagnosis,
        save: |args, task: &SpanExtraction, set, form, folder| {
            save(args, set, form, folder, |stack| {
                Ok(task.model().save(folder, stack, FloatType::F32)?)
            })
        },
        merges: true,
        loads: |_| "let model = SpanReader::load(\"OUT\", &device)?;".to_owned(),
        objective: SpanExtraction::new(model)
            .with_version(Version::of(sets.train.values()))
            .with_questions(held_out),
    };
    run::run(args, prepared)
}

/// `--task rerank`.
pub fn rerank(args: &Args) -> Result<Ended, Box<dyn Error>> {
    let sets = data::sets(args, |path| match files::beir(path) {
        Some((folder, split)) => beir::read(folder, split),
        None => judged_files::read(path, &JudgedColumns::default()),
    })?;
    let made = match args.new_head {
        true => CrossEncoder::with_new_head,
        false => CrossEncoder::for_tuning,
    };
    let model = Arc::new(made(folder(args)?, args.seed, &args.device.device()?)?);
    let args = &with_head_of(args, model.classifier());
    let limits = limits(args, model.max_seq_length());
    let tokenizer = Arc::clone(model.tokenizer());
    let encoder = TextEncoder::new(&tokenizer)?;
    let encode = |set: &Dataset<_>| encoder.judged(set, limits);
    let train = encode(&sets.train)?;
    let inputs = Inputs::default()
        .with_load_report(model.report())
        .with_tokens(tokens(&train, |item| &item.ids));
    let diagnosis = examine(args, &sets, inputs, &*model, (&train.report, limits), false)?;
    let prepared = Prepared {
        train: data::part(args, "training", train)?,
        valid: data::encoded(args, "validation", &sets.valid, encode)?,
        test: data::encoded(args, "test", &sets.test, encode)?,
        sources: sets.sources,
        diagnosis,
        save: |args, task: &RelevanceRanking, set, form, folder| {
            save(args, set, form, folder, |stack| {
                Ok(task.model().save(folder, stack, FloatType::F32)?)
            })
        },
        merges: true,
        loads: |_| "let rag = Rag::builder().reranker(CrossEncoder::load(\"OUT\", &device)?);".to_owned(),
        objective: RelevanceRanking::new(model),
    };
    run::run(args, prepared)
}

/// `--task embed`.
pub fn embed(args: &Args) -> Result<Ended, Box<dyn Error>> {
    let mut sets = data::sets(args, |path| match files::beir(path) {
        Some((folder, split)) => beir::read_pairs(folder, split),
        None => pair_files::read(path, &PairColumns::default()),
    })?;
    let mut encoder = Encoder::load(folder(args)?, &args.device.device()?)?;
    if let Some(max_tokens) = args.max_tokens {
        encoder = encoder.with_max_seq_length(max_tokens)?;
    }
    let model = Arc::new(encoder);
    if let Some(wanted) = args.hard_negatives {
        let mined =
            HardNegatives::default()
                .with_num_negatives(wanted)
                .mine(&sets.train, &[] as &[&str], &*model)?;
        args.say(&mined.report.to_string())?;
        sets.train = mined.set;
    }
    let encode = |set: &Dataset<_>| encode::pairs(&model, set, args.overflow);
    let train = encode(&sets.train)?;
    let inputs = Inputs::default().with_tokens(tokens(&train, |item| &item.positive));
    let limits = Limits::new(model.max_seq_length());
    let diagnosis = examine(args, &sets, inputs, &*model, (&train.report, limits), true)?;
    let prepared = Prepared {
        train: data::part(args, "training", train)?,
        valid: data::encoded(args, "validation", &sets.valid, encode)?,
        test: data::encoded(args, "test", &sets.test, encode)?,
        sources: sets.sources,
        diagnosis,
        save: |args, task: &EmbeddingRanking, set, form, folder| {
            save(args, set, form, folder, |stack| {
                Ok(task.model().save(folder, stack, FloatType::F32)?)
            })
        },
        merges: true,
        loads: |_| {
            "let base = KnowledgeBase::open(store)?.with_embedder(Encoder::load(\"OUT\", &device)?)?;"
                .to_owned()
        },
        objective: match args.dims.as_slice() {
            [] => EmbeddingRanking::new(Arc::clone(&model)),
            // The whole vectors stay what scores are of.
            shorter => {
                let whole = model.dim();
                let shorter = shorter.iter().copied().filter(|dim| *dim != whole);
                EmbeddingRanking::new(Arc::clone(&model)).with_dims([whole].into_iter().chain(shorter))?
            }
        },
    };
    run::run(args, prepared)
}

fn folder(args: &Args) -> Result<PathBuf, Box<dyn Error>> {
    language_model::folder(&args.model)
}

/// The command line with the width of a language model under the head, by which its learning rate goes.
fn with_head_of(args: &Args, model: &SequenceClassifier) -> Args {
    let width = model.transformer().hidden_size();
    Args {
        decoder_width: (model.pooling() == HeadPooling::LastToken).then_some(width),
        ..args.clone()
    }
}

fn limits(args: &Args, reads: usize) -> Limits {
    Limits::new(args.max_tokens.unwrap_or(reads.min(MAX_TOKENS))).with_overflow(args.overflow)
}

/// The tokens of each example, with the index of its record.
fn tokens<T>(train: &EncodedSet<T>, of: fn(&T) -> &Vec<u32>) -> impl Iterator<Item = (&[u32], usize)> {
    let items = train.items.iter().zip(&train.sources);
    items.map(move |(item, source)| (of(&item.value).as_slice(), *source))
}

/// Has the doctor look over what all tasks have.
fn examine<R: Examined>(
    args: &Args,
    sets: &Sets<R>,
    inputs: Inputs<'_>,
    model: &dyn AdapterBase,
    (report, limits): (&EncodeReport, Limits),
    coupled: bool,
) -> Result<Diagnosis, Box<dyn Error>> {
    let inputs = data::shown(inputs, sets)
        .with_encoding(data::encoding(report, limits))
        .with_settings(data::settings(args, &args.tuning(), model, report.items, coupled));
    data::heed(args, doctor::examine(&inputs))
}

/// Writes an adapter in PEFT's form, or the model with the trained weights in it.
fn save(
    args: &Args,
    set: &AdapterSet,
    form: Form,
    folder: &Path,
    whole: impl FnOnce(&AdapterStack) -> Outcome,
) -> Outcome {
    if form == Form::Model {
        return whole(&AdapterStack::base().with(Arc::new(set.mergeable()), 1.0));
    }
    let mut config = set.config().clone();
    config.base_model_name_or_path = Some(args.model.clone());
    Ok(set.clone().with_config(config).save(folder)?)
}
