//! Classes of texts.
//!
//! Letters: `t` tokens of a batch, `b` texts of a batch, `h` hidden width, `p` width of pooled vectors, `c` classes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use serde_json::{Map, Value, json};

use super::super::layered::layered_through;
use super::super::saving::{new_folder, write_json};
use super::super::sentence::{SentenceFolder, to_host};
use super::super::tokenizer::{Encoded, TextTokenizer};
use super::super::transformer::Transformer;
use super::body::{Body, Head, is_decoder};
use super::classification::{ClassificationHead, HeadPooling};
use super::described::{SENTENCE_CONFIG, SEQUENCE, check_same, described, is_tuned, strip};
use super::labels::argmax;
use super::padding::{new_padding, padding};
use super::save::set_class;
use super::{Labels, NewHead, ProblemType};
use crate::adapters::{AdapterBase, AdapterStack, Module, ModuleShapes};
use crate::error::Result;
use crate::nn::Context;
use crate::weights::{FloatType, LoadReport, ModelFiles};

/// A classifier of texts, or of pairs of texts: an encoder or a decoder with a head over each text.
///
/// It loads the folders of transformers (`...ForSequenceClassification`) of both kinds, and sentence-transformers folders that end in
/// a linear layer; see [`HeadPooling`].
///
/// ```no_run
/// use ragtune_core::device::Device;
/// use ragtune_core::models::SequenceClassifier;
///
/// # fn on(device: &Device) -> ragtune_core::Result<()> {
/// let classifier = SequenceClassifier::load("models/spam", device)?;
/// for found in classifier.classify(&["You have won!", "See you at six."])? {
///     println!("{} ({:.2})", classifier.labels().name(found.best()).unwrap_or("?"), found.scores[found.best()]);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SequenceClassifier {
    body: Body<Transformer>,
    head: ClassificationHead,
    labels: Labels,
    problem_type: ProblemType,
}

/// What a classifier says of one text.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Classification {
    /// What the head gives for each class.
    pub logits: Vec<f32>,
    /// The probability of each class: of one class of all by the softmax, of each on its own by the sigmoid; the numbers
    /// themselves of a regression.
    pub scores: Vec<f32>,
    /// Whether the text was cut.
    pub truncated: bool,
}

impl Classification {
    /// The class with the highest score, the first of equals.
    #[must_use]
    pub fn best(&self) -> usize {
        argmax(&self.scores)
    }

    /// The classes whose score is not below a threshold, usually 0.5, for texts that have any number of classes.
    pub fn above(&self, threshold: f32) -> impl Iterator<Item = usize> + '_ {
        let scores = self.scores.iter().enumerate();
        scores
            .filter(move |(_, score)| **score >= threshold)
            .map(|(class, _)| class)
    }
}

impl SequenceClassifier {
    /// Loads a folder.
    ///
    /// # Errors
    /// As [`SequenceClassifier::from_files`].
    pub fn load(folder: impl Into<PathBuf>, device: &Device) -> Result<Self> {
        Self::from_files(&ModelFiles::folder(folder)?, device)
    }

    /// Loads files from a folder or from memory.
    ///
    /// # Errors
    /// As [`super::super::Encoder::from_files`]; [`crate::Error::Config`] for labels or a problem type that make no
    /// sense, and [`crate::Error::MissingTensors`] for a checkpoint without a head
    /// ([`SequenceClassifier::with_new_head`] makes one).
    pub fn from_files(files: &ModelFiles, device: &Device) -> Result<Self> {
        let file = described(files)?;
        let labels = Labels::read(&file)?;
        let problem_type = ProblemType::read(&file, labels.len())?;
        if is_decoder(files)? {
            let (body, head) = Body::load_decoder(files, device, padding, |parts| {
                ClassificationHead::load_decoders(labels.len(), parts)
            })?;
            return Ok(Self {
                body: body.map(Transformer::Decoder),
                head,
                labels,
                problem_type,
            });
        }
        let (body, head) = Body::load(files, device, |parts| {
            ClassificationHead::load(files, labels.len(), parts)
        })?;
        Ok(Self {
            body: body.map(Transformer::Encoder),
            head,
            labels,
            problem_type,
        })
    }

    /// Loads the encoder or decoder of a folder (a bare model, a sentence-transformers folder, a language model, a model with
    /// some other head), and puts a head on it that nobody trained yet.
    ///
    /// ```no_run
    /// use ragtune_core::device::Device;
    /// use ragtune_core::models::{Labels, NewHead, SequenceClassifier};
    ///
    /// # fn on(device: &Device) -> ragtune_core::Result<()> {
    /// let head = NewHead::new(Labels::new(["ham", "spam"])?).with_seed(1);
    /// let classifier = SequenceClassifier::with_new_head("models/all-minilm-l6-v2", &head, device)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`super::super::Encoder::from_files`].
    pub fn with_new_head(folder: impl Into<PathBuf>, head: &NewHead, device: &Device) -> Result<Self> {
        Self::with_new_head_from_files(&ModelFiles::folder(folder)?, head, device)
    }

    /// As [`SequenceClassifier::with_new_head`], with files from a folder or from memory.
    ///
    /// # Errors
    /// As [`SequenceClassifier::with_new_head`].
    pub fn with_new_head_from_files(files: &ModelFiles, new: &NewHead, device: &Device) -> Result<Self> {
        let classes = new.labels.len();
        if is_decoder(files)? {
            let (body, head) = Body::load_decoder(files, device, new_padding, |parts| {
                ClassificationHead::new_decoders(classes, new.pooling, new.seed, parts)
            })?;
            return Ok(Self {
                body: body.map(Transformer::Decoder),
                head,
                labels: new.labels.clone(),
                problem_type: new.problem_type,
            });
        }
        let (body, head) = Body::load(files, device, |parts| {
            ClassificationHead::new(files, classes, new.pooling, new.seed, parts)
        })?;
        Ok(Self {
            body: body.map(Transformer::Encoder),
            head,
            labels: new.labels.clone(),
            problem_type: new.problem_type,
        })
    }

    /// Loads a folder to tune it: where it has a tuned head for the labels of `head`, in whatever order, that head goes on,
    /// with its labels in its order; where it has none, it gets a new one.
    ///
    /// ```no_run
    /// use ragtune_core::device::Device;
    /// use ragtune_core::models::{Labels, NewHead, SequenceClassifier};
    ///
    /// # fn on(device: &Device) -> ragtune_core::Result<()> {
    /// let head = NewHead::new(Labels::new(["ham", "spam"])?);
    /// let classifier = SequenceClassifier::for_tuning("models/spam", &head, device)?;
    /// println!("{:?}", classifier.labels()); // perhaps spam, ham
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`crate::Error::OtherLabels`] for a tuned head for other labels or of another kind, which
    /// [`SequenceClassifier::with_new_head`] replaces; otherwise as that and [`SequenceClassifier::from_files`].
    pub fn for_tuning(folder: impl Into<PathBuf>, head: &NewHead, device: &Device) -> Result<Self> {
        Self::for_tuning_from_files(&ModelFiles::folder(folder)?, head, device)
    }

    /// As [`SequenceClassifier::for_tuning`], with files from a folder or from memory.
    ///
    /// # Errors
    /// As [`SequenceClassifier::for_tuning`].
    pub fn for_tuning_from_files(files: &ModelFiles, head: &NewHead, device: &Device) -> Result<Self> {
        if !is_tuned(files, SEQUENCE)? {
            return Self::with_new_head_from_files(files, head, device);
        }
        let file = described(files)?;
        let labels = Labels::read(&file)?;
        let problem_type = ProblemType::read(&file, labels.len())?;
        check_same(files, (&labels, problem_type), (&head.labels, head.problem_type))?;
        Self::from_files(files, device)
    }

    /// Whether files are of a classifier with a tuned head.
    pub(in crate::models) fn is_tuned(files: &ModelFiles) -> Result<bool> {
        is_tuned(files, SEQUENCE)
    }

    /// What became of the checkpoint's tensors.
    pub fn report(&self) -> &LoadReport {
        &self.body.report
    }

    /// The names of the classes.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// What the head's numbers are.
    pub fn problem_type(&self) -> ProblemType {
        self.problem_type
    }

    /// What the head reads of a text.
    pub fn pooling(&self) -> HeadPooling {
        self.head.pooling()
    }

    /// The transformer.
    pub fn transformer(&self) -> &Transformer {
        &self.body.encoder
    }

    /// The classes that the `config.json` of a model's folder names, or would have by default.
    pub(in crate::models) fn classes(files: &ModelFiles) -> Result<usize> {
        Ok(Labels::read(&Body::config_file(files)?)?.len())
    }

    /// What a new head on the model of a folder reads, where it is the family's own.
    pub(in crate::models) fn own_pooling(files: &ModelFiles) -> Result<HeadPooling> {
        Ok(match is_decoder(files)? {
            true => HeadPooling::LastToken,
            false => HeadPooling::FirstToken,
        })
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Arc<TextTokenizer> {
        &self.body.tokenizer
    }

    /// The slots of the head's own modules.
    ///
    /// ```no_run
    /// # fn of(classifier: &ragtune_core::models::SequenceClassifier) {
    /// assert_eq!(classifier.heads(), ["pooler.dense", "classifier"]); // of a BERT; ["score"] of a Llama
    /// # }
    /// ```
    #[must_use]
    pub fn heads(&self) -> Vec<&str> {
        let mut modules = Vec::new();
        self.head.modules(&mut modules);
        modules
            .into_iter()
            .filter_map(|module| match module {
                Module::Linear(layer) => Some(layer.slot()),
                _ => None,
            })
            .collect()
    }

    /// Tokens after which a text is cut, special tokens included.
    pub fn max_seq_length(&self) -> usize {
        self.body.max_length
    }

    /// The same classifier, cutting texts after `max_seq_length` tokens, special tokens included.
    ///
    /// # Errors
    /// [`crate::Error::InvalidArgument`] when that leaves no room for content, or the model has fewer positions.
    pub fn with_max_seq_length(mut self, max_seq_length: usize) -> Result<Self> {
        self.body.set_max_length(max_seq_length)?;
        Ok(self)
    }

    /// The tokens of texts as [`SequenceClassifier::classify`] takes them.
    ///
    /// # Errors
    /// [`crate::Error::Tokenizer`] when the tokenizer fails on a text.
    pub fn tokenize(&self, texts: &[&str]) -> Result<Vec<Encoded>> {
        self.body.tokenizer.encode(texts, self.body.max_length)
    }

    /// The tokens of pairs of texts; of the two, the longer is cut first.
    ///
    /// # Errors
    /// As [`SequenceClassifier::tokenize`].
    pub fn tokenize_pairs(&self, pairs: &[(&str, &str)]) -> Result<Vec<Encoded>> {
        let encode = |(first, second): &(&str, &str)| {
            self.body
                .tokenizer
                .encode_pairs(first, &[second], self.body.max_length)
        };
        Ok(pairs.iter().map(encode).collect::<Result<Vec<_>>>()?.concat())
    }

    /// What the classifier says of texts.
    ///
    /// # Errors
    /// As [`SequenceClassifier::classify_tokens`], and [`crate::Error::Tokenizer`].
    pub fn classify(&self, texts: &[&str]) -> Result<Vec<Classification>> {
        self.classify_tokens(&self.tokenize(texts)?, &AdapterStack::base())
    }

    /// What the classifier says of pairs of texts.
    ///
    /// # Errors
    /// As [`SequenceClassifier::classify`].
    pub fn classify_pairs(&self, pairs: &[(&str, &str)]) -> Result<Vec<Classification>> {
        self.classify_tokens(&self.tokenize_pairs(pairs)?, &AdapterStack::base())
    }

    /// What the classifier says, with adapters, of texts that [`SequenceClassifier::tokenize`] gave.
    ///
    /// # Errors
    /// [`crate::Error::UnknownId`] and [`crate::Error::Dimension`] for tokens that are not of this model,
    /// [`crate::Error::InvalidArgument`] for a text without any token, [`crate::Error::Adapter`] for adapters of another
    /// base, and errors of the device.
    pub fn classify_tokens(&self, texts: &[Encoded], adapters: &AdapterStack) -> Result<Vec<Classification>> {
        let classes = self.labels.len();
        let rows = self.body.run(texts, adapters, |hidden, context| {
            let logits = to_host(self.logits(&hidden, context))?; // [b, c]
            Ok(logits.chunks_exact(classes).map(<[f32]>::to_vec).collect())
        })?;
        let classification = |(logits, text): (Vec<f32>, &Encoded)| Classification {
            scores: self.problem_type.scores(&logits),
            logits,
            truncated: text.truncated,
        };
        Ok(rows.into_iter().zip(texts).map(classification).collect())
    }

    /// What the head reads of each text: the part of its input that does not change while only the head is trained.
    ///
    /// # Shapes
    /// `hidden [t, h] -> [b, p]`.
    pub fn pool(&self, hidden: &Tensor<2>, context: &Context) -> Tensor<2> {
        self.head.pool(hidden, context.segments(), &context.per_text())
    }

    /// The head on what [`SequenceClassifier::pool`] gave; `context` is that of the texts.
    ///
    /// # Shapes
    /// `pooled [b, p] -> [b, c]`.
    pub fn logits_of_pooled(&self, pooled: Tensor<2>, context: &Context) -> Tensor<2> {
        self.head.logits(pooled, &context.per_text())
    }

    /// The head on the transformer's hidden states.
    ///
    /// # Shapes
    /// `hidden [t, h] -> [b, c]`.
    pub fn logits(&self, hidden: &Tensor<2>, context: &Context) -> Tensor<2> {
        self.logits_of_pooled(self.pool(hidden, context), context)
    }

    /// Writes the classifier, with what adapters make of it, as a folder that ragtune and Python load, in the given type:
    /// with a head over the first or last token for transformers (`AutoModelForSequenceClassification`), with a head over
    /// sentence vectors for sentence-transformers, whose `encode` then gives the logits. Names of classes and problem type
    /// stand in `config.json`, of a head over sentence vectors in `config_sentence_transformers.json`: transformers, which
    /// has no place for such a head, would make one of its own for them. The folder appears whole or not at all.
    ///
    /// Weights that an adapter replaces as a whole are written to the last bit.
    ///
    /// # Errors
    /// [`crate::Error::InvalidArgument`] when `folder` exists, [`crate::Error::Io`], [`crate::Error::Adapter`] for
    /// adapters of another base, and [`crate::Error::Checkpoint`] for a weight that is not finite in the type.
    pub fn save(&self, folder: impl AsRef<Path>, adapters: &AdapterStack, dtype: FloatType) -> Result<()> {
        let folder = folder.as_ref();
        let (ClassificationHead::Sentence(head), Transformer::Encoder(encoder)) =
            (&self.head, &self.body.encoder)
        else {
            let class = (SEQUENCE, |config: &mut _| self.describe(config));
            return self.body.save(&self.head, folder, adapters, dtype, class);
        };
        adapters.check(&self.body.shapes)?;
        let parts = SentenceFolder {
            files: &self.body.files,
            encoder,
            head,
            max_length: self.body.max_length,
            unused: &self.body.report.unused,
            prefix: self.body.prefix,
            adapters,
            dtype,
        };
        new_folder(folder, |partial| {
            let mut classes = Map::new();
            self.describe(&mut classes);
            write_json(&partial.join(SENTENCE_CONFIG), &classes)?;
            parts.write(partial, |config| {
                set_class(config, &self.body.model_type, "Model", dtype);
                strip(config);
            })
        })
    }

    /// Writes what the configuration says of the head.
    fn describe(&self, config: &mut Map<String, Value>) {
        self.labels.write(config);
        match (self.problem_type, self.labels.len()) {
            // What transformers takes a single class for anyway; sentence-transformers makes a probability of it.
            (ProblemType::Regression, 1) => config.remove("problem_type"),
            (problem_type, _) => config.insert("problem_type".to_owned(), json!(problem_type.name())),
        };
    }
}

layered_through!(SequenceClassifier, body.encoder);

impl AdapterBase for SequenceClassifier {
    fn module_shapes(&self) -> &Arc<ModuleShapes> {
        &self.body.shapes
    }

    fn modules(&self) -> Vec<Module<'_>> {
        self.body.modules(&self.head)
    }

    fn device(&self) -> &Device {
        self.body.encoder.device()
    }
}
