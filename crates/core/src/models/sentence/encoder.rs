//! Texts to vectors with a transformer of the BERT family.
//!
//! Letters: `t` tokens of a batch, `b` texts of a batch, `h` hidden width, `dim` components of a vector.

use std::path::PathBuf;
use std::sync::Arc;

use burn::tensor::{Device, Tensor};

use super::super::batch::{Batching, in_pool};
use super::super::encoder::{EncoderConfig, EncoderModel};
use super::super::layered::layered_through;
use super::super::tokenizer::{Encoded, TextTokenizer};
use super::folder::{max_length, transformer_files};
use super::head::SentenceHead;
use crate::adapters::{AdapterBase, AdapterStack, Module, ModuleShapes};
use crate::error::{Error, Result};
use crate::nn::{Context, Segments};
use crate::text::{Embedder, Embeddings, Role, TokenCount};
use crate::weights::{LoadReport, ModelFiles};

/// Changes when the same files come to give other vectors.
const FORMAT: &[u8] = b"ragtune encoder 1 f32";

/// A sentence encoder from a sentence-transformers folder, or from a plain transformers folder with mean pooling.
///
/// Texts are computed in batches of similar length without padding, so a text's vector does not depend on its
/// neighbours.
///
/// ```no_run
/// use ragtune_core::device::Device;
/// use ragtune_core::models::Encoder;
/// use ragtune_core::text::{Embedder, Role};
///
/// # fn on(device: &Device) -> ragtune_core::Result<()> {
/// let encoder = Encoder::load("models/all-minilm-l6-v2", device)?;
/// let vectors = encoder.embed(&["green tea", "black tea"], Role::Document)?;
/// assert_eq!((vectors.len(), vectors.dim()), (2, 384));
/// println!("{} texts were cut, unused tensors: {:?}", vectors.truncated(), encoder.report().unused);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Encoder {
    files: ModelFiles,
    tokenizer: TextTokenizer,
    model: Arc<EncoderModel>,
    head: SentenceHead,
    shapes: Arc<ModuleShapes>,
    adapters: AdapterStack,
    prefix: &'static str,
    max_length: usize,
    /// Tokens of the special tokens and the longer prompt.
    reserved: usize,
    batching: Batching,
    report: LoadReport,
    fingerprint: blake3::Hash,
    id: String,
}

impl Encoder {
    /// Loads a folder.
    ///
    /// # Errors
    /// As [`Encoder::from_files`].
    pub fn load(folder: impl Into<PathBuf>, device: &Device) -> Result<Self> {
        Self::from_files(&ModelFiles::folder(folder)?, device)
    }

    /// Loads files from a folder or from memory.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::MissingFile`] for files that are not there; [`Error::Json`], [`Error::Config`] and
    /// [`Error::Unsupported`] for configurations; [`Error::Checkpoint`] and [`Error::MissingTensors`] for weights;
    /// [`Error::Tokenizer`], and [`Error::UnknownId`] when tokenizer and weights do not belong together.
    pub fn from_files(files: &ModelFiles, device: &Device) -> Result<Self> {
        let transformer = transformer_files(files)?;
        let (family, config) = EncoderModel::family(&transformer)?;
        let mut tokenizer = TextTokenizer::load(&transformer)?;
        let (max_length, do_lower_case) = max_length(&transformer, &tokenizer, &config)?;
        if do_lower_case {
            tokenizer = tokenizer.lower_cased()?;
        }

        let mut hasher = blake3::Hasher::new();
        hasher.update(FORMAT);
        hasher.update(config.description().as_bytes());
        tokenizer.hash_into(&mut hasher);
        hasher.update(&[u8::from(do_lower_case)]);
        let checkpoint = transformer.checkpoint()?;
        let (model, mut report) = checkpoint.load(device, |loader| EncoderModel::load(&config, loader))?;
        // Behind the loading, which checks that the table has the rows that config.json says.
        tokenizer.check_ids("embeddings.word_embeddings", config.vocab_size)?;
        checkpoint.hash_into(&report.applied, &mut hasher);
        let (head, head_report) = SentenceHead::load(files, config.hidden_size, device, &mut hasher)?;
        report.absorb(head_report, "");

        let mut modules = model.modules();
        modules.extend(head.linears().map(Module::Linear));
        let inside = |slot: &str| model.module_shapes().get(slot).is_some();
        let shapes = ModuleShapes::new(&modules, |_| false, None)
            .with_sublayers(model.sublayers())
            .with_optional_prefix(family.prefix, inside);
        let shapes = Arc::new(shapes);
        let encoder = Self {
            files: files.without_weights(),
            tokenizer,
            model: Arc::new(model.under(&shapes)),
            head,
            shapes,
            adapters: AdapterStack::base(),
            prefix: family.prefix,
            max_length,
            reserved: 0,
            batching: Batching::on(device),
            report,
            fingerprint: hasher.finalize(),
            id: String::new(),
        };
        encoder.with_max_seq_length(max_length)
    }

    /// The same encoder, cutting texts after `max_seq_length` tokens, special tokens included; its id changes with it.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when that leaves no room for content, or the model has fewer positions.
    pub fn with_max_seq_length(mut self, max_seq_length: usize) -> Result<Self> {
        let tokens = |role| self.tokenizer.count(self.head.prompts.of(role));
        let (query, document) = (tokens(Role::Query), tokens(Role::Document));
        let reserved = self.tokenizer.special_tokens(false) + query?.max(document?);
        let most = self.config().max_tokens();
        if max_seq_length > most || max_seq_length <= reserved {
            return Err(Error::InvalidArgument {
                argument: "max_seq_length",
                reason: format!(
                    "{max_seq_length} is not more than the {reserved} special and prompt tokens and at most the {most} \
                     positions of the model"
                ),
            });
        }
        (self.max_length, self.reserved) = (max_seq_length, reserved);
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.fingerprint.as_bytes());
        hasher.update(format!("max_seq_length {max_seq_length}").as_bytes());
        self.adapters.hash_into(&mut hasher);
        let hash = hasher.finalize().to_hex();
        self.id = format!("{}-{}", self.config().model_type, &hash[..32]);
        Ok(self)
    }

    /// The same encoder with adapters in every pass; its id changes with them.
    ///
    /// # Errors
    /// [`Error::Adapter`] when one is for another base.
    pub fn with_adapters(mut self, adapters: AdapterStack) -> Result<Self> {
        adapters.check(&self.shapes)?;
        self.adapters = adapters;
        let max_seq_length = self.max_length;
        self.with_max_seq_length(max_seq_length)
    }

    /// The same encoder with batches of at most so many tokens (or one text): 512 on the CPU, where each thread computes
    /// batches of its own, elsewhere 4096. Vectors do not change, speed and memory do.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for 0.
    pub fn with_batch_tokens(mut self, batch_tokens: usize) -> Result<Self> {
        if batch_tokens == 0 {
            return Err(Error::InvalidArgument {
                argument: "batch_tokens",
                reason: "is 0 where at least 1 is needed".to_owned(),
            });
        }
        self.batching.tokens = batch_tokens;
        Ok(self)
    }

    /// What became of the checkpoint's tensors.
    pub fn report(&self) -> &LoadReport {
        &self.report
    }

    /// The shape of the transformer.
    pub fn config(&self) -> &EncoderConfig {
        self.model.shape()
    }

    /// The transformer.
    pub fn model(&self) -> &Arc<EncoderModel> {
        &self.model
    }

    /// The files that the encoder was loaded from.
    pub(super) fn files(&self) -> &ModelFiles {
        &self.files
    }

    /// The prefix of the bare model's tensors in its family.
    pub(super) fn prefix(&self) -> &str {
        self.prefix
    }

    pub(super) fn head(&self) -> &SentenceHead {
        &self.head
    }

    /// The adapters of every pass.
    pub fn adapters(&self) -> &AdapterStack {
        &self.adapters
    }

    /// Tokens after which a text is cut, special tokens and prompt included.
    pub fn max_seq_length(&self) -> usize {
        self.max_length
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &TextTokenizer {
        &self.tokenizer
    }

    /// The tokens of texts as [`Embedder::embed`] takes them in a role: prompt in front, cut, special tokens around.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] when the tokenizer fails on a text.
    pub fn tokenize(&self, texts: &[&str], role: Role) -> Result<Vec<Encoded>> {
        let prompt = self.head.prompts.of(role);
        if prompt.is_empty() {
            return self.tokenizer.encode(texts, self.max_length);
        }
        let texts: Vec<_> = texts.iter().map(|text| format!("{prompt}{text}")).collect();
        self.tokenizer.encode(&texts, self.max_length)
    }

    /// The vectors of texts that [`Encoder::tokenize`] gave in the same role.
    ///
    /// # Errors
    /// [`Error::UnknownId`] and [`Error::Dimension`] for tokens that are not of this encoder, and errors of the device.
    pub fn embed_tokens(&self, texts: &[Encoded], role: Role) -> Result<Embeddings> {
        self.embed_tokens_with(texts, role, &self.adapters)
    }

    /// As [`Encoder::embed_tokens`], with other adapters than the encoder's own.
    ///
    /// # Errors
    /// As [`Encoder::embed_tokens`], and [`Error::Adapter`] when an adapter is for another base.
    pub fn embed_tokens_with(
        &self,
        texts: &[Encoded],
        role: Role,
        adapters: &AdapterStack,
    ) -> Result<Embeddings> {
        let skip = self.skipped(self.head.prompts.of(role))?;
        let lengths: Vec<usize> = texts.iter().map(|text| text.ids.len()).collect();
        let dim = self.dim();
        let compute = |batch: &[usize]| {
            let members: Vec<&Encoded> = batch.iter().map(|&i| &texts[i]).collect();
            // Without special tokens an empty text has no token, and zeros for a vector.
            match members.iter().all(|text| text.ids.is_empty()) {
                true => Ok(vec![0.0; members.len() * dim]),
                false => to_host(self.forward(&members, skip, adapters)?),
            }
        };
        let batches = in_pool(|| self.batching.run(&lengths, compute))?;
        // Back into the order of the texts.
        let mut data = vec![0.0; texts.len() * dim];
        for (batch, vectors) in &batches {
            for (&i, row) in batch.iter().zip(vectors.chunks_exact(dim)) {
                data[i * dim..(i + 1) * dim].copy_from_slice(row);
            }
        }
        let truncated = texts.iter().filter(|text| text.truncated).count();
        Embeddings::new(dim, data, truncated)
    }

    /// The vectors of texts from the hidden states of their tokens, which
    /// [`Layered::hidden`](crate::models::Layered::hidden) gives: pooling and what the
    /// folder's modules do behind it. What is computed from tensors that record gradients records them.
    ///
    /// # Shapes
    /// `hidden [t, h] -> [b, dim]`.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] when the tokenizer fails on the prompt of the role.
    pub fn pooled(&self, hidden: &Tensor<2>, role: Role, context: &Context) -> Result<Tensor<2>> {
        let skip = self.skipped(self.head.prompts.of(role))?;
        Ok(self.head.forward(hidden, skip, context))
    }

    /// The vectors of one batch.
    ///
    /// # Shapes
    /// `-> [b, dim]`.
    fn forward(&self, batch: &[&Encoded], skip: usize, adapters: &AdapterStack) -> Result<Tensor<2>> {
        let context = Context::new(Segments::from_lengths(batch.iter().map(|text| text.ids.len())))
            .with_adapters(vec![adapters.clone(); batch.len()]);
        let ids: Vec<u32> = batch.iter().flat_map(|text| &text.ids).copied().collect();
        let type_ids: Vec<u32> = batch.iter().flat_map(|text| &text.type_ids).copied().collect();
        let hidden = self.model.forward(&ids, &type_ids, &context)?; // [t, h]
        Ok(self.head.forward(&hidden, skip, &context))
    }

    /// The first tokens of each text that are not pooled.
    fn skipped(&self, prompt: &str) -> Result<usize> {
        if prompt.is_empty() || self.head.pooling.include_prompt() {
            return Ok(0);
        }
        self.tokenizer.prefix_tokens(prompt, self.max_length)
    }
}

impl Embedder for Encoder {
    fn id(&self) -> &str {
        &self.id
    }

    fn dim(&self) -> usize {
        self.head.dim
    }

    /// Content tokens: special tokens and the longer prompt are taken off.
    fn max_tokens(&self) -> usize {
        self.max_length - self.reserved
    }

    fn embed(&self, texts: &[&str], role: Role) -> Result<Embeddings> {
        self.embed_tokens(&self.tokenize(texts, role)?, role)
    }

    fn count_tokens(&self, text: &str) -> TokenCount {
        match self.tokenizer.count(text) {
            Ok(tokens) => TokenCount::Exact(tokens),
            Err(_) => TokenCount::estimate(text),
        }
    }
}

layered_through!(Encoder, model);

/// The modules of the transformer, then the dense layers behind the pooling.
impl AdapterBase for Encoder {
    fn module_shapes(&self) -> &Arc<ModuleShapes> {
        &self.shapes
    }

    fn modules(&self) -> Vec<Module<'_>> {
        let mut modules = self.model.modules();
        modules.extend(self.head.linears().map(Module::Linear));
        modules
    }

    fn device(&self) -> &Device {
        AdapterBase::device(&*self.model)
    }
}

/// The components of a tensor, row by row.
pub(in crate::models) fn to_host(x: Tensor<2>) -> Result<Vec<f32>> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| Error::external("device", source);
    let data = x
        .try_into_data()
        .map_err(|error| failed(error.to_string().into()))?;
    data.try_into_vec::<f32>()
        .map_err(|error| failed(error.to_string().into()))
}
