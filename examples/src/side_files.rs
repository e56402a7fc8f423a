//! The files of a model's folder that are not its weights.

use std::fs;
use std::path::Path;

use ragtune::core::weights::Checkpoint;

use crate::Outcome;

/// Endings of files that belong to a model: settings, vocabularies, chat templates.
const ENDINGS: [&str; 4] = ["json", "txt", "model", "jinja"];
/// Files with such endings that are of an adapter or of a training.
const OTHERS: [&str; 4] = [
    "adapter_config.json",
    "trainer_state.json",
    "all_results.json",
    "train_results.json",
];
/// The list of a sentence encoder's modules, each with the folder that it is in.
const MODULES: &str = "modules.json";
/// The folder of further chat templates.
const TEMPLATES: &str = "additional_chat_templates";

/// Copies what belongs to a model and is not its weights: settings, vocabulary, chat templates, and the folders that
/// `modules.json` names; no other folder.
///
/// # Errors
/// Files that cannot be read or written.
pub fn copy(from: &Path, to: &Path) -> Outcome {
    files(from, to, |name| {
        let ending = Path::new(name).extension().and_then(|ending| ending.to_str());
        let index = name == Checkpoint::INDEX || name.ends_with(".index.json");
        ENDINGS.iter().any(|known| ending == Some(known)) && !index && !OTHERS.contains(&name)
    })?;
    if from.join(TEMPLATES).is_dir() {
        fs::create_dir(to.join(TEMPLATES))?;
        files(&from.join(TEMPLATES), &to.join(TEMPLATES), |name| {
            name.ends_with(".jinja")
        })?;
    }
    for module in modules(from)? {
        // The transformer itself may be in the folder of the whole.
        if from.join(&module).is_dir() && !to.join(&module).exists() {
            fs::create_dir(to.join(&module))?;
            files(&from.join(&module), &to.join(&module), |_| true)?;
        }
    }
    Ok(())
}

/// Copies the files of a folder whose names are wanted.
fn files(from: &Path, to: &Path, wanted: impl Fn(&str) -> bool) -> Outcome {
    for entry in fs::read_dir(from)? {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
        if path.is_file() && name.to_str().is_some_and(&wanted) {
            fs::copy(&path, to.join(&name))?;
        }
    }
    Ok(())
}

/// The folders of a sentence encoder's modules; a path that leads elsewhere is left to the loader to refuse.
fn modules(folder: &Path) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let path = folder.join(MODULES);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(&path)?;
    let modules: Vec<serde_json::Value> = serde_json::from_str(&text)
        .map_err(|error| format!("{} is no list of modules: {error}", path.display()))?;
    let folders = modules.iter().filter_map(|module| module["path"].as_str());
    let plain = |name: &&str| !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\']);
    Ok(folders.filter(plain).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_belongs_to_the_model_is_copied() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let write = |name: &str, text: &str| {
            let path = from.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write(
            MODULES,
            r#"[{"path": ""}, {"path": "1_Pooling"}, {"path": "../other"}]"#,
        );
        for name in [
            "config.json",
            "vocab.txt",
            "chat_template.jinja",
            "1_Pooling/config.json",
            "additional_chat_templates/rag.jinja",
            // These stay behind.
            "model.safetensors",
            "model.safetensors.index.json",
            "pytorch_model.bin.index.json",
            "adapter_config.json",
            "README.md",
            "checkpoint-100/config.json",
            "onnx/config.json",
            "additional_chat_templates/notes.md",
        ] {
            write(name, "{}");
        }
        copy(from.path(), to.path()).unwrap();
        let mut found: Vec<String> = walk(to.path(), "");
        found.sort();
        assert_eq!(
            found,
            [
                "1_Pooling/config.json",
                "additional_chat_templates/rag.jinja",
                "chat_template.jinja",
                "config.json",
                "modules.json",
                "vocab.txt",
            ]
        );
    }

    fn walk(folder: &Path, before: &str) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
        entries
            .flat_map(|entry| {
                let name = format!("{before}{}", entry.file_name().to_str().unwrap());
                match entry.path().is_dir() {
                    true => walk(&entry.path(), &format!("{name}/")),
                    false => vec![name],
                }
            })
            .collect()
    }
}
