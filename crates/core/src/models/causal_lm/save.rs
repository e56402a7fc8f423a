//! Writing a language model as a folder in the Hugging Face layout.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::super::saving::{copy_side_files, module_tensors, new_folder, unexpected_bias, write_json};
use super::CausalLm;
use crate::adapters::{AdapterBase, AdapterStack};
use crate::error::Result;
use crate::weights::save::{LazyTensor, save};
use crate::weights::{Checkpoint, FloatType, ModelFiles};

impl CausalLm {
    /// Writes the model as a folder that ragtune and transformers load: `model.safetensors` in the given type, the
    /// `config.json` of `source` with that type and with tied embeddings as they are now, and a copy of its other
    /// files (tokenizer, chat template, generation settings). The folder appears whole or not at all
    /// ([`crate::weights::StagedFolder`]).
    ///
    /// `source` is the folder that the model was loaded from.
    ///
    /// # Errors
    /// [`crate::Error::InvalidArgument`] when `folder` exists, [`crate::Error::Io`], and [`crate::Error::Checkpoint`] for
    /// a weight that is not finite in the type; [`crate::Error::Adapter`] when an adapter gave a layer a bias that its
    /// architecture does not have.
    pub fn save(&self, source: impl AsRef<Path>, folder: impl AsRef<Path>, dtype: FloatType) -> Result<()> {
        let (source, folder) = (source.as_ref(), folder.as_ref());
        new_folder(folder, |partial| self.write_into(source, partial, dtype))
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
        write_json(&folder.join("config.json"), &config)?;
        let base = AdapterStack::base();
        save(
            &folder.join(Checkpoint::FILE),
            self.tensors(folder, &base)?,
            dtype,
        )
    }

    /// The tensors of the checkpoint, each computed when it is written.
    fn tensors<'a>(&'a self, folder: &Path, base: &'a AdapterStack) -> Result<Vec<LazyTensor<'a>>> {
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
            let had_bias = shape.is_some_and(|shape| shape.kind.has_bias());
            if module.kind().has_bias() && !had_bias {
                return Err(unexpected_bias(slot, folder));
            }
            tensors.extend(module_tensors(module, slot, transposed, base));
        }
        Ok(tensors)
    }
}
