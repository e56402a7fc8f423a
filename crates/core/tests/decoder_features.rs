//! What every family can do, as docs/models.md states it; each cell of its table is a test here or in `decoder_parity`.
#![cfg(all(feature = "cpu", feature = "testing"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that meets them fails")]

mod decoders;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use burn::tensor::{Tensor, TensorData};
use decoders::{Fixture, assert_close, fixture, fixtures, forward, names};
use ragtune_core::adapters::{AdapterSet, AdapterStack, LowRank};
use ragtune_core::device;
use ragtune_core::models::{CausalLm, DECODER_FAMILIES, LoadOptions, Positions};
use ragtune_core::nn::{Context, Segments};
use ragtune_core::weights::{Checkpoint, ModelFiles, Precision, quantise_checkpoint};
use safetensors::tensor::{Dtype, TensorView, serialize};
use serde_json::{Value, json};

/// Shape and values of every tensor by name.
type Weights = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

fn weights(fixture: &Fixture) -> Weights {
    let checkpoint = ModelFiles::folder(&fixture.folder).unwrap().checkpoint().unwrap();
    checkpoint
        .names()
        .map(|name| {
            let shape = checkpoint.shape(name).unwrap().to_vec();
            let values = checkpoint.read(name, &shape).unwrap().unwrap();
            (name.to_owned(), (shape, values))
        })
        .collect()
}

/// A safetensors file of the weights in F32.
fn safetensors<'a>(weights: impl IntoIterator<Item = (&'a String, &'a (Vec<usize>, Vec<f32>))>) -> Vec<u8> {
    let bytes: Vec<(&str, &[usize], Vec<u8>)> = weights
        .into_iter()
        .map(|(name, (shape, values))| {
            let values = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            (name.as_str(), shape.as_slice(), values)
        })
        .collect();
    let views = bytes.iter().map(|(name, shape, values)| {
        (
            *name,
            TensorView::new(Dtype::F32, shape.to_vec(), values).unwrap(),
        )
    });
    serialize(views, None).unwrap()
}

/// A fixture's model with another configuration and other weights.
fn remade(fixture: &Fixture, config: &Value, weights: &Weights) -> CausalLm {
    remade_with(fixture, config, weights, &LoadOptions::default())
}

/// The same in a way of loading.
fn remade_with(fixture: &Fixture, config: &Value, weights: &Weights, options: &LoadOptions) -> CausalLm {
    let files = [
        ("config.json", config.to_string().into_bytes()),
        ("model.safetensors", safetensors(weights)),
        (
            "tokenizer.json",
            std::fs::read(fixture.folder.join("tokenizer.json")).unwrap(),
        ),
    ];
    let files = files.map(|(name, bytes)| (name, Cow::Owned(bytes)));
    CausalLm::from_files_with(&ModelFiles::in_memory("m", files), &device::cpu(), options).unwrap()
}

/// One fixture of every family, the one that bears its name.
fn families() -> Vec<Fixture> {
    DECODER_FAMILIES
        .iter()
        .map(|family| match *family {
            "gpt_neox" => fixture("gpt-neox"),
            "gemma3_text" => fixture("gemma3"),
            name => fixture(name),
        })
        .collect()
}

/// Numbers between -1 and 1 that are the same in every run.
fn noise(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

#[test]
fn parameters_are_counted() {
    for fixture in fixtures() {
        let stored: usize = weights(&fixture).values().map(|(_, values)| values.len()).sum();
        assert_eq!(
            fixture.lm.config().parameters(),
            stored as u64,
            "{}",
            fixture.name
        );
    }
}

#[test]
fn every_family_loads_wider_numbers_and_shards() {
    for fixture in families() {
        let expected = forward(&fixture.lm, &fixture.texts);
        let weights = weights(&fixture);
        // The same numbers stored in F32 instead of BF16.
        let wider = remade(&fixture, &fixture.config, &weights);
        assert_eq!(forward(&wider, &fixture.texts), expected, "{}", fixture.name);
        // The same in shards, of which one has every third tensor.
        let folder = tempfile::tempdir().unwrap();
        for name in ["config.json", "tokenizer.json"] {
            std::fs::copy(fixture.folder.join(name), folder.path().join(name)).unwrap();
        }
        let mut index = serde_json::Map::new();
        for shard in 0..3 {
            let name = format!("model-0000{}-of-00003.safetensors", shard + 1);
            let part = weights.iter().skip(shard).step_by(3);
            index.extend(part.clone().map(|(tensor, _)| (tensor.clone(), json!(name))));
            std::fs::write(folder.path().join(&name), safetensors(part)).unwrap();
        }
        let index = json!({"metadata": {}, "weight_map": index}).to_string();
        std::fs::write(folder.path().join("model.safetensors.index.json"), index).unwrap();
        let sharded = CausalLm::load(folder.path(), &device::cpu()).unwrap();
        assert_eq!(forward(&sharded, &fixture.texts), expected, "{}", fixture.name);
    }
}

#[test]
fn every_family_loads_without_the_prefix_of_its_head() {
    for fixture in families() {
        let bare = |name: &String| {
            let prefixes = ["model.", "transformer.", "gpt_neox."];
            let inside = prefixes.iter().find_map(|prefix| name.strip_prefix(prefix));
            inside.unwrap_or(name).to_owned()
        };
        let weights: Weights = weights(&fixture)
            .into_iter()
            .map(|(name, tensor)| (bare(&name), tensor))
            .collect();
        let lm = remade(&fixture, &fixture.config, &weights);
        assert!(
            lm.report().unused.is_empty(),
            "{}: {:?}",
            fixture.name,
            lm.report()
        );
        let (found, expected) = (forward(&lm, &fixture.texts), forward(&fixture.lm, &fixture.texts));
        assert_eq!(found, expected, "{}", fixture.name);
    }
}

/// The names of the table of words and of the output layer.
fn tables(model_type: &str) -> (&'static str, &'static str) {
    match model_type {
        "gpt2" => ("transformer.wte.weight", "lm_head.weight"),
        "gpt_neox" => ("gpt_neox.embed_in.weight", "embed_out.weight"),
        _ => ("model.embed_tokens.weight", "lm_head.weight"),
    }
}

#[test]
fn every_family_ties_its_tables_or_does_not() {
    for fixture in families() {
        let (table, head) = tables(&fixture.model_type);
        let mut weights = weights(&fixture);
        let mut config = fixture.config.clone();
        // A head of its own that is a copy of the table says what a tied one says.
        weights.insert(head.to_owned(), weights[table].clone());
        config["tie_word_embeddings"] = json!(false);
        let copied = remade(&fixture, &config, &weights);
        assert!(!copied.config().tie_word_embeddings);
        weights.remove(head);
        config["tie_word_embeddings"] = json!(true);
        let tied = remade(&fixture, &config, &weights);
        assert!(tied.config().tie_word_embeddings);
        assert_eq!(
            forward(&tied, &fixture.texts),
            forward(&copied, &fixture.texts),
            "{}",
            fixture.name
        );
    }
}

#[test]
fn every_rotating_family_takes_every_scaling() {
    let llama = fixture("llama-head-dim").config;
    for fixture in families() {
        if fixture.model_type == "gpt2" {
            assert!(matches!(fixture.lm.config().positions, Positions::Learned(96)));
            continue;
        }
        for (kind, parameters) in [
            ("linear", json!({"rope_type": "linear", "factor": 4.0})),
            ("dynamic", json!({"rope_type": "dynamic", "factor": 4.0})),
            (
                "yarn",
                json!({"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 16}),
            ),
            (
                "llama3",
                json!({
                    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                    "original_max_position_embeddings": 16,
                }),
            ),
            (
                "longrope",
                json!({
                    "rope_type": "longrope", "short_factor": [], "long_factor": [],
                    "original_max_position_embeddings": 16,
                }),
            ),
        ] {
            let what = format!("{}, {kind}", fixture.name);
            let rotated = match &fixture.lm.config().positions {
                // Dynamic scaling needs more than one pair.
                Positions::Rotary(ropes) => ropes[0].rotary_dim().max(4),
                other => panic!("{other:?}"),
            };
            let mut parameters = parameters;
            parameters["rope_theta"] = json!(10_000.0);
            if kind == "longrope" {
                parameters["short_factor"] = json!(vec![1.5; rotated / 2]);
                parameters["long_factor"] = json!(vec![3.0; rotated / 2]);
            }
            // A Llama whose heads are as wide as what this family rotates has the same angles; those of Llama equal
            // transformers' (`decoder_parity`, and the tests of `rope_config`).
            let mut reference = llama.clone();
            reference["head_dim"] = json!(rotated);
            reference["rope_parameters"] = parameters.clone();
            let mut config = fixture.config.clone();
            for model in [&mut reference, &mut config] {
                model["max_position_embeddings"] = json!(64);
            }
            if let Some(original) = config.get_mut("original_max_position_embeddings") {
                *original = json!(16);
            }
            let partial = rotated as f64 / fixture.lm.config().head_dim as f64;
            if partial < 1.0 {
                parameters["partial_rotary_factor"] = json!(partial);
            }
            config["rope_parameters"] = match fixture.model_type.as_str() {
                "gemma3_text" => {
                    json!({"full_attention": parameters, "sliding_attention": {"rope_type": "default"}})
                }
                _ => parameters,
            };
            let scaled = remade(&fixture, &config, &weights(&fixture));
            let parsed = |fields: &Value| {
                let bytes = Cow::Owned(fields.to_string().into_bytes());
                let files = ModelFiles::in_memory("m", [("config.json", bytes)]);
                ragtune_core::models::Decoder::config(&files).unwrap()
            };
            let first = |positions: &Positions| match positions {
                Positions::Rotary(ropes) => ropes[0].clone(),
                other => panic!("{other:?}"),
            };
            let found = &scaled.config().positions;
            assert_eq!(first(found), first(&parsed(&reference).positions), "{what}");
            // And it shows in what the model says of the longer text.
            let (before, after) = (
                forward(&fixture.lm, &fixture.texts),
                forward(&scaled, &fixture.texts),
            );
            if kind != "dynamic" {
                assert_ne!(before[0], after[0], "{what}");
            }
        }
    }
}

/// A low-rank pair for every linear layer of a fixture, and the weights with them folded in.
fn adapted(fixture: &Fixture) -> (AdapterSet, Weights) {
    const RANK: usize = 2;
    const SCALING: f64 = 0.75;
    let mut weights = weights(fixture);
    let transposed = fixture.model_type == "gpt2";
    let (table, _) = tables(&fixture.model_type);
    let mut set = AdapterSet::new();
    let mut pairs = 0;
    for (number, (name, (shape, values))) in weights.iter_mut().enumerate() {
        let linear = shape.len() == 2 && name != table && !name.contains("wpe");
        let Some(slot) = name.strip_suffix(".weight").filter(|_| linear) else {
            continue;
        };
        let stored_transposed = transposed && slot != "lm_head";
        let (o, i) = match stored_transposed {
            false => (shape[0], shape[1]),
            true => (shape[1], shape[0]),
        };
        let a: Vec<f32> = noise(number as u64 + 1, RANK * i)
            .iter()
            .map(|a| a * 0.1)
            .collect();
        let b = noise(number as u64 + 99, o * RANK);
        for row in 0..o {
            for column in 0..i {
                let product: f32 = (0..RANK).map(|r| b[row * RANK + r] * a[r * i + column]).sum();
                let place = match stored_transposed {
                    false => row * i + column,
                    true => column * o + row,
                };
                values[place] += product * SCALING as f32;
            }
        }
        let tensor =
            |values, shape: [usize; 2]| Tensor::from_data(TensorData::new(values, shape), &device::cpu());
        set = set.with_low_rank(
            slot,
            LowRank::new(tensor(a, [RANK, i]), tensor(b, [o, RANK]), SCALING),
        );
        pairs += 1;
    }
    assert!(
        pairs >= 4 * fixture.lm.config().num_hidden_layers(),
        "{}: {pairs}",
        fixture.name
    );
    (set, weights)
}

#[test]
fn every_family_carries_adapters_on_every_linear_layer() {
    for fixture in families() {
        let (set, folded) = adapted(&fixture);
        let folded = remade(&fixture, &fixture.config, &folded);
        let base = forward(&fixture.lm, &fixture.texts);
        let expected = forward(&folded, &fixture.texts);
        // One text of the batch with the adapter, the other without.
        let stack = AdapterStack::base().with(Arc::new(set), 1.0);
        let segments = Segments::from_lengths(fixture.texts.iter().map(Vec::len));
        let context = Context::new(segments.clone()).with_adapters(vec![stack, AdapterStack::base()]);
        let logits = fixture.lm.logits(&fixture.texts.concat(), &context).unwrap();
        let [_, v] = logits.dims();
        let logits = logits.into_data().try_into_vec::<f32>().unwrap();
        let end = fixture.texts[0].len() * v;
        // Rounding grows with the logits, whichever of them is small.
        let largest = expected[0].iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
        let share = |logits: &[f32]| logits.iter().map(|x| x / largest).collect::<Vec<_>>();
        assert_close(&share(&logits[..end]), &share(&expected[0]), 2e-5, &fixture.name);
        assert_close(&logits[end..], &base[1], 1e-5, &fixture.name);
        assert_ne!(base[0], expected[0], "{}", fixture.name);
    }
}

/// A fixture's model four times as wide, with made-up weights: matrices are in groups of 64 columns and more.
fn widened(fixture: &Fixture) -> (Value, Weights) {
    let mut config = fixture.config.clone();
    for field in [
        "hidden_size",
        "intermediate_size",
        "head_dim",
        "n_embd",
        "n_inner",
    ] {
        if let Some(size) = config.get(field).and_then(Value::as_u64) {
            config[field] = json!(4 * size);
        }
    }
    if let Some(all) = config.get("num_local_experts").cloned() {
        // A token that goes to other experts says something else, which is no matter of rounding.
        config["num_experts_per_tok"] = all;
    }
    let (table, head) = tables(&fixture.model_type);
    let gemma = fixture.model_type == "gemma3_text";
    let widened = weights(fixture)
        .into_iter()
        .enumerate()
        .map(|(number, (name, (shape, _)))| {
            // Words, positions and experts keep their number.
            let counted =
                name == table || name == head || name.contains("wpe") || name.ends_with(".gate.weight");
            let shape: Vec<usize> = shape
                .iter()
                .enumerate()
                .map(|(axis, size)| if counted && axis == 0 { *size } else { 4 * size })
                .collect();
            let noise = noise(number as u64 + 7, shape.iter().product());
            let is_norm = shape.len() == 1 && !name.ends_with("bias");
            let values = match is_norm {
                true => noise
                    .iter()
                    .map(|x| 0.1 * x + if gemma { 0.0 } else { 1.0 })
                    .collect(),
                false => noise.iter().map(|x| 0.2 * x).collect(),
            };
            (name, (shape, values))
        });
    let widened = widened.collect();
    (config, widened)
}

#[test]
fn every_family_keeps_fewer_bits() {
    for fixture in families() {
        let (config, weights) = widened(&fixture);
        let whole = remade(&fixture, &config, &weights);
        let expected = forward(&whole, &fixture.texts).concat();
        let checkpoint = Checkpoint::from_bytes("m", safetensors(&weights)).unwrap();
        let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|x| x * x).sum::<f32>().sqrt();
        let mut last = 0.0;
        for (precision, bound) in [
            (Precision::F16, 0.01),
            (Precision::Bf16, 0.03),
            (Precision::Int8, 0.06),
            (Precision::Int4, 0.6),
        ] {
            let files = [
                ("config.json", config.to_string().into_bytes()),
                (
                    "model.safetensors",
                    quantise_checkpoint(&checkpoint, precision).unwrap(),
                ),
                (
                    "tokenizer.json",
                    std::fs::read(fixture.folder.join("tokenizer.json")).unwrap(),
                ),
            ];
            let files = files.map(|(name, bytes)| (name, Cow::Owned(bytes)));
            let lm = CausalLm::from_files(&ModelFiles::in_memory("m", files), &device::cpu()).unwrap();
            let what = format!("{}, {precision}", fixture.name);
            assert!(lm.report().unused.is_empty(), "{what}: {:?}", lm.report());
            let found = forward(&lm, &fixture.texts).concat();
            let differences = &mut found
                .iter()
                .zip(&expected)
                .map(|(found, expected)| found - expected);
            let error = norm(differences) / norm(&mut expected.iter().copied());
            // Fewer bits say nearly the same, and the fewer the less so.
            assert!(error < bound && error > last, "{what}: {error}");
            last = error;
            // Rounded while it is loaded, a model is the same as one that was written so; GPT-2's matrices are turned
            // first, and not rounded twice.
            let options = LoadOptions::default().with_precision(precision);
            let loaded = remade_with(&fixture, &config, &weights, &options);
            let found_loaded = forward(&loaded, &fixture.texts).concat();
            if fixture.model_type == "gpt2" {
                let differences = &mut found_loaded.iter().zip(&expected).map(|(x, y)| x - y);
                assert!(
                    norm(differences) / norm(&mut expected.iter().copied()) < bound,
                    "{what}"
                );
            } else {
                assert_eq!(found_loaded, found, "{what}");
            }
        }
    }
}

#[test]
fn documentation_names_every_family_and_fixture() {
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/models.md");
    let docs = std::fs::read_to_string(docs).unwrap();
    for family in DECODER_FAMILIES {
        assert!(
            docs.contains(&format!("| `{family}` |")),
            "docs/models.md has no row for {family}"
        );
    }
    for name in names() {
        let stored = decoders::folder().join(&name).join("model.safetensors");
        if stored.is_file() {
            Checkpoint::open(stored).unwrap();
        }
    }
}
