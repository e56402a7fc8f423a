//! Which tokens end an answer: `eos_token_id` of `generation_config.json`, else of `config.json`, else the token that
//! `tokenizer_config.json` names.

use serde_json::{Map, Value};

use super::super::tokenizer::TextTokenizer;
use crate::error::{Error, Result};
use crate::weights::ModelFiles;

/// Tokens that end an answer at most; models name one to five.
const MAX_TOKENS: usize = 64;

/// The tokens that end an answer, ascending; empty where the folder names none.
pub(super) fn end_tokens(files: &ModelFiles, tokenizer: &TextTokenizer) -> Result<Vec<u32>> {
    for name in ["generation_config.json", "config.json"] {
        let fields = files.json::<Map<String, Value>>(name)?.unwrap_or_default();
        let ids = match fields.get("eos_token_id") {
            None | Some(Value::Null) => continue,
            Some(Value::Array(ids)) => ids.clone(),
            Some(id) => vec![id.clone()],
        };
        let id = |id: &Value| id.as_u64().and_then(|id| u32::try_from(id).ok());
        let tokens: Option<Vec<u32>> = ids.iter().map(id).collect();
        let mut tokens = tokens
            .filter(|ids| ids.len() <= MAX_TOKENS)
            .ok_or_else(|| Error::Config {
                path: files.path(name),
                field: "eos_token_id".to_owned(),
                found: fields["eos_token_id"].to_string().chars().take(80).collect(),
                expected: format!("a token id, or a list of at most {MAX_TOKENS}"),
            })?;
        tokens.sort_unstable();
        tokens.dedup();
        if !tokens.is_empty() {
            return Ok(tokens);
        }
    }
    let fields = files
        .json::<Map<String, Value>>("tokenizer_config.json")?
        .unwrap_or_default();
    let named = fields.get("eos_token");
    let text = named.and_then(|token| token.as_str().or_else(|| token["content"].as_str()));
    Ok(text
        .and_then(|text| tokenizer.token_id(text))
        .into_iter()
        .collect())
}
