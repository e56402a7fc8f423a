//! A llama of 135 million random weights, as a folder that every peer can load.

use std::fs;
use std::path::Path;

use ragtune_core::weights::{Checkpoint, Precision, quantise_to_file};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::json;

use super::Result;

/// Width of a head.
const HEAD_DIM: usize = 64;
/// Words of [`Shape::SMOLLM2_135M`].
#[allow(dead_code, reason = "not every benchmark makes tokens")]
pub const VOCABULARY: usize = Shape::SMOLLM2_135M.vocabulary;

/// The shape of a llama with heads of 64 and tied embeddings.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub hidden: usize,
    pub layers: usize,
    pub intermediate: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub vocabulary: usize,
}

impl Shape {
    /// 30 layers, 9 heads that share 3 of keys and values.
    pub const SMOLLM2_135M: Self = Self {
        hidden: 576,
        layers: 30,
        intermediate: 1536,
        heads: 9,
        kv_heads: 3,
        vocabulary: 49_152,
    };
}

/// Writes the model in f32.
pub fn write(folder: &Path, shape: Shape) -> Result<()> {
    if folder.join(Checkpoint::FILE).exists() {
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    let config = json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": shape.hidden,
        "intermediate_size": shape.intermediate, "num_hidden_layers": shape.layers, "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads, "head_dim": HEAD_DIM, "hidden_act": "silu", "vocab_size": shape.vocabulary,
        "max_position_embeddings": 8192, "rms_norm_eps": 1e-5, "rope_theta": 100_000.0,
        "tie_word_embeddings": true, "attention_bias": false, "mlp_bias": false, "torch_dtype": "float32",
        "bos_token_id": 1, "eos_token_id": 2,
    });
    fs::write(folder.join("config.json"), serde_json::to_vec_pretty(&config)?)?;
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": { "type": "Whitespace" }, "post_processor": null, "decoder": null,
        "model": { "type": "WordLevel", "vocab": { "<unk>": 0, "<s>": 1, "</s>": 2 }, "unk_token": "<unk>" },
    });
    fs::write(folder.join("tokenizer.json"), serde_json::to_vec(&tokenizer)?)?;
    let (hidden, intermediate) = (shape.hidden, shape.intermediate);
    let (q_width, kv_width) = (shape.heads * HEAD_DIM, shape.kv_heads * HEAD_DIM);
    let mut tensors = vec![(
        "model.embed_tokens.weight".to_owned(),
        vec![shape.vocabulary, hidden],
    )];
    for layer in 0..shape.layers {
        let matrices = [
            ("self_attn.q_proj", q_width, hidden),
            ("self_attn.k_proj", kv_width, hidden),
            ("self_attn.v_proj", kv_width, hidden),
            ("self_attn.o_proj", hidden, q_width),
            ("mlp.gate_proj", intermediate, hidden),
            ("mlp.up_proj", intermediate, hidden),
            ("mlp.down_proj", hidden, intermediate),
        ];
        let name = |part: &str| format!("model.layers.{layer}.{part}.weight");
        tensors.extend(matrices.map(|(part, rows, columns)| (name(part), vec![rows, columns])));
        for norm in ["input_layernorm", "post_attention_layernorm"] {
            tensors.push((name(norm), vec![hidden]));
        }
    }
    tensors.push(("model.norm.weight".to_owned(), vec![hidden]));
    let mut state = 1u64;
    let bytes: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(_, shape)| match shape.len() {
            1 => std::iter::repeat_n(1.0f32.to_le_bytes(), shape[0])
                .flatten()
                .collect(),
            _ => normal(&mut state, shape.iter().product()),
        })
        .collect();
    let views = tensors
        .iter()
        .zip(&bytes)
        .map(|((name, shape), bytes)| Ok((name, TensorView::new(Dtype::F32, shape.clone(), bytes)?)));
    let views = views.collect::<std::result::Result<Vec<_>, safetensors::SafeTensorError>>()?;
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    safetensors::serialize_to_file(views, Some(metadata), &folder.join(Checkpoint::FILE))?;
    Ok(())
}

/// Writes the same model in another precision beside it.
#[allow(dead_code, reason = "not every benchmark has several")]
pub fn rewrite(from: &Path, to: &Path, precision: Precision) -> Result<()> {
    if to.join(Checkpoint::FILE).exists() {
        return Ok(());
    }
    fs::create_dir_all(to)?;
    for file in ["config.json", "tokenizer.json"] {
        fs::copy(from.join(file), to.join(file))?;
    }
    quantise_to_file(&Checkpoint::open(from)?, precision, &to.join(Checkpoint::FILE))?;
    Ok(())
}

/// Weights of about normal distribution with deviation 0.02, as little-endian f32.
fn normal(state: &mut u64, count: usize) -> Vec<u8> {
    let mut uniform = || {
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (*state >> 40) as f32 / (1u32 << 24) as f32
    };
    let mut bytes = Vec::with_capacity(count * 4);
    for _ in 0..count {
        let sum = uniform() + uniform() + uniform() + uniform(); // mean 2, variance 1/3
        bytes.extend(((sum - 2.0) * 3f32.sqrt() * 0.02).to_le_bytes());
    }
    bytes
}
