//! An encoder, alone or in a sentence-transformers folder.

use ragtune::core::models::{EncoderConfig, EncoderModel, SentenceModule};
use ragtune::core::weights::ModelFiles;
use serde_json::{Value, json};

use super::folder::Found;
use super::tensors::{Tensors, thousands};

pub fn find(files: &ModelFiles) -> Result<Found, Box<dyn std::error::Error>> {
    let config = EncoderModel::config(files)?;
    let tensors = Tensors::count(&files.checkpoint()?, |_| false, |_| false);
    Ok(Found {
        json: json!({
            "kind": "encoder",
            "architecture": architecture(&config),
            "weights": tensors.json(),
        }),
        text: line(&config) + &tensors.text(),
    })
}

/// A sentence-transformers folder: the encoder, and what follows it.
pub fn find_sentence(
    files: &ModelFiles,
    modules: &[SentenceModule],
) -> Result<Found, Box<dyn std::error::Error>> {
    let transformer = modules
        .first()
        .map_or_else(|| files.clone(), |module| files.sub(&module.path));
    let mut found = find(&transformer)?;
    let mut listed = Vec::new();
    for module in modules {
        // A module has a configuration, and a Dense one weights; neither says more than its tensors do.
        let config: Option<Value> = files.sub(&module.path).json("config.json")?;
        let mut entry = json!({"path": module.path, "type": module.class()});
        let mut weights = String::new();
        if module.class() == "Dense" {
            let tensors = Tensors::count(&files.sub(&module.path).checkpoint()?, |_| false, |_| false);
            weights = format!(", {} parameters", thousands(tensors.parameters()));
            entry["weights"] = tensors.json();
        }
        if module.class() == "Pooling" {
            entry["config"] = config.unwrap_or_default();
        }
        found.text += &format!("module        {}{weights}\n", module.class());
        listed.push(entry);
    }
    let prompts: Option<Value> = files.json("config_sentence_transformers.json")?;
    let prompts = prompts
        .and_then(|config| config.get("prompts").cloned())
        .filter(|prompts| prompts.as_object().is_some_and(|prompts| !prompts.is_empty()));
    if let Some(prompts) = &prompts {
        found.text += &format!("prompts       {prompts}\n");
    }
    found.json["kind"] = "sentence encoder".into();
    found.json["modules"] = listed.into();
    found.json["prompts"] = prompts.into();
    Ok(found)
}

fn architecture(config: &EncoderConfig) -> Value {
    json!({
        "model_type": config.model_type,
        "layers": config.num_hidden_layers,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "attention_heads": config.num_attention_heads,
        "vocab_size": config.vocab_size,
        "max_tokens": config.max_tokens(),
        "labels": config.num_labels,
    })
}

fn line(config: &EncoderConfig) -> String {
    format!(
        "architecture  {}, {} layers, hidden width {}, feed-forward width {}, {} heads, vocabulary {}\n\
         context       {} tokens\n",
        config.model_type,
        config.num_hidden_layers,
        config.hidden_size,
        config.intermediate_size,
        config.num_attention_heads,
        thousands(config.vocab_size as u64),
        thousands(config.max_tokens() as u64)
    )
}
