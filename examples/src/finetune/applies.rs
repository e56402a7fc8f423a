//! Which options mean something to which task and method: an option that means nothing is refused, because whoever gives it
//! believes that it does something.

use std::collections::BTreeSet;

use ragtune::core::weights::Precision;

use super::args::Args;
use super::choices::{DpoLoss, Task};
use crate::Outcome;

/// Where an option means something.
enum Where {
    Tasks(&'static [Task]),
    Methods(&'static [&'static str]),
}

use Task::{Classify, Dpo, Embed, Pretrain, Qa, Rerank, Sft, Tag};

/// The options that do not mean something everywhere.
const OPTIONS: &[(&str, Where)] = &[
    ("predictions", Where::Tasks(&[Classify, Tag, Qa])),
    ("empty-windows", Where::Tasks(&[Qa])),
    ("overlap-tokens", Where::Tasks(&[Qa])),
    ("hard-negatives", Where::Tasks(&[Embed])),
    ("dims", Where::Tasks(&[Embed])),
    ("text-column", Where::Tasks(&[Classify])),
    ("label-column", Where::Tasks(&[Classify])),
    ("label-separator", Where::Tasks(&[Classify])),
    ("class-weights", Where::Tasks(&[Classify])),
    ("beta", Where::Tasks(&[Dpo])),
    ("dpo-loss", Where::Tasks(&[Dpo])),
    ("label-smoothing", Where::Tasks(&[Dpo])),
    (
        "split-by",
        Where::Tasks(&[Sft, Dpo, Classify, Tag, Embed, Rerank]),
    ),
    ("head-lr", Where::Tasks(&[Classify, Tag, Qa, Rerank])),
    ("new-head", Where::Tasks(&[Classify, Tag, Qa, Rerank])),
    ("precision", Where::Tasks(&[Sft, Pretrain, Dpo])),
    // Plain text is divided into blocks, and nothing of it is too long.
    (
        "overflow",
        Where::Tasks(&[Sft, Dpo, Classify, Tag, Qa, Embed, Rerank]),
    ),
    ("rank", Where::Methods(&["lora", "dora"])),
    ("alpha", Where::Methods(&["lora", "dora"])),
    ("rslora", Where::Methods(&["lora", "dora"])),
    ("lora-plus", Where::Methods(&["lora", "dora"])),
    ("dropout", Where::Methods(&["lora", "dora", "adapter"])),
    ("targets", Where::Methods(&["lora", "dora", "ia3"])),
    ("reduction", Where::Methods(&["adapter"])),
    ("behind-attention", Where::Methods(&["adapter"])),
    ("virtual-tokens", Where::Methods(&["prompt"])),
    ("prompt-text", Where::Methods(&["prompt"])),
];

impl Args {
    /// Refuses what no run can be.
    ///
    /// # Errors
    /// Options that contradict each other, that do not apply, or whose values no run can have.
    pub fn check(&self) -> Outcome {
        self.check_applies()?;
        if self.resume && self.plan {
            return Err("--plan runs nothing that --resume could go on with".into());
        }
        if self.no_valid {
            for option in ["patience", "evaluate-every", "search"] {
                if self.given.contains(option) {
                    return Err(
                        format!("--{option} needs validation examples, and --no-valid leaves none").into(),
                    );
                }
            }
        }
        if self.split_by.is_some() && self.folds.is_none() && (self.valid.is_some() || self.no_valid) {
            let other = if self.no_valid { "no-valid" } else { "valid" };
            return Err(format!(
                "--split-by says how --data is divided, and with --{other} it is not; leave one of them out, or divide it \
                 by --folds"
            )
            .into());
        }
        if self.dpo_loss == Some(DpoLoss::Ipo) && self.label_smoothing.is_some() {
            return Err("--label-smoothing belongs to --dpo-loss sigmoid; ipo has none".into());
        }
        if let Some(precision @ (Precision::Int8 | Precision::Int4)) = self.precision
            && matches!(self.method.kind(), "full" | "selective")
        {
            return Err(format!(
                "--precision {precision}: --method {} trains whole weights, which need f32; choose an adapter, such as lora",
                self.method
            )
            .into());
        }
        if self.task == Embed && self.accumulate > 1 {
            return Err(format!(
                "--accumulate {}: the loss of embed depends on all examples of a batch; raise --batch instead, with \
                 --checkpointing where memory is short",
                self.accumulate
            )
            .into());
        }
        self.check_values()?;
        self.check_predictions()
    }

    fn check_applies(&self) -> Outcome {
        // A search over methods may have those that an option is for.
        let any_method = self
            .search_space
            .as_ref()
            .is_some_and(|space| space.get("method").is_some());
        for (option, place) in OPTIONS.iter().filter(|(option, _)| self.given.contains(*option)) {
            match place {
                Where::Tasks(tasks) if !tasks.contains(&self.task) => {
                    let tasks: Vec<String> = tasks.iter().map(Task::to_string).collect();
                    return Err(format!(
                        "--{option} means nothing to --task {}; it is for {}",
                        self.task,
                        tasks.join(", ")
                    )
                    .into());
                }
                Where::Methods(methods) if !any_method && !methods.contains(&self.method.kind()) => {
                    return Err(format!(
                        "--{option} means nothing to --method {}; it is for {}",
                        self.method,
                        methods.join(", ")
                    )
                    .into());
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn check_values(&self) -> Outcome {
        let mut seen = BTreeSet::new();
        if let Some(twice) = self.dims.iter().find(|dim| !seen.insert(**dim)) {
            return Err(format!("--dims: {twice} is there twice").into());
        }
        let above_zero = [
            ("alpha", self.alpha),
            ("beta", self.beta),
            ("lora-plus", self.lora_plus),
            ("head-lr", self.head_lr),
        ];
        for (option, value) in above_zero {
            if let Some(value) = value.filter(|value| !(value.is_finite() && *value > 0.0)) {
                return Err(format!("--{option} {value}: it is a number above 0").into());
            }
        }
        if let Some(share) = self.label_smoothing.filter(|share| !(0.0..0.5).contains(share)) {
            return Err(format!("--label-smoothing {share}: it is from 0 to below 0.5").into());
        }
        if self.folds.is_some_and(|folds| folds < 2) {
            return Err("--folds: cross-validation has 2 parts or more".into());
        }
        Ok(())
    }

    fn check_predictions(&self) -> Outcome {
        let Some(file) = &self.predictions else {
            return Ok(());
        };
        // A run that goes on may have written them before it ended.
        if file.exists() && !self.resume {
            return Err(format!("--predictions: {} exists; name another file", file.display()).into());
        }
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
            return Err(format!("--predictions: there is no folder {}", folder.display()).into());
        }
        Ok(())
    }
}
