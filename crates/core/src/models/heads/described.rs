//! Where a folder says what the classes of its head are, and whether it has a tuned head at all.

use serde_json::{Map, Value};

use super::super::config_file::ConfigFile;
use super::super::sentence::SentenceHead;
use super::body::Body;
use super::labels::{Labels, ProblemType};
use crate::error::{Error, Result};
use crate::weights::ModelFiles;

/// The file of sentence-transformers beside its modules. The classes of a head over sentence vectors stand here: in the
/// transformer's `config.json` they would make transformers build a head of its own, with weights drawn at random.
pub(super) const SENTENCE_CONFIG: &str = "config_sentence_transformers.json";

/// The fields that say what a head is.
const FIELDS: [&str; 4] = ["id2label", "label2id", "num_labels", "problem_type"];

/// Names of labels that an error lists.
const NAMED: usize = 5;

/// The file that says what the classes are.
pub(super) fn described(files: &ModelFiles) -> Result<ConfigFile> {
    if SentenceHead::is_folder(files)
        && let Some(file) = ConfigFile::read(files, SENTENCE_CONFIG)?
        && file.get(FIELDS[0]).is_some()
    {
        return Ok(file);
    }
    Body::config_file(files)
}

/// Takes what describes a head out of the fields of a model without one.
pub(super) fn strip(config: &mut Map<String, Value>) {
    for field in FIELDS {
        config.remove(field);
    }
}

/// Whether the folder has a head that was made for a task: one over sentence vectors with names of classes, or the class
/// of transformers with this ending.
pub(super) fn is_tuned(files: &ModelFiles, ending: &str) -> Result<bool> {
    if SentenceHead::is_folder(files) {
        let file = described(files)?;
        // A layer of another width belongs to an encoder, whatever the transformer was before.
        let named = file.get(FIELDS[0]).and_then(Value::as_object).map(Map::len);
        return Ok(ending == SEQUENCE && named.is_some() && named == SentenceHead::last_width(files)?);
    }
    let file = Body::config_file(files)?;
    let class = file.get("architectures").and_then(Value::as_array);
    let class = class.and_then(|classes| classes.first()).and_then(Value::as_str);
    Ok(class.is_some_and(|class| class.ends_with(ending)))
}

/// The ending of classifiers of texts in transformers.
pub(super) const SEQUENCE: &str = "ForSequenceClassification";
/// The ending of classifiers of words.
pub(super) const TOKEN: &str = "ForTokenClassification";
/// The ending of readers.
pub(super) const SPAN: &str = "ForQuestionAnswering";

/// Checks that a tuned head is for the wanted labels, in whatever order, and of the wanted kind.
///
/// # Errors
/// [`Error::OtherLabels`].
pub(super) fn check_same(
    files: &ModelFiles,
    (found, found_kind): (&Labels, ProblemType),
    (wanted, wanted_kind): (&Labels, ProblemType),
) -> Result<()> {
    let only = |of: &Labels, other: &Labels| -> Vec<String> {
        let missing = of.iter().filter(|name| other.index(name).is_none());
        missing.map(str::to_owned).collect()
    };
    let (only_found, only_wanted) = (only(found, wanted), only(wanted, found));
    let mut differences = Vec::new();
    for (whose, names) in [
        ("of the head alone", only_found),
        ("of the data alone", only_wanted),
    ] {
        if !names.is_empty() {
            let more = names.len().saturating_sub(NAMED);
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            differences.push(format!(
                "{whose}: {}{more}",
                names[..names.len().min(NAMED)].join(", ")
            ));
        }
    }
    if found_kind != wanted_kind {
        differences.push(format!(
            "the head is for {}, the data are {}",
            found_kind.name(),
            wanted_kind.name()
        ));
    }
    match differences.is_empty() {
        true => Ok(()),
        false => Err(Error::OtherLabels {
            path: files.path(""),
            differences,
        }),
    }
}
