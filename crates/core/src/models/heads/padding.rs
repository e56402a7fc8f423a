//! The token that fills the batches of a decoder's classifier in Python. Here nothing is filled; but transformers reads the
//! last token of a text that is not this one (5.23, `GenericForSequenceClassification`).

use serde_json::Value;

use super::super::config_file::ConfigFile;
use super::super::decoder::DecoderConfig;
use super::super::sentence::transformer_files;
use super::super::tokenizer::TextTokenizer;
use super::body::Body;
use crate::error::Result;
use crate::weights::ModelFiles;

/// That of a classifier: what its `config.json` says. Older files write -1 for none.
pub(super) fn padding(files: &ModelFiles, _: &TextTokenizer, _: &DecoderConfig) -> Result<Option<u32>> {
    let file = Body::config_file(files)?;
    let id = file.get("pad_token_id").and_then(Value::as_u64);
    Ok(id.and_then(|id| u32::try_from(id).ok()))
}

/// That of a decoder which gets a head: what its `config.json` says, else its tokenizer, else the token that ends a text.
pub(super) fn new_padding(
    files: &ModelFiles,
    tokenizer: &TextTokenizer,
    config: &DecoderConfig,
) -> Result<Option<u32>> {
    if let Some(id) = padding(files, tokenizer, config)? {
        return Ok(Some(id));
    }
    let file = ConfigFile::read(&transformer_files(files)?, "tokenizer_config.json")?;
    let named = file.as_ref().and_then(|file| {
        let token = file.get("pad_token")?;
        // A text, or an object that has it.
        let text = token.as_str().or_else(|| token.get("content")?.as_str())?;
        tokenizer.token_id(text)
    });
    Ok(named.or(config.eos_token_ids.first().copied()))
}
