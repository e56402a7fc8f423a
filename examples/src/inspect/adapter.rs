//! An adapter of PEFT or of AdapterHub's library: its configuration, and the tensors that it has for which parts of a model.

use std::collections::{BTreeMap, BTreeSet};

use crate::{output, table};
use ragtune::core::adapters::{AdapterConfig, AdapterSet};
use ragtune::core::weights::{Checkpoint, ModelFiles};
use serde_json::{Map, Value, json};

use super::folder::Found;
use super::tensors::{Tensors, thousands};

/// The file by which an adapter is known.
pub const CONFIG: &str = AdapterConfig::FILE;
const WEIGHTS: &str = AdapterSet::WEIGHTS;

/// Fields of the configuration that are shown, where they are set.
const SHOWN: [&str; 19] = [
    "base_model_name_or_path",
    "task_type",
    "r",
    "lora_alpha",
    "use_rslora",
    "use_dora",
    "target_modules",
    "exclude_modules",
    "layers_to_transform",
    "rank_pattern",
    "alpha_pattern",
    "modules_to_save",
    "bias",
    "num_virtual_tokens",
    "reduction_factor",
    "non_linearity",
    "mh_adapter",
    "output_adapter",
    "original_ln_before",
];

/// The tensors of one kind on modules of one name.
#[derive(Default)]
struct Group {
    tensors: usize,
    parameters: u64,
    shapes: BTreeSet<Vec<usize>>,
}

pub fn find(files: &ModelFiles) -> Result<Found, Box<dyn std::error::Error>> {
    let config: Map<String, Value> = files.json(CONFIG)?.unwrap_or_default();
    let peft_type = config.get("peft_type").and_then(Value::as_str);
    let (peft_type, weights, config) = match (peft_type, config.get("config")) {
        (Some(peft_type), _) => (peft_type.to_owned(), WEIGHTS, config),
        (None, Some(Value::Object(inner))) => {
            let kind = "bottlenecks of AdapterHub's library".to_owned();
            (kind, AdapterSet::BOTTLENECK_WEIGHTS, inner.clone())
        }
        (None, _) => {
            let path = files.path(CONFIG);
            return Err(format!(
                "{}: it has no peft_type, so it is no adapter of PEFT",
                path.display()
            )
            .into());
        }
    };
    let checkpoint = Checkpoint::open(files.path(weights))?;
    let tensors = Tensors::count(&checkpoint, |_| false, |_| false);
    let groups = groups(&checkpoint);
    let is_set = |value: &&Value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::Object(fields) => !fields.is_empty(),
        _ => true,
    };
    let shown: Map<String, Value> = SHOWN
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), config.get(*name).filter(is_set)?.clone())))
        .collect();

    let refusal = AdapterConfig::read(files)
        .err()
        .map(|error| output::chain(&error));

    let mut text = format!("adapter       {peft_type}\n");
    if let Some(refusal) = &refusal {
        text += &format!("not loadable  {refusal}\n");
    }
    for (name, value) in &shown {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        text += &format!("  {name:<24} {value}\n");
    }
    text += &tensors.text();
    text.push('\n');
    let rows: Vec<Vec<String>> = groups
        .iter()
        .map(|((module, kind), group)| {
            vec![
                module.clone(),
                kind.clone(),
                group.tensors.to_string(),
                shapes(group),
                thousands(group.parameters),
            ]
        })
        .collect();
    text += &table::render(&["module", "kind", "tensors", "shape", "parameters"], &rows);
    let modules: Vec<Value> = groups
        .iter()
        .map(|((module, kind), group)| {
            json!({
                "module": module,
                "kind": kind,
                "tensors": group.tensors,
                "shapes": group.shapes,
                "parameters": group.parameters,
            })
        })
        .collect();
    let json = json!({
        "kind": "adapter",
        "peft_type": peft_type,
        "refused": refusal,
        "config": shown,
        "weights": tensors.json(),
        "modules": modules,
    });
    Ok(Found { json, text })
}

/// The tensors by the name of their module, without layer numbers, and by what they are.
fn groups(checkpoint: &Checkpoint) -> BTreeMap<(String, String), Group> {
    let mut groups: BTreeMap<(String, String), Group> = BTreeMap::new();
    for name in checkpoint.names() {
        let shape = checkpoint.shape(name).unwrap_or_default();
        let group = groups.entry(parts(name)).or_default();
        group.tensors += 1;
        group.parameters += shape.iter().map(|side| *side as u64).product::<u64>();
        group.shapes.insert(shape.to_vec());
    }
    groups
}

/// `base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight` is `lora_A` of `q_proj`.
fn parts(name: &str) -> (String, String) {
    let path = name.strip_suffix(".weight").unwrap_or(name);
    let split = ["lora_", "ia3_", "adapter_"]
        .iter()
        .find_map(|prefix| path.rfind(&format!(".{prefix}")));
    let (module, kind) = match split {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (path, "whole"),
    };
    // Of a bottleneck the adapter's own name stands in between.
    let module = module.split(".adapters.").next().unwrap_or(module);
    let module = module.rsplit('.').next().unwrap_or(module);
    (module.to_owned(), kind.to_owned())
}

fn shapes(group: &Group) -> String {
    let shown: Vec<String> = group
        .shapes
        .iter()
        .take(3)
        .map(|shape| format!("{shape:?}"))
        .collect();
    match group.shapes.len() {
        0..=3 => shown.join(" "),
        more => format!("{} and {} more", shown.join(" "), more - 3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        let parts = |name: &str| {
            let (module, kind) = parts(name);
            format!("{module} {kind}")
        };
        assert_eq!(
            parts("base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"),
            "q_proj lora_A"
        );
        assert_eq!(
            parts("encoder.layer.0.attention.output.adapters.task.adapter_down.0.weight"),
            "output adapter_down.0"
        );
        assert_eq!(
            parts("base_model.model.model.embed_tokens.lora_embedding_A"),
            "embed_tokens lora_embedding_A"
        );
        assert_eq!(
            parts("base_model.model.h.0.attn.c_attn.lora_magnitude_vector"),
            "c_attn lora_magnitude_vector"
        );
        assert_eq!(parts("base_model.model.score.weight"), "score whole");
        assert_eq!(parts("prompt_embeddings"), "prompt_embeddings whole");
    }
}
