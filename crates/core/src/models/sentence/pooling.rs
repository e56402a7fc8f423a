//! Token states to one vector for each text (sentence-transformers 6.2, `modules/pooling.py`).
//!
//! Letters: `t` tokens of all texts, `b` neighbouring texts of equal length, `n` tokens of each, `h` hidden width, `k`
//! pooling modes.

use burn::tensor::{Tensor, TensorData};
use serde_json::{Map, Value, json};

use super::super::config_file::ConfigFile;
use crate::error::{Error, Result};
use crate::nn::Segments;

/// How the states of a text's tokens become its vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PoolingMode {
    /// The first token.
    Cls,
    /// The largest of each component.
    Max,
    /// The mean.
    Mean,
    /// The sum, divided by the square root of the number of tokens.
    MeanSqrtLenTokens,
    /// The mean weighted by position, counted from 1.
    WeightedMean,
    /// The last token.
    LastToken,
}

/// The newer names, the older switches, and what they mean, in the order in which older files combine them.
const MODES: [(&str, &str, PoolingMode); 6] = [
    ("cls", "pooling_mode_cls_token", PoolingMode::Cls),
    ("max", "pooling_mode_max_tokens", PoolingMode::Max),
    ("mean", "pooling_mode_mean_tokens", PoolingMode::Mean),
    (
        "mean_sqrt_len_tokens",
        "pooling_mode_mean_sqrt_len_tokens",
        PoolingMode::MeanSqrtLenTokens,
    ),
    (
        "weightedmean",
        "pooling_mode_weightedmean_tokens",
        PoolingMode::WeightedMean,
    ),
    ("lasttoken", "pooling_mode_lasttoken", PoolingMode::LastToken),
];
const NAMES: &[&str] = &[
    "cls",
    "max",
    "mean",
    "mean_sqrt_len_tokens",
    "weightedmean",
    "lasttoken",
];

/// One or several ways of pooling, side by side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::models) struct Pooling {
    modes: Vec<PoolingMode>,
    include_prompt: bool,
}

impl Pooling {
    /// The mean of all tokens.
    pub(super) fn mean() -> Self {
        Self {
            modes: vec![PoolingMode::Mean],
            include_prompt: true,
        }
    }

    /// Reads a pooling module's `config.json`, in its older or newer form.
    pub(super) fn read(file: &ConfigFile, hidden_size: usize) -> Result<Self> {
        for field in ["word_embedding_dimension", "embedding_dimension"] {
            if file
                .optional_size(field, 0..=usize::MAX)?
                .is_some_and(|dim| dim != hidden_size)
            {
                return Err(file.wrong(field, format!("the hidden width {hidden_size}")));
            }
        }
        Ok(Self {
            modes: modes(file)?,
            include_prompt: file.flag("include_prompt", true)?,
        })
    }

    /// A pooling module's `config.json`, in the form that all versions read; several modes come in their old order.
    pub(super) fn to_json(&self, hidden_size: usize) -> Value {
        let mut fields = Map::new();
        fields.insert("word_embedding_dimension".to_owned(), json!(hidden_size));
        for (_, older, mode) in MODES {
            fields.insert(older.to_owned(), json!(self.modes.contains(&mode)));
        }
        fields.insert("include_prompt".to_owned(), json!(self.include_prompt));
        Value::Object(fields)
    }

    /// Whether the tokens of a prompt are pooled too.
    pub(super) fn include_prompt(&self) -> bool {
        self.include_prompt
    }

    /// Components of a vector.
    pub(super) fn dim(&self, hidden_size: usize) -> usize {
        self.modes.len() * hidden_size
    }

    /// Pools each text, its first `skip` tokens left out. A text of which nothing is left gives zeros.
    ///
    /// # Shapes
    /// `x [t, h] -> [texts, k h]`.
    pub(super) fn forward(&self, x: &Tensor<2>, segments: &Segments, skip: usize) -> Tensor<2> {
        let [_, h] = x.dims();
        let runs = runs_of_equal_length(segments).into_iter().map(|run| {
            let n = run.tokens;
            if n == 0 {
                return Tensor::zeros([run.texts, self.dim(h)], &x.device());
            }
            let states = run.states(x); // [b, n, h]
            let pooled = self.modes.iter().map(|mode| mode.pool(&states, skip.min(n)));
            Tensor::cat(pooled.collect(), 1) // [b, k h]
        });
        Tensor::cat(runs.collect(), 0)
    }
}

impl PoolingMode {
    /// # Shapes
    /// `states [b, n, h] -> [b, h]`, `n > 0`, `skip <= n`.
    fn pool(self, states: &Tensor<3>, skip: usize) -> Tensor<2> {
        let [b, n, h] = states.dims();
        let left = n - skip;
        let token = |at: usize| states.clone().slice([0..b, at..at + 1, 0..h]).reshape([b, h]);
        let kept = || states.clone().slice([0..b, skip..n, 0..h]); // [b, left, h]
        let sum = || kept().sum_dim(1).reshape([b, h]);
        match self {
            // The reference falls back to the first token where none is left.
            Self::Cls => token(if left == 0 { 0 } else { skip }),
            _ if left == 0 => Tensor::zeros([b, h], &states.device()),
            Self::LastToken => token(n - 1),
            Self::Max => kept().max_dim(1).reshape([b, h]),
            Self::Mean => sum() / left as f64,
            Self::MeanSqrtLenTokens => sum() / (left as f64).sqrt(),
            Self::WeightedMean => {
                let weights: Vec<f32> = (skip + 1..=n).map(|position| position as f32).collect();
                let total: f64 = (skip + 1..=n).map(|position| position as f64).sum();
                let weights =
                    Tensor::<3>::from_data(TensorData::new(weights, [1, left, 1]), &states.device());
                (kept() * weights).sum_dim(1).reshape([b, h]) / total
            }
        }
    }
}

/// The first token's state of each text, zeros for a text without tokens.
///
/// # Shapes
/// `x [t, h] -> [texts, h]`.
pub(in crate::models) fn first_tokens(x: &Tensor<2>, segments: &Segments) -> Tensor<2> {
    let cls = Pooling {
        modes: vec![PoolingMode::Cls],
        include_prompt: true,
    };
    cls.forward(x, segments, 0)
}

/// The last token of each text, where its first one is nothing that knows of the others.
///
/// # Shapes
/// `x [t, h] -> [b, h]`.
pub(in crate::models) fn last_tokens(x: &Tensor<2>, segments: &Segments) -> Tensor<2> {
    let last = Pooling {
        modes: vec![PoolingMode::LastToken],
        include_prompt: true,
    };
    last.forward(x, segments, 0)
}

/// Neighbouring texts of equal length.
struct Run {
    start: usize,
    texts: usize,
    tokens: usize,
}

impl Run {
    fn states(&self, x: &Tensor<2>) -> Tensor<3> {
        let [_, h] = x.dims();
        let rows = self.start..self.start + self.texts * self.tokens;
        x.clone()
            .slice([rows, 0..h])
            .reshape([self.texts, self.tokens, h])
    }
}

fn runs_of_equal_length(segments: &Segments) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for range in segments.iter() {
        match runs.last_mut() {
            Some(run) if run.tokens == range.len() => run.texts += 1,
            _ => runs.push(Run {
                start: range.start,
                texts: 1,
                tokens: range.len(),
            }),
        }
    }
    runs
}

fn modes(file: &ConfigFile) -> Result<Vec<PoolingMode>> {
    let named = |name: &str| {
        let mode = MODES.iter().find(|(newer, ..)| *newer == name);
        mode.map(|(.., mode)| *mode).ok_or_else(|| Error::Unsupported {
            path: file.path().to_owned(),
            field: "pooling_mode".to_owned(),
            found: name.to_owned(),
            supported: NAMES,
        })
    };
    match file.get("pooling_mode") {
        Some(serde_json::Value::String(name)) => Ok(vec![named(name)?]),
        Some(serde_json::Value::Array(names)) if !names.is_empty() => {
            let name = |name: &serde_json::Value| match name.as_str() {
                Some(name) => named(name),
                None => Err(file.wrong("pooling_mode", "names of pooling modes")),
            };
            names.iter().map(name).collect()
        }
        Some(_) => Err(file.wrong("pooling_mode", "the name of a pooling mode, or several")),
        None => {
            let mut modes = Vec::new();
            for (_, older, mode) in MODES {
                if file.flag(older, false)? {
                    modes.push(mode);
                }
            }
            if modes.is_empty() {
                modes.push(PoolingMode::Mean);
            }
            Ok(modes)
        }
    }
}
