//! Question and passage to a probability of relevance.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::{Device, Tensor};

use super::super::heads::{Classification, Labels, NewHead, ProblemType, SequenceClassifier};
use super::super::layered::layered_through;
use super::super::tokenizer::{Encoded, TextTokenizer};
use super::super::transformer::Transformer;
use crate::adapters::{AdapterBase, AdapterStack, Module, ModuleShapes};
use crate::error::{Error, Result};
use crate::nn::Context;
use crate::text::Reranker;
use crate::weights::{FloatType, LoadReport, ModelFiles};

/// A reranker from a sequence-classification checkpoint with one class (relevance, by the sigmoid) or two (the second
/// one's share of the softmax).
///
/// ```no_run
/// use ragtune_core::device::Device;
/// use ragtune_core::models::CrossEncoder;
/// use ragtune_core::text::Reranker;
///
/// # fn on(device: &Device) -> ragtune_core::Result<()> {
/// let reranker = CrossEncoder::load("models/ms-marco-minilm-l6-v2", device)?;
/// let scores = reranker.score("Who drinks tea?", &["Tea is drunk all over the world.", "Rust is a language."])?;
/// assert!(scores[0] > scores[1]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct CrossEncoder {
    classifier: SequenceClassifier,
    adapters: AdapterStack,
}

impl CrossEncoder {
    /// Loads a folder.
    ///
    /// # Errors
    /// As [`CrossEncoder::from_files`].
    pub fn load(folder: impl Into<PathBuf>, device: &Device) -> Result<Self> {
        Self::from_files(&ModelFiles::folder(folder)?, device)
    }

    /// Loads files from a folder or from memory.
    ///
    /// # Errors
    /// As [`super::super::Encoder::from_files`], and [`Error::Config`] when the head has other than one or two
    /// classes.
    pub fn from_files(files: &ModelFiles, device: &Device) -> Result<Self> {
        // Before the weights, which are of the head that config.json names.
        let classes = SequenceClassifier::classes(files)?;
        if !(1..=2).contains(&classes) {
            return Err(Error::Config {
                path: files.path("config.json"),
                field: "num_labels (or id2label)".to_owned(),
                found: classes.to_string(),
                expected: "1 (relevance) or 2 (irrelevant, relevant)".to_owned(),
            });
        }
        Ok(Self {
            classifier: SequenceClassifier::from_files(files, device)?,
            adapters: AdapterStack::base(),
        })
    }

    /// Loads the encoder or decoder of a folder, and puts a head of one class on it that nobody trained yet; see
    /// [`SequenceClassifier::with_new_head`].
    ///
    /// # Errors
    /// As [`SequenceClassifier::with_new_head`].
    pub fn with_new_head(folder: impl Into<PathBuf>, seed: u64, device: &Device) -> Result<Self> {
        Self::with_new_head_from_files(&ModelFiles::folder(folder)?, seed, device)
    }

    fn with_new_head_from_files(files: &ModelFiles, seed: u64, device: &Device) -> Result<Self> {
        let head = NewHead::new(Labels::new(["LABEL_0"])?)
            .with_problem_type(ProblemType::Regression)
            .with_pooling(SequenceClassifier::own_pooling(files)?)
            .with_seed(seed);
        Ok(Self {
            classifier: SequenceClassifier::with_new_head_from_files(files, &head, device)?,
            adapters: AdapterStack::base(),
        })
    }

    /// Loads a folder to tune it: the head of a reranker with one class goes on, any other model gets a new one.
    ///
    /// # Errors
    /// As [`CrossEncoder::from_files`] and [`CrossEncoder::with_new_head`].
    pub fn for_tuning(folder: impl Into<PathBuf>, seed: u64, device: &Device) -> Result<Self> {
        let files = ModelFiles::folder(folder)?;
        match SequenceClassifier::is_tuned(&files)? && SequenceClassifier::classes(&files)? == 1 {
            true => Self::from_files(&files, device),
            false => Self::with_new_head_from_files(&files, seed, device),
        }
    }

    /// The same reranker with adapters in every pass.
    ///
    /// # Errors
    /// [`Error::Adapter`] when one is for another base.
    pub fn with_adapters(mut self, adapters: AdapterStack) -> Result<Self> {
        adapters.check(self.module_shapes())?;
        self.adapters = adapters;
        Ok(self)
    }

    /// What became of the checkpoint's tensors.
    pub fn report(&self) -> &LoadReport {
        self.classifier.report()
    }

    /// The transformer.
    pub fn transformer(&self) -> &Transformer {
        self.classifier.transformer()
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Arc<TextTokenizer> {
        self.classifier.tokenizer()
    }

    /// The classifier that this is.
    pub fn classifier(&self) -> &SequenceClassifier {
        &self.classifier
    }

    /// The slots of the head's own modules.
    #[must_use]
    pub fn heads(&self) -> Vec<&str> {
        self.classifier.heads()
    }

    /// Tokens after which a pair is cut, special tokens included.
    pub fn max_seq_length(&self) -> usize {
        self.classifier.max_seq_length()
    }

    /// What the head says of each passage before it becomes a probability, one number for each class.
    ///
    /// # Errors
    /// As [`Reranker::score`].
    pub fn logits(&self, query: &str, passages: &[&str]) -> Result<Vec<Vec<f32>>> {
        let max_length = self.max_seq_length();
        let encoded = self.tokenizer().encode_pairs(query, passages, max_length)?;
        let found = self.classifier.classify_tokens(&encoded, &self.adapters)?;
        Ok(found.into_iter().map(|found| found.logits).collect())
    }

    /// The relevance of pairs of question and passage, with other adapters than the reranker's own.
    ///
    /// # Errors
    /// As [`Reranker::score`], and [`Error::Adapter`] for adapters of another base.
    pub fn score_pairs(&self, pairs: &[(&str, &str)], adapters: &AdapterStack) -> Result<Vec<f32>> {
        let encoded: Vec<Encoded> = self.classifier.tokenize_pairs(pairs)?;
        let found: Vec<Classification> = self.classifier.classify_tokens(&encoded, adapters)?;
        Ok(found.iter().map(|found| relevance(&found.logits)).collect())
    }

    /// The head on the encoder's hidden states; see [`SequenceClassifier::logits`].
    ///
    /// # Shapes
    /// `hidden [t, h] -> [b, c]`.
    pub fn head_logits(&self, hidden: &Tensor<2>, context: &Context) -> Tensor<2> {
        self.classifier.logits(hidden, context)
    }

    /// Writes the reranker, with what adapters make of it, as a folder that ragtune, transformers and
    /// sentence-transformers (`CrossEncoder`) load; see [`SequenceClassifier::save`].
    ///
    /// # Errors
    /// As [`SequenceClassifier::save`].
    pub fn save(&self, folder: impl AsRef<Path>, adapters: &AdapterStack, dtype: FloatType) -> Result<()> {
        self.classifier.save(folder, adapters, dtype)
    }
}

layered_through!(CrossEncoder, classifier);

impl AdapterBase for CrossEncoder {
    fn module_shapes(&self) -> &Arc<ModuleShapes> {
        self.classifier.module_shapes()
    }

    fn modules(&self) -> Vec<Module<'_>> {
        self.classifier.modules()
    }

    fn device(&self) -> &Device {
        self.classifier.device()
    }
}

impl Reranker for CrossEncoder {
    fn score(&self, query: &str, passages: &[&str]) -> Result<Vec<f32>> {
        let logits = self.logits(query, passages)?;
        Ok(logits.iter().map(|logits| relevance(logits)).collect())
    }
}

/// The probability of relevance. The softmax of two classes is the sigmoid of their difference.
fn relevance(logits: &[f32]) -> f32 {
    let margin = match logits {
        [relevant] => *relevant,
        [irrelevant, relevant] => relevant - irrelevant,
        _ => f32::NEG_INFINITY,
    };
    1.0 / (1.0 + (-margin).exp())
}
