//! Language models: instructions, plain text, preferences.

use std::error::Error;
use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;

use ragtune::core::adapters::{AdapterSet, AdapterStack};
use ragtune::core::models::CausalLm;
use ragtune::core::weights::FloatType;
use ragtune::train::data::{
    Dataset, Passage, TextFiles, instructions as instruction_files, passages, preferences as preference_files,
};
use ragtune::train::doctor::{self, Fault, Inputs, Learns, Marker, ShownText, Vocabulary};
use ragtune::train::encode::{ChatEncoder, EncodedSet, Limits, Sequence, blocks};
use ragtune::train::objective::{LanguageModelling, PreferenceOptimisation};
use ragtune::train::tuning::Tuning;

use super::args::Args;
use super::data::{self, Examined, Sets};
use super::result::Ended;
use super::run::{self, Form, Prepared, is_adapter};
use crate::language_model;
use crate::{Outcome, output};

/// Tokens of an example at most unless the command line says otherwise.
const MAX_TOKENS: usize = 1024;
/// Examples that are shown with their trained tokens coloured.
const SHOWN: usize = 2;
/// Characters of an example that are shown.
const SHOWN_CHARS: usize = 1500;

/// `--task sft`.
pub fn instructions(args: &Args) -> Result<Ended, Box<dyn Error>> {
    let lm = load(args)?;
    let sets = data::sets(args, |path| instruction_files::read(path))?;
    let encoder = ChatEncoder::of(&lm)?;
    let limits = limits(args, &lm);
    let encode = |set: &Dataset<_>| encoder.conversations(set, limits);
    learn(args, lm, &sets, encode, Learns::Answers)
}

/// `--task pretrain`.
pub fn texts(args: &Args) -> Result<Ended, Box<dyn Error>> {
    let lm = load(args)?;
    let mut sets = data::sets(args, |path| passages::read(path, &TextFiles::default()))?;
    if sets.valid.is_empty() && args.valid.is_none() && !args.no_valid {
        hold_out_end(args, &mut sets)?;
    }
    let limits = limits(args, &lm);
    let stop = lm.end_tokens().first().copied();
    let tokenizer = Arc::clone(lm.tokenizer());
    let encode = |set: &Dataset<_>| blocks(&tokenizer, stop, set, limits);
    learn(args, lm, &sets, encode, Learns::Everything)
}

/// Holds the end of a single text out, from the beginning of a line on.
fn hold_out_end(args: &Args, sets: &mut Sets<Passage>) -> Outcome {
    let Some(record) = sets.train.records.first_mut() else {
        return Ok(());
    };
    let text = &record.value.text;
    let share = (text.len() as f64 * (1.0 - data::HELD_OUT)) as usize;
    let Some(cut) = text[..text.floor_char_boundary(share)]
        .rfind('\n')
        .map(|end| end + 1)
    else {
        return Err("the text has one line, of which nothing can be held out; name --valid".into());
    };
    let end = text[cut..].to_owned();
    args.say(&format!(
        "the last {} of its {} bytes held out for validation",
        end.len(),
        text.len()
    ))?;
    record.value.text.truncate(cut);
    sets.valid = vec![Passage { text: end }].into();
    let part = |(file, sum): &(String, String)| (format!("the end of {file}, held out"), sum.clone());
    sets.sources.valid = sets.sources.train.as_ref().map(part);
    Ok(())
}

/// `--task dpo`.
pub fn preferences(args: &Args) -> Result<Ended, Box<dyn Error>> {
    let lm = load(args)?;
    let sets = data::sets(args, |path| preference_files::read(path))?;
    let encoder = ChatEncoder::of(&lm)?;
    let limits = limits(args, &lm);
    let encode = |set: &Dataset<_>| encoder.preferences(set, limits);
    let train = encode(&sets.train)?;
    let args = &with_prompt(args, &lm)?;
    let tuning = args.tuning();
    let inputs = data::shown(Inputs::default(), &sets)
        .with_tokens(
            train
                .items
                .iter()
                .zip(&train.sources)
                .map(|(pair, source)| (pair.value.chosen.ids.as_slice(), *source)),
        )
        .with_encoding(data::encoding(&train.report, limits))
        .with_settings(data::settings(args, &tuning, &*lm, train.items.len(), false));
    let diagnosis = data::heed(args, doctor::examine(&inputs))?;
    let prepared = Prepared {
        train: data::part(args, "training", train)?,
        valid: data::encoded(args, "validation", &sets.valid, encode)?,
        test: data::encoded(args, "test", &sets.test, encode)?,
        sources: sets.sources,
        diagnosis,
        save,
        merges: false,
        loads,
        objective: PreferenceOptimisation::new(lm, args.preference_loss()),
    };
    run::run(args, prepared)
}

/// What instructions and plain text have in common.
fn learn<R: Examined>(
    args: &Args,
    lm: Arc<CausalLm>,
    sets: &Sets<R>,
    encode: impl Fn(&Dataset<R>) -> ragtune::train::Result<EncodedSet<Sequence>>,
    learns: Learns,
) -> Result<Ended, Box<dyn Error>> {
    let train = encode(&sets.train)?;
    show(args, &lm, &train)?;
    let args = &with_prompt(args, &lm)?;
    let tuning = args.tuning();
    let sequences: Vec<Sequence> = train.items.iter().map(|item| item.value.clone()).collect();
    let inputs = data::shown(of_model(&lm, learns)?, sets)
        .with_sequences(&sequences, &train.sources, learns)
        .with_encoding(data::encoding(&train.report, limits(args, &lm)))
        .with_settings(data::settings(args, &tuning, &*lm, train.items.len(), false));
    let mut diagnosis = doctor::examine(&inputs);
    if learns == Learns::Everything {
        // The measure of plain text is a mean over its tokens, however few texts they are in.
        diagnosis
            .findings
            .retain(|finding| finding.fault != Fault::EvaluationTooSmall);
    }
    let diagnosis = data::heed(args, diagnosis)?;
    let prepared = Prepared {
        train: data::part(args, "training", train)?,
        valid: data::encoded(args, "validation", &sets.valid, &encode)?,
        test: data::encoded(args, "test", &sets.test, &encode)?,
        sources: sets.sources.clone(),
        diagnosis,
        save,
        merges: false,
        loads,
        objective: LanguageModelling::new(lm),
    };
    run::run(args, prepared)
}

fn load(args: &Args) -> Result<Arc<CausalLm>, Box<dyn Error>> {
    let folder = language_model::folder(&args.model)?;
    let options = language_model::load_options(args.precision);
    let lm = Arc::new(CausalLm::load_with(folder, &args.device.device()?, &options)?);
    let reads = lm.config().max_position_embeddings;
    if let Tuning::Prompt(prompt) = args.tuning()
        && prompt.virtual_tokens + 2 > reads
    {
        return Err(format!(
            "--virtual-tokens {}: the model reads {reads} tokens, and a text needs at least 2 of them",
            prompt.virtual_tokens
        )
        .into());
    }
    Ok(lm)
}

/// What the doctor looks at of a model.
fn of_model<'i>(lm: &CausalLm, learns: Learns) -> Result<Inputs<'i>, Box<dyn Error>> {
    let inputs = Inputs::default().with_load_report(lm.report());
    let vocabulary = Vocabulary {
        embedding_rows: lm.config().vocab_size,
        stops: lm.end_tokens().to_vec(),
        ..Vocabulary::of(lm.tokenizer())?
    };
    let inputs = inputs.with_vocabulary(vocabulary);
    Ok(match (lm.chat_template(), learns) {
        (Some(template), Learns::Answers) => inputs
            .with_markers(Marker::of(template, lm.tokenizer()))
            .with_chat(template),
        _ => inputs,
    })
}

fn limits(args: &Args, lm: &CausalLm) -> Limits {
    // Virtual tokens take positions before a text.
    let before = match args.tuning() {
        Tuning::Prompt(prompt) => prompt.virtual_tokens,
        _ => 0,
    };
    let reads = lm.config().max_position_embeddings.saturating_sub(before);
    Limits::new(args.max_tokens.unwrap_or(reads.min(MAX_TOKENS))).with_overflow(args.overflow)
}

/// The command line with the tokens of the text that a prompt begins as.
fn with_prompt(args: &Args, lm: &CausalLm) -> Result<Args, Box<dyn Error>> {
    let ids = match &args.prompt_text {
        Some(text) => lm.tokenizer().encode_ordinary(text, false)?.ids,
        None => Vec::new(),
    };
    Ok(Args {
        prompt_ids: ids,
        ..args.clone()
    })
}

/// Shows examples with their trained tokens in green, or in brackets.
fn show(args: &Args, lm: &CausalLm, train: &EncodedSet<Sequence>) -> Outcome {
    if args.json {
        return Ok(());
    }
    for sequence in train.items.iter().take(SHOWN) {
        let decode = |ids: &[u32]| Ok(lm.tokenizer().decode_with_special(ids)?);
        let mut parts = doctor::show(&sequence.value, decode)?;
        let mut left = SHOWN_CHARS;
        for part in &mut parts {
            part.text = part.text.chars().take(left).collect();
            left -= part.text.chars().count();
        }
        match colours() {
            true => output::line(doctor::coloured(&parts))?,
            false => output::line(output::printable(&marked(&parts)))?,
        }
    }
    Ok(())
}

/// Whether standard output takes colours: it is a terminal, and nobody has said NO_COLOR (<https://no-color.org>).
fn colours() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stdout().is_terminal() && !refused
}

/// The parts for paper: what is trained stands in brackets.
fn marked(parts: &[ShownText]) -> String {
    let mark = |part: &ShownText| match part.trained && !part.text.is_empty() {
        true => format!("⟦{}⟧", part.text),
        false => part.text.clone(),
    };
    parts.iter().map(mark).collect()
}

/// Writes an adapter, or the whole model with the trained weights in it.
fn save<O: HasModel>(args: &Args, objective: &O, set: &AdapterSet, form: Form, folder: &Path) -> Outcome {
    if form == Form::Adapter {
        let mut config = set.config().clone();
        config.base_model_name_or_path = Some(args.model.clone());
        config.task_type = Some("CAUSAL_LM".to_owned());
        return Ok(set.clone().with_config(config).save(folder)?);
    }
    let mut merged = (**objective.lm()).clone();
    let _ = merged.merge(&AdapterStack::base().with(Arc::new(set.clone()), 1.0))?;
    Ok(merged.save(language_model::folder(&args.model)?, folder, FloatType::F32)?)
}

fn loads(args: &Args) -> String {
    if !is_adapter(&args.tuning()) {
        return "let rag = Rag::builder().generator(LocalGenerator::load(\"OUT\", &device)?);".to_owned();
    }
    let base = match args.precision {
        // The adapter has learned to stand beside weights that are rounded so.
        Some(precision) => format!(
            "LocalGenerator::load_with({:?}, &device, &LoadOptions::default().with_precision(Precision::{precision:?}))?",
            args.model
        ),
        None => format!("LocalGenerator::load({:?}, &device)?", args.model),
    };
    format!(
        "let base = {base}; let adapter = AdapterSet::load(\"OUT\", base.lm())?; \
         let rag = Rag::builder().generator(base.with_adapters(AdapterStack::base().with(adapter.into(), 1.0)));"
    )
}

/// A task of a language model.
trait HasModel {
    fn lm(&self) -> &Arc<CausalLm>;
}

impl HasModel for LanguageModelling {
    fn lm(&self) -> &Arc<CausalLm> {
        self.model()
    }
}

impl HasModel for PreferenceOptimisation {
    fn lm(&self) -> &Arc<CausalLm> {
        self.model()
    }
}
