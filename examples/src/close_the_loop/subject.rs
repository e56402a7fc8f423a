//! The documents, and the questions of one's own.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::Path;

use ragtune::core::device;
use ragtune::retrieve::SyncEvent;
use ragtune::retrieve::measure::{BeirDataset, QuestionSet};
use ragtune::{Document, Encoder, KnowledgeBase, SyncOptions};

use super::args::Args;
use crate::{hub, output, progress};

/// Documents that are added at a time.
const WINDOW: usize = 256;

/// What is tuned, on what, and what measures it.
pub struct Subject {
    pub base: KnowledgeBase,
    /// The encoder's folder.
    pub encoder: std::path::PathBuf,
    /// Questions that the caller brings.
    pub questions: Option<QuestionSet>,
}

/// Opens the base and fills it.
///
/// # Errors
/// An encoder that cannot be tuned, and what keeps the documents from being read.
pub fn subject(args: &Args) -> Result<Subject, Box<dyn Error>> {
    let encoder = encoder_folder(args.embedder.as_deref())?;
    let base = match &args.store {
        Some(store) => KnowledgeBase::open(store)?,
        None => KnowledgeBase::in_memory()?,
    };
    let base = base.with_embedder(Encoder::load(&encoder, &device::cpu())?)?;
    let own = args.questions.as_deref().map(QuestionSet::load).transpose()?;
    let beir = args.folder.join("corpus.jsonl").exists() && args.folder.join("queries.jsonl").exists();
    let questions = match beir {
        true => {
            let data = BeirDataset::load(&args.folder)?;
            add(&base, &data)?;
            own.or_else(|| Some(QuestionSet::from(&data)))
        }
        false => {
            sync(&base, &args.folder)?;
            own
        }
    };
    if let Some(questions) = &questions {
        let ids: BTreeSet<String> = base.document_ids()?.into_iter().collect();
        let unknown = questions.unknown_documents(|id| ids.contains(id));
        if let Some(first) = unknown.first() {
            return Err(format!(
                "{} of the relevant documents do not exist in {}; the first is {:?} of question {}",
                unknown.len(),
                args.folder.display(),
                first.document,
                first.question
            )
            .into());
        }
    }
    Ok(Subject {
        base,
        encoder,
        questions,
    })
}

fn encoder_folder(embedder: Option<&str>) -> Result<std::path::PathBuf, Box<dyn Error>> {
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

fn sync(base: &KnowledgeBase, folder: &Path) -> Result<(), Box<dyn Error>> {
    let bar = progress::bar("embedding");
    let shown = bar.clone();
    let options = SyncOptions::default().with_on_event(move |event| {
        if let SyncEvent::Embedded { done, total } = event {
            shown.set_length(*total as u64);
            shown.set_position(*done as u64);
        }
    });
    let report = base.sync_folder_with(folder, &options)?;
    bar.finish_and_clear();
    for skipped in &report.skipped {
        output::note!("skipped {}: {}", skipped.path, skipped.reason);
    }
    Ok(())
}

fn add(base: &KnowledgeBase, data: &BeirDataset) -> Result<(), Box<dyn Error>> {
    let bar = progress::bar("embedding");
    bar.set_length(data.documents.len() as u64);
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
        bar.inc(window.len() as u64);
    }
    bar.finish_and_clear();
    Ok(())
}
