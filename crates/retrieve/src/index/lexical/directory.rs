//! The index on disk: what it must look like, and how a damaged one is cleared away.

use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, thread};

use tantivy::directory::{Directory, INDEX_WRITER_LOCK, MmapDirectory};
use tantivy::schema::{FAST, Field, INDEXED, IndexRecordOption, Schema, TextFieldIndexing, TextOptions};
use tantivy::tokenizer::TextAnalyzer;
use tantivy::{Index, IndexSettings, TantivyError};

use super::analyzer::{ANALYZER_VERSION, Analyzer, Side};
use super::language::Language;

/// How long a held lock is waited for, and how often it is looked at.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(10);
/// What a commit's payload starts with; the store's sequence number follows.
const PAYLOAD: &str = "ragtune lexical index, store sequence number ";

/// The fields of a passage.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields {
    /// Passage id.
    pub(super) chunk: Field,
    /// Terms of headings and text.
    pub(super) body: Field,
}

impl Fields {
    /// Name of the field of passage ids.
    pub(super) const CHUNK: &str = "chunk";
    const BODY: &str = "body";

    /// The schema for a language. The tokenizer's name carries language and version of the analysis, so that an index
    /// made with others is recognised by its schema.
    pub(super) fn schema(language: Language) -> (Schema, Self) {
        let mut schema = Schema::builder();
        let chunk = schema.add_i64_field(Self::CHUNK, INDEXED | FAST);
        let terms = TextFieldIndexing::default()
            .set_tokenizer(&tokenizer_name(language))
            .set_index_option(IndexRecordOption::WithFreqsAndPositions)
            .set_fieldnorms(true);
        let body = schema.add_text_field(Self::BODY, TextOptions::default().set_indexing_options(terms));
        (schema.build(), Self { chunk, body })
    }
}

/// The payload of a commit.
pub(super) fn payload(stamp: u64) -> String {
    format!("{PAYLOAD}{stamp}")
}

/// The sequence number in the payload of the last commit; 0 before the first. The error says what is wrong.
pub(super) fn read_stamp(index: &Index) -> Result<u64, String> {
    let metas = index.load_metas().map_err(|error| error.to_string())?;
    match metas.payload {
        None if metas.segments.is_empty() => Ok(0),
        None => Err("it carries no sequence number of the store".to_owned()),
        Some(payload) => payload
            .strip_prefix(PAYLOAD)
            .and_then(|number| number.parse().ok())
            .ok_or_else(|| format!("its payload is {payload:?}")),
    }
}

/// An index in memory.
pub(super) fn in_memory(language: Language) -> Index {
    prepare(Index::create_in_ram(Fields::schema(language).0), language)
}

/// Opens the index in a folder and checks every byte of it; `None` where there is none yet. The error says why what
/// is there cannot be used.
///
/// Another process may commit meanwhile and delete what it replaced: a failure counts only where the list of files
/// stayed the same.
pub(super) fn open(dir: &Path, language: Language) -> Result<Option<Index>, String> {
    let listed = || fs::read(dir.join("meta.json")).ok();
    let mut before = listed();
    loop {
        let opened = open_once(dir, language);
        let after = listed();
        if opened.is_ok() || after == before {
            return opened;
        }
        before = after;
    }
}

fn open_once(dir: &Path, language: Language) -> Result<Option<Index>, String> {
    if !dir.join("meta.json").exists() {
        let Ok(mut entries) = fs::read_dir(dir) else {
            return Ok(None);
        };
        let remains =
            entries.any(|entry| entry.is_ok_and(|entry| is_index_file(&entry.file_name().to_string_lossy())));
        return if remains {
            Err("its meta.json is missing".to_owned())
        } else {
            Ok(None)
        };
    }
    // The checksums are looked for in the files that this one lists.
    if !dir.join(".managed.json").exists() {
        return Err("its .managed.json is missing".to_owned());
    }
    let index = Index::open_in_dir(dir).map_err(|error| error.to_string())?;
    if index.schema() != Fields::schema(language).0 {
        return Err("it was made by another version, with other options, or by another program".to_owned());
    }
    let damaged = index.validate_checksum().map_err(|error| error.to_string())?;
    if let Some(file) = damaged.iter().min() {
        return Err(format!("{} is damaged", file.display()));
    }
    read_stamp(&index)?;
    Ok(Some(prepare(index, language)))
}

/// Tries again for a while where a lock is held. The base's own lock is ours by then, so that nobody writes; but a process
/// that another thread is just starting holds a copy of every lock until it runs its own program.
///
/// # Errors
/// Those of `open`.
pub(super) fn patiently<T>(mut open: impl FnMut() -> tantivy::Result<T>) -> tantivy::Result<T> {
    let until = Instant::now() + PATIENCE;
    loop {
        match open() {
            Err(TantivyError::LockFailure(..)) if Instant::now() < until => thread::sleep(PAUSE),
            opened => return opened,
        }
    }
}

/// Creates an empty index in a folder in place of what is there, unless another process writes it.
///
/// # Errors
/// The library's error; a held lock is `TantivyError::LockFailure`.
pub(super) fn create(dir: &Path, language: Language) -> tantivy::Result<Index> {
    fs::create_dir_all(dir)?;
    let directory = MmapDirectory::open(dir)?;
    let lock = directory
        .acquire_lock(&INDEX_WRITER_LOCK)
        .map_err(|error| TantivyError::LockFailure(error, None))?;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if is_index_file(&entry.file_name().to_string_lossy()) {
            fs::remove_file(entry.path())?;
        }
    }
    let index = Index::create(directory, Fields::schema(language).0, IndexSettings::default())?;
    drop(lock);
    Ok(prepare(index, language))
}

/// Whether a file name is one of an index's own: only these are ever deleted.
fn is_index_file(name: &str) -> bool {
    if matches!(name, "meta.json" | ".managed.json") {
        return true;
    }
    let mut parts = name.split('.');
    parts
        .next()
        .is_some_and(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()))
        && parts.next().is_some()
}

fn prepare(index: Index, language: Language) -> Index {
    let analyzer = TextAnalyzer::from(Analyzer::new(language, Side::Stored));
    index.tokenizers().register(&tokenizer_name(language), analyzer);
    index
}

fn tokenizer_name(language: Language) -> String {
    format!("ragtune-{ANALYZER_VERSION}-{}", language.name())
}

#[cfg(test)]
mod tests {
    use tantivy::directory::error::LockError;

    use super::*;

    #[test]
    fn a_lock_that_is_let_go_of_is_had_and_other_errors_are_told_at_once() {
        let mut tries = 0;
        let opened = patiently(|| {
            tries += 1;
            match tries {
                3 => Ok("open"),
                _ => Err(TantivyError::LockFailure(LockError::LockBusy, None)),
            }
        });
        assert_eq!((opened.unwrap(), tries), ("open", 3));
        let mut tries = 0;
        let failed = patiently(|| -> tantivy::Result<()> {
            tries += 1;
            Err(TantivyError::InvalidArgument("tea".to_owned()))
        });
        assert!(failed.is_err() && tries == 1);
    }
}
