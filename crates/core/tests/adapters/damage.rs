//! Damaged adapters, adapters of other bases and adapters of other methods are errors that say what to do.

use std::collections::BTreeMap;

use proptest::prelude::*;
use ragtune_core::Error;
use ragtune_core::adapters::{AdapterConfig, AdapterError, AdapterSet};
use ragtune_core::models::CausalLm;
use ragtune_core::weights::ModelFiles;
use serde_json::{Value, json};

use super::fixture::{base, chain, folder};

const WEIGHTS: &str = "adapter_model.safetensors";
const A: &str = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight";

/// An adapter's files, to be damaged.
#[derive(Clone)]
struct Files {
    config: Value,
    /// Shape and values by name.
    tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

impl Files {
    fn of(case: &str) -> Self {
        let config = std::fs::read(folder().join(case).join(AdapterConfig::FILE)).unwrap();
        let checkpoint = ragtune_core::weights::Checkpoint::open(folder().join(case).join(WEIGHTS)).unwrap();
        let read = |name: &str| {
            let shape = checkpoint.shape(name).unwrap().to_vec();
            let values = checkpoint.read(name, &shape).unwrap().unwrap();
            (name.to_owned(), (shape, values))
        };
        Self {
            config: serde_json::from_slice(&config).unwrap(),
            tensors: checkpoint.names().map(read).collect(),
        }
    }

    fn set(mut self, field: &str, value: Value) -> Self {
        self.config[field] = value;
        self
    }

    fn rename(mut self, from: &str, to: &str) -> Self {
        let tensor = self.tensors.remove(from).unwrap();
        self.tensors.insert(to.to_owned(), tensor);
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
        for (name, (shape, values)) in &self.tensors {
            let start = data.len();
            data.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            let entry = json!({"dtype": "F32", "shape": shape, "data_offsets": [start, data.len()]});
            header.insert(name.clone(), entry);
        }
        let header = serde_json::to_vec(&header).unwrap();
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header);
        file.extend(data);
        file
    }

    fn load(&self, lm: &CausalLm) -> Result<AdapterSet, Error> {
        raw(self.config.to_string().as_bytes(), &self.bytes(), lm)
    }
}

fn raw(config: &[u8], weights: &[u8], lm: &CausalLm) -> Result<AdapterSet, Error> {
    let files = ModelFiles::in_memory(
        "a",
        [
            (AdapterConfig::FILE, config.to_vec()),
            (WEIGHTS, weights.to_vec()),
        ],
    );
    AdapterSet::from_files(&files, lm)
}

/// What is wrong, with the causes of the error.
fn failure(result: Result<AdapterSet, Error>) -> String {
    chain(&result.unwrap_err())
}

#[test]
fn configurations_with_wrong_fields_name_the_field() {
    let (lm, files) = (base("llama"), Files::of("lora"));
    assert!(files.load(&lm).is_ok());
    for (field, value) in [
        ("peft_type", json!(null)),
        ("peft_type", json!(7)),
        ("r", json!(-4)),
        ("r", json!(0)),
        ("r", json!(4.5)),
        ("r", json!(1u64 << 40)),
        ("r", json!("4")),
        ("lora_alpha", json!("8")),
        ("lora_alpha", json!([8])),
        ("lora_alpha", json!(1e300)),
        ("lora_dropout", json!(7.0)),
        ("use_rslora", json!("yes")),
        ("use_dora", json!(1)),
        ("bias", json!("some")),
        ("bias", json!(3)),
        ("target_modules", json!(17)),
        ("target_modules", json!([1, 2])),
        ("target_modules", json!([""])),
        ("modules_to_save", json!({"a": 1})),
        ("rank_pattern", json!([1])),
        ("alpha_pattern", json!("x")),
        ("layers_to_transform", json!(-1)),
        ("layers_to_transform", json!(["a"])),
        ("layers_pattern", json!(4)),
        ("base_model_name_or_path", json!(4)),
    ] {
        let error = files.clone().set(field, value.clone()).load(&lm).unwrap_err();
        assert!(
            matches!(&error, Error::Config { field: named, .. } if named == field),
            "{field} {value}: {error}"
        );
    }
    let error = files.clone().set("rank_pattern", json!({"q_proj": -1})).load(&lm);
    assert!(failure(error).contains("rank_pattern.q_proj"));
    for broken in [&b"{"[..], b"[]", b"", b"null", b"\xff"] {
        assert!(matches!(
            raw(broken, &files.bytes(), &lm),
            Err(Error::Json { .. })
        ));
    }
}

#[test]
fn other_methods_and_unsupported_parts_are_named() {
    let (lm, files) = (base("llama"), Files::of("lora"));
    for method in ["P_TUNING", "PREFIX_TUNING", "LOHA", "ADALORA", "lora"] {
        let error = files
            .clone()
            .set("peft_type", json!(method))
            .load(&lm)
            .unwrap_err();
        let Error::Adapter { source, .. } = &error else {
            panic!("{error}")
        };
        assert!(matches!(source, AdapterError::Kind { found, .. } if found == method));
        assert!(source.to_string().contains("LORA, IA3"), "{source}");
    }
    for (field, value) in [
        ("target_parameters", json!(["mlp.experts.gate_up_proj"])),
        ("trainable_token_indices", json!([1, 2])),
        ("layer_replication", json!([[0, 1]])),
        ("alora_invocation_tokens", json!([5])),
        ("use_qalora", json!(true)),
        ("use_bdlora", json!({"nblocks": 2})),
        ("arrow_config", json!({"top_k": 3})),
        ("init_lora_weights", json!("pissa_niter_4")),
        ("init_lora_weights", json!("OLoRA")),
    ] {
        let error = failure(files.clone().set(field, value).load(&lm));
        assert!(
            error.contains(field) && error.contains("not supported"),
            "{error}"
        );
    }
    // What training alone needs, and what readers do not know, is no obstacle.
    for (field, value) in [
        ("init_lora_weights", json!("gaussian")),
        ("eva_config", json!({"rho": 2.0})),
        ("target_parameters", json!([])),
        ("some_future_field", json!({"deep": [1]})),
    ] {
        assert!(files.clone().set(field, value).load(&lm).is_ok(), "{field}");
    }
}

#[test]
fn targets_that_match_nothing_suggest_what_there_is() {
    let (lm, files) = (base("llama"), Files::of("lora"));
    let error = failure(
        files
            .clone()
            .set("target_modules", json!(["q_prjo", "c_attn"]))
            .load(&lm),
    );
    assert!(
        error.contains("q_prjo") && error.contains("did you mean") && error.contains("q_proj"),
        "{error}"
    );
    for value in [json!([]), json!(""), json!(r".*\.no_such_module")] {
        let error = failure(files.clone().set("target_modules", value).load(&lm));
        assert!(
            error.contains("target_modules") && error.contains("did you mean"),
            "{error}"
        );
    }
    let error = failure(
        files
            .clone()
            .set("modules_to_save", json!(["classifier"]))
            .load(&lm),
    );
    assert!(error.contains("modules_to_save"), "{error}");
    // Without a list the tensors say what is changed.
    assert!(files.clone().set("target_modules", json!(null)).load(&lm).is_ok());
}

#[test]
fn patterns_that_cannot_be_used_are_errors_and_do_not_hang() {
    let (lm, files) = (base("llama"), Files::of("lora"));
    let nested = "(".repeat(2000) + &")".repeat(2000);
    let long = "a|".repeat(1 << 17);
    for pattern in ["(", "[a-", "*", r"(?P<x>", nested.as_str(), long.as_str()] {
        let error = failure(files.clone().set("target_modules", json!(pattern)).load(&lm));
        assert!(error.contains("cannot be used"), "{error}");
    }
    for pattern in [
        r"(?=(a+)+$)((.+)+)+\1z",
        r"((.*)*)*x(?!y)\2",
        r"(?:(?:.*){9}){9}(?<!q)\z(?=!)",
    ] {
        assert!(
            files
                .clone()
                .set("target_modules", json!(pattern))
                .load(&lm)
                .is_err()
        );
        let slow = files.clone().set("rank_pattern", json!({pattern: 3}));
        let _ = slow.load(&lm);
    }
}

#[test]
fn every_tensor_is_used_or_named() {
    let (lm, files) = (base("llama"), Files::of("lora"));
    // 1. A tensor less.
    let mut less = files.clone();
    less.tensors.remove(A);
    let error = less.load(&lm).unwrap_err();
    let Error::Adapter { source, .. } = &error else {
        panic!("{error}")
    };
    assert!(
        matches!(source, AdapterError::MissingTensor { tensor, .. } if tensor == A),
        "{source}"
    );
    // 2. A misspelt one.
    let error = failure(files.clone().rename(A, &A.replace("lora_A", "lora_a")).load(&lm));
    assert!(
        error.contains("did you mean") && error.contains("lora_a.weight"),
        "{error}"
    );
    // 3. Tensors more: of a module that is not targeted, of none, of a layer that the base lacks.
    for (extra, says) in [
        (A.replace("q_proj", "k_proj"), "are not used"),
        ("something.else".to_owned(), "are not used"),
        (A.replace("layers.0", "layers.7"), "no module"),
    ] {
        let mut more = files.clone();
        more.tensors.insert(extra.clone(), (vec![1], vec![0.0]));
        let error = failure(more.load(&lm));
        assert!(error.contains(says), "{error}");
    }
    // 4. Two for one place.
    let mut twice = files.clone();
    let tensor = twice.tensors[A].clone();
    twice
        .tensors
        .insert(A.replace("lora_A.weight", "lora_A.default.weight"), tensor);
    assert!(failure(twice.load(&lm)).contains("same place"));
    // 5. Older names are as good.
    let older = files
        .tensors
        .keys()
        .cloned()
        .collect::<Vec<_>>()
        .iter()
        .fold(files.clone(), |files, name| {
            files.rename(name, &name.replace(".weight", ".default.weight"))
        });
    assert!(older.load(&lm).is_ok());
}

#[test]
fn shapes_that_do_not_fit_name_tensor_and_shapes() {
    let (lm, files) = (base("llama"), Files::of("lora"));
    let shape = |error: &Error| match error {
        Error::Adapter {
            source:
                AdapterError::Shape {
                    tensor,
                    expected,
                    found,
                },
            ..
        } => Some((tensor.clone(), expected.clone(), found.clone())),
        _ => None,
    };
    // 1. The configuration has another rank than the tensors.
    let error = files.clone().set("r", json!(7)).load(&lm).unwrap_err();
    assert_eq!(shape(&error), Some((A.to_owned(), vec![7, 32], vec![4, 32])));
    assert!(chain(&error).contains("rank_pattern"));
    // 2. Another base: wider, of another family, with fewer layers.
    let error = files.load(&base("llama-tied")).unwrap_err();
    assert_eq!(shape(&error), Some((A.to_owned(), vec![4, 16], vec![4, 32])));
    let error = failure(files.load(&base("gpt2")));
    assert!(error.contains("another base"), "{error}");
    // 3. One dimension too many.
    let mut deep = files.clone();
    deep.tensors.get_mut(A).unwrap().0 = vec![4, 32, 1];
    assert!(shape(&deep.load(&lm).unwrap_err()).is_some());
}

#[test]
fn damaged_weights_are_named() {
    let (lm, files) = (base("llama"), Files::of("lora"));
    let (config, bytes) = (files.config.to_string(), files.bytes());
    for value in [f32::NAN, f32::INFINITY] {
        let mut broken = files.clone();
        broken.tensors.get_mut(A).unwrap().1[5] = value;
        let error = failure(broken.load(&lm));
        assert!(error.contains(A), "{error}");
    }
    for end in [0, 7, 8, 100, bytes.len() / 2, bytes.len() - 1] {
        let error = raw(config.as_bytes(), &bytes[..end], &lm).unwrap_err();
        assert!(matches!(error, Error::Checkpoint { .. }), "{error}");
    }
    let only_config = ModelFiles::in_memory("a", [(AdapterConfig::FILE, config.into_bytes())]);
    let error = AdapterSet::from_files(&only_config, &lm).unwrap_err();
    assert!(
        matches!(&error, Error::MissingFile { remedy, .. } if remedy.contains("adapter_model.bin")),
        "{error}"
    );
    let only_weights = ModelFiles::in_memory("a", [(WEIGHTS, bytes)]);
    assert!(matches!(
        AdapterSet::from_files(&only_weights, &lm),
        Err(Error::MissingFile { .. })
    ));
}

#[test]
fn rows_without_length_cannot_be_scaled() {
    let lm = base("llama");
    let mut files = Files::of("dora");
    let name = "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight";
    files.tensors.get_mut(name).unwrap().1.fill(3e38);
    let error = files.load(&lm).unwrap_err();
    let Error::Adapter { source, .. } = &error else {
        panic!("{error}")
    };
    assert!(
        matches!(source, AdapterError::NoLength { module } if module.ends_with("layers.0.self_attn.q_proj")),
        "{source}"
    );
}

#[test]
fn the_first_pattern_of_the_file_counts() {
    let lm = base("llama");
    let files = Files::of("lora");
    for (patterns, rank) in [
        (r#"{"z_proj|q_proj": 4, ".*": 4, "a": 9}"#, true),
        (r#"{"q_proj": 9, ".*": 4}"#, false),
        (r#"{".*": 4, "q_proj": 9}"#, true),
    ] {
        let config = files
            .clone()
            .set("rank_pattern", json!("HERE"))
            .config
            .to_string();
        let config = config.replace("\"HERE\"", patterns);
        assert_eq!(
            raw(config.as_bytes(), &files.bytes(), &lm).is_ok(),
            rank,
            "{patterns}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damaged_files_never_panic(place in 0usize..4000, byte in any::<u8>(), of_config in any::<bool>()) {
        let (lm, files) = (base("llama"), Files::of("lora"));
        let (mut config, mut weights) = (files.config.to_string().into_bytes(), files.bytes());
        let bytes = if of_config { &mut config } else { &mut weights };
        let place = place % bytes.len();
        bytes[place] = byte;
        let _ = raw(&config, &weights, &lm);
    }
}
