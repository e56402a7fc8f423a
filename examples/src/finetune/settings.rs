//! What the command line means to the library: the method, the rates, the settings of the run.

use ragtune::train::objective::PreferenceLoss;
use ragtune::train::optimiser::AdamWOptions;
use ragtune::train::trainer::{Duration, TrainOptions};
use ragtune::train::tuning::{Adapter, Lora, Prompt, Tuning};

use super::args::Args;
use super::choices::{DpoLoss, Method, Task};
use super::words;
use crate::{Outcome, output};

impl Args {
    /// A line for people; with --json there is one object only.
    ///
    /// # Errors
    /// As [`output::line()`].
    pub fn say(&self, text: &str) -> Outcome {
        match self.json {
            true => Ok(()),
            false => output::line(output::printable(&words::of_the_command_line(text))),
        }
    }

    /// What of the model trains.
    #[must_use]
    pub fn tuning(&self) -> Tuning {
        let targets = self.targets.clone().map(|names| names.0);
        let lora = || {
            let alpha = self.alpha.unwrap_or(2.0 * self.rank as f64);
            let mut lora = Lora::default()
                .with_rank(self.rank, alpha)
                .with_dropout(self.dropout);
            if let Some(targets) = targets.clone() {
                lora = lora.with_targets(targets);
            }
            if let Some(ratio) = self.lora_plus {
                lora = lora.with_b_rate(ratio);
            }
            match self.rslora {
                true => lora.with_rslora(),
                false => lora,
            }
        };
        match &self.method {
            Method::Full => Tuning::Full,
            Method::Selective(selection) => Tuning::Selective(selection.clone()),
            Method::Head => Tuning::Head,
            Method::Lora => Tuning::Lora(lora()),
            Method::Dora => Tuning::Lora(lora().with_dora()),
            Method::Ia3 => Tuning::Ia3 { targets },
            Method::Adapter => {
                let adapter = Adapter::default()
                    .with_reduction(self.reduction)
                    .with_dropout(self.dropout);
                Tuning::Bottleneck(match self.behind_attention {
                    true => adapter.behind_attention(),
                    false => adapter,
                })
            }
            Method::Prompt => {
                let prompt = Prompt::default().with_virtual_tokens(self.virtual_tokens);
                Tuning::Prompt(match &self.prompt_text {
                    Some(text) => prompt.from_text(text, self.prompt_ids.clone()),
                    None => prompt,
                })
            }
        }
    }

    /// The highest learning rate.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.chosen_rate()
            .unwrap_or_else(|| self.tuning().learning_rate())
    }

    /// The highest learning rate, where it is another than the method's own.
    #[must_use]
    pub fn chosen_rate(&self) -> Option<f64> {
        let own = self.new_head_rate().filter(|_| self.method == Method::Head);
        self.lr.or(own)
    }

    /// The learning rate of a new head over a decoder's last token. A step of Adam changes every weight by about the rate, so a
    /// logit by the rate times the sum of what the head reads, whose components are of size 1 behind the last norm.
    fn new_head_rate(&self) -> Option<f64> {
        const CHANGE_OF_A_LOGIT: f64 = 0.3;
        self.decoder_width.map(|width| CHANGE_OF_A_LOGIT / width as f64)
    }

    /// How much faster the head that the task adds learns.
    #[must_use]
    pub fn head_ratio(&self) -> f64 {
        /// For weights that begin at nothing and read vectors of length 1.
        const NEW_HEAD: f64 = 1e-2;
        let new_head = self.new_head_rate().unwrap_or(NEW_HEAD);
        let rate = self.rate();
        match (self.head_lr, self.task) {
            (Some(head), _) => head / rate,
            // Where the head is all that trains, its rate is --lr.
            (None, Task::Classify) if self.method != Method::Head => (new_head / rate).max(1.0),
            (None, _) => 1.0,
        }
    }

    /// How preferences become a loss.
    #[must_use]
    pub fn preference_loss(&self) -> PreferenceLoss {
        const BETA: f64 = 0.1;
        let beta = self.beta.unwrap_or(BETA);
        match self.dpo_loss.unwrap_or(DpoLoss::Sigmoid) {
            DpoLoss::Sigmoid => PreferenceLoss::Dpo {
                beta,
                label_smoothing: self.label_smoothing.unwrap_or(0.0),
            },
            DpoLoss::Ipo => PreferenceLoss::Ipo { beta },
        }
    }

    /// The steps of a run over so many examples.
    #[must_use]
    pub fn steps_over(&self, examples: usize) -> usize {
        let step = (self.batch * self.accumulate).max(1);
        let of_epochs = || (self.epochs * examples.div_ceil(step) as f64).ceil() as usize;
        self.steps.unwrap_or_else(of_epochs)
    }

    /// The share of the steps in which the rate rises. That of the program leaves room for the rest of the run; what is asked
    /// for is taken as it is.
    #[must_use]
    pub fn warmup_over(&self, examples: usize) -> f64 {
        let steps = self.steps_over(examples);
        let fits = ((self.warmup * steps as f64).ceil() as usize) < steps;
        match fits || self.given.contains("warmup") {
            true => self.warmup,
            false => 0.0,
        }
    }

    /// The settings of a run over so many examples.
    #[must_use]
    pub fn options(&self, examples: usize) -> TrainOptions {
        let duration = self.steps.map_or(Duration::Epochs(self.epochs), Duration::Steps);
        let adamw = AdamWOptions {
            weight_decay: self.weight_decay,
            ..AdamWOptions::default()
        };
        let mut options = TrainOptions::default()
            .with_duration(duration)
            .with_batch(self.batch)
            .with_accumulation(self.accumulate)
            .with_group_by_length(true)
            .with_schedule(self.warmup_over(examples), self.schedule)
            .with_adamw(adamw)
            .with_max_gradient_norm(self.clip)
            .with_gradient_checkpointing(self.checkpointing)
            .with_model_dropout(!self.no_model_dropout)
            // Without validation examples nothing says which weights are the best.
            .with_keep_best(!self.no_valid)
            .with_seed(self.seed);
        options.learning_rate = self.chosen_rate();
        options.patience = self.patience;
        options.evaluate_every = self.evaluate_every;
        options.save_every = self.save_every;
        options
    }
}
