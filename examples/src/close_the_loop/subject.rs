//! The documents, and the questions of one's own.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::{Path, PathBuf};

use ragtune::core::device;
use ragtune::experiment::Fingerprint;
use ragtune::retrieve::SyncEvent;
use ragtune::retrieve::measure::{BeirDataset, QuestionSet};
use ragtune::{Document, Encoder, KnowledgeBase, SyncOptions};
use serde_json::{Value, json};

use super::args::Args;
use crate::progress::Counter;
use crate::{Outcome, hub, language_model, output, questions};

/// Documents that are added at a time.
const WINDOW: usize = 64;

/// What is tuned, on what, and what measures it; read before any work.
pub struct Subject {
    /// The encoder's folder.
    pub encoder: PathBuf,
    /// The language model's folder, where one writes questions.
    pub generator: Option<PathBuf>,
    /// Questions that the caller brings.
    pub questions: Option<QuestionSet>,
    documents: Documents,
}

enum Documents {
    Folder(PathBuf),
    Beir(BeirDataset),
}

impl Subject {
    /// Reads what may be wrong without work: the questions, the data set, where the models are.
    ///
    /// # Errors
    /// An encoder that cannot be tuned, questions and data sets that cannot be read, relevant documents that do not exist.
    pub fn read(args: &Args) -> Result<Self, Box<dyn Error>> {
        let own = match &args.questions {
            Some(file) => Some(questions::with_sources(file)?),
            None => None,
        };
        let encoder = encoder_folder(args.embedder.as_deref())?;
        if !encoder.is_dir() {
            return Err(format!("--embedder: there is no folder {}", encoder.display()).into());
        }
        let generator = args
            .generator
            .as_deref()
            .map(language_model::folder)
            .transpose()?;
        let is_beir = args.folder.join("corpus.jsonl").exists() && args.folder.join("queries.jsonl").exists();
        let subject = match is_beir {
            true => {
                let data = BeirDataset::load(&args.folder)?;
                Self {
                    encoder,
                    generator,
                    questions: own.or_else(|| Some(QuestionSet::from(&data))),
                    documents: Documents::Beir(data),
                }
            }
            false => Self {
                encoder,
                generator,
                questions: own,
                documents: Documents::Folder(args.folder.clone()),
            },
        };
        if let Documents::Beir(data) = &subject.documents {
            let ids = data.documents.iter().map(|document| document.id.clone());
            subject.check(&ids.collect(), &args.folder)?;
        }
        Ok(subject)
    }

    /// Everything that a result depends on; files by their content.
    ///
    /// # Errors
    /// Files that cannot be read.
    pub fn settings(&self, args: &Args) -> Result<Value, Box<dyn Error>> {
        let content = |path: Option<&Path>| -> ragtune::Result<Option<String>> {
            path.map(|path| Ok(Fingerprint::of(path)?.blake3)).transpose()
        };
        Ok(json!({
            "FOLDER": content(Some(&args.folder))?,
            "--embedder": content(Some(&self.encoder))?,
            "--store": args.store,
            "--questions": content(args.questions.as_deref())?,
            "--generator": content(self.generator.as_deref())?,
            "--held-out": args.held_out,
            "--round-trip": args.round_trip,
            "--max-questions": args.max_questions,
            "--negatives": args.negatives,
            "--method": format!("{:?}", args.method).to_lowercase(),
            "--lr": args.tuning().1,
            "--epochs": args.epochs,
            "--batch": args.batch,
            "--max-tokens": args.max_tokens,
            "--mode": format!("{:?}", args.mode).to_lowercase(),
            "--require-gain": args.require_gain,
            "--seed": args.seed,
        }))
    }

    /// Opens the base with the encoder, and fills it; what it holds already costs nothing.
    ///
    /// # Errors
    /// What keeps the documents from being read, and relevant documents that do not exist.
    pub fn base(&self, args: &Args) -> Result<KnowledgeBase, Box<dyn Error>> {
        let base = KnowledgeBase::open(args.store())?
            .with_embedder(Encoder::load(&self.encoder, &device::cpu())?)?;
        match &self.documents {
            Documents::Beir(data) => add(&base, data)?,
            Documents::Folder(folder) => {
                sync(&base, folder)?;
                self.check(&base.document_ids()?.into_iter().collect(), folder)?;
            }
        }
        Ok(base)
    }

    /// Refuses questions whose documents do not exist.
    fn check(&self, ids: &BTreeSet<String>, folder: &Path) -> Outcome {
        let unknown = self
            .questions
            .iter()
            .flat_map(|questions| questions.unknown_documents(|id| ids.contains(id)));
        let unknown: Vec<_> = unknown.collect();
        match unknown.first() {
            None => Ok(()),
            Some(first) => Err(format!(
                "{} of the relevant documents do not exist in {}; the first is {:?} of question {}",
                unknown.len(),
                folder.display(),
                first.document,
                first.question
            )
            .into()),
        }
    }
}

fn encoder_folder(embedder: Option<&str>) -> Result<PathBuf, Box<dyn Error>> {
    match embedder {
        None | Some("builtin") => Err(
            "the encoder inside the library is int8 and cannot be tuned; name a folder with f32, F16 or BF16 weights, such as \
             all-MiniLM-L6-v2 as published, by --embedder DIR (or --embedder hub:sentence-transformers/all-MiniLM-L6-v2)"
                .into(),
        ),
        Some(name) => match name.strip_prefix("hub:") {
            Some(repository) => hub::folder(repository),
            None => Ok(name.into()),
        },
    }
}

fn sync(base: &KnowledgeBase, folder: &Path) -> Outcome {
    let counter = Counter::new("embedding passages");
    let shown = counter.clone();
    let options = SyncOptions::default().with_on_event(move |event| {
        if let SyncEvent::Embedded { done, total } = event {
            shown.set(*done, *total);
        }
    });
    let report = base.sync_folder_with(folder, &options)?;
    counter.finish();
    for skipped in &report.skipped {
        let text = format!("skipped {}: {}", skipped.path, skipped.reason);
        output::note!("{}", output::printable(&text));
    }
    Ok(())
}

fn add(base: &KnowledgeBase, data: &BeirDataset) -> Outcome {
    let counter = Counter::new("embedding documents");
    let mut done = 0;
    for window in data.documents.chunks(WINDOW) {
        base.add(window.iter().map(|document| {
            // Many collections repeat the title at the beginning of the text.
            let text =
                match document.title.is_empty() || document.text.trim_start().starts_with(&document.title) {
                    true => document.text.clone(),
                    false => format!("{}\n\n{}", document.title, document.text),
                };
            let own = Document::new(&document.id, text);
            match document.title.is_empty() {
                true => own,
                false => own.with_metadata("title", document.title.as_str()),
            }
        }))?;
        done += window.len();
        counter.set(done, data.documents.len());
    }
    counter.finish();
    Ok(())
}
