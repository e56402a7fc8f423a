//! Classes of words, such as the parts of names (Ramshaw and Marcus 1995, arXiv:cmp-lg/9505040).
//!
//! Letters: `t` tokens of a batch, `h` hidden width, `c` classes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::{Device, Tensor};

use super::super::dropout::DropoutConfig;
use super::super::encoder::EncoderModel;
use super::super::layered::layered_through;
use super::super::sentence::to_host;
use super::super::tokenizer::{Encoded, TextTokenizer, WordWindow};
use super::body::{Body, Head};
use super::described::{TOKEN, check_same, is_tuned};
use super::labels::{argmax, softmax};
use super::{Labels, ProblemType};
use crate::adapters::{AdapterBase, AdapterStack, Module, ModuleShapes};
use crate::error::Result;
use crate::generation::Random;
use crate::nn::{Context, Dropout, Linear};
use crate::weights::{FloatType, LoadReport, ModelFiles};

/// The module path of the head, in every family.
const CLASSIFIER: &str = "classifier";

/// A classifier of words: an encoder with a linear layer over every token (`...ForTokenClassification` of transformers).
///
/// A word has the class of its first token. A sentence that is too long is read in windows that overlap by half, and
/// each word is taken from the window in which it has the most around it.
///
/// ```no_run
/// use ragtune_core::device::Device;
/// use ragtune_core::models::TokenClassifier;
///
/// # fn on(device: &Device) -> ragtune_core::Result<()> {
/// let tagger = TokenClassifier::load("models/ner", device)?;
/// let words = ["Ada", "lives", "in", "London"];
/// for (word, tag) in words.iter().zip(tagger.tag(&words)?) {
///     println!("{word} {}", tag.label.and_then(|label| tagger.labels().name(label)).unwrap_or("?"));
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TokenClassifier {
    body: Body,
    head: TokenHead,
    labels: Labels,
}

/// What a classifier says of one word.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct WordTag {
    /// The class with the highest probability; `None` for a word that the tokenizer makes no token of.
    pub label: Option<usize>,
    /// The probability of each class; empty for a word without a token.
    pub scores: Vec<f32>,
}

/// One linear layer over every token.
#[derive(Clone, Debug)]
pub(super) struct TokenHead {
    pub(super) layer: Linear,
    dropout: Dropout,
}

impl TokenHead {
    /// Reads the layer at a slot, or makes it anew of a seed.
    pub(super) fn load(
        files: &ModelFiles,
        device: &Device,
        (slot, classes): (&str, usize),
        seed: Option<u64>,
        dropout: fn(&DropoutConfig) -> f64,
    ) -> Result<(Body, Self)> {
        Body::load(files, device, |parts| {
            let dims = (parts.config.hidden_size, classes);
            let layer = match seed {
                None => parts.linear(slot, false, dims)?,
                Some(seed) => parts.new_linear(slot, dims, &mut Random::new(seed))?,
            };
            let dropout = Dropout::new(format!("{slot}.dropout"), dropout(&parts.config.dropout));
            Ok((Self { layer, dropout }, LoadReport::default()))
        })
    }
}

impl TokenHead {
    /// The head of a classifier of words.
    fn of_words(
        files: &ModelFiles,
        device: &Device,
        classes: usize,
        seed: Option<u64>,
    ) -> Result<(Body, Self)> {
        Self::load(files, device, (CLASSIFIER, classes), seed, |dropout| {
            dropout.token_head
        })
    }

    /// # Shapes
    /// `[t, h] -> [t, c]`.
    pub(super) fn logits(&self, hidden: Tensor<2>, context: &Context) -> Tensor<2> {
        self.layer.forward(self.dropout.forward(hidden, context), context)
    }
}

impl Head for TokenHead {
    fn modules<'a>(&'a self, into: &mut Vec<Module<'a>>) {
        into.push(Module::Linear(&self.layer));
    }
}

impl TokenClassifier {
    /// Loads a folder.
    ///
    /// # Errors
    /// As [`TokenClassifier::from_files`].
    pub fn load(folder: impl Into<PathBuf>, device: &Device) -> Result<Self> {
        Self::from_files(&ModelFiles::folder(folder)?, device)
    }

    /// Loads files from a folder or from memory.
    ///
    /// # Errors
    /// As [`super::super::SequenceClassifier::from_files`].
    pub fn from_files(files: &ModelFiles, device: &Device) -> Result<Self> {
        let labels = Labels::read(&Body::config_file(files)?)?;
        let (body, head) = TokenHead::of_words(files, device, labels.len(), None)?;
        Ok(Self { body, head, labels })
    }

    /// Loads the encoder of a folder, and puts a head on it that nobody trained yet: weights from
    /// N(0, `initializer_range`), biases 0, as in transformers.
    ///
    /// # Errors
    /// As [`super::super::Encoder::from_files`].
    pub fn with_new_head(
        folder: impl Into<PathBuf>,
        labels: Labels,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        Self::with_new_head_from_files(&ModelFiles::folder(folder)?, labels, seed, device)
    }

    /// As [`TokenClassifier::with_new_head`], with files from a folder or from memory.
    ///
    /// # Errors
    /// As [`TokenClassifier::with_new_head`].
    pub fn with_new_head_from_files(
        files: &ModelFiles,
        labels: Labels,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        let (body, head) = TokenHead::of_words(files, device, labels.len(), Some(seed))?;
        Ok(Self { body, head, labels })
    }

    /// Loads a folder to tune it: where it has a tuned head for these labels, in whatever order, that head goes on, with
    /// its labels in its order; where it has none, it gets a new one.
    ///
    /// # Errors
    /// [`crate::Error::OtherLabels`] for a tuned head for other labels, which [`TokenClassifier::with_new_head`] replaces;
    /// otherwise as that and [`TokenClassifier::from_files`].
    pub fn for_tuning(
        folder: impl Into<PathBuf>,
        labels: Labels,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        let files = ModelFiles::folder(folder)?;
        if !is_tuned(&files, TOKEN)? {
            return Self::with_new_head_from_files(&files, labels, seed, device);
        }
        let found = Labels::read(&Body::config_file(&files)?)?;
        let kind = ProblemType::SingleLabel;
        check_same(&files, (&found, kind), (&labels, kind))?;
        Self::from_files(&files, device)
    }

    /// What became of the checkpoint's tensors.
    pub fn report(&self) -> &LoadReport {
        &self.body.report
    }

    /// The names of the classes.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// The transformer.
    pub fn encoder(&self) -> &Arc<EncoderModel> {
        &self.body.encoder
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Arc<TextTokenizer> {
        &self.body.tokenizer
    }

    /// Tokens of the longest window, special tokens included.
    pub fn max_seq_length(&self) -> usize {
        self.body.max_length
    }

    /// The same classifier with windows of at most `max_seq_length` tokens, special tokens included.
    ///
    /// # Errors
    /// [`crate::Error::InvalidArgument`] when that leaves no room for content, or the model has fewer positions.
    pub fn with_max_seq_length(mut self, max_seq_length: usize) -> Result<Self> {
        self.body.set_max_length(max_seq_length)?;
        Ok(self)
    }

    /// The slots of the head's own modules.
    #[must_use]
    pub fn heads(&self) -> Vec<&str> {
        vec![self.head.layer.slot()]
    }

    /// The tokens of a sentence, in windows that overlap by half where it is too long for one.
    ///
    /// # Errors
    /// [`crate::Error::Tokenizer`] when the tokenizer fails on a word.
    pub fn tokenize<S: AsRef<str>>(&self, words: &[S]) -> Result<Vec<WordWindow>> {
        let special = self.body.tokenizer.special_tokens(false);
        let stride = self.body.max_length.saturating_sub(special) / 2;
        self.body
            .tokenizer
            .encode_words(words, self.body.max_length, stride)
    }

    /// What the classifier says of each word of a sentence.
    ///
    /// # Errors
    /// As [`TokenClassifier::tag_all`].
    pub fn tag(&self, words: &[&str]) -> Result<Vec<WordTag>> {
        let mut tags = self.tag_all(&[words.to_vec()], &AdapterStack::base())?;
        Ok(tags.pop().unwrap_or_default())
    }

    /// What the classifier says, with adapters, of each word of many sentences.
    ///
    /// # Errors
    /// [`crate::Error::Tokenizer`], [`crate::Error::Adapter`] for adapters of another base, and errors of the device.
    pub fn tag_all(&self, sentences: &[Vec<&str>], adapters: &AdapterStack) -> Result<Vec<Vec<WordTag>>> {
        // 1. Windows of all sentences.
        let mut windows: Vec<(usize, WordWindow)> = Vec::new();
        for (sentence, words) in sentences
            .iter()
            .enumerate()
            .filter(|(_, words)| !words.is_empty())
        {
            windows.extend(self.tokenize(words)?.into_iter().map(|window| (sentence, window)));
        }
        let texts: Vec<Encoded> = windows.iter().map(|(_, window)| encoded(window)).collect();
        let kept: Vec<usize> = (0..texts.len()).filter(|&i| !texts[i].ids.is_empty()).collect();
        let whole: Vec<Encoded> = kept.iter().map(|&i| texts[i].clone()).collect();
        // 2. Logits of their tokens.
        let classes = self.labels.len();
        let logits = self.body.run(&whole, adapters, |hidden, context| {
            let logits = to_host(self.logits(hidden, context))?; // [t, c]
            let rows = context.segments().iter();
            Ok(rows
                .map(|rows| logits[rows.start * classes..rows.end * classes].to_vec())
                .collect())
        })?;
        // 3. Each word from the window with the most tokens around it.
        let mut tags: Vec<Vec<WordTag>> = sentences
            .iter()
            .map(|words| vec![WordTag::default(); words.len()])
            .collect();
        let mut around: Vec<Vec<usize>> = sentences.iter().map(|words| vec![0; words.len()]).collect();
        for (&i, logits) in kept.iter().zip(&logits) {
            let (sentence, window) = &windows[i];
            for (token, word) in window.words.iter().enumerate() {
                let Some(word) = *word else { continue };
                let margin = 1 + token.min(window.ids.len() - 1 - token);
                if margin > around[*sentence][word] {
                    around[*sentence][word] = margin;
                    let scores = softmax(&logits[token * classes..(token + 1) * classes]);
                    let label = Some(argmax(&scores));
                    tags[*sentence][word] = WordTag { label, scores };
                }
            }
        }
        Ok(tags)
    }

    /// The head on the encoder's hidden states.
    ///
    /// # Shapes
    /// `hidden [t, h] -> [t, c]`.
    pub fn logits(&self, hidden: Tensor<2>, context: &Context) -> Tensor<2> {
        self.head.logits(hidden, context)
    }

    /// Writes the classifier, with what adapters make of it, as a folder that ragtune and transformers
    /// (`AutoModelForTokenClassification`) load, in the given type. The folder appears whole or not at all.
    ///
    /// Weights that an adapter replaces as a whole are written to the last bit.
    ///
    /// # Errors
    /// As [`super::super::SequenceClassifier::save`].
    pub fn save(&self, folder: impl AsRef<Path>, adapters: &AdapterStack, dtype: FloatType) -> Result<()> {
        let class = (TOKEN, |config: &mut _| self.labels.write(config));
        self.body
            .save(&self.head, folder.as_ref(), adapters, dtype, class)
    }
}

layered_through!(TokenClassifier, body.encoder);

impl AdapterBase for TokenClassifier {
    fn module_shapes(&self) -> &Arc<ModuleShapes> {
        &self.body.shapes
    }

    fn modules(&self) -> Vec<Module<'_>> {
        self.body.modules(&self.head)
    }

    fn device(&self) -> &Device {
        AdapterBase::device(&*self.body.encoder)
    }
}

fn encoded(window: &WordWindow) -> Encoded {
    Encoded {
        ids: window.ids.clone(),
        type_ids: window.type_ids.clone(),
        truncated: false,
    }
}
