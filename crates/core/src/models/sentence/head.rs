//! What follows the transformer in a sentence-transformers folder: pooling, and steps on pooled vectors.
//!
//! Letters: `t` tokens of a batch, `b` texts of a batch, `h` hidden width, `dim` components of a vector.

use burn::tensor::{Device, Tensor};

use super::super::config_file::ConfigFile;
use super::dense::Dense;
use super::folder::{MAX_SEQ_LENGTH, MODULES, SentenceModule, unsupported};
use super::pooling::Pooling;
use super::prompts::Prompts;
use crate::error::Result;
use crate::nn::{Context, Linear, Segments};
use crate::weights::{LoadReport, ModelFiles};

/// The shortest vectors that are divided by their length; shorter ones are divided by this, as torch's `normalize`.
const MIN_NORM: f64 = 1e-12;

/// What follows the transformer.
#[derive(Clone, Debug)]
pub(in crate::models) struct SentenceHead {
    /// The transformer, the pooling, and one module for each step.
    pub(super) modules: Vec<SentenceModule>,
    pub(super) pooling: Pooling,
    pub(super) steps: Vec<Step>,
    pub(super) prompts: Prompts,
    pub(super) truncate_dim: Option<usize>,
    pub(super) dim: usize,
}

/// A step on pooled vectors.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Dense(Box<Dense>),
    Normalize,
}

impl Step {
    /// # Shapes
    /// `[b, dim] -> [b, dim]`, the second as wide as the step makes it.
    fn forward(&self, x: Tensor<2>, context: &Context) -> Tensor<2> {
        match self {
            Self::Dense(dense) => dense.forward(x, context),
            Self::Normalize => {
                let norm = x.clone().square().sum_dim(1).sqrt().clamp_min(MIN_NORM); // [b, 1]
                x / norm
            }
        }
    }
}

impl SentenceHead {
    /// Reads the modules behind the transformer; feeds what their vectors depend on to `hasher`.
    pub(super) fn load(
        files: &ModelFiles,
        hidden_size: usize,
        device: &Device,
        hasher: &mut blake3::Hasher,
    ) -> Result<(Self, LoadReport)> {
        let mut report = LoadReport::default();
        let mut pooling = None;
        let mut steps = Vec::new();
        let mut dim = hidden_size;
        let mut modules = SentenceModule::list(files)?.unwrap_or_else(|| {
            let path = ["", "1_Pooling"].into_iter().zip(["Transformer", "Pooling"]);
            path.map(|(path, class)| SentenceModule::new(path, class))
                .collect()
        });
        // Dropout does nothing in prediction.
        modules.retain(|module| module.class() != "Dropout");
        let listed = if files.contains(MODULES) {
            modules.as_slice()
        } else {
            &[]
        };
        for entry in listed.iter().skip(1) {
            let folder = files.sub(&entry.path);
            match (entry.class(), &pooling) {
                ("Pooling", None) => {
                    let remedy = "a Pooling module has its mode there";
                    let file = ConfigFile::require(&folder, "config.json", remedy)?;
                    let read = Pooling::read(&file, hidden_size)?;
                    dim = read.dim(hidden_size);
                    hasher.update(format!("{read:?}").as_bytes());
                    pooling = Some(read);
                }
                ("Dense", Some(_)) => {
                    let (dense, checkpoint, loaded) = Dense::load(&folder, &slot(&entry.path), dim, device)?;
                    hasher.update(format!("{:?}", dense.activation()).as_bytes());
                    checkpoint.hash_into(&loaded.applied, hasher);
                    dim = dense.out_features();
                    report.absorb(loaded, &entry.path);
                    steps.push(Step::Dense(Box::new(dense)));
                }
                ("Normalize", Some(_)) => {
                    hasher.update(b"Normalize");
                    steps.push(Step::Normalize);
                }
                _ => return Err(unsupported(files, entry.class().to_owned())),
            }
        }
        let pooling = match pooling {
            Some(pooling) => pooling,
            None if files.contains(MODULES) => return Err(unsupported(files, "no Pooling".to_owned())),
            None => Pooling::mean(),
        };
        let (mut prompts, mut truncate_dim) = (Prompts::default(), None);
        if let Some(file) = ConfigFile::read(files, "config_sentence_transformers.json")? {
            prompts = Prompts::read(&file)?;
            truncate_dim = file.optional_size("truncate_dim", 1..=MAX_SEQ_LENGTH)?;
        }
        let dim = truncate_dim.map_or(dim, |truncated| truncated.min(dim));
        let head = Self {
            modules,
            pooling,
            steps,
            prompts,
            truncate_dim,
            dim,
        };
        hasher.update(format!("{:?} {dim}", head.prompts).as_bytes());
        Ok((head, report))
    }

    /// Whether a folder lists modules.
    pub(in crate::models) fn is_folder(files: &ModelFiles) -> bool {
        files.contains(MODULES)
    }

    /// The modules of a folder that ends in a linear layer, which then gives classes; `None` for any other folder.
    pub(in crate::models) fn classifier(
        files: &ModelFiles,
        hidden_size: usize,
        device: &Device,
    ) -> Result<Option<(Self, LoadReport)>> {
        match Self::last_width(files)?.is_some() {
            true => Self::load(files, hidden_size, device, &mut blake3::Hasher::new()).map(Some),
            false => Ok(None),
        }
    }

    /// What the last of a folder's modules gives, where that is a linear layer.
    pub(in crate::models) fn last_width(files: &ModelFiles) -> Result<Option<usize>> {
        let modules = SentenceModule::list(files)?.unwrap_or_default();
        let last = modules.iter().rev().find(|module| module.class() != "Dropout");
        match last.filter(|last| last.class() == "Dense") {
            Some(last) => Dense::width(&files.sub(&last.path)).map(Some),
            None => Ok(None),
        }
    }

    /// The modules of a folder as they pool texts without prompts, brought to length 1 or not; of a classifier, without
    /// the layer that gives its classes.
    pub(in crate::models) fn pooled(
        files: &ModelFiles,
        hidden_size: usize,
        (normalised, is_classifier): (bool, bool),
        device: &Device,
    ) -> Result<(Self, LoadReport)> {
        let (mut head, report) = Self::load(files, hidden_size, device, &mut blake3::Hasher::new())?;
        if is_classifier {
            head.modules.pop();
            head.steps.pop();
        }
        (head.prompts, head.truncate_dim) = (Prompts::default(), None);
        if head.is_normalised() != normalised {
            match normalised {
                true => {
                    let path = format!("{}_Normalize", head.modules.len());
                    head.modules.push(SentenceModule::new(path, "Normalize"));
                    head.steps.push(Step::Normalize);
                }
                false => {
                    head.modules.pop();
                    head.steps.pop();
                }
            }
        }
        head.dim = head
            .linears()
            .last()
            .map_or_else(|| head.pooling.dim(hidden_size), Linear::out_features);
        Ok((head, report))
    }

    /// The slot of a linear layer behind all modules.
    pub(in crate::models) fn next_slot(&self) -> String {
        slot(&format!("{}_Dense", self.modules.len()))
    }

    /// The same modules with a linear layer behind them, whose slot is [`next_slot`](Self::next_slot).
    pub(in crate::models) fn followed_by(mut self, layer: Linear) -> Self {
        let path = layer.slot().trim_end_matches(LINEAR);
        self.modules.push(SentenceModule::new(path, "Dense"));
        self.dim = layer.out_features();
        self.steps.push(Step::Dense(Box::new(Dense::new(layer))));
        self
    }

    /// Components of a vector.
    pub(in crate::models) fn dim(&self) -> usize {
        self.dim
    }

    /// Whether the last step, or the one before the layer that gives classes, brings vectors to length 1.
    pub(in crate::models) fn is_normalised(&self) -> bool {
        let mut back = self.steps.iter().rev();
        match back.next() {
            Some(Step::Normalize) => true,
            Some(Step::Dense(_)) => matches!(back.next(), Some(Step::Normalize)),
            None => false,
        }
    }

    /// The linear layers, in order.
    pub(in crate::models) fn linears(&self) -> impl Iterator<Item = &Linear> {
        self.steps.iter().filter_map(|step| match step {
            Step::Dense(dense) => Some(dense.linear()),
            Step::Normalize => None,
        })
    }

    /// All steps.
    ///
    /// # Shapes
    /// `[t, h] -> [b, dim]`.
    pub(super) fn forward(&self, hidden: &Tensor<2>, skip: usize, context: &Context) -> Tensor<2> {
        let pooled = self.pooling.forward(hidden, context.segments(), skip);
        let context = context.per_text();
        let x = self
            .steps
            .iter()
            .fold(pooled, |x, step| step.forward(x, &context));
        let [b, _] = x.dims();
        match self.truncate_dim {
            Some(_) => x.slice([0..b, 0..self.dim]),
            None => x,
        }
    }

    /// All steps but the last; `context` has one row for each text.
    ///
    /// # Shapes
    /// `[t, h] -> [b, dim]`.
    pub(in crate::models) fn before_last(
        &self,
        hidden: &Tensor<2>,
        segments: &Segments,
        context: &Context,
    ) -> Tensor<2> {
        let pooled = self.pooling.forward(hidden, segments, 0);
        let steps = self.steps.split_last().map_or(&[][..], |(_, steps)| steps);
        steps.iter().fold(pooled, |x, step| step.forward(x, context))
    }

    /// The last step; `context` has one row for each text.
    ///
    /// # Shapes
    /// `[b, dim] -> [b, dim]`.
    pub(in crate::models) fn last(&self, x: Tensor<2>, context: &Context) -> Tensor<2> {
        match self.steps.last() {
            Some(step) => step.forward(x, context),
            None => x,
        }
    }
}

/// What stands behind the folder of a module in the slot of its linear layer.
const LINEAR: &str = ".linear";

/// The slot of the linear layer in a module's folder.
fn slot(path: &str) -> String {
    format!("{path}{LINEAR}")
}
