//! A tiny Llama with random weights and one token for each byte, made in memory.

use std::sync::Arc;

use ragtune_core::device;
use ragtune_core::generation::Random;
use ragtune_core::models::CausalLm;
use ragtune_core::weights::ModelFiles;
use serde_json::{Value, json};

/// The token that begins a text, behind the 256 bytes.
pub const BEGIN: u32 = 256;
/// The token that ends an answer.
pub const END: u32 = 257;
const VOCAB: usize = 258;
const HIDDEN: usize = 32;
const LAYERS: usize = 2;

/// What differs from the ordinary model.
#[derive(Clone, Default)]
pub struct Tiny {
    pub config: Vec<(&'static str, Value)>,
    pub chat_template: Option<&'static str>,
    /// Every weight of the output layer is this.
    pub output: Option<f32>,
}

impl Tiny {
    pub fn load(&self) -> Arc<CausalLm> {
        let files = ModelFiles::in_memory("tiny", self.files());
        Arc::new(CausalLm::from_files(&files, &device::cpu()).unwrap())
    }

    fn files(&self) -> Vec<(&'static str, Vec<u8>)> {
        let mut config = json!({
            "model_type": "llama", "hidden_size": HIDDEN, "intermediate_size": 48, "num_hidden_layers": LAYERS,
            "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": VOCAB,
            "max_position_embeddings": 2048, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
            "tie_word_embeddings": false, "bos_token_id": BEGIN, "eos_token_id": END,
        });
        for (field, value) in &self.config {
            config[*field] = value.clone();
        }
        let mut tokenizer_config = json!({"bos_token": "<s>", "eos_token": "</s>"});
        if let Some(template) = self.chat_template {
            tokenizer_config["chat_template"] = template.into();
        }
        vec![
            ("config.json", config.to_string().into_bytes()),
            ("tokenizer.json", tokenizer().to_string().into_bytes()),
            ("tokenizer_config.json", tokenizer_config.to_string().into_bytes()),
            ("model.safetensors", self.weights()),
        ]
    }

    fn weights(&self) -> Vec<u8> {
        let mut tensors: Vec<(String, Vec<usize>)> = vec![
            ("model.embed_tokens.weight".into(), vec![VOCAB, HIDDEN]),
            ("model.norm.weight".into(), vec![HIDDEN]),
            ("lm_head.weight".into(), vec![VOCAB, HIDDEN]),
        ];
        for layer in 0..LAYERS {
            let mut add = |name: &str, shape: Vec<usize>| {
                tensors.push((format!("model.layers.{layer}.{name}.weight"), shape))
            };
            add("input_layernorm", vec![HIDDEN]);
            add("post_attention_layernorm", vec![HIDDEN]);
            add("self_attn.q_proj", vec![HIDDEN, HIDDEN]);
            add("self_attn.k_proj", vec![HIDDEN / 2, HIDDEN]);
            add("self_attn.v_proj", vec![HIDDEN / 2, HIDDEN]);
            add("self_attn.o_proj", vec![HIDDEN, HIDDEN]);
            add("mlp.gate_proj", vec![48, HIDDEN]);
            add("mlp.up_proj", vec![48, HIDDEN]);
            add("mlp.down_proj", vec![HIDDEN, 48]);
        }
        let mut random = Random::new(7);
        let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
        for (name, shape) in tensors {
            let start = data.len();
            let norm = shape.len() == 1;
            for _ in 0..shape.iter().product::<usize>() {
                let uniform = (random.next_f64() * 2.0 - 1.0) as f32;
                let value = match self.output.filter(|_| name == "lm_head.weight") {
                    Some(value) => value,
                    None if norm => 1.0 + 0.1 * uniform,
                    None => 0.4 * uniform,
                };
                data.extend_from_slice(&value.to_le_bytes());
            }
            header.insert(
                name,
                json!({"dtype": "F32", "shape": shape, "data_offsets": [start, data.len()]}),
            );
        }
        let header = Value::Object(header).to_string();
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend_from_slice(header.as_bytes());
        file.extend_from_slice(&data);
        file
    }
}

/// One token for each byte, by the alphabet of GPT-2.
fn tokenizer() -> Value {
    let printable = |byte: u32| matches!(byte, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF);
    let mut next = 0x100;
    let vocab: serde_json::Map<String, Value> = (0..256)
        .map(|byte| {
            let code = if printable(byte) {
                byte
            } else {
                next += 1;
                next - 1
            };
            (char::from_u32(code).unwrap().to_string(), byte.into())
        })
        .collect();
    let special = |id: u32, text: &str| {
        json!({"id": id, "content": text, "single_word": false, "lstrip": false, "rstrip": false,
               "normalized": false, "special": true})
    };
    let bytes =
        json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
    json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [special(BEGIN, "<s>"), special(END, "</s>")],
        "normalizer": null, "pre_tokenizer": bytes, "decoder": bytes,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [BEGIN], "tokens": ["<s>"]}}
        },
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                  "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "vocab": vocab, "merges": []}
    })
}
