//! Which files of a repository make a model folder.
//!
//! Configuration and tokenizer files by name, the folders that `modules.json` names, and weights in safetensors form
//! (one file, or the shards of an index). Pickle files are never taken: loading one runs code.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::name::is_safe_path;

/// The list of a sentence-transformers model's folders.
pub(super) const MODULES: &str = "modules.json";

const SIDE_FILES: [&str; 18] = [
    "adapter_config.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "config.json",
    "config_sentence_transformers.json",
    "generation_config.json",
    "merges.txt",
    MODULES,
    "sentencepiece.bpe.model",
    "special_tokens_map.json",
    "spiece.model",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
    "tekken.json",
];

const OTHER_WEIGHTS: [&str; 9] = [
    ".bin", ".ckpt", ".gguf", ".h5", ".msgpack", ".onnx", ".pkl", ".pt", ".pth",
];

/// The weights of one folder.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Weights {
    /// These files.
    Files(Vec<String>),
    /// The shards that this index names.
    Index(String),
    /// None in safetensors form; these in others.
    Missing(Vec<String>),
}

#[derive(Deserialize)]
struct Module {
    path: String,
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// A file's path from its folder, which is empty for the root.
pub(super) fn join(folder: &str, file: &str) -> String {
    if folder.is_empty() {
        file.to_owned()
    } else {
        format!("{folder}/{file}")
    }
}

/// The folders of a model by its `modules.json`, the root (an empty path) among them where the file says so.
pub(super) fn module_folders(json: &[u8]) -> Result<Vec<String>, String> {
    let modules: Vec<Module> = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    let folders: BTreeSet<String> = modules
        .into_iter()
        .map(|module| module.path.trim_end_matches('/').to_owned())
        .collect();
    match folders
        .iter()
        .find(|path| !path.is_empty() && !is_safe_path(path))
    {
        Some(path) => Err(format!("it names the unsafe folder {path:?}")),
        None => Ok(folders.into_iter().collect()),
    }
}

/// The shards of a weight index in `folder`.
pub(super) fn shards(json: &[u8], folder: &str) -> Result<Vec<String>, String> {
    let index: Index = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    let shards: BTreeSet<String> = index.weight_map.into_values().collect();
    let is_shard = |name: &&String| !is_safe_path(name) || !name.ends_with(".safetensors");
    match shards.iter().find(is_shard) {
        Some(name) => Err(format!("it names the shard {name:?}")),
        None if shards.is_empty() => Err("it names no shard".to_owned()),
        None => Ok(shards.iter().map(|name| join(folder, name)).collect()),
    }
}

/// The configuration and tokenizer files of a folder that the repository has.
pub(super) fn side_files(files: &BTreeSet<String>, folder: &str) -> Vec<String> {
    let wanted = |name: &str| {
        SIDE_FILES.contains(&name) || (name.starts_with("sentence_") && name.ends_with("_config.json"))
    };
    names_in(files, folder)
        .filter(|name| wanted(name))
        .map(|name| join(folder, name))
        .collect()
}

/// The weights of a folder.
pub(super) fn weights(files: &BTreeSet<String>, folder: &str) -> Weights {
    let has = |name: &str| files.contains(&join(folder, name));
    // The whole file first: a folder may keep the same weights as shards, or in a second layout (`consolidated`).
    for whole in ["model.safetensors", "adapter_model.safetensors"] {
        if has(whole) {
            return Weights::Files(vec![join(folder, whole)]);
        }
    }
    if has("model.safetensors.index.json") {
        return Weights::Index(join(folder, "model.safetensors.index.json"));
    }
    let of_kind = |kinds: &[&str]| -> Vec<String> {
        names_in(files, folder)
            .filter(|name| kinds.iter().any(|kind| name.ends_with(kind)))
            .map(|name| join(folder, name))
            .collect()
    };
    let safetensors = of_kind(&[".safetensors"]);
    if safetensors.is_empty() {
        Weights::Missing(of_kind(&OTHER_WEIGHTS))
    } else {
        Weights::Files(safetensors)
    }
}

/// Names of the files directly in a folder.
fn names_in<'a>(files: &'a BTreeSet<String>, folder: &'a str) -> impl Iterator<Item = &'a str> {
    files.iter().filter_map(move |file| {
        let name = match folder {
            "" => file.as_str(),
            folder => file.strip_prefix(folder)?.strip_prefix('/')?,
        };
        (!name.contains('/')).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_sentence_transformers_repository_gives_its_folders() {
        let files = files(&[
            ".gitattributes",
            "1_Pooling/config.json",
            "README.md",
            "config.json",
            "data_config.json",
            "model.safetensors",
            "modules.json",
            "onnx/model.onnx",
            "pytorch_model.bin",
            "rust_model.ot",
            "sentence_bert_config.json",
            "tokenizer.json",
            "train_script.py",
        ]);
        assert_eq!(
            side_files(&files, ""),
            [
                "config.json",
                "modules.json",
                "sentence_bert_config.json",
                "tokenizer.json"
            ]
        );
        assert_eq!(side_files(&files, "1_Pooling"), ["1_Pooling/config.json"]);
        assert_eq!(
            weights(&files, ""),
            Weights::Files(vec!["model.safetensors".to_owned()])
        );
        let folders = module_folders(br#"[{"path": "", "type": "a"}, {"path": "1_Pooling"}]"#).unwrap();
        assert_eq!(folders, ["", "1_Pooling"]);
    }

    #[test]
    fn weights_are_shards_or_missing() {
        let sharded = files(&["model.safetensors.index.json", "model-00001-of-00002.safetensors"]);
        assert_eq!(
            weights(&sharded, ""),
            Weights::Index("model.safetensors.index.json".to_owned())
        );
        let pickled = files(&["2_Dense/pytorch_model.bin", "model.safetensors"]);
        assert_eq!(
            weights(&pickled, "2_Dense"),
            Weights::Missing(vec!["2_Dense/pytorch_model.bin".to_owned()])
        );
    }

    #[test]
    fn hostile_indexes_are_refused() {
        assert!(module_folders(br#"[{"path": "../up"}]"#).is_err());
        assert!(shards(br#"{"weight_map": {"a": "../x.safetensors"}}"#, "").is_err());
        assert!(shards(br#"{"weight_map": {"a": "pytorch_model.bin"}}"#, "").is_err());
        assert!(shards(br#"{"weight_map": {}}"#, "").is_err());
        assert_eq!(
            shards(
                br#"{"weight_map": {"a": "y.safetensors", "b": "x.safetensors", "c": "y.safetensors"}}"#,
                "m"
            )
            .unwrap(),
            ["m/x.safetensors", "m/y.safetensors"]
        );
    }
}
