//! Configurations of decoders: older files mean the same as newer ones, and damaged ones are errors that name what is wrong,
//! never a panic or an endless allocation.
#![cfg(all(feature = "cpu", feature = "testing"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that meets them fails")]

mod decoders;

use std::borrow::Cow;

use decoders::{Fixture, files, fixture, fixtures, message, with};
use proptest::prelude::*;
use ragtune_core::models::{CausalLm, DECODER_FAMILIES, Decoder, DecoderConfig};
use ragtune_core::weights::ModelFiles;
use ragtune_core::{Error, device};
use serde_json::{Map, Value, json};

fn config(fields: &Value) -> Result<DecoderConfig, Error> {
    let bytes = fields.to_string().into_bytes();
    Decoder::config(&ModelFiles::in_memory("m", [("config.json", Cow::Owned(bytes))]))
}

/// What transformers 4 wrote for the same model.
fn older(fixture: &Fixture) -> Value {
    let mut fields = fixture.config.as_object().unwrap().clone();
    if let Some(dtype) = fields.remove("dtype") {
        fields.insert("torch_dtype".to_owned(), dtype);
    }
    let Some(Value::Object(mut rope)) = fields.remove("rope_parameters") else {
        return Value::Object(fields);
    };
    if fixture.model_type == "gemma3_text" {
        let mut local = rope.remove("sliding_attention").unwrap();
        fields.insert("rope_local_base_freq".to_owned(), local["rope_theta"].take());
        let Some(Value::Object(global)) = rope.remove("full_attention") else {
            panic!("{}", fixture.name);
        };
        rope = global;
    }
    let (theta, share) = match fixture.model_type.as_str() {
        "gpt_neox" => ("rotary_emb_base", "rotary_pct"),
        _ => ("rope_theta", "partial_rotary_factor"),
    };
    fields.insert(theta.to_owned(), rope.remove("rope_theta").unwrap());
    if let Some(partial) = rope.remove("partial_rotary_factor") {
        fields.insert(share.to_owned(), partial);
    }
    let kind = rope.remove("rope_type").unwrap();
    if fixture.model_type == "phi3" {
        rope.remove("original_max_position_embeddings");
    }
    if kind == "default" {
        fields.insert("rope_scaling".to_owned(), Value::Null);
    } else {
        rope.insert("type".to_owned(), kind);
        fields.insert("rope_scaling".to_owned(), Value::Object(rope));
    }
    // Which layers slide or rotate followed from other fields.
    match fixture.name.as_str() {
        "gemma3" => fields.insert("sliding_window_pattern".to_owned(), json!(2)),
        "smollm3" => fields.insert("no_rope_layer_interval".to_owned(), json!(2)),
        _ => None,
    };
    if fixture.name != "gemma3-scaled" {
        fields.remove("layer_types");
    }
    fields.remove("no_rope_layers");
    Value::Object(fields)
}

#[test]
fn older_files_mean_the_same() {
    for fixture in fixtures() {
        let (older, newer) = (older(&fixture), &fixture.config);
        assert_ne!(&older, newer);
        let (older, newer) = (config(&older).unwrap(), config(newer).unwrap());
        assert_eq!(format!("{older:?}"), format!("{newer:?}"), "{}", fixture.name);
    }
}

/// The fields of each family that decide its shape.
struct Fields {
    required: &'static [&'static str],
    sizes: &'static [&'static str],
    switches: &'static [&'static str],
    /// Small positive numbers.
    epsilons: &'static [&'static str],
    names: &'static [&'static str],
    lists: &'static [&'static str],
    objects: &'static [&'static str],
}

const REQUIRED: &[&str] = &[
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "max_position_embeddings",
];
const LLAMA: Fields = Fields {
    required: REQUIRED,
    sizes: &["num_key_value_heads", "head_dim"],
    switches: &["tie_word_embeddings"],
    epsilons: &["rms_norm_eps"],
    names: &["hidden_act"],
    lists: &[],
    objects: &["rope_parameters"],
};

/// A new family says here which fields it reads; each is then damaged.
fn fields(model_type: &str) -> Fields {
    match model_type {
        "llama" => Fields {
            switches: &["tie_word_embeddings", "attention_bias", "mlp_bias"],
            ..LLAMA
        },
        "mistral" | "phi3" => Fields {
            sizes: &["num_key_value_heads", "head_dim", "sliding_window"],
            ..LLAMA
        },
        "mixtral" => Fields {
            sizes: &[
                "num_key_value_heads",
                "head_dim",
                "sliding_window",
                "num_local_experts",
                "num_experts_per_tok",
            ],
            ..LLAMA
        },
        "qwen2" => Fields {
            switches: &["tie_word_embeddings", "use_sliding_window"],
            lists: &["layer_types"],
            ..LLAMA
        },
        "qwen3" => Fields {
            switches: &["tie_word_embeddings", "use_sliding_window", "attention_bias"],
            lists: &["layer_types"],
            ..LLAMA
        },
        "gemma3_text" => Fields {
            sizes: &[
                "num_key_value_heads",
                "head_dim",
                "sliding_window",
                "query_pre_attn_scalar",
                "final_logit_softcapping",
            ],
            switches: &[
                "tie_word_embeddings",
                "attention_bias",
                "use_bidirectional_attention",
            ],
            names: &["hidden_activation"],
            lists: &["layer_types"],
            ..LLAMA
        },
        "smollm3" => Fields {
            switches: &[
                "tie_word_embeddings",
                "use_sliding_window",
                "attention_bias",
                "mlp_bias",
            ],
            lists: &["layer_types", "no_rope_layers"],
            ..LLAMA
        },
        "gpt2" => Fields {
            required: &["vocab_size", "n_embd", "n_layer", "n_head", "n_positions"],
            sizes: &["n_inner"],
            switches: &[
                "tie_word_embeddings",
                "scale_attn_weights",
                "scale_attn_by_inverse_layer_idx",
                "add_cross_attention",
            ],
            epsilons: &["layer_norm_epsilon"],
            names: &["activation_function"],
            lists: &[],
            objects: &[],
        },
        "gpt_neox" => Fields {
            sizes: &[],
            switches: &["tie_word_embeddings", "use_parallel_residual", "attention_bias"],
            epsilons: &["layer_norm_eps"],
            ..LLAMA
        },
        other => panic!("which fields does {other} read? see docs/adding-a-model.md"),
    }
}

#[test]
fn damaged_fields_are_named() {
    let wrong = |field: &str, fields: &Map<String, Value>, found: &Value| {
        let mut damaged = fields.clone();
        damaged.insert(field.to_owned(), found.clone());
        let what = format!("{} with {field} {found}", fields["model_type"]);
        let error = config(&Value::Object(damaged)).expect_err(&what);
        assert!(
            matches!(error, Error::Config { .. } | Error::Unsupported { .. }),
            "{what}: {error:?}"
        );
        let message = message(&error);
        assert!(message.starts_with("m/config.json: "), "{what}: {message}");
        assert!(message.contains(field), "{what}: {message}");
    };
    let never = [json!(-1), json!(1e300), json!("x"), json!({}), json!([{}])];
    let mut seen = Vec::new();
    for fixture in fixtures() {
        let fields = fields(&fixture.model_type);
        let whole = fixture.config.as_object().unwrap();
        config(&fixture.config).unwrap();
        for field in fields.required {
            let mut without = whole.clone();
            without.remove(*field);
            let error = config(&Value::Object(without)).unwrap_err().to_string();
            assert!(error.contains(&format!("{field:?} is missing")), "{error}");
            wrong(field, whole, &Value::Null);
        }
        for field in fields.required.iter().chain(fields.sizes) {
            for value in never.iter().chain(&[json!(0), json!(true), json!(u64::MAX)]) {
                wrong(field, whole, value);
            }
        }
        for field in fields.required {
            wrong(field, whole, &json!(1.5));
            wrong(field, whole, &json!(1u64 << 40));
        }
        for field in fields.switches {
            for value in never.iter().chain(&[json!(0), json!(1), json!("true")]) {
                wrong(field, whole, value);
            }
        }
        for field in fields.epsilons.iter().chain(fields.names).chain(fields.objects) {
            for value in never
                .iter()
                .filter(|value| **value != json!({}))
                .chain(&[json!(true)])
            {
                wrong(field, whole, value);
            }
        }
        for field in fields.lists {
            let many = json!(vec!["full_attention"; 99]);
            for value in never
                .iter()
                .chain(&[json!(["full_attention"]), json!(["x", "x", "x"]), many])
            {
                wrong(field, whole, value);
            }
        }
        for value in never.iter().chain(&[json!([1, -1]), json!(0.5)]) {
            wrong("eos_token_id", whole, value);
        }
        for value in &never {
            wrong("bos_token_id", whole, value);
        }
        seen.push(fixture.model_type);
    }
    assert!(
        DECODER_FAMILIES
            .iter()
            .all(|family| seen.iter().any(|seen| seen == family))
    );
}

#[test]
fn every_field_has_an_effect() {
    for fixture in fixtures() {
        let fields = fields(&fixture.model_type);
        let effect = |field: &str, value: Value| {
            let mut changed = fixture.config.clone();
            changed[field] = value.clone();
            let (before, after) = (config(&fixture.config).unwrap(), config(&changed));
            let same = after.is_ok_and(|after| format!("{after:?}") == format!("{before:?}"));
            assert!(!same, "{}: {field} {value} changes nothing", fixture.name);
        };
        for field in fields.required.iter().chain(fields.sizes) {
            let other = match fixture.config[*field].as_f64() {
                Some(size) => json!(2 * size as u64),
                None => json!(2),
            };
            effect(field, other);
        }
        for field in fields.switches {
            let default = matches!(*field, "scale_attn_weights" | "use_parallel_residual");
            let on = fixture
                .config
                .get(*field)
                .and_then(Value::as_bool)
                .unwrap_or(default);
            // Windows that no layer has are neither on nor off.
            if *field == "use_sliding_window" && !fixture.name.ends_with("window") {
                continue;
            }
            effect(field, json!(!on));
        }
        for field in fields.epsilons {
            effect(field, json!(0.125));
        }
        for field in fields.names {
            effect(field, json!("relu"));
        }
    }
}

#[test]
fn fields_that_contradict_each_other_are_named() {
    let named = |name: &str, changes: Value, says: &str| {
        let mut fields = fixture(name).config;
        for (field, value) in changes.as_object().unwrap() {
            fields[field] = value.clone();
        }
        let message = config(&fields).unwrap_err().to_string();
        assert!(message.contains(says), "{message:?} does not say {says:?}");
    };
    named(
        "llama",
        json!({"num_key_value_heads": 3}),
        "a divisor of the 4 attention heads",
    );
    named("llama", json!({"num_key_value_heads": 5}), "from 1 to 4");
    named(
        "llama",
        json!({"head_dim": null, "num_attention_heads": 3, "num_key_value_heads": 3}),
        "a divisor of the hidden width 32",
    );
    named("llama", json!({"head_dim": 7}), "an even number of components");
    named("gpt2", json!({"n_head": 3}), "a divisor of the hidden width 16");
    named(
        "gpt2",
        json!({"add_cross_attention": true}),
        "add_cross_attention",
    );
    named("mixtral", json!({"num_experts_per_tok": 5}), "from 1 to 4");
    named(
        "gemma3",
        json!({"attn_logit_softcapping": 50.0}),
        "attn_logit_softcapping",
    );
    named(
        "gemma3",
        json!({"use_bidirectional_attention": true}),
        "use_bidirectional_attention",
    );
    named("phi3-longrope", json!({"head_dim": 16}), "short_factor");
    named("llama", json!({"hidden_act": "magic"}), "one of ");
    named(
        "llama-llama3",
        json!({"rope_parameters": {"rope_type": "magic"}}),
        "rope_parameters.rope_type",
    );
}

#[test]
fn unknown_families_are_told_the_known_ones() {
    for (found, says) in [
        (
            json!("mamba"),
            "\"mamba\" is not supported; supported are llama, mistral, mixtral, qwen2",
        ),
        (json!(7), "\"model_type\" is 7"),
        (
            Value::Null,
            "\"model_type\" is missing where one of llama, mistral",
        ),
    ] {
        let message = config(&json!({"model_type": found})).unwrap_err().to_string();
        assert!(message.contains(says), "{message:?} does not say {says:?}");
    }
    assert!(matches!(config(&json!([])).unwrap_err(), Error::Json { .. }));
}

#[test]
fn a_shape_that_the_weights_do_not_have_is_an_error_without_its_memory() {
    let absurd = [
        ("hidden_size", 1usize << 16),
        ("n_embd", 1 << 16),
        ("intermediate_size", 1 << 20),
        ("n_inner", 1 << 20),
        ("num_hidden_layers", 1 << 10),
        ("n_layer", 1 << 10),
        ("vocab_size", 1 << 24),
        ("n_positions", 1 << 24),
        ("num_local_experts", 1 << 10),
    ];
    for Fixture {
        name, folder, config, ..
    } in fixtures()
    {
        if name == "llama-sharded" {
            // Files in memory are never in shards.
            continue;
        }
        let files = files(&folder);
        let refuse = |changes: &[(&str, usize)]| {
            let mut fields = config.clone();
            for (field, value) in changes {
                fields[*field] = json!(value);
            }
            // Lists with an entry for each layer or component would be refused for their length alone.
            for list in ["layer_types", "no_rope_layers", "rope_parameters"] {
                fields.as_object_mut().unwrap().remove(list);
            }
            let error = CausalLm::from_files(
                &with(&files, "config.json", fields.to_string().as_bytes()),
                &device::cpu(),
            )
            .expect_err(&format!("{name}: {changes:?}"));
            assert!(
                matches!(error, Error::Checkpoint { .. } | Error::MissingTensors { .. }),
                "{name}: {changes:?}: {error:?}"
            );
        };
        let present: Vec<(&str, usize)> = absurd
            .into_iter()
            .filter(|(field, _)| config.get(*field).is_some_and(|value| !value.is_null()))
            .collect();
        assert!(present.len() >= 4, "{name}");
        for change in &present {
            refuse(&[*change]);
        }
        refuse(&present);
    }
}

/// Every place of a value inside a configuration, as JSON pointers.
fn places(value: &Value, at: &str, into: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields
            .iter()
            .for_each(|(name, value)| places(value, &format!("{at}/{name}"), into)),
        Value::Array(values) => values
            .iter()
            .enumerate()
            .for_each(|(i, value)| places(value, &format!("{at}/{i}"), into)),
        _ => {}
    }
    into.push(at.to_owned());
}

/// Values that a hostile or damaged file may have anywhere.
fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (0u64..300).prop_map(Value::from),
        (-2.0..2.0).prop_map(|x: f64| Value::from(x)),
        "[a-z_]{0,12}".prop_map(Value::from),
        Just(json!("longrope")),
        Just(json!("dynamic")),
        Just(json!("yarn")),
        Just(json!("llama3")),
    ];
    leaf.prop_recursive(2, 8, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z_]{0,12}", inner, 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_configuration_brings_the_reader_down(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any_value()), 1..4),
    ) {
        let names = decoders::names();
        let mut fields = decoders::json(&decoders::folder().join(which.get(&names)).join("config.json"));
        for (place, value) in changes {
            let mut all = Vec::new();
            places(&fields, "", &mut all);
            if let Some(old) = fields.pointer_mut(place.get(&all).as_str()) {
                *old = value;
            }
        }
        if let Ok(config) = config(&fields) {
            prop_assert!(config.parameters() > 0);
            prop_assert!(config.num_attention_heads.is_multiple_of(config.num_key_value_heads));
        }
    }
}
