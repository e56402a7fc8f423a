//! The settings of a run.

use serde_json::{Value, json};

use crate::batch::{BatchPlan, BatchSize};
use crate::error::{Error, Result};
use crate::optimiser::{AdamWOptions, Decay};

/// How long a run is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Duration {
    /// So many times through the examples; parts of one count as well.
    Epochs(f64),
    /// So many steps of the optimiser.
    Steps(usize),
}

/// The settings of a run; the defaults are those of transformers' `TrainingArguments` where it has them.
///
/// ```
/// use ragtune_train::trainer::{Duration, TrainOptions};
/// let options = TrainOptions::default().with_duration(Duration::Epochs(5.0)).with_batch(16).with_seed(7);
/// assert_eq!(options.accumulation, 1);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TrainOptions {
    /// How long the run is.
    pub duration: Duration,
    /// What is computed at once.
    pub batch: BatchSize,
    /// Batches whose gradients are added up for a step.
    pub accumulation: usize,
    /// Whether examples of like length come together.
    pub group_by_length: bool,
    /// Whether every epoch has an order of its own.
    pub shuffle: bool,
    /// The highest learning rate; without it the method's own.
    pub learning_rate: Option<f64>,
    /// The share of the steps in which the rate rises to it.
    pub warmup: f64,
    /// How it falls afterwards.
    pub decay: Decay,
    /// The optimiser's settings.
    pub adamw: AdamWOptions,
    /// The length beyond which all gradients together are cut; 0 for never.
    pub max_gradient_norm: f64,
    /// Whether layers are computed again on the way back instead of keeping what they computed.
    pub gradient_checkpointing: bool,
    /// Whether the dropout that the model's `config.json` names acts in training, as in transformers' `Trainer`.
    pub model_dropout: bool,
    /// Steps between evaluations; without it, at the end of every epoch.
    pub evaluate_every: Option<usize>,
    /// Evaluations without a better score after which the run ends; without it the run goes to its end.
    pub patience: Option<usize>,
    /// Whether the run ends with the weights of its best evaluation, instead of the last.
    pub keep_best: bool,
    /// Steps between saved states; without it at the end of every epoch, and when a run is cancelled.
    pub save_every: Option<usize>,
    /// The seed of order and dropout.
    pub seed: u64,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            duration: Duration::Epochs(3.0),
            batch: BatchSize::Examples(8),
            accumulation: 1,
            group_by_length: false,
            shuffle: true,
            learning_rate: None,
            warmup: 0.0,
            decay: Decay::Linear,
            adamw: AdamWOptions::default(),
            max_gradient_norm: 1.0,
            gradient_checkpointing: false,
            model_dropout: true,
            evaluate_every: None,
            patience: None,
            keep_best: true,
            save_every: None,
            seed: 42,
        }
    }
}

impl TrainOptions {
    /// Another length of the run.
    #[must_use]
    pub fn with_duration(mut self, duration: Duration) -> Self {
        self.duration = duration;
        self
    }

    /// So many examples in a batch.
    #[must_use]
    pub fn with_batch(mut self, examples: usize) -> Self {
        self.batch = BatchSize::Examples(examples);
        self
    }

    /// As many examples in a batch as fit into so many tokens.
    #[must_use]
    pub fn with_batch_tokens(mut self, tokens: usize) -> Self {
        self.batch = BatchSize::Tokens(tokens);
        self
    }

    /// So many batches to a step.
    #[must_use]
    pub fn with_accumulation(mut self, batches: usize) -> Self {
        self.accumulation = batches;
        self
    }

    /// Whether examples of like length come together.
    #[must_use]
    pub fn with_group_by_length(mut self, group: bool) -> Self {
        self.group_by_length = group;
        self
    }

    /// Another highest learning rate.
    #[must_use]
    pub fn with_learning_rate(mut self, rate: f64) -> Self {
        self.learning_rate = Some(rate);
        self
    }

    /// The share of the steps in which the rate rises, and how it falls afterwards.
    #[must_use]
    pub fn with_schedule(mut self, warmup: f64, decay: Decay) -> Self {
        (self.warmup, self.decay) = (warmup, decay);
        self
    }

    /// Other settings of the optimiser.
    #[must_use]
    pub fn with_adamw(mut self, adamw: AdamWOptions) -> Self {
        self.adamw = adamw;
        self
    }

    /// Another limit of the gradients' length; 0 for none.
    #[must_use]
    pub fn with_max_gradient_norm(mut self, norm: f64) -> Self {
        self.max_gradient_norm = norm;
        self
    }

    /// Whether layers are computed again on the way back.
    #[must_use]
    pub fn with_gradient_checkpointing(mut self, checkpointing: bool) -> Self {
        self.gradient_checkpointing = checkpointing;
        self
    }

    /// Whether the model's own dropout acts in training.
    #[must_use]
    pub fn with_model_dropout(mut self, acts: bool) -> Self {
        self.model_dropout = acts;
        self
    }

    /// Steps between evaluations.
    #[must_use]
    pub fn with_evaluate_every(mut self, steps: usize) -> Self {
        self.evaluate_every = Some(steps);
        self
    }

    /// Evaluations without a better score after which the run ends.
    #[must_use]
    pub fn with_patience(mut self, evaluations: usize) -> Self {
        self.patience = Some(evaluations);
        self
    }

    /// Whether the run ends with the weights of its best evaluation.
    #[must_use]
    pub fn with_keep_best(mut self, keep: bool) -> Self {
        self.keep_best = keep;
        self
    }

    /// Steps between saved states.
    #[must_use]
    pub fn with_save_every(mut self, steps: usize) -> Self {
        self.save_every = Some(steps);
        self
    }

    /// Another seed of order and dropout.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Which examples make which step.
    pub(crate) fn plan(&self) -> BatchPlan {
        BatchPlan::default()
            .with_size(self.batch)
            .with_accumulation(self.accumulation)
            .with_group_by_length(self.group_by_length)
            .with_shuffle(self.shuffle)
            .with_seed(self.seed)
    }

    /// Refuses settings that no run can have.
    pub(super) fn check(&self) -> Result<()> {
        let within = |name: &'static str, value: f64, low: f64, high: f64| match (low..=high).contains(&value)
        {
            true => Ok(()),
            false => Err(Error::invalid(
                name,
                format!("{value}; it is from {low} to {high}"),
            )),
        };
        match self.duration {
            Duration::Epochs(epochs) if !(epochs.is_finite() && epochs > 0.0) => {
                return Err(Error::invalid(
                    "epochs",
                    format!("{epochs}; a run has more than 0"),
                ));
            }
            Duration::Steps(0) => return Err(Error::invalid("steps", "0; a run has at least 1")),
            _ => {}
        }
        if let Some(rate) = self.learning_rate {
            within("learning_rate", rate, 0.0, 10.0)?;
        }
        within("warmup", self.warmup, 0.0, 1.0)?;
        within("beta1", self.adamw.beta1, 0.0, 1.0 - 1e-12)?;
        within("beta2", self.adamw.beta2, 0.0, 1.0 - 1e-12)?;
        within("epsilon", self.adamw.epsilon, 0.0, 1.0)?;
        within("weight_decay", self.adamw.weight_decay, 0.0, 10.0)?;
        within("max_gradient_norm", self.max_gradient_norm, 0.0, f64::MAX)?;
        for (name, every) in [
            ("evaluate_every", self.evaluate_every),
            ("save_every", self.save_every),
            ("patience", self.patience),
        ] {
            if every == Some(0) {
                return Err(Error::invalid(name, "0; leave it out, or name at least 1"));
            }
        }
        Ok(())
    }

    /// The settings that the weights depend on, for records and for the check that a run which goes on is the same.
    pub(super) fn to_json(&self) -> Value {
        let (batch, unit) = match self.batch {
            BatchSize::Examples(examples) => (examples, "examples"),
            BatchSize::Tokens(tokens) => (tokens, "tokens"),
        };
        let (length, of) = match self.duration {
            Duration::Epochs(epochs) => (json!(epochs), "epochs"),
            Duration::Steps(steps) => (json!(steps), "steps"),
        };
        json!({
            "duration": [length, of],
            "batch": [batch, unit],
            "accumulation": self.accumulation,
            "group_by_length": self.group_by_length,
            "model_dropout": self.model_dropout,
            "shuffle": self.shuffle,
            "learning_rate": self.learning_rate,
            "warmup": self.warmup,
            "decay": self.decay.to_string(),
            "beta1": self.adamw.beta1,
            "beta2": self.adamw.beta2,
            "epsilon": self.adamw.epsilon,
            "weight_decay": self.adamw.weight_decay,
            "max_gradient_norm": self.max_gradient_norm,
            "gradient_checkpointing": self.gradient_checkpointing,
            "evaluate_every": self.evaluate_every,
            "patience": self.patience,
            "keep_best": self.keep_best,
            "seed": self.seed,
        })
    }
}
