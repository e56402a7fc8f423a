//! Writing a language model as a folder in the Hugging Face layout.

use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::Tensor;
use serde_json::{Map, Value, json};

use super::CausalLm;
use crate::adapters::{AdapterBase, AdapterError, Module};
use crate::error::{Error, Result};
use crate::weights::save::{LazyTensor, save};
use crate::weights::{Checkpoint, FloatType, ModelFiles};

/// Endings of files that hold weights, which are written anew and not copied.
const WEIGHTS: [&str; 9] = [
    "safetensors",
    "bin",
    "pt",
    "pth",
    "gguf",
    "h5",
    "msgpack",
    "onnx",
    "ckpt",
];
/// Files that are of the weights, or are written anew.
const NOT_COPIED: [&str; 4] = [
    "config.json",
    Checkpoint::INDEX,
    "adapter_config.json",
    "pytorch_model.bin.index.json",
];

impl CausalLm {
    /// Writes the model as a folder that ragtune and transformers load: `model.safetensors` in the given type, the
    /// `config.json` of `source` with that type and with tied embeddings as they are now, and a copy of its other
    /// files (tokenizer, chat template, generation settings). The folder appears whole or not at all.
    ///
    /// `source` is the folder that the model was loaded from.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when `folder` exists, [`Error::Io`], and [`Error::Checkpoint`] for a weight that is
    /// not finite in the type; [`Error::Adapter`] when an adapter gave a layer a bias that its architecture does not
    /// have.
    pub fn save(&self, source: impl AsRef<Path>, folder: impl AsRef<Path>, dtype: FloatType) -> Result<()> {
        let (source, folder) = (source.as_ref(), folder.as_ref());
        if folder.symlink_metadata().is_ok() {
            return Err(Error::InvalidArgument {
                argument: "folder",
                reason: format!("{} exists; name one that does not", folder.display()),
            });
        }
        let name = folder.file_name().ok_or_else(|| Error::InvalidArgument {
            argument: "folder",
            reason: format!("{} is no name of a folder", folder.display()),
        })?;
        let mut partial = name.to_owned();
        partial.push(format!(".{}.partial", std::process::id()));
        let partial: PathBuf = folder.with_file_name(partial);
        fs::create_dir(&partial).map_err(|error| Error::io(&partial, error))?;
        let written = self.write_into(source, &partial, dtype);
        let renamed =
            written.and_then(|()| fs::rename(&partial, folder).map_err(|error| Error::io(folder, error)));
        if renamed.is_err() {
            let _ = fs::remove_dir_all(&partial);
        }
        renamed
    }

    fn write_into(&self, source: &Path, folder: &Path, dtype: FloatType) -> Result<()> {
        copy_side_files(source, folder)?;
        let mut config: Map<String, Value> = ModelFiles::folder(source)?
            .json("config.json")?
            .unwrap_or_default();
        config.insert(
            "tie_word_embeddings".to_owned(),
            json!(self.config().tie_word_embeddings),
        );
        let older = config.contains_key("torch_dtype") && !config.contains_key("dtype");
        let field = if older { "torch_dtype" } else { "dtype" };
        config.insert(field.to_owned(), json!(dtype.torch_name()));
        let path = folder.join("config.json");
        let mut text = serde_json::to_vec_pretty(&config).map_err(|source| Error::Json {
            path: path.clone(),
            source,
        })?;
        text.push(b'\n');
        fs::write(&path, text).map_err(|source| Error::io(&path, source))?;
        save(&folder.join(Checkpoint::FILE), self.tensors(folder)?, dtype)
    }

    /// The tensors of the checkpoint, each computed when it is written.
    fn tensors(&self, folder: &Path) -> Result<Vec<LazyTensor<'_>>> {
        let shapes = self.module_shapes();
        let tied = self.config().tie_word_embeddings;
        let mut tensors = Vec::new();
        for module in self.modules() {
            let slot = module.slot();
            let shape = shapes.get(slot);
            let (is_output, transposed) =
                shape.map_or((false, false), |shape| (shape.is_output, shape.transposed));
            if tied && is_output {
                continue;
            }
            let weight = format!("{slot}.weight");
            match module {
                Module::Linear(layer) => {
                    let (o, i) = (layer.out_features(), layer.in_features());
                    tensors.push(LazyTensor {
                        name: weight,
                        shape: if transposed { vec![i, o] } else { vec![o, i] },
                        values: Box::new(move || match transposed {
                            true => values(layer.weight().transpose()),
                            false => values(layer.weight()),
                        }),
                    });
                    let had_bias = shape.is_some_and(|shape| shape.kind.has_bias());
                    if layer.bias().is_some() && !had_bias {
                        return Err(Error::Adapter {
                            path: folder.to_owned(),
                            source: AdapterError::NotWritable {
                                reason: format!(
                                    "{slot} has a bias, which the architecture has no place for; keep the adapter \
                                     beside the base"
                                ),
                            },
                        });
                    }
                    tensors.extend(layer.bias().map(|bias| vector(slot, "bias", bias)));
                }
                Module::Embedding(table) => tensors.push(LazyTensor {
                    name: weight,
                    shape: vec![table.num_embeddings(), table.embedding_dim()],
                    values: Box::new(|| values(table.weight())),
                }),
                Module::RmsNorm(norm) => tensors.push(vector(slot, "weight", norm.weight())),
                Module::LayerNorm(norm) => {
                    tensors.push(vector(slot, "weight", norm.weight()));
                    tensors.push(vector(slot, "bias", norm.bias()));
                }
            }
        }
        Ok(tensors)
    }
}

fn vector<'a>(slot: &str, part: &str, tensor: &'a Tensor<1>) -> LazyTensor<'a> {
    LazyTensor {
        name: format!("{slot}.{part}"),
        shape: tensor.dims().to_vec(),
        values: Box::new(|| values(tensor.clone())),
    }
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

/// Copies the files of a model's folder that hold no weights.
fn copy_side_files(source: &Path, folder: &Path) -> Result<()> {
    let entries = fs::read_dir(source).map_err(|error| Error::io(source, error))?;
    for entry in entries {
        let entry = entry.map_err(|error| Error::io(source, error))?;
        let (path, name) = (entry.path(), entry.file_name());
        let weights = path
            .extension()
            .is_some_and(|ending| WEIGHTS.iter().any(|weights| ending == *weights));
        let copied = !weights && !NOT_COPIED.iter().any(|other| name == *other) && path.is_file();
        if copied {
            fs::copy(&path, folder.join(&name)).map_err(|error| Error::io(&path, error))?;
        }
    }
    Ok(())
}
