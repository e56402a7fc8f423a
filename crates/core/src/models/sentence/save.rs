//! A sentence encoder, or a classifier on one, as a sentence-transformers folder.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::super::config_file::ConfigFile;
use super::super::encoder::EncoderModel;
use super::super::saving::{
    LeftOver, copy_names, module_tensors, new_folder, save_modules, write_json, write_tokenizer,
};
use super::encoder::Encoder;
use super::folder::{MODULES, TRANSFORMER_CONFIGS, transformer_files};
use super::head::{SentenceHead, Step};
use crate::adapters::{AdapterBase, AdapterStack, Module};
use crate::error::{Error, Result};
use crate::weights::save::save;
use crate::weights::{Checkpoint, FloatType, ModelFiles};

/// The module types that every version of sentence-transformers knows.
const TYPES: &str = "sentence_transformers.models.";

/// What a sentence-transformers folder is made of.
pub(in crate::models) struct SentenceFolder<'a> {
    /// The files that the model was loaded from.
    pub(in crate::models) files: &'a ModelFiles,
    pub(in crate::models) encoder: &'a EncoderModel,
    pub(in crate::models) head: &'a SentenceHead,
    pub(in crate::models) max_length: usize,
    /// Tensors of the checkpoint that the encoder has no place for.
    pub(in crate::models) unused: &'a [String],
    pub(in crate::models) prefix: &'a str,
    pub(in crate::models) adapters: &'a AdapterStack,
    pub(in crate::models) dtype: FloatType,
}

impl Encoder {
    /// Writes the encoder, with what adapters make of it, as a folder that ragtune and sentence-transformers load:
    /// weights in the given type, pooling, further modules and prompts as they are, `max_seq_length` as it is now. The
    /// folder appears whole or not at all.
    ///
    /// Weights that an adapter replaces as a whole are written to the last bit. The encoder's own adapters
    /// ([`Encoder::with_adapters`]) are written too when they are the ones given.
    ///
    /// ```no_run
    /// # fn of(encoder: &ragtune_core::models::Encoder) -> ragtune_core::Result<()> {
    /// use ragtune_core::weights::FloatType;
    /// encoder.save("models/tuned", encoder.adapters(), FloatType::F32)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when `folder` exists, [`Error::Io`], [`Error::Adapter`] for adapters of another base,
    /// and [`Error::Checkpoint`] for a weight that is not finite in the type.
    pub fn save(&self, folder: impl AsRef<Path>, adapters: &AdapterStack, dtype: FloatType) -> Result<()> {
        adapters.check_mergeable(self.module_shapes())?;
        let parts = SentenceFolder {
            files: self.files(),
            encoder: self.model(),
            head: self.head(),
            max_length: self.max_seq_length(),
            unused: &self.report().unused,
            prefix: self.prefix(),
            adapters,
            dtype,
        };
        new_folder(folder.as_ref(), |partial| {
            copy_names(self.files(), &["config_sentence_transformers.json"], partial)?;
            parts.write(partial, |_| {})
        })
    }
}

impl SentenceFolder<'_> {
    /// Writes all modules into a folder; `edit` changes the transformer's `config.json`.
    pub(in crate::models) fn write(
        &self,
        folder: &Path,
        edit: impl FnOnce(&mut Map<String, Value>),
    ) -> Result<()> {
        let mut edit = Some(edit);
        let mut steps = self.head.steps.iter();
        let mut listed = Vec::new();
        for (number, module) in self.head.modules.iter().enumerate() {
            listed.push(json!({
                "idx": number,
                "name": number.to_string(),
                "path": module.path,
                "type": format!("{TYPES}{}", module.class()),
            }));
            let place = made(folder, &module.path)?;
            match module.class() {
                "Transformer" => self.transformer(&place, edit.take())?,
                "Pooling" => {
                    let source = self.files.sub(&module.path);
                    match self.files.contains(MODULES) {
                        true => copy_names(&source, &["config.json"], &place)?,
                        false => {
                            let fields = self.head.pooling.to_json(self.encoder.shape().hidden_size);
                            write_json(&place.join("config.json"), &fields)?;
                        }
                    }
                }
                _ => {
                    if let Some(Step::Dense(dense)) = steps.next() {
                        write_json(&place.join("config.json"), &dense.to_json())?;
                        let layer = Module::Linear(dense.linear());
                        let tensors = module_tensors(layer, "linear", false, self.adapters);
                        save(&place.join(Checkpoint::FILE), tensors, self.dtype)?;
                    }
                }
            }
        }
        write_json(&folder.join(MODULES), &listed)
    }

    fn transformer(&self, folder: &Path, edit: Option<impl FnOnce(&mut Map<String, Value>)>) -> Result<()> {
        let files = transformer_files(self.files)?;
        let mut config: Map<String, Value> = files.json("config.json")?.unwrap_or_default();
        config.remove("torch_dtype");
        config.insert("dtype".to_owned(), json!(self.dtype.torch_name()));
        if let Some(edit) = edit {
            edit(&mut config);
        }
        write_json(&folder.join("config.json"), &config)?;
        write_tokenizer(&files, self.max_length, None, folder)?;
        // The limit stands in one file, whatever its name was.
        let mut limits = Map::from_iter([("do_lower_case".to_owned(), json!(false))]);
        for name in TRANSFORMER_CONFIGS {
            if ConfigFile::read(&files, name)?.is_some() {
                limits = files.json(name)?.unwrap_or_default();
                break;
            }
        }
        limits.insert("max_seq_length".to_owned(), json!(self.max_length));
        write_json(&folder.join(TRANSFORMER_CONFIGS[0]), &limits)?;
        let left_over = LeftOver {
            files: &files,
            names: self.unused,
            prefix: self.prefix,
        };
        let file = folder.join(Checkpoint::FILE);
        let modules = self.encoder.modules();
        save_modules(
            &modules,
            str::to_owned,
            |_| false,
            self.adapters,
            left_over,
            (&file, self.dtype),
        )
    }
}

/// A folder inside another.
fn made(folder: &Path, path: &str) -> Result<PathBuf> {
    let place = folder.join(path);
    fs::create_dir_all(&place).map_err(|source| Error::io(&place, source))?;
    Ok(place)
}
