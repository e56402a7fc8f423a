//! The files of a model's folder that hold no weights.

use std::fs;
use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::super::tokenizer::TextTokenizer;
use crate::error::{Error, Result};
use crate::weights::{Checkpoint, ModelFiles};

/// Endings of files that hold weights, which are written anew and not copied.
const WEIGHTS: [&str; 9] = [
    "safetensors",
    "bin",
    "pt",
    "pth",
    "gguf",
    "h5",
    "msgpack",
    "onnx",
    "ckpt",
];
/// Files that are of the weights, or are written anew.
const NOT_COPIED: [&str; 4] = [
    "config.json",
    Checkpoint::INDEX,
    "adapter_config.json",
    "pytorch_model.bin.index.json",
];

/// Files that tokenizers of the encoders' families have, `tokenizer_config.json` aside.
const TOKENIZER_FILES: [&str; 9] = [
    TextTokenizer::FILE,
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "bpe.codes",
    "sentencepiece.bpe.model",
    "spiece.model",
];

/// Writes a JSON file.
pub(in crate::models) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(value).map_err(|source| Error::Json {
        path: path.to_owned(),
        source,
    })?;
    text.push(b'\n');
    fs::write(path, text).map_err(|source| Error::io(path, source))
}

/// Copies those of some files that there are.
pub(in crate::models) fn copy_names(files: &ModelFiles, names: &[&str], folder: &Path) -> Result<()> {
    for name in names {
        if let Some(bytes) = files.read(name)? {
            let path = folder.join(name);
            fs::write(&path, bytes).map_err(|source| Error::io(&path, source))?;
        }
    }
    Ok(())
}

/// Writes a tokenizer's files; its configuration says where texts are cut, and which token fills batches where it does not
/// say so already.
pub(in crate::models) fn write_tokenizer(
    files: &ModelFiles,
    max_length: usize,
    pad: Option<&str>,
    folder: &Path,
) -> Result<()> {
    copy_names(files, &TOKENIZER_FILES, folder)?;
    let mut config: Map<String, Value> = files.json("tokenizer_config.json")?.unwrap_or_default();
    config.insert("model_max_length".to_owned(), json!(max_length));
    if let Some(pad) = pad.filter(|_| config.get("pad_token").is_none_or(Value::is_null)) {
        config.insert("pad_token".to_owned(), json!(pad));
    }
    write_json(&folder.join("tokenizer_config.json"), &config)
}

/// Copies the files of a model's folder that hold no weights.
pub(in crate::models) fn copy_side_files(source: &Path, folder: &Path) -> Result<()> {
    let entries = fs::read_dir(source).map_err(|error| Error::io(source, error))?;
    for entry in entries {
        let entry = entry.map_err(|error| Error::io(source, error))?;
        let (path, name) = (entry.path(), entry.file_name());
        let weights = path
            .extension()
            .is_some_and(|ending| WEIGHTS.iter().any(|weights| ending == *weights));
        let copied = !weights && !NOT_COPIED.iter().any(|other| name == *other) && path.is_file();
        if copied {
            fs::copy(&path, folder.join(&name)).map_err(|error| Error::io(&path, error))?;
        }
    }
    Ok(())
}
