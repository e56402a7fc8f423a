//! Fields that several families share, each with its limits.

use serde_json::Value;

use super::super::super::config_file::ConfigFile;
use super::super::limits::{MAX_HEAD_DIM, MAX_HEADS, MAX_HIDDEN_SIZE, MAX_LAYERS, MAX_TABLE_ROWS};
use crate::error::Result;
use crate::nn::Activation;

/// The names of the layer kinds in `layer_types`.
const LAYER_TYPES: &str = "\"full_attention\" or \"sliding_attention\" for each layer";

/// Widths of hidden states and heads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heads {
    pub(super) hidden_size: usize,
    pub(super) num_attention_heads: usize,
    pub(super) num_key_value_heads: usize,
    pub(super) head_dim: usize,
}

impl Heads {
    /// Reads heads that may be wider or narrower than their share of the hidden width (`head_dim`), and of which
    /// several may share keys and values (`num_key_value_heads`). Where a family has a default for the latter, the shapes
    /// of the checkpoint's tensors show when it is not what is assumed here: that each head has its own.
    pub(super) fn read(file: &ConfigFile, default_head_dim: Option<usize>) -> Result<Self> {
        let hidden_size = file.size("hidden_size", 1..=MAX_HIDDEN_SIZE)?;
        let num_attention_heads = file.size("num_attention_heads", 1..=MAX_HEADS)?;
        let head_dim = match file
            .optional_size("head_dim", 1..=MAX_HEAD_DIM)?
            .or(default_head_dim)
        {
            Some(head_dim) => head_dim,
            None => equal_share(file, hidden_size, "num_attention_heads", num_attention_heads)?,
        };
        const SHARED: &str = "num_key_value_heads";
        let num_key_value_heads = file
            .optional_size(SHARED, 1..=num_attention_heads)?
            .unwrap_or(num_attention_heads);
        if !num_attention_heads.is_multiple_of(num_key_value_heads) {
            let expected = format!("a divisor of the {num_attention_heads} attention heads");
            return Err(file.wrong(SHARED, expected));
        }
        Ok(Self {
            hidden_size,
            num_attention_heads,
            num_key_value_heads,
            head_dim,
        })
    }

    /// Reads heads that share the hidden width equally, each with keys and values of its own.
    pub(super) fn equal(file: &ConfigFile, hidden_field: &str, heads_field: &str) -> Result<Self> {
        let hidden_size = file.size(hidden_field, 1..=MAX_HIDDEN_SIZE)?;
        let heads = file.size(heads_field, 1..=MAX_HEADS)?;
        Ok(Self {
            hidden_size,
            num_attention_heads: heads,
            num_key_value_heads: heads,
            head_dim: equal_share(file, hidden_size, heads_field, heads)?,
        })
    }

    /// What scores are multiplied by in most families (Vaswani et al. 2017, equation 1).
    pub(super) fn scale(&self) -> f64 {
        inverse_root(self.head_dim as f64)
    }
}

fn equal_share(file: &ConfigFile, hidden_size: usize, heads_field: &str, heads: usize) -> Result<usize> {
    if hidden_size.is_multiple_of(heads) {
        return Ok(hidden_size / heads);
    }
    let expected = format!("a divisor of the hidden width {hidden_size}");
    Err(file.wrong(heads_field, expected))
}

/// `1 / sqrt(x)`.
pub(super) fn inverse_root(x: f64) -> f64 {
    1.0 / x.sqrt()
}

/// Number of layers.
pub(super) fn layers(file: &ConfigFile) -> Result<usize> {
    file.size("num_hidden_layers", 1..=MAX_LAYERS)
}

/// The non-linearity that a field names, or the family's.
pub(super) fn activation(file: &ConfigFile, field: &str, default: Activation) -> Result<Activation> {
    match file.text(field)? {
        None => Ok(default),
        Some(name) => name
            .parse()
            .map_err(|_| file.wrong(field, format!("one of {}", Activation::names().join(", ")))),
    }
}

/// The token that a text begins with.
pub(super) fn bos(file: &ConfigFile) -> Result<Option<u32>> {
    let id = file.optional_size("bos_token_id", 0..=MAX_TABLE_ROWS)?;
    Ok(id.and_then(|id| u32::try_from(id).ok()))
}

/// The tokens that end a text: one, several or none.
pub(super) fn eos(file: &ConfigFile) -> Result<Vec<u32>> {
    const FIELD: &str = "eos_token_id";
    let id = |value: &Value| {
        let id = value.as_u64().filter(|id| *id <= MAX_TABLE_ROWS as u64)?;
        u32::try_from(id).ok()
    };
    let ids = match file.get(FIELD) {
        None => Some(Vec::new()),
        Some(Value::Array(values)) => values.iter().map(id).collect(),
        Some(value) => id(value).map(|id| vec![id]),
    };
    ids.ok_or_else(|| file.wrong(FIELD, "a token id or a list of them"))
}

/// The sliding window, where it is on.
pub(super) fn window(file: &ConfigFile) -> Result<Option<usize>> {
    file.optional_size("sliding_window", 1..=MAX_TABLE_ROWS)
}

/// Which layers slide, as `layer_types` says, or as the family does for each layer's index where the field is absent.
pub(super) fn sliding_layers(
    file: &ConfigFile,
    layers: usize,
    otherwise: impl Fn(usize) -> bool,
) -> Result<Vec<bool>> {
    const FIELD: &str = "layer_types";
    let Some(value) = file.get(FIELD) else {
        return Ok((0..layers).map(otherwise).collect());
    };
    let kind = |value: &Value| match value.as_str() {
        Some("full_attention") => Some(false),
        Some("sliding_attention") => Some(true),
        _ => None,
    };
    let kinds = value.as_array().filter(|kinds| kinds.len() == layers);
    match kinds.and_then(|kinds| kinds.iter().map(kind).collect()) {
        Some(kinds) => Ok(kinds),
        None => Err(file.wrong(FIELD, format!("{LAYER_TYPES} ({layers})"))),
    }
}
