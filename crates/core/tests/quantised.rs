//! Language models in fewer bits: what they lose on text that the model itself wrote, and what a damaged file says.

#![cfg(feature = "cpu")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "functions of tests, which the lints do not know for such"
)]

use std::path::{Path, PathBuf};

use ragtune_core::models::CausalLm;
use ragtune_core::nn::{Context, KvCache, Segments};
use ragtune_core::weights::{Checkpoint, CheckpointError, Precision, quantise_checkpoint, quantise_to_file};
use ragtune_core::{Error, device};
use safetensors::tensor::{Dtype, TensorView};

const SEQUENCES: usize = 50;
const TOKENS: usize = 400;

fn folder() -> Option<PathBuf> {
    match std::env::var_os("RAGTUNE_SHARED") {
        Some(shared) => Some(PathBuf::from(shared).join("models/stories260K")),
        None => {
            eprintln!("skipped: RAGTUNE_SHARED does not name the folder of test data");
            None
        }
    }
}

/// The model with its weights in another precision.
fn rewritten(from: &Path, precision: Precision) -> CausalLm {
    let to = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            std::fs::copy(&path, to.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    let whole = Checkpoint::open(from).unwrap();
    quantise_to_file(&whole, precision, &to.path().join(Checkpoint::FILE)).unwrap();
    let lm = CausalLm::load(to.path(), &device::cpu()).unwrap();
    assert_eq!(lm.report().unused, Vec::<String>::new());
    lm
}

/// Texts that the model writes at temperature 1.
fn sampled(lm: &CausalLm) -> Vec<Vec<u32>> {
    let mut state = 1u64;
    let mut uniform = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    let mut texts = vec![vec![1u32]; SEQUENCES];
    let mut caches: Vec<KvCache> = (0..SEQUENCES).map(|_| lm.cache(TOKENS)).collect();
    while texts[0].len() < TOKENS {
        let ids: Vec<u32> = texts.iter().map(|text| text[text.len() - 1]).collect();
        let mut borrowed: Vec<&mut KvCache> = caches.iter_mut().collect();
        let context = Context::new(Segments::from_lengths([1; SEQUENCES]));
        let logits = lm.next_logits(&ids, &mut borrowed, &context).unwrap();
        let [_, v] = logits.dims();
        let logits: Vec<f32> = logits.into_data().iter::<f32>().collect();
        for (row, text) in logits.chunks_exact(v).zip(&mut texts) {
            let mut rest = uniform();
            let log_sum = log_sum_exp(row);
            let chosen = row.iter().position(|logit| {
                rest -= (f64::from(*logit) - log_sum).exp();
                rest < 0.0
            });
            text.push(u32::try_from(chosen.unwrap_or(v - 1)).unwrap());
        }
    }
    texts
}

fn log_sum_exp(row: &[f32]) -> f64 {
    let largest = f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let sum: f64 = row.iter().map(|logit| (f64::from(*logit) - largest).exp()).sum();
    largest + sum.ln()
}

fn perplexity(lm: &CausalLm, texts: &[Vec<u32>]) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for text in texts {
        let context = Context::new(Segments::from_lengths([text.len()]));
        let logits = lm.logits(text, &context).unwrap();
        let [_, v] = logits.dims();
        let logits: Vec<f32> = logits.into_data().iter::<f32>().collect();
        for (row, next) in logits.chunks_exact(v).zip(&text[1..]) {
            sum += log_sum_exp(row) - f64::from(row[*next as usize]);
            count += 1.0;
        }
    }
    (sum / count).exp()
}

#[test]
fn fewer_bits_cost_little_perplexity() {
    let Some(folder) = folder() else { return };
    let whole = CausalLm::load(&folder, &device::cpu()).unwrap();
    let texts = sampled(&whole);
    let reference = perplexity(&whole, &texts);
    for (precision, bound) in [
        (Precision::F16, 0.001),
        (Precision::Bf16, 0.005),
        (Precision::Int8, 0.005),
        (Precision::Int4, 0.10),
    ] {
        let found = perplexity(&rewritten(&folder, precision), &texts);
        let change = found / reference - 1.0;
        println!(
            "{precision}: perplexity {found:.4}, {:+.2} % of {reference:.4}",
            100.0 * change
        );
        assert!(
            change.abs() < bound,
            "{precision}: {found} instead of {reference}"
        );
    }
}

#[test]
fn half_precision_stays_so_in_memory() {
    let bytes = |values: &[f32]| -> Vec<u8> {
        let halves = values.iter().map(|value| half::f16::from_f32(*value));
        halves.flat_map(half::f16::to_le_bytes).collect()
    };
    let whole = file(&[(
        "w",
        Dtype::F16,
        &[2, 3],
        bytes(&[1.0, -0.1, 6e-8, 65504.0, 0.0, -2.5]),
    )]);
    let matrix = whole.matrix("w", [2, 3]).unwrap().unwrap();
    assert_eq!((matrix.precision(), matrix.bytes()), (Precision::F16, 12));
    assert_eq!(matrix.to_f32(), whole.read("w", &[2, 3]).unwrap().unwrap());
    let wrong = file(&[("w", Dtype::F16, &[1, 2], bytes(&[1.0, f32::INFINITY]))]);
    assert!(matches!(
        fault(&wrong, [1, 2]),
        CheckpointError::NotFinite { index: 1, .. }
    ));
    // What F16 cannot hold is refused.
    let large = file(&[("w", Dtype::F32, &[1, 1], 1e5f32.to_le_bytes().to_vec())]);
    let error = quantise_checkpoint(&large, Precision::F16)
        .unwrap_err()
        .to_string();
    assert!(error.contains("100000"), "{error}");
}

/// A file of some tensors.
fn file(tensors: &[(&str, Dtype, &[usize], Vec<u8>)]) -> Checkpoint {
    let views = tensors
        .iter()
        .map(|(name, dtype, shape, bytes)| (*name, TensorView::new(*dtype, shape.to_vec(), bytes).unwrap()));
    Checkpoint::from_bytes("file", safetensors::serialize(views, None).unwrap()).unwrap()
}

fn fault(checkpoint: &Checkpoint, dims: [usize; 2]) -> CheckpointError {
    match checkpoint.matrix("w", dims) {
        Err(Error::Checkpoint { source, .. }) => source,
        other => panic!("{other:?}"),
    }
}

#[test]
fn int4_weights_come_with_scales_and_minima_that_fit() {
    // Two rows of 33 columns: 17 bytes and two groups each.
    let values = || ("w", Dtype::U8, &[2, 17][..], vec![0x21; 34]);
    let halves = |name: &'static str, value: f32| {
        let bytes = [half::f16::from_f32(value).to_le_bytes(); 4].concat();
        (name, Dtype::F16, &[2, 2][..], bytes)
    };
    let whole = file(&[values(), halves("w_scale", 0.5), halves("w_minimum", -1.0)]);
    let weights = whole.read("w", &[2, 33]).unwrap().unwrap();
    assert_eq!(
        (weights[0], weights[1], weights[32], weights[33]),
        (-0.5, 0.0, -0.5, -0.5)
    );
    // What is missing, too short, of another dtype, or not finite.
    assert!(matches!(
        fault(&file(&[values(), halves("w_scale", 0.5)]), [2, 33]),
        CheckpointError::MissingScale { scale, .. } if scale == "w_minimum"
    ));
    let short = ("w_scale", Dtype::F16, &[2, 1][..], vec![0; 4]);
    assert!(matches!(
        fault(&file(&[values(), short, halves("w_minimum", 0.0)]), [2, 33]),
        CheckpointError::Shape { tensor, expected, .. } if tensor == "w_scale" && expected == [2, 2]
    ));
    let wide = ("w_scale", Dtype::F32, &[2, 2][..], vec![0; 16]);
    assert!(matches!(
        fault(&file(&[values(), wide, halves("w_minimum", 0.0)]), [2, 33]),
        CheckpointError::ScaleDtype { tensor, .. } if tensor == "w_scale"
    ));
    assert!(matches!(
        fault(&file(&[values(), halves("w_scale", f32::NAN), halves("w_minimum", 0.0)]), [2, 33]),
        CheckpointError::NotFinite { tensor, .. } if tensor == "w_scale"
    ));
    // Another width than the configuration asks for: 35 columns would need 18 bytes.
    assert!(matches!(
        fault(&whole, [2, 35]),
        CheckpointError::Shape { tensor, found, .. } if tensor == "w" && found == [2, 17]
    ));
    // 34 columns have as many bytes and groups as 33; the last value of each row then counts.
    assert_eq!(whole.read("w", &[2, 34]).unwrap().unwrap().len(), 68);
}

#[test]
fn a_checkpoint_of_int4_accounts_for_every_tensor() {
    let weights: Vec<u8> = (0..4 * 64)
        .flat_map(|i| (i as f32 * 0.1).cos().to_le_bytes())
        .collect();
    let whole = file(&[("w", Dtype::F32, &[4, 64], weights)]);
    let bytes = quantise_checkpoint(&whole, Precision::Int4).unwrap();
    let small = Checkpoint::from_bytes("small", bytes).unwrap();
    let (matrix, report) = small
        .load(&device::cpu(), |loader| loader.matrix("w", [4, 64]))
        .unwrap();
    assert_eq!(matrix.precision(), Precision::Int4);
    assert_eq!(report.applied, ["w", "w_minimum", "w_scale"]);
    let again = |precision| {
        let load = small.load(&device::cpu(), |loader| {
            loader.with_precision(Some(precision)).matrix("w", [4, 64])
        });
        load.map(|(matrix, _)| matrix.precision())
    };
    assert_eq!(again(Precision::Int4).unwrap(), Precision::Int4);
    let error = again(Precision::Int8).unwrap_err().to_string();
    assert!(error.contains("w is int4 already"), "{error}");
    let missing = small.load(&device::cpu(), |loader| loader.matrix("v", [4, 64]));
    assert!(matches!(missing, Err(Error::MissingTensors { .. })));
}
