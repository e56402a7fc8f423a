//! The methods of fine-tuning and their settings.

use ragtune_core::adapters::{AdapterConfig, AdapterMethod, Targets};
use serde_json::{Value, json};

use super::{Adapter, Prompt};

/// What of a model trains. A head that a task adds to the model trains in every method.
///
/// ```
/// use ragtune_train::tuning::{Lora, Selection, Tuning};
///
/// let lora = Tuning::Lora(Lora::default().with_rank(16, 32.0).with_dropout(0.05));
/// let last_two = Tuning::Selective(Selection::last_layers(2));
/// assert!(lora.learning_rate() > last_two.learning_rate());
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[allow(clippy::large_enum_variant, reason = "a run has one")]
pub enum Tuning {
    /// Every weight.
    Full,
    /// The weights that a selection names.
    Selective(Selection),
    /// Only the head that the task adds; the base is a frozen extractor of features.
    Head,
    /// Low-rank updates (Hu et al. 2021, arXiv:2106.09685), also as DoRA, rsLoRA and LoRA+.
    Lora(Lora),
    /// (IA)³: learned factors of keys, values and the feed-forward layer (Liu et al. 2022, arXiv:2205.05638).
    Ia3 {
        /// The rescaled modules; without it keys, values and the second feed-forward layer of the model's family.
        targets: Option<Targets>,
    },
    /// Bottleneck adapters: narrow networks behind the feed-forward layers, or behind attention as well (Houlsby et al. 2019,
    /// arXiv:1902.00751; Pfeiffer et al. 2020, arXiv:2005.00247).
    Bottleneck(Adapter),
    /// Prompt tuning: learned rows before the embeddings of every text (Lester et al. 2021, arXiv:2104.08691). For language
    /// models.
    Prompt(Prompt),
}

/// Which weights train.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Names of modules or weights: whole, their last parts, or with `*` for anything.
    pub patterns: Vec<String>,
    /// The last layers, and what stands behind them.
    pub last_layers: Option<usize>,
    /// All norms.
    pub norms: bool,
    /// All biases (BitFit, Ben Zaken et al. 2021, arXiv:2106.10199).
    pub biases: bool,
}

impl Selection {
    /// The weights whose names fit one of the patterns.
    #[must_use]
    pub fn patterns<S: Into<String>>(patterns: impl IntoIterator<Item = S>) -> Self {
        Self {
            patterns: patterns.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }

    /// The last `n` layers and what stands behind them, such as the last norm.
    #[must_use]
    pub fn last_layers(n: usize) -> Self {
        Self {
            last_layers: Some(n),
            ..Self::default()
        }
    }

    /// All norms as well.
    #[must_use]
    pub fn with_norms(mut self) -> Self {
        self.norms = true;
        self
    }

    /// All biases as well.
    #[must_use]
    pub fn with_biases(mut self) -> Self {
        self.biases = true;
        self
    }
}

/// Settings of low-rank updates.
#[derive(Clone, Debug, PartialEq)]
pub struct Lora {
    /// Rank, scale, targets and kinds as PEFT's `adapter_config.json` has them.
    pub config: AdapterConfig,
    /// The rate of second matrices as a multiple of the first ones' (LoRA+, Hayou et al. 2024, arXiv:2402.12354).
    pub b_rate: f64,
}

impl Default for Lora {
    /// Rank 8, alpha 16, the queries and values of the model's family, no dropout.
    fn default() -> Self {
        Self {
            config: AdapterConfig::default().with_rank(8, 16.0),
            b_rate: 1.0,
        }
    }
}

impl Lora {
    /// Updates of rank `r`, scaled by `alpha / r`.
    #[must_use]
    pub fn with_rank(mut self, r: usize, alpha: f64) -> Self {
        self.config = self.config.with_rank(r, alpha);
        self
    }

    /// The modules that have updates.
    #[must_use]
    pub fn with_targets(mut self, targets: Targets) -> Self {
        self.config = self.config.with_target_modules(targets);
        self
    }

    /// The share of an update's inputs that a training step leaves out, from 0 to below 1.
    #[must_use]
    pub fn with_dropout(mut self, dropout: f64) -> Self {
        self.config.lora_dropout = dropout;
        self
    }

    /// Updates that are scaled by alpha over the square root of the rank (Kalajdzievski 2023, arXiv:2312.03732).
    #[must_use]
    pub fn with_rslora(mut self) -> Self {
        self.config.use_rslora = true;
        self
    }

    /// Weight-decomposed updates (DoRA, Liu et al. 2024, arXiv:2402.09353).
    #[must_use]
    pub fn with_dora(mut self) -> Self {
        self.config.use_dora = true;
        self
    }

    /// LoRA+: second matrices learn `ratio` times as fast.
    #[must_use]
    pub fn with_b_rate(mut self, ratio: f64) -> Self {
        self.b_rate = ratio;
        self
    }
}

impl Tuning {
    /// The name that command lines and records use.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Selective(_) => "selective",
            Self::Head => "head",
            Self::Lora(lora) if lora.config.use_dora => "dora",
            Self::Lora(_) => "lora",
            Self::Ia3 { .. } => "ia3",
            Self::Bottleneck(_) => "adapter",
            Self::Prompt(_) => "prompt",
        }
    }

    /// The learning rate where the caller gives none: 5e-5 for weights of the base (transformers' `TrainingArguments`), ten
    /// times that for weights that start anew beside it, 3e-4 for bottlenecks (Houlsby et al. 2019, section 3.1), 1e-2 for a
    /// head alone and for (IA)³, 3e-2 for a prompt (PEFT's examples).
    #[must_use]
    pub fn learning_rate(&self) -> f64 {
        match self {
            Self::Full | Self::Selective(_) => 5e-5,
            Self::Lora(_) => 5e-4,
            Self::Bottleneck(_) => 3e-4,
            Self::Prompt(_) => 3e-2,
            Self::Head | Self::Ia3 { .. } => 1e-2,
        }
    }

    /// All settings, for records and for the check that a run which goes on is the same run.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let targets = |targets: &Option<Targets>| targets.as_ref().map(ToString::to_string);
        match self {
            Self::Full | Self::Head => json!({ "method": self.name() }),
            Self::Selective(selection) => json!({
                "method": self.name(),
                "patterns": selection.patterns,
                "last_layers": selection.last_layers,
                "norms": selection.norms,
                "biases": selection.biases,
            }),
            Self::Lora(Lora { config, b_rate }) => json!({
                "method": self.name(),
                "r": config.r,
                "alpha": config.lora_alpha,
                "dropout": config.lora_dropout,
                "rslora": config.use_rslora,
                "dora": config.use_dora,
                "targets": targets(&config.target_modules),
                "exclude": targets(&config.exclude_modules),
                "layers": config.layers_to_transform,
                "ranks": config.rank_pattern,
                "alphas": config.alpha_pattern,
                "b_rate": b_rate,
            }),
            Self::Bottleneck(adapter) => adapter.to_json(),
            Self::Prompt(prompt) => prompt.to_json(),
            Self::Ia3 { targets: names } => json!({ "method": self.name(), "targets": targets(names) }),
        }
    }

    /// What the adapter's file says besides the weights.
    pub(super) fn config(&self) -> AdapterConfig {
        match self {
            Self::Lora(lora) => lora.config.clone(),
            Self::Ia3 { targets } => {
                let mut config = AdapterConfig::default();
                config.peft_type = AdapterMethod::Ia3;
                config.target_modules.clone_from(targets);
                config
            }
            Self::Bottleneck(adapter) => {
                let mut config = AdapterConfig::default();
                config.peft_type = AdapterMethod::Bottleneck;
                config.bottleneck = Some(adapter.config.clone());
                config
            }
            Self::Prompt(_) => {
                let mut config = AdapterConfig::default();
                config.peft_type = AdapterMethod::Prompt;
                config
            }
            Self::Full | Self::Selective(_) | Self::Head => AdapterConfig::default(),
        }
    }
}
