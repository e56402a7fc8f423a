//! Question and passage to a probability of relevance.
//!
//! Letters: `t` tokens of a batch, `b` pairs of a batch, `h` hidden width, `c` classes.

use std::path::PathBuf;

use burn::tensor::Device;

use super::super::batch::{Batching, in_pool};
use super::super::encoder::{EncoderConfig, EncoderModel};
use super::super::sentence::{first_tokens, max_length, to_host, transformer_files};
use super::super::tokenizer::{Encoded, TextTokenizer};
use super::head::ClassificationHead;
use crate::error::{Error, Result};
use crate::nn::{Context, Segments};
use crate::text::Reranker;
use crate::weights::{LoadReport, ModelFiles};

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
#[derive(Debug)]
pub struct CrossEncoder {
    tokenizer: TextTokenizer,
    model: EncoderModel,
    classifier: ClassificationHead,
    max_length: usize,
    batching: Batching,
    report: LoadReport,
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
        let files = transformer_files(files)?;
        let (family, config) = EncoderModel::family(&files)?;
        if !(1..=2).contains(&config.num_labels) {
            return Err(Error::Config {
                path: config.path,
                field: "num_labels (or id2label)".to_owned(),
                found: config.num_labels.to_string(),
                expected: "1 (relevance) or 2 (irrelevant, relevant)".to_owned(),
            });
        }
        let mut tokenizer = TextTokenizer::load(&files)?;
        let (max_length, do_lower_case) = max_length(&files, &tokenizer, &config)?;
        if do_lower_case {
            tokenizer = tokenizer.lower_cased()?;
        }
        tokenizer.check_ids("embeddings.word_embeddings", config.vocab_size)?;
        let ((model, classifier), report) = files.checkpoint()?.load(device, |loader| {
            let bare = EncoderModel::loader(loader);
            let model = EncoderModel::load(&config, loader)?;
            let head = ClassificationHead::load(&config, &family.head, loader, &bare)?;
            Ok((model, head))
        })?;
        Ok(Self {
            tokenizer,
            model,
            classifier,
            max_length,
            batching: Batching::on(device),
            report,
        })
    }

    /// What became of the checkpoint's tensors.
    pub fn report(&self) -> &LoadReport {
        &self.report
    }

    /// The shape of the transformer.
    pub fn config(&self) -> &EncoderConfig {
        self.model.shape()
    }

    /// Tokens after which a pair is cut, special tokens included.
    pub fn max_seq_length(&self) -> usize {
        self.max_length
    }

    /// What the head says of each passage before it becomes a probability, one number for each class.
    ///
    /// # Errors
    /// As [`Reranker::score`].
    pub fn logits(&self, query: &str, passages: &[&str]) -> Result<Vec<Vec<f32>>> {
        let encoded = self.tokenizer.encode_pairs(query, passages, self.max_length)?;
        let lengths: Vec<usize> = encoded.iter().map(|pair| pair.ids.len()).collect();
        let mut logits = vec![Vec::new(); passages.len()];
        let compute = |batch: &[usize]| {
            let members: Vec<&Encoded> = batch.iter().map(|&i| &encoded[i]).collect();
            self.forward(&members)
        };
        let batches = in_pool(|| self.batching.run(&lengths, compute))?;
        for (batch, rows) in &batches {
            for (&i, row) in batch.iter().zip(rows.chunks_exact(self.config().num_labels)) {
                logits[i] = row.to_vec();
            }
        }
        Ok(logits)
    }

    /// The logits of one batch, `[b, c]` row by row.
    fn forward(&self, batch: &[&Encoded]) -> Result<Vec<f32>> {
        let context = Context::new(Segments::from_lengths(batch.iter().map(|pair| pair.ids.len())));
        let ids: Vec<u32> = batch.iter().flat_map(|pair| &pair.ids).copied().collect();
        let type_ids: Vec<u32> = batch.iter().flat_map(|pair| &pair.type_ids).copied().collect();
        let x = self.model.forward(&ids, &type_ids, &context)?; // [t, h]
        let x = first_tokens(&x, context.segments()); // [b, h]
        to_host(self.classifier.forward(x, &context))
    }
}

impl Reranker for CrossEncoder {
    fn score(&self, query: &str, passages: &[&str]) -> Result<Vec<f32>> {
        let logits = self.logits(query, passages)?;
        // The softmax of two classes is the sigmoid of their difference.
        let margin = |logits: &Vec<f32>| match logits.as_slice() {
            [relevant] => *relevant,
            [irrelevant, relevant] => relevant - irrelevant,
            _ => f32::NEG_INFINITY,
        };
        Ok(logits
            .iter()
            .map(|logits| 1.0 / (1.0 + (-margin(logits)).exp()))
            .collect())
    }
}
