//! A sentence-transformers folder: which modules it has, and where.

use serde::Deserialize;

use super::super::config_file::ConfigFile;
use super::super::encoder::EncoderConfig;
use super::super::tokenizer::TextTokenizer;
use crate::error::{Error, Result};
use crate::weights::ModelFiles;

pub(super) const MODULES: &str = "modules.json";
const SUPPORTED: &[&str] = &["Transformer (first)", "Pooling", "Dense", "Normalize", "Dropout"];
/// The longest texts that a configuration may ask for.
pub(super) const MAX_SEQ_LENGTH: usize = 1 << 24;
/// Names that the transformer's own configuration has had.
pub(in crate::models) const TRANSFORMER_CONFIGS: [&str; 4] = [
    "sentence_bert_config.json",
    "sentence_roberta_config.json",
    "sentence_distilbert_config.json",
    "sentence_xlm-roberta_config.json",
];

/// A module of a sentence-transformers folder, as its `modules.json` lists it.
///
/// ```
/// use ragtune_core::models::SentenceModule;
/// use ragtune_core::weights::ModelFiles;
///
/// let modules = br#"[{"path": "", "type": "sentence_transformers.models.Transformer"}]"#.as_slice();
/// let files = ModelFiles::in_memory("model", [("modules.json", modules)]);
/// let modules = SentenceModule::list(&files)?.unwrap_or_default();
/// assert_eq!(modules[0].class(), "Transformer");
/// # Ok::<(), ragtune_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SentenceModule {
    /// Its folder inside the model's; empty for that itself.
    pub path: String,
    #[serde(rename = "type")]
    class: String,
}

/// The folder of the transformer inside a sentence-transformers folder; the folder itself where there is no
/// `modules.json`.
pub(in crate::models) fn transformer_files(files: &ModelFiles) -> Result<ModelFiles> {
    Ok(
        match SentenceModule::list(files)?.and_then(|modules| modules.into_iter().next()) {
            Some(transformer) => files.sub(&transformer.path),
            None => files.clone(),
        },
    )
}

/// Tokens of the longest text, special tokens included: `max_seq_length`, else the tokenizer's limit, and never more
/// than there are positions. Also says whether texts are lower-cased first.
pub(in crate::models) fn max_length(
    transformer: &ModelFiles,
    tokenizer: &TextTokenizer,
    config: &EncoderConfig,
) -> Result<(usize, bool)> {
    let mut limits = (tokenizer.model_max_length(), false);
    for name in TRANSFORMER_CONFIGS {
        if let Some(file) = ConfigFile::read(transformer, name)? {
            let max_seq_length = file.optional_size("max_seq_length", 1..=MAX_SEQ_LENGTH)?;
            limits = (max_seq_length.or(limits.0), file.flag("do_lower_case", false)?);
            break;
        }
    }
    let max_length = limits.0.unwrap_or(usize::MAX).min(config.max_tokens());
    Ok((max_length, limits.1))
}

impl SentenceModule {
    /// The modules in their order, the transformer first; `None` for a folder without `modules.json`.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Json`], [`Error::Config`] for a path that leads out of the folder, and
    /// [`Error::Unsupported`] when the first one is no transformer.
    pub fn list(files: &ModelFiles) -> Result<Option<Vec<Self>>> {
        let Some(modules) = files.json::<Vec<Self>>(MODULES)? else {
            return Ok(None);
        };
        for module in &modules {
            let plain = |part: &str| !matches!(part, "." | "..") && !part.contains(['\\', ':']);
            if module.path.starts_with('/') || !module.path.split('/').all(plain) {
                return Err(Error::Config {
                    path: files.path(MODULES),
                    field: "path".to_owned(),
                    found: module.path.clone(),
                    expected: "a folder inside the model's folder".to_owned(),
                });
            }
        }
        match modules.first() {
            Some(first) if first.class() == "Transformer" => Ok(Some(modules)),
            Some(first) => Err(unsupported(files, first.class.clone())),
            None => Err(unsupported(files, "no module".to_owned())),
        }
    }

    pub(super) fn new(path: impl Into<String>, class: &str) -> Self {
        Self {
            path: path.into(),
            class: class.to_owned(),
        }
    }

    /// What it is: `Pooling` of `sentence_transformers.models.Pooling`.
    pub fn class(&self) -> &str {
        self.class
            .rsplit('.')
            .next()
            .map_or(self.class.as_str(), |class| class)
    }
}

pub(super) fn unsupported(files: &ModelFiles, found: String) -> Error {
    Error::Unsupported {
        path: files.path(MODULES),
        field: "type".to_owned(),
        found,
        supported: SUPPORTED,
    }
}
