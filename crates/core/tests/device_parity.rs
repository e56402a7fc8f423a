//! A graphics adapter gives the processor's numbers: every family of encoders and decoders, with and without a cache.
//!
//! Runs on whatever adapter `RAGTUNE_DEVICE` names (`wgpu` unless set); `.ci/wgpu` runs it on Mesa's software Vulkan.
#![cfg(all(feature = "cpu", feature = "wgpu"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "functions of tests, which the lints do not know for such"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::Tensor;
use ragtune_core::Error;
use ragtune_core::adapters::{AdapterConfig, AdapterSet, AdapterStack};
use ragtune_core::device::{self, Device, DeviceError, DeviceSpec};
use ragtune_core::models::{DECODER_FAMILIES, Decoder, EncoderModel, FAMILIES};
use ragtune_core::nn::{Context, Segments};
use ragtune_core::weights::ModelFiles;

/// Absolute for small values, relative for large ones.
const TOLERANCE: f32 = 1e-4;

/// The adapter under test, or `None` on a machine without one.
fn adapter() -> Option<Device> {
    let spec: DeviceSpec =
        std::env::var("RAGTUNE_DEVICE").map_or(DeviceSpec::Wgpu(None), |spec| spec.parse().unwrap());
    match spec.device() {
        Ok(device) => Some(device),
        Err(Error::Device(DeviceError::NotFound { found: 0, .. })) => {
            eprintln!("skipped: this machine has no graphics adapter");
            None
        }
        Err(error) => panic!("{error}: {error:?}"),
    }
}

fn assert_close(found: Tensor<2>, expected: Tensor<2>, what: &str) {
    assert_eq!(found.dims(), expected.dims(), "{what}");
    let values = |tensor: Tensor<2>| tensor.into_data().try_into_vec::<f32>().unwrap();
    for (i, (found, expected)) in values(found).into_iter().zip(values(expected)).enumerate() {
        let far = (found - expected).abs() / expected.abs().max(1.0);
        assert!(
            far <= TOLERANCE,
            "{what}: component {i} is {found}, not {expected} ({far})"
        );
    }
}

/// The folders with a model of one of these families under a folder of fixtures, by name.
fn models(fixtures: &str, families: &[&str]) -> Vec<PathBuf> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(fixtures);
    let mut folders: Vec<PathBuf> = std::fs::read_dir(fixtures)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|folder| {
            let config = std::fs::read(folder.join("config.json")).unwrap_or_default();
            let config: serde_json::Value = serde_json::from_slice(&config).unwrap_or_default();
            families.iter().any(|family| config["model_type"] == *family)
        })
        .collect();
    folders.sort();
    folders
}

/// Ids of three texts of unlike length.
fn packed(vocab: usize) -> (Vec<u32>, Segments) {
    let lengths = [7, 1, 12];
    let ids = (0..lengths.iter().sum()).map(|i| u32::try_from((i * 31 + 5) % vocab).unwrap());
    (ids.collect(), Segments::from_lengths(lengths))
}

#[test]
fn encoders_give_the_same_numbers() {
    let Some(adapter) = adapter() else { return };
    let folders = models("encoders/models", FAMILIES);
    assert!(folders.len() >= 5);
    for folder in folders {
        let files = ModelFiles::folder(&folder).unwrap();
        let config = EncoderModel::config(&files).unwrap();
        let (ids, segments) = packed(config.vocab_size);
        let [there, here] = [&adapter, &device::cpu()].map(|device| {
            let load = |loader: &ragtune_core::weights::Loader<'_>| EncoderModel::load(&config, loader);
            let (model, _) = files.checkpoint().unwrap().load(device, load).unwrap();
            let context = Context::new(segments.clone());
            model.hidden_states(&ids, &vec![0; ids.len()], &context).unwrap()
        });
        for (layer, (there, here)) in there.into_iter().zip(here).enumerate() {
            assert_close(there, here, &format!("{}, layer {layer}", folder.display()));
        }
    }
}

fn load(files: &ModelFiles, device: &Device) -> Decoder {
    let config = Decoder::config(files).unwrap();
    let checkpoint = files.checkpoint().unwrap();
    let (decoder, _) = checkpoint
        .load(device, |loader| Decoder::load(&config, loader))
        .unwrap();
    decoder
}

#[test]
fn decoders_give_the_same_numbers() {
    let Some(adapter) = adapter() else { return };
    let mut folders = models("decoder", DECODER_FAMILIES);
    if let Some(shared) = std::env::var_os("RAGTUNE_SHARED") {
        folders.push(PathBuf::from(shared).join("models/stories260K"));
    }
    if folders.is_empty() {
        eprintln!("skipped: no decoder is among the fixtures");
    }
    for folder in folders {
        let files = ModelFiles::folder(&folder).unwrap();
        let (there, here) = (load(&files, &adapter), load(&files, &device::cpu()));
        let name = folder.display();
        let (ids, segments) = packed(here.shape().vocab_size);
        // 1. Every layer and the logits, of whole texts.
        let context = Context::new(segments.clone());
        let states = [&there, &here].map(|decoder| {
            let mut states = decoder.hidden_states(&ids, &context).unwrap();
            states.push(decoder.logits(decoder.forward(&ids, &context).unwrap(), &context));
            states
        });
        let [states_there, states_here] = states;
        for (layer, (there, here)) in states_there.into_iter().zip(states_here).enumerate() {
            assert_close(there, here, &format!("{name}, layer {layer}"));
        }
        // 2. The last text with a cache: a block first, then one token after the other.
        let text = &ids[8..];
        let mut caches = [&there, &here].map(|decoder| decoder.cache(text.len()));
        for range in [0..5, 5..6, 6..7, 7..12] {
            let context = Context::new(Segments::from_lengths([range.len()]));
            let [there, here] = [(&there, 0), (&here, 1)].map(|(decoder, cache)| {
                let mut caches = [&mut caches[cache]];
                decoder
                    .forward_cached(&text[range.clone()], &mut caches, &context)
                    .unwrap()
            });
            assert_close(there, here, &format!("{name}, cached tokens {range:?}"));
        }
    }
}

#[test]
fn adapters_give_the_same_numbers() {
    let Some(adapter) = adapter() else { return };
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/adapters");
    for name in ["lora", "dora", "embedding", "ia3", "modules_to_save"] {
        let folder = fixtures.join(name);
        let config = AdapterConfig::read(&ModelFiles::folder(&folder).unwrap()).unwrap();
        let base = fixtures.join(config.base_model_name_or_path.unwrap());
        let files = ModelFiles::folder(base).unwrap();
        let logits = [&adapter, &device::cpu()].map(|device| {
            let decoder = load(&files, device);
            let (ids, segments) = packed(decoder.shape().vocab_size);
            let set = Arc::new(AdapterSet::load(&folder, &decoder).unwrap());
            // Whole, absent and halved, in one batch.
            let stacks = vec![
                AdapterStack::base().with(set.clone(), 1.0),
                AdapterStack::base(),
                AdapterStack::base().with(set, 0.5),
            ];
            let context = Context::new(segments).with_adapters(stacks);
            decoder.logits(decoder.forward(&ids, &context).unwrap(), &context)
        });
        let [there, here] = logits;
        assert_close(there, here, name);
    }
}
