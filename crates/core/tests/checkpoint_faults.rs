//! Damaged, hostile and mismatched model files: each an error that names what is wrong, never a panic.
#![cfg(all(feature = "cpu", feature = "testing"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that meets them fails")]

use std::error::Error as _;
use std::path::{Path, PathBuf};

use ragtune_core::Error;
use ragtune_core::device;
use ragtune_core::models::{CrossEncoder, Encoder};
use ragtune_core::weights::{Checkpoint, CheckpointError};
use safetensors::tensor::{Dtype, TensorView, serialize};
use serde_json::{Value, json};

fn bert() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/encoders/models/bert")
}

/// A copy of the tiny BERT that a test may damage.
fn copy() -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for name in [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ] {
        std::fs::copy(bert().join(name), copy.path().join(name)).unwrap();
    }
    copy
}

fn load(folder: &Path) -> Result<Encoder, Error> {
    Encoder::load(folder, &device::cpu())
}

/// An error with all its causes, as a user would read it.
fn message(error: &Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        message += &format!(": {error}");
        cause = error.source();
    }
    message
}

/// Loads a copy after `damage`, which must be an error that says all of `says`.
fn refused(damage: impl FnOnce(&Path), says: &[&str]) -> Error {
    let copy = copy();
    damage(copy.path());
    let error = load(copy.path()).unwrap_err();
    let message = message(&error);
    for part in says {
        assert!(message.contains(part), "{message:?} does not say {part:?}");
    }
    error
}

fn edit_json(path: &Path, edit: impl FnOnce(&mut Value)) {
    let mut value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    edit(&mut value);
    std::fs::write(path, value.to_string()).unwrap();
}

/// Rewrites the weights: name, shape and values of every tensor go through `edit`.
type Weights = Vec<(String, Vec<usize>, Vec<f32>)>;
fn edit_weights(folder: &Path, edit: impl FnOnce(&mut Weights)) {
    let path = folder.join("model.safetensors");
    let checkpoint = Checkpoint::open(&path).unwrap();
    let mut weights: Weights = checkpoint
        .names()
        .map(|name| {
            let shape = checkpoint.shape(name).unwrap().to_vec();
            let values = checkpoint.read(name, &shape).unwrap().unwrap();
            (name.to_owned(), shape, values)
        })
        .collect();
    edit(&mut weights);
    let bytes: Vec<Vec<u8>> = weights
        .iter()
        .map(|(.., values)| values.iter().flat_map(|x| x.to_le_bytes()).collect())
        .collect();
    let views = weights.iter().zip(&bytes).map(|((name, shape, _), bytes)| {
        (
            name.clone(),
            TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap(),
        )
    });
    std::fs::write(path, serialize(views, None).unwrap()).unwrap();
}

#[test]
fn truncated_files_are_errors_at_every_length() {
    let whole = std::fs::read(bert().join("model.safetensors")).unwrap();
    let header = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    let lengths = (0..64)
        .chain((64..header).step_by(37))
        .chain((header..whole.len()).step_by(1009))
        .chain([header, whole.len() - 1]);
    for length in lengths {
        let error = Checkpoint::from_bytes("m", whole[..length].to_vec()).unwrap_err();
        assert!(matches!(error, Error::Checkpoint { .. }), "{length}: {error}");
    }
    let longer = [whole, vec![0; 3]].concat();
    assert!(Checkpoint::from_bytes("m", longer).is_err());
    // The same through a mapped file.
    refused(
        |folder| {
            let path = folder.join("model.safetensors");
            let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
            file.set_len(50_000).unwrap();
        },
        &[
            "model.safetensors",
            "50000 bytes",
            "truncated",
            "download it again",
        ],
    );
    refused(
        |folder| std::fs::write(folder.join("model.safetensors"), "").unwrap(),
        &["truncated"],
    );
}

#[test]
fn bit_flips_in_the_header_never_panic() {
    let whole = std::fs::read(bert().join("model.safetensors")).unwrap();
    let header = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    let device = device::cpu();
    let (mut refused, mut total) = (0, 0);
    for bit in (0..64).chain((64..header * 8).step_by(5)) {
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        total += 1;
        // A flip may hit a name, whose tensor is then missing, or change nothing that is read.
        let loaded = Checkpoint::from_bytes("m", damaged).and_then(|checkpoint| {
            let expected = Checkpoint::open(bert())?;
            checkpoint.load(&device, |loader| {
                for name in expected.names() {
                    loader.read(name, expected.shape(name).unwrap())?;
                }
                Ok(())
            })
        });
        refused += usize::from(loaded.is_err());
    }
    assert!(
        refused * 20 > total * 19,
        "{refused} of {total} flips were noticed"
    );
}

#[test]
fn missing_files_say_what_to_do() {
    let empty = tempfile::tempdir().unwrap();
    let error = load(empty.path()).unwrap_err();
    assert!(
        matches!(&error, Error::MissingFile { path, .. } if path.ends_with("config.json")),
        "{error}"
    );
    let absent = load(&empty.path().join("absent")).unwrap_err();
    assert!(matches!(absent, Error::Io { .. }), "{absent}");
    let file = load(&bert().join("config.json")).unwrap_err();
    assert!(message(&file).contains("name the model's folder"));
    let remove = |name: &'static str| move |folder: &Path| std::fs::remove_file(folder.join(name)).unwrap();
    refused(
        remove("model.safetensors"),
        &[
            "model.safetensors does not exist",
            "model.safetensors.index.json",
            "save_pretrained",
        ],
    );
    refused(
        remove("tokenizer.json"),
        &["tokenizer.json does not exist", "save_pretrained"],
    );
    let as_folder = |name: &'static str| {
        move |folder: &Path| {
            std::fs::remove_file(folder.join(name)).unwrap();
            std::fs::create_dir(folder.join(name)).unwrap();
        }
    };
    for name in ["model.safetensors", "config.json", "tokenizer.json"] {
        refused(as_folder(name), &[name]);
    }
}

#[test]
fn configurations_are_checked_field_by_field() {
    let set = |field: &'static str, value: Value| {
        move |folder: &Path| edit_json(&folder.join("config.json"), |config| config[field] = value)
    };
    for (field, value) in [
        ("hidden_size", json!(-32)),
        ("hidden_size", json!(0)),
        ("hidden_size", json!(1e18)),
        ("hidden_size", json!("32")),
        ("hidden_size", json!(null)),
        ("vocab_size", json!(99_999_999_999u64)),
        ("num_hidden_layers", json!(1_000_000)),
        ("num_attention_heads", json!(5)),
        ("num_attention_heads", json!(0)),
        ("intermediate_size", json!(4.5)),
        ("max_position_embeddings", json!(0)),
        ("type_vocab_size", json!(-1)),
        ("layer_norm_eps", json!(-1e-12)),
        ("hidden_act", json!("gelo")),
        ("is_decoder", json!(true)),
        ("model_type", json!(null)),
        ("id2label", json!("no")),
    ] {
        let error = refused(set(field, value.clone()), &["config.json", field, "is expected"]);
        assert!(matches!(error, Error::Config { .. }), "{field} {value}: {error}");
    }
    refused(
        set("model_type", json!("llama")),
        &["llama", "bert, distilbert, mpnet, roberta, xlm-roberta"],
    );
    refused(
        set("position_embedding_type", json!("relative_key")),
        &["relative_key", "absolute"],
    );
    for text in ["", "{", "[]", "null", "\u{0}"] {
        let error = refused(
            |folder| std::fs::write(folder.join("config.json"), text).unwrap(),
            &["config.json"],
        );
        assert!(matches!(error, Error::Json { .. }), "{text:?}: {error}");
    }
    // Believable numbers that the weights contradict.
    refused(
        set("intermediate_size", json!(64)),
        &[
            "encoder.layer.0.intermediate.dense.weight",
            "[48, 32]",
            "[64, 32]",
        ],
    );
    refused(
        set("num_hidden_layers", json!(1000)),
        &["encoder.layer.2.attention.self.query.weight", "and 15956 more"],
    );
}

#[test]
fn weights_are_checked_tensor_by_tensor() {
    refused(
        |folder| {
            edit_weights(folder, |weights| {
                let (_, shape, _) = weights
                    .iter_mut()
                    .find(|(name, ..)| name == "embeddings.position_embeddings.weight")
                    .unwrap();
                shape.reverse();
            });
        },
        &[
            "embeddings.position_embeddings.weight",
            "[64, 32]",
            "[32, 64]",
            "model.safetensors",
        ],
    );
    refused(
        |folder| {
            edit_weights(folder, |weights| {
                let (name, _, values) = &mut weights[7];
                values[5] = f32::NAN;
                assert!(!name.starts_with("pooler"));
            });
        },
        &["weight 5 of tensor", "NaN"],
    );
    let error = refused(
        |folder| {
            edit_weights(folder, |weights| {
                weights.retain(|(name, ..)| name != "embeddings.LayerNorm.bias");
                for (name, ..) in weights {
                    *name = name.replace("layer.1.output.dense.weight", "layer.1.output.dens.weight");
                }
            });
        },
        &[
            "embeddings.LayerNorm.bias",
            "did you mean encoder.layer.1.output.dens.weight",
        ],
    );
    let Error::MissingTensors { report, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(report.missing.len(), 2);
    assert_eq!(
        report.unused,
        [
            "encoder.layer.1.output.dens.weight",
            "pooler.dense.bias",
            "pooler.dense.weight"
        ]
    );
}

#[test]
fn old_names_and_prefixes_are_understood() {
    let folder = copy();
    edit_weights(folder.path(), |weights| {
        for (name, ..) in weights.iter_mut() {
            *name = name
                .replace("LayerNorm.weight", "LayerNorm.gamma")
                .replace("LayerNorm.bias", "LayerNorm.beta");
            *name = format!("bert.{name}");
        }
        weights.push(("cls.predictions.bias".to_owned(), vec![2], vec![0.0, 0.0]));
    });
    let old = load(folder.path()).unwrap();
    assert_eq!(
        old.report().unused,
        [
            "bert.pooler.dense.bias",
            "bert.pooler.dense.weight",
            "cls.predictions.bias"
        ]
    );
    assert!(
        old.report()
            .applied
            .contains(&"bert.embeddings.LayerNorm.gamma".to_owned())
    );
    use ragtune_core::text::{Embedder, Role};
    let texts = ["Tea is a drink."];
    assert_eq!(
        old.embed(&texts, Role::Query).unwrap(),
        load(&bert()).unwrap().embed(&texts, Role::Query).unwrap()
    );
}

#[test]
fn tokenizers_are_checked() {
    for text in ["", "{}", "[1, 2]", "{\"model\": {\"type\": \"Magic\"}}"] {
        let error = refused(
            |folder| std::fs::write(folder.join("tokenizer.json"), text).unwrap(),
            &["tokenizer.json"],
        );
        assert!(matches!(error, Error::Tokenizer { .. }), "{error}");
    }
    // A vocabulary that the table of words is too short for.
    let error = refused(
        |folder| {
            edit_json(&folder.join("tokenizer.json"), |tokenizer| {
                tokenizer["model"]["vocab"]["zebra"] = json!(4000);
            });
        },
        &["4000", "tokenizer and weights"],
    );
    assert!(matches!(error, Error::UnknownId { id: 4000, .. }), "{error}");
    refused(
        |folder| {
            std::fs::write(
                folder.join("sentence_bert_config.json"),
                r#"{"max_seq_length": 2}"#,
            )
            .unwrap()
        },
        &["max_seq_length"],
    );
    refused(
        |folder| {
            std::fs::write(
                folder.join("sentence_bert_config.json"),
                r#"{"max_seq_length": -4}"#,
            )
            .unwrap()
        },
        &["max_seq_length", "-4"],
    );
}

#[test]
fn modules_are_checked() {
    let modules = |json: &'static str| {
        move |folder: &Path| {
            std::fs::write(folder.join("modules.json"), json).unwrap();
            std::fs::create_dir(folder.join("1_Pooling")).unwrap();
            std::fs::write(
                folder.join("1_Pooling/config.json"),
                r#"{"word_embedding_dimension": 32, "pooling_mode": "median"}"#,
            )
            .unwrap();
        }
    };
    refused(
        modules(
            r#"[{"path": "", "type": "sentence_transformers.models.Transformer"}, {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]"#,
        ),
        &["median", "cls, max, mean"],
    );
    refused(
        modules(r#"[{"path": "", "type": "sentence_transformers.models.CLIPModel"}]"#),
        &["CLIPModel", "Transformer"],
    );
    refused(
        modules(r#"[{"path": "", "type": "sentence_transformers.models.Transformer"}]"#),
        &["no Pooling"],
    );
    refused(
        modules(r#"[{"path": "../../secret", "type": "sentence_transformers.models.Transformer"}]"#),
        &["modules.json", "../../secret"],
    );
    refused(modules("[]"), &["modules.json"]);
    refused(modules("{}"), &["modules.json"]);
}

#[test]
fn shards_are_checked() {
    let sharded = bert().join("../../variants/sharded");
    let copy = || {
        let copy = copy();
        std::fs::remove_file(copy.path().join("model.safetensors")).unwrap();
        for name in [
            "model.safetensors.index.json",
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
        ] {
            std::fs::copy(sharded.join(name), copy.path().join(name)).unwrap();
        }
        copy
    };
    let whole = copy();
    load(whole.path()).unwrap();
    let lacks = copy();
    std::fs::remove_file(lacks.path().join("model-00002-of-00002.safetensors")).unwrap();
    let error = load(lacks.path()).unwrap_err();
    assert!(matches!(&error, Error::Io { path, .. } if path.ends_with("model-00002-of-00002.safetensors")));
    for (file, says) in [
        ("../model.safetensors", "no plain file name"),
        ("model-00001-of-00002.safetensors", "does not have it"),
    ] {
        let folder = copy();
        edit_json(&folder.path().join("model.safetensors.index.json"), |index| {
            let map = index["weight_map"].as_object_mut().unwrap();
            for at in map
                .values_mut()
                .filter(|at| *at == "model-00002-of-00002.safetensors")
            {
                *at = json!(file);
            }
        });
        let error = load(folder.path()).unwrap_err();
        assert!(message(&error).contains(says), "{}", message(&error));
    }
}

#[test]
fn int8_weights_come_with_their_scales() {
    let values: Vec<u8> = (0..260).map(|i| (i % 256) as u8).collect();
    let scales: Vec<u8> = [0.5f32, 0.25, 1.0, 2.0, 0.5, 0.25]
        .iter()
        .flat_map(|&scale| half::f16::from_f32(scale).to_le_bytes())
        .collect();
    let view = |dtype, shape: &[usize], bytes| TensorView::new(dtype, shape.to_vec(), bytes).unwrap();
    let whole = serialize(
        [
            ("w", view(Dtype::I8, &[2, 130], &values)),
            ("w_scale", view(Dtype::F16, &[2, 3], &scales)),
        ],
        None,
    )
    .unwrap();
    let checkpoint = Checkpoint::from_bytes("inside", whole).unwrap();
    let (weights, report) = checkpoint
        .load(&device::cpu(), |loader| loader.read("w", &[2, 130]))
        .unwrap();
    assert_eq!((weights[1], weights[64], weights[129]), (0.5, 16.0, -127.0));
    // Row 1 begins at value 130, which is -126, with the scale 2.
    assert_eq!(weights[130], -252.0);
    assert_eq!(report.applied, ["w", "w_scale"]);
    assert!(report.unused.is_empty());
    let bare = serialize([("w", view(Dtype::I8, &[2, 130], &values))], None).unwrap();
    let error = Checkpoint::from_bytes("inside", bare)
        .unwrap()
        .read("w", &[2, 130]);
    assert!(matches!(
        error,
        Err(Error::Checkpoint {
            source: CheckpointError::MissingScale { .. },
            ..
        })
    ));
}

#[test]
fn cross_encoders_need_a_head_of_one_or_two_classes() {
    let error = CrossEncoder::load(bert(), &device::cpu()).unwrap_err();
    let Error::MissingTensors { report, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(
        report.missing.iter().map(|m| m.name.as_str()).collect::<Vec<_>>(),
        ["classifier.weight", "classifier.bias"]
    );
    let folder = copy();
    edit_json(&folder.path().join("config.json"), |config| {
        config["id2label"] = json!({"0": "a", "1": "b", "2": "c"});
    });
    let error = CrossEncoder::load(folder.path(), &device::cpu()).unwrap_err();
    assert!(message(&error).contains("1 (relevance) or 2"), "{error}");
}

/// Opening a pipe would wait for somebody who writes.
#[cfg(unix)]
#[test]
fn a_pipe_is_refused_at_once() {
    for name in ["config.json", "model.safetensors"] {
        let folder = copy();
        let path = folder.path().join(name);
        std::fs::remove_file(&path).unwrap();
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        let error = load(folder.path()).unwrap_err();
        assert!(message(&error).contains(name), "{}", message(&error));
        assert!(message(&error).contains("regular file"), "{}", message(&error));
    }
}
