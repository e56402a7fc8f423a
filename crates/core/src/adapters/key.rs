//! The names of tensors in `adapter_model.safetensors` and `adapter.safetensors`.

use std::fmt;

/// What stands in front of module paths.
const PREFIX: &str = "base_model.model.";
/// The tensor of a tuned prompt, which belongs to no module.
pub(super) const PROMPT: &str = "prompt_embeddings";
/// What stands between a sublayer's path and the name of its bottleneck, in the library's versions.
const BOTTLENECKS: [&str; 5] = [
    "adapters",
    "attention_text_task_adapters",
    "attention_text_lang_adapters",
    "layer_text_task_adapters",
    "layer_text_lang_adapters",
];

/// What a tensor is of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    A,
    B,
    BiasOfB,
    EmbeddingA,
    EmbeddingB,
    Magnitude,
    Rescaling,
    /// Of a bottleneck, in the files of AdapterHub's library.
    DownWeight,
    DownBias,
    UpWeight,
    UpBias,
    /// The rows of a tuned prompt.
    Prompt,
    /// A whole weight.
    Weight,
    /// A whole bias.
    Bias,
    /// A copy of what the base had, which some versions save beside a module that was trained as a whole.
    Original,
}

/// A module and what a tensor is of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) slot: String,
    pub(super) part: Part,
}

impl Key {
    pub(super) fn new(slot: &str, part: Part) -> Self {
        Self {
            slot: slot.to_owned(),
            part,
        }
    }

    /// Reads a tensor's name. Older versions leave the adapter's own name in it (`lora_A.default.weight`).
    pub(super) fn parse(name: &str) -> Option<Self> {
        if name == PROMPT {
            return Some(Self::new("", Part::Prompt));
        }
        let name = name.strip_prefix(PREFIX).unwrap_or(name);
        let parts: Vec<&str> = name.split('.').collect();
        if let Some(key) = Self::of_bottleneck(&parts) {
            return Some(key);
        }
        let marker = parts.iter().rposition(|part| Marker::of(part).is_some());
        let Some(marker) = marker else {
            let (slot, part) = name.rsplit_once('.')?;
            return Some(Self::new(slot, whole(part)?));
        };
        let kind = Marker::of(parts[marker])?;
        let slot = parts[..marker].join(".");
        let behind = &parts[marker + 1..];
        // What may follow is the adapter's name, then `weight` or `bias`.
        let (last, names) = match behind.split_last() {
            Some((last, names)) if whole(last).is_some() => (whole(last), names),
            _ => (None, behind),
        };
        if names.len() > 1 || slot.is_empty() {
            return None;
        }
        let part = match (kind, last) {
            (Marker::A, Some(Part::Weight)) => Part::A,
            (Marker::B, Some(Part::Weight)) => Part::B,
            (Marker::B, Some(Part::Bias)) => Part::BiasOfB,
            (Marker::EmbeddingA, None) => Part::EmbeddingA,
            (Marker::EmbeddingB, None) => Part::EmbeddingB,
            (Marker::Magnitude, None | Some(Part::Weight)) => Part::Magnitude,
            (Marker::Rescaling, None) => Part::Rescaling,
            (Marker::BaseLayer, Some(part)) if names.is_empty() => part,
            (Marker::Saved, Some(part)) => part,
            (Marker::Original, Some(_)) if names.is_empty() => Part::Original,
            _ => return None,
        };
        Some(Self { slot, part })
    }

    /// The name without what PEFT puts in front of it.
    pub(super) fn bare(name: &str) -> &str {
        name.strip_prefix(PREFIX).unwrap_or(name)
    }

    fn of_bottleneck(parts: &[&str]) -> Option<Self> {
        let (front, part) = match parts {
            [front @ .., "adapter_down", "0", "weight"] => (front, Part::DownWeight),
            [front @ .., "adapter_down", "0", "bias"] => (front, Part::DownBias),
            [front @ .., "adapter_up", "weight"] => (front, Part::UpWeight),
            [front @ .., "adapter_up", "bias"] => (front, Part::UpBias),
            _ => return None,
        };
        match front {
            [slot @ .., between, _name] if !slot.is_empty() && BOTTLENECKS.contains(between) => {
                Some(Self::new(&slot.join("."), part))
            }
            _ => None,
        }
    }
}

impl Part {
    /// Whether it is a part of a bottleneck.
    pub(super) fn is_of_bottleneck(self) -> bool {
        matches!(
            self,
            Self::DownWeight | Self::DownBias | Self::UpWeight | Self::UpBias
        )
    }

    /// The end of a tensor's name.
    pub(super) fn end(self) -> &'static str {
        match self {
            Self::A => "lora_A.weight",
            Self::B => "lora_B.weight",
            Self::BiasOfB => "lora_B.bias",
            Self::EmbeddingA => "lora_embedding_A",
            Self::EmbeddingB => "lora_embedding_B",
            Self::Magnitude => "lora_magnitude_vector",
            Self::Rescaling => "ia3_l",
            Self::DownWeight => "adapter_down.0.weight",
            Self::DownBias => "adapter_down.0.bias",
            Self::UpWeight => "adapter_up.weight",
            Self::UpBias => "adapter_up.bias",
            Self::Prompt => PROMPT,
            Self::Weight => "weight",
            Self::Bias => "bias",
            Self::Original => "original_module.weight",
        }
    }
}

/// The name that PEFT gives the tensor, or AdapterHub's library.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = self.part.end();
        match self.part.is_of_bottleneck() {
            _ if self.part == Part::Prompt => f.write_str(part),
            true => write!(f, "{}.adapters.default.{part}", self.slot),
            false => write!(f, "{PREFIX}{}.{part}", self.slot),
        }
    }
}

#[derive(Clone, Copy)]
enum Marker {
    A,
    B,
    EmbeddingA,
    EmbeddingB,
    Magnitude,
    Rescaling,
    BaseLayer,
    Saved,
    Original,
}

impl Marker {
    fn of(part: &str) -> Option<Self> {
        Some(match part {
            "lora_A" => Self::A,
            "lora_B" => Self::B,
            "lora_embedding_A" => Self::EmbeddingA,
            "lora_embedding_B" => Self::EmbeddingB,
            "lora_magnitude_vector" => Self::Magnitude,
            "ia3_l" => Self::Rescaling,
            "base_layer" => Self::BaseLayer,
            "modules_to_save" => Self::Saved,
            "original_module" => Self::Original,
            _ => return None,
        })
    }
}

fn whole(part: &str) -> Option<Part> {
    match part {
        "weight" => Some(Part::Weight),
        "bias" => Some(Part::Bias),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_newer_and_older_names() {
        let slot = "model.layers.0.self_attn.q_proj";
        for (name, part) in [
            ("lora_A.weight", Part::A),
            ("lora_A.default.weight", Part::A),
            ("lora_B.weight", Part::B),
            ("lora_B.bias", Part::BiasOfB),
            ("lora_magnitude_vector", Part::Magnitude),
            ("lora_magnitude_vector.default.weight", Part::Magnitude),
            ("lora_magnitude_vector.default", Part::Magnitude),
            ("ia3_l", Part::Rescaling),
            ("base_layer.bias", Part::Bias),
            ("modules_to_save.default.weight", Part::Weight),
            ("original_module.weight", Part::Original),
            ("bias", Part::Bias),
        ] {
            let found = Key::parse(&format!("{PREFIX}{slot}.{name}"));
            assert_eq!(found, Some(Key::new(slot, part)), "{name}");
        }
        let embedding = Key::new("model.embed_tokens", Part::EmbeddingA);
        assert_eq!(
            Key::parse("base_model.model.model.embed_tokens.lora_embedding_A"),
            Some(embedding.clone())
        );
        assert_eq!(
            Key::parse("model.embed_tokens.lora_embedding_A.x"),
            Some(embedding)
        );
    }

    #[test]
    fn refuses_what_is_no_name_of_an_adapter() {
        for name in [
            "",
            "weight",
            "base_model.model.lora_A.weight",
            "q.lora_A.bias",
            "q.lora_A",
            "q.lora_A.a.b.weight",
            "q.lora_embedding_A.weight",
            "q.rotary.inv_freq",
            "q.adapters.task.adapter_norm_before.weight.x",
        ] {
            assert_eq!(Key::parse(name), None, "{name}");
        }
    }

    #[test]
    fn writes_what_it_reads() {
        for part in [
            Part::A,
            Part::B,
            Part::BiasOfB,
            Part::EmbeddingA,
            Part::EmbeddingB,
            Part::Magnitude,
            Part::Rescaling,
            Part::DownWeight,
            Part::DownBias,
            Part::UpWeight,
            Part::UpBias,
            Part::Weight,
            Part::Bias,
            Part::Original,
        ] {
            let key = Key::new("a.b", part);
            assert_eq!(Key::parse(&key.to_string()), Some(key));
        }
    }
}
