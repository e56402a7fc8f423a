//! Which kind of folder it is.

use ragtune::core::models::{DECODER_FAMILIES, FAMILIES, SentenceModule};
use ragtune::core::weights::ModelFiles;
use serde_json::Value;

use super::{adapter, decoder, encoder};

/// What was found.
#[derive(Debug)]
pub struct Found {
    /// For a machine; all sizes are bytes.
    pub json: Value,
    /// For a person.
    pub text: String,
}

/// Says what is in a folder; `contexts` are the lengths to compute a language model's memory for, some usual ones where
/// none is given.
///
/// # Errors
/// Those of configurations and headers, and a sentence for a folder that is no model.
pub fn find(files: &ModelFiles, contexts: &[usize]) -> Result<Found, Box<dyn std::error::Error>> {
    if files.contains(adapter::CONFIG) {
        return adapter::find(files);
    }
    if let Some(modules) = SentenceModule::list(files)? {
        return encoder::find_sentence(files, &modules);
    }
    let config: Option<Value> = files.json("config.json")?;
    let model_type = config
        .as_ref()
        .and_then(|config| config.get("model_type"))
        .and_then(Value::as_str);
    match model_type {
        Some(model_type) if DECODER_FAMILIES.contains(&model_type) => decoder::find(files, contexts),
        Some(model_type) if FAMILIES.contains(&model_type) => encoder::find(files),
        Some(model_type) => Err(format!(
            "{}: the model_type {model_type:?} is not supported; supported are {}, {}",
            files.path("config.json").display(),
            DECODER_FAMILIES.join(", "),
            FAMILIES.join(", ")
        )
        .into()),
        None => Err(format!(
            "{} is no model: it has none of {}, modules.json, and config.json with a model_type",
            files.root().display(),
            adapter::CONFIG
        )
        .into()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../crates/core/tests/fixtures")
            .join(name)
    }

    fn inspected(folder: &Path, contexts: &[usize]) -> Value {
        let found = find(&ModelFiles::folder(folder).unwrap(), contexts).unwrap();
        assert!(!found.text.is_empty());
        found.json
    }

    /// A safetensors file of zeros.
    fn safetensors(tensors: &[(&str, &[usize])]) -> Vec<u8> {
        let mut header = serde_json::Map::new();
        let mut end = 0;
        for (name, shape) in tensors {
            let start = end;
            end += shape.iter().product::<usize>() * 4;
            let entry = serde_json::json!({"dtype": "F32", "shape": shape, "data_offsets": [start, end]});
            header.insert((*name).to_owned(), entry);
        }
        let header = Value::Object(header).to_string();
        let length = (header.len() as u64).to_le_bytes();
        [&length, header.as_bytes(), &vec![0; end]].concat()
    }

    fn error(files: &[(&str, &[u8])]) -> String {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
        let found = find(&ModelFiles::folder(folder.path()).unwrap(), &[]);
        crate::output::chain(&*found.unwrap_err())
    }

    #[test]
    fn a_language_model_is_measured() {
        let json = inspected(&fixture("decoder/llama"), &[10, 100]);
        assert_eq!(json["kind"], "language model");
        let shape = &json["architecture"];
        let number = |name: &str| shape[name].as_u64().unwrap();
        let width = number("key_value_heads") * number("head_dim");
        let a_token = 2 * 4 * width * number("layers");
        assert_eq!(json["memory"][0]["cache"], 10 * a_token);
        assert_eq!(json["memory"][1]["cache"], 100 * a_token);
        let parameters = json["weights"]["parameters"].as_u64().unwrap();
        assert_eq!(json["weight_memory"]["f32"], 4 * parameters);
        assert_eq!(json["memory"][0]["total"]["f32"], 4 * parameters + 10 * a_token);
        let bytes = |precision: &str| json["weight_memory"][precision].as_u64().unwrap();
        assert!(
            bytes("f32") > bytes("bf16") && bytes("bf16") > bytes("int8") && bytes("int8") > bytes("int4")
        );
    }

    #[test]
    fn every_family_of_the_fixtures_is_read() {
        let folders = std::fs::read_dir(fixture("decoder")).unwrap();
        let folders: Vec<PathBuf> = folders
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.join("config.json").exists())
            .collect();
        assert!(folders.len() >= DECODER_FAMILIES.len());
        for folder in folders {
            inspected(&folder, &[]);
        }
    }

    #[test]
    fn encoders_are_read_alone_and_in_their_folders() {
        let json = inspected(&fixture("encoders/models/bert"), &[]);
        assert_eq!(json["kind"], "encoder");
        assert_eq!(json["architecture"]["model_type"], "bert");
        let inside =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/all-minilm-l6-v2-int8/part-1/model");
        // Its weights are in packages.
        let error = find(&ModelFiles::folder(inside).unwrap(), &[]).unwrap_err();
        assert!(error.to_string().contains("model.safetensors"), "{error}");
    }

    #[test]
    fn an_adapter_is_listed() {
        let folder = tempfile::tempdir().unwrap();
        let config = br#"{"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj"], "use_dora": false}"#;
        let layer = |i: usize, kind: &str| {
            format!("base_model.model.model.layers.{i}.self_attn.q_proj.{kind}.weight")
        };
        let names = [
            layer(0, "lora_A"),
            layer(0, "lora_B"),
            layer(1, "lora_A"),
            layer(1, "lora_B"),
        ];
        let weights = safetensors(&[
            (&names[0], &[4, 16]),
            (&names[1], &[8, 4]),
            (&names[2], &[4, 16]),
            (&names[3], &[8, 4]),
        ]);
        std::fs::write(folder.path().join("adapter_config.json"), config).unwrap();
        std::fs::write(folder.path().join("adapter_model.safetensors"), weights).unwrap();
        let json = inspected(folder.path(), &[]);
        assert_eq!(json["peft_type"], "LORA");
        assert_eq!(json["refused"], Value::Null);
        assert_eq!(json["config"]["r"], 4);
        assert_eq!(json["config"].get("use_dora"), None);
        assert_eq!(json["weights"]["parameters"], 2 * (4 * 16 + 8 * 4));
        assert_eq!(json["modules"][0]["kind"], "lora_A");
        assert_eq!(json["modules"][0]["tensors"], 2);
        assert_eq!(json["modules"][0]["shapes"], serde_json::json!([[4, 16]]));
    }

    #[test]
    fn every_adapter_of_the_fixtures_is_read() {
        let kinds = ["adapters", "prompts", "bottlenecks"];
        let folders = kinds.map(|kind| std::fs::read_dir(fixture(kind)).unwrap());
        let folders = folders
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_dir());
        for folder in folders {
            assert_eq!(
                inspected(&folder, &[])["refused"],
                Value::Null,
                "{}",
                folder.display()
            );
        }
        let folder = tempfile::tempdir().unwrap();
        let config = br#"{"peft_type": "P_TUNING", "num_virtual_tokens": 8}"#;
        std::fs::write(folder.path().join("adapter_config.json"), config).unwrap();
        let weights = safetensors(&[("prompt_embeddings", &[8, 16])]);
        std::fs::write(folder.path().join("adapter_model.safetensors"), weights).unwrap();
        let json = inspected(folder.path(), &[]);
        assert_eq!(json["config"]["num_virtual_tokens"], 8);
        assert!(json["refused"].as_str().unwrap().contains("P_TUNING"));
    }

    #[test]
    fn hostile_folders_are_errors() {
        assert!(error(&[]).contains("is no model"));
        assert!(error(&[("config.json", b"{")]).contains("config.json"));
        assert!(error(&[("config.json", b"[]")]).contains("is no model"));
        assert!(error(&[("config.json", br#"{"model_type": "mamba"}"#)]).contains("mamba"));
        assert!(
            error(&[("config.json", br#"{"model_type": "llama", "hidden_size": -1}"#)])
                .contains("hidden_size")
        );
        assert!(
            error(&[("modules.json", br#"[{"path": "../up", "type": "Transformer"}]"#)]).contains("../up")
        );
        assert!(error(&[("adapter_config.json", b"{}")]).contains("peft_type"));
        assert!(error(&[("adapter_config.json", b"7")]).contains("adapter_config.json"));
        let lora = ("adapter_config.json", br#"{"peft_type": "LORA"}"#.as_slice());
        assert!(error(&[lora]).contains("adapter_model.safetensors"));
        let lies = [&u64::MAX.to_le_bytes()[..], b"{}"].concat();
        assert!(error(&[lora, ("adapter_model.safetensors", &lies)]).contains("adapter_model.safetensors"));
    }
}
