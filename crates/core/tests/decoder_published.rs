//! The shapes of published models, read from the fields of their `config.json` (as they were published, in the style of
//! their time) and compared with the number of parameters that is stated for them.
#![cfg(all(feature = "cpu", feature = "testing"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that meets them fails")]

use std::borrow::Cow;

use ragtune_core::models::{Decoder, DecoderConfig, Positions, Rope, RopeRegime};
use ragtune_core::weights::ModelFiles;
use serde_json::{Value, json};

fn config(fields: &Value) -> DecoderConfig {
    let bytes = fields.to_string().into_bytes();
    let files = ModelFiles::in_memory("m", [("config.json", Cow::Owned(bytes))]);
    Decoder::config(&files).unwrap_or_else(|error| panic!("{fields}: {error}"))
}

fn ropes(config: &DecoderConfig) -> &[Rope] {
    match &config.positions {
        Positions::Rotary(ropes) => ropes,
        other => panic!("{other:?}"),
    }
}

#[test]
fn llamas() {
    let tiny_llama = config(&json!({
        "model_type": "llama", "hidden_act": "silu", "hidden_size": 2048, "intermediate_size": 5632,
        "max_position_embeddings": 2048, "num_attention_heads": 32, "num_hidden_layers": 22, "num_key_value_heads": 4,
        "pretraining_tp": 1, "rms_norm_eps": 1e-5, "rope_scaling": null, "rope_theta": 10000.0,
        "tie_word_embeddings": false, "torch_dtype": "bfloat16", "vocab_size": 32000, "bos_token_id": 1,
        "eos_token_id": 2, "attention_bias": false,
    }));
    assert_eq!(tiny_llama.parameters(), 1_100_048_384);
    let smollm2 = config(&json!({
        "model_type": "llama", "attention_bias": false, "hidden_act": "silu", "hidden_size": 576,
        "intermediate_size": 1536, "is_llama_config": true, "max_position_embeddings": 8192, "mlp_bias": false,
        "num_attention_heads": 9, "num_hidden_layers": 30, "num_key_value_heads": 3, "rms_norm_eps": 1e-5,
        "rope_interleaved": false, "rope_scaling": null, "rope_theta": 100000, "tie_word_embeddings": true,
        "vocab_size": 49152, "bos_token_id": 0, "eos_token_id": 0,
    }));
    assert_eq!(smollm2.parameters(), 134_515_008);
    assert_eq!((smollm2.head_dim, smollm2.kv_width()), (64, 192));
    let llama3 = config(&json!({
        "model_type": "llama", "attention_bias": false, "bos_token_id": 128000,
        "eos_token_id": [128001, 128008, 128009], "head_dim": 64, "hidden_act": "silu", "hidden_size": 2048,
        "intermediate_size": 8192, "max_position_embeddings": 131072, "mlp_bias": false, "num_attention_heads": 32,
        "num_hidden_layers": 16, "num_key_value_heads": 8, "rms_norm_eps": 1e-5, "rope_scaling": {
            "factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0, "rope_type": "llama3",
            "original_max_position_embeddings": 8192,
        }, "rope_theta": 500000.0, "tie_word_embeddings": true, "vocab_size": 128256,
    }));
    assert_eq!(llama3.parameters(), 1_235_814_400);
    assert_eq!(llama3.eos_token_ids, [128_001, 128_008, 128_009]);
    assert_ne!(ropes(&llama3)[0], Rope::new(500_000.0, 64));
}

#[test]
fn mistrals() {
    let mistral = json!({
        "model_type": "mistral", "hidden_act": "silu", "hidden_size": 4096, "intermediate_size": 14336,
        "max_position_embeddings": 32768, "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8,
        "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "sliding_window": 4096, "tie_word_embeddings": false,
        "vocab_size": 32000, "bos_token_id": 1, "eos_token_id": 2,
    });
    assert_eq!(config(&mistral).parameters(), 7_241_732_096);
    assert!(
        config(&mistral)
            .layers
            .iter()
            .all(|layer| layer.sliding_window == Some(4096))
    );
    let mut later = mistral.clone();
    later["sliding_window"] = Value::Null;
    assert!(
        config(&later)
            .layers
            .iter()
            .all(|layer| layer.sliding_window.is_none())
    );
    // The default of the original configuration class holds where the field is absent altogether.
    later.as_object_mut().unwrap().remove("sliding_window");
    assert!(
        config(&later)
            .layers
            .iter()
            .all(|layer| layer.sliding_window == Some(4096))
    );
    let mixtral = config(&json!({
        "model_type": "mixtral", "hidden_act": "silu", "hidden_size": 4096, "intermediate_size": 14336,
        "max_position_embeddings": 32768, "num_attention_heads": 32, "num_experts_per_tok": 2, "num_hidden_layers": 32,
        "num_key_value_heads": 8, "num_local_experts": 8, "output_router_logits": false, "rms_norm_eps": 1e-5,
        "rope_theta": 1000000.0, "router_aux_loss_coef": 0.02, "sliding_window": null, "tie_word_embeddings": false,
        "vocab_size": 32000,
    }));
    assert_eq!(mixtral.parameters(), 46_702_792_704);
}

#[test]
fn qwens() {
    let qwen2 = json!({
        "model_type": "qwen2", "attention_dropout": 0.0, "bos_token_id": 151643, "eos_token_id": 151645,
        "hidden_act": "silu", "hidden_size": 896, "intermediate_size": 4864, "max_position_embeddings": 32768,
        "max_window_layers": 21, "num_attention_heads": 14, "num_hidden_layers": 24, "num_key_value_heads": 2,
        "rms_norm_eps": 1e-6, "rope_theta": 1000000.0, "sliding_window": 32768, "tie_word_embeddings": true,
        "use_sliding_window": false, "vocab_size": 151936,
    });
    assert_eq!(config(&qwen2).parameters(), 494_032_768);
    assert_eq!(config(&qwen2).max_position_embeddings, 32_768);
    assert!(
        config(&qwen2)
            .layers
            .iter()
            .all(|layer| layer.sliding_window.is_none())
    );
    // What its publishers add for long texts leaves the length as it is.
    let mut long = qwen2;
    long["rope_scaling"] = json!({"factor": 4.0, "original_max_position_embeddings": 32768, "type": "yarn"});
    assert_eq!(config(&long).max_position_embeddings, 131_072);
    let qwen3 = config(&json!({
        "model_type": "qwen3", "attention_bias": false, "bos_token_id": 151643, "eos_token_id": 151645, "head_dim": 128,
        "hidden_act": "silu", "hidden_size": 1024, "intermediate_size": 3072, "max_position_embeddings": 40960,
        "max_window_layers": 28, "num_attention_heads": 16, "num_hidden_layers": 28, "num_key_value_heads": 8,
        "rms_norm_eps": 1e-6, "rope_scaling": null, "rope_theta": 1000000, "sliding_window": null,
        "tie_word_embeddings": true, "use_sliding_window": false, "vocab_size": 151936,
    }));
    assert_eq!(qwen3.parameters(), 596_049_920);
}

#[test]
fn gemma() {
    let gemma = config(&json!({
        "model_type": "gemma3_text", "attention_bias": false, "attn_logit_softcapping": null, "bos_token_id": 2,
        "cache_implementation": "hybrid", "eos_token_id": [1, 106], "final_logit_softcapping": null, "head_dim": 256,
        "hidden_activation": "gelu_pytorch_tanh", "hidden_size": 1152, "intermediate_size": 6912,
        "max_position_embeddings": 32768, "num_attention_heads": 4, "num_hidden_layers": 26, "num_key_value_heads": 1,
        "query_pre_attn_scalar": 256, "rms_norm_eps": 1e-6, "rope_local_base_freq": 10000, "rope_scaling": null,
        "rope_theta": 1000000, "sliding_window": 512, "sliding_window_pattern": 6, "vocab_size": 262144,
    }));
    assert_eq!(gemma.parameters(), 999_885_952);
    let full: Vec<usize> = (0..26)
        .filter(|index| gemma.layers[*index].sliding_window.is_none())
        .collect();
    assert_eq!(full, [5, 11, 17, 23]);
    assert_eq!(ropes(&gemma), [Rope::new(1e6, 256), Rope::new(1e4, 256)]);
}

#[test]
fn phis() {
    // The lists of factors are made up; only their length is published here.
    let factors = |step: f64| (0..48).map(|i| 1.0 + step * f64::from(i)).collect::<Vec<_>>();
    let mut phi = json!({
        "model_type": "phi3", "attention_bias": false, "bos_token_id": 1, "eos_token_id": 32000, "hidden_act": "silu",
        "hidden_size": 3072, "intermediate_size": 8192, "max_position_embeddings": 131072, "num_attention_heads": 32,
        "num_hidden_layers": 32, "num_key_value_heads": 32, "original_max_position_embeddings": 4096,
        "rms_norm_eps": 1e-5, "rope_scaling": {"long_factor": factors(1.0), "short_factor": factors(0.1), "type": "longrope"},
        "rope_theta": 10000.0, "sliding_window": 262144, "tie_word_embeddings": false, "vocab_size": 32064,
    });
    let mini = config(&phi);
    assert_eq!(mini.parameters(), 3_821_079_552);
    let [rope] = ropes(&mini) else { panic!("{mini:?}") };
    assert_eq!((rope.rotary_dim(), rope.regime(4096)), (96, RopeRegime::Usual));
    assert_eq!(rope.regime(4097), RopeRegime::Long);
    // sqrt(1 + ln(32) / ln(4096)), the factor on attention.
    let (cos, _) = rope.tables(&[0], RopeRegime::Usual);
    assert!((cos[0] - 1.190_238_1).abs() < 1e-6, "{}", cos[0]);
    // Early files call it "su".
    phi["rope_scaling"]["type"] = json!("su");
    assert_eq!(ropes(&config(&phi)), ropes(&mini));
    let phi4 = config(&json!({
        "model_type": "phi3", "bos_token_id": 199999, "eos_token_id": 199999, "full_attn_mod": 1, "hidden_act": "silu",
        "hidden_size": 3072, "intermediate_size": 8192, "interpolate_factor": 1, "lm_head_bias": false,
        "max_position_embeddings": 131072, "mlp_bias": false, "num_attention_heads": 24, "num_hidden_layers": 32,
        "num_key_value_heads": 8, "original_max_position_embeddings": 4096, "partial_rotary_factor": 0.75,
        "rms_norm_eps": 1e-5, "rope_scaling": {"long_factor": factors(1.0), "short_factor": factors(0.0), "type": "longrope"},
        "rope_theta": 10000.0, "sliding_window": 262144, "tie_word_embeddings": true, "vocab_size": 200064,
    }));
    assert_eq!(phi4.parameters(), 3_836_021_760);
    assert_eq!(ropes(&phi4)[0].rotary_dim(), 96);
}

#[test]
fn gpts() {
    let gpt2 = config(&json!({
        "model_type": "gpt2", "activation_function": "gelu_new", "attn_pdrop": 0.1, "bos_token_id": 50256,
        "eos_token_id": 50256, "layer_norm_epsilon": 1e-5, "n_ctx": 1024, "n_embd": 768, "n_head": 12, "n_layer": 12,
        "n_positions": 1024, "vocab_size": 50257,
    }));
    assert_eq!(gpt2.parameters(), 124_439_808);
    let pythia = config(&json!({
        "model_type": "gpt_neox", "bos_token_id": 0, "eos_token_id": 0, "hidden_act": "gelu", "hidden_size": 512,
        "intermediate_size": 2048, "layer_norm_eps": 1e-5, "max_position_embeddings": 2048, "num_attention_heads": 8,
        "num_hidden_layers": 6, "rotary_emb_base": 10000, "rotary_pct": 0.25, "tie_word_embeddings": false,
        "use_parallel_residual": true, "vocab_size": 50304,
    }));
    assert_eq!(pythia.parameters(), 70_426_624);
    assert_eq!(ropes(&pythia), [Rope::new(10_000.0, 16)]);
}

#[test]
fn smollm3() {
    let rotates: Vec<u8> = (1..=36).map(|layer| u8::from(layer % 4 != 0)).collect();
    let smollm3 = config(&json!({
        "model_type": "smollm3", "attention_bias": false, "bos_token_id": null, "eos_token_id": 128012,
        "hidden_act": "silu", "hidden_size": 2048, "intermediate_size": 11008, "layer_types": vec!["full_attention"; 36],
        "max_position_embeddings": 65536, "max_window_layers": 28, "mlp_bias": false, "no_rope_layer_interval": 4,
        "no_rope_layers": rotates, "num_attention_heads": 16, "num_hidden_layers": 36, "num_key_value_heads": 4,
        "pretraining_tp": 2, "rms_norm_eps": 1e-6, "rope_scaling": null, "rope_theta": 5000000.0,
        "sliding_window": null, "use_sliding_window": false, "vocab_size": 128256,
    }));
    assert_eq!(smollm3.parameters(), 3_075_098_624);
    assert_eq!(
        smollm3.layers.iter().filter(|layer| layer.rope.is_none()).count(),
        9
    );
}
