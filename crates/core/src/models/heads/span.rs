//! Answers as parts of a passage (Devlin et al. 2019, arXiv:1810.04805, sections 4.2 and 4.3).
//!
//! Letters: `t` tokens of a batch, `h` hidden width.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use serde_json::{Map, Value};

use super::super::encoder::EncoderModel;
use super::super::layered::layered_through;
use super::super::sentence::to_host;
use super::super::tokenizer::{Encoded, PairWindow, TextTokenizer};
use super::Labels;
use super::body::Body;
use super::described::{SPAN, is_tuned};
use super::labels::softmax;
use super::token::TokenHead;
use crate::adapters::{AdapterBase, AdapterStack, Module, ModuleShapes};
use crate::error::Result;
use crate::nn::Context;
use crate::text::Span;
use crate::weights::{FloatType, LoadReport, ModelFiles};

/// The module path of the head, in every family.
const QA_OUTPUTS: &str = "qa_outputs";
/// The field that says whether a question may have no answer, as an argument of transformers' pipeline.
const ANSWERABLE: &str = "handle_impossible_answer";
/// Logits of a token: of a start, and of an end.
const LOGITS: usize = 2;

/// A reader that marks the answer to a question in a passage: an encoder with two logits for every token, start and end
/// (`...ForQuestionAnswering` of transformers).
///
/// A passage that is too long is read in overlapping windows. The first token stands for "no answer here".
///
/// ```no_run
/// use ragtune_core::device::Device;
/// use ragtune_core::models::SpanReader;
///
/// # fn on(device: &Device) -> ragtune_core::Result<()> {
/// let reader = SpanReader::load("models/qa", device)?;
/// let passage = "Tea is drunk all over the world.";
/// let reading = reader.read("Where is tea drunk?", passage)?;
/// if let Some(answer) = reading.best() {
///     println!("{:?} ({:.2})", answer.span.of(passage), answer.probability);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SpanReader {
    body: Body,
    head: TokenHead,
    options: SpanOptions,
}

/// How answers are looked for.
///
/// ```
/// use ragtune_core::models::SpanOptions;
/// let options = SpanOptions::default().with_max_answer_tokens(15).with_no_answer_threshold(1.5);
/// assert_eq!((options.max_answer_tokens, options.stride), (15, 128));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SpanOptions {
    /// Tokens of the longest answer.
    pub max_answer_tokens: usize,
    /// Tokens that neighbouring windows of a long passage share; at most half of a window's passage.
    pub stride: usize,
    /// Answers that are kept, the best first.
    pub answers: usize,
    /// By how much the logits of "no answer" must exceed those of the best answer to be believed; infinity where every
    /// question has an answer.
    pub no_answer_threshold: f32,
}

/// What a reader says of one question and one passage.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct SpanReading {
    /// The best answers, the best first.
    pub answers: Vec<AnswerSpan>,
    /// Sum of the two logits of "no answer", the lowest of all windows.
    pub no_answer_score: f32,
    /// The probability of "no answer", beside the answers here.
    pub no_answer_probability: f32,
    /// Whether "no answer" is believed.
    pub is_unanswered: bool,
}

/// A possible answer.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AnswerSpan {
    /// Its bytes in the passage.
    pub span: Span,
    /// Sum of the logits of start and end.
    pub score: f32,
    /// Its share of the softmax over the answers here and "no answer".
    pub probability: f32,
}

impl Default for SpanOptions {
    /// The numbers of the reference for SQuAD: answers of at most 30 tokens, a stride of 128, 20 answers, threshold 0.
    fn default() -> Self {
        Self {
            max_answer_tokens: 30,
            stride: 128,
            answers: 20,
            no_answer_threshold: 0.0,
        }
    }
}

impl SpanOptions {
    /// Sets the tokens of the longest answer.
    #[must_use]
    pub fn with_max_answer_tokens(mut self, max_answer_tokens: usize) -> Self {
        self.max_answer_tokens = max_answer_tokens;
        self
    }

    /// Sets the tokens that neighbouring windows share.
    #[must_use]
    pub fn with_stride(mut self, stride: usize) -> Self {
        self.stride = stride;
        self
    }

    /// Sets how many answers are kept.
    #[must_use]
    pub fn with_answers(mut self, answers: usize) -> Self {
        self.answers = answers;
        self
    }

    /// Sets by how much "no answer" must be better.
    #[must_use]
    pub fn with_no_answer_threshold(mut self, threshold: f32) -> Self {
        self.no_answer_threshold = threshold;
        self
    }
}

impl SpanReading {
    /// The best answer, unless there is none.
    #[must_use]
    pub fn best(&self) -> Option<&AnswerSpan> {
        self.answers.first().filter(|_| !self.is_unanswered)
    }
}

impl SpanReader {
    /// Loads a folder.
    ///
    /// # Errors
    /// As [`SpanReader::from_files`].
    pub fn load(folder: impl Into<PathBuf>, device: &Device) -> Result<Self> {
        Self::from_files(&ModelFiles::folder(folder)?, device)
    }

    /// Loads files from a folder or from memory.
    ///
    /// # Errors
    /// As [`super::super::SequenceClassifier::from_files`].
    pub fn from_files(files: &ModelFiles, device: &Device) -> Result<Self> {
        Self::with_head(files, None, device)
    }

    /// Loads the encoder of a folder, and puts a head on it that nobody trained yet: weights from
    /// N(0, `initializer_range`), biases 0, as in transformers.
    ///
    /// # Errors
    /// As [`super::super::Encoder::from_files`].
    pub fn with_new_head(folder: impl Into<PathBuf>, seed: u64, device: &Device) -> Result<Self> {
        Self::with_new_head_from_files(&ModelFiles::folder(folder)?, seed, device)
    }

    /// As [`SpanReader::with_new_head`], with files from a folder or from memory.
    ///
    /// # Errors
    /// As [`SpanReader::with_new_head`].
    pub fn with_new_head_from_files(files: &ModelFiles, seed: u64, device: &Device) -> Result<Self> {
        Self::with_head(files, Some(seed), device)
    }

    /// Loads a folder to tune it: the head of a reader goes on, any other model gets a new one.
    ///
    /// # Errors
    /// As [`SpanReader::from_files`] and [`SpanReader::with_new_head`].
    pub fn for_tuning(folder: impl Into<PathBuf>, seed: u64, device: &Device) -> Result<Self> {
        let files = ModelFiles::folder(folder)?;
        let seed = (!is_tuned(&files, SPAN)?).then_some(seed);
        Self::with_head(&files, seed, device)
    }

    fn with_head(files: &ModelFiles, seed: Option<u64>, device: &Device) -> Result<Self> {
        let (body, head) = TokenHead::load(files, device, (QA_OUTPUTS, LOGITS), seed, |dropout| {
            dropout.span_head
        })?;
        let mut options = SpanOptions::default();
        let config = Body::config_file(files)?;
        if seed.is_none() && config.get(ANSWERABLE) == Some(&Value::Bool(false)) {
            options.no_answer_threshold = f32::INFINITY;
        }
        Ok(Self { body, head, options })
    }

    /// The same reader, looking for answers in another way.
    #[must_use]
    pub fn with_options(mut self, options: SpanOptions) -> Self {
        self.options = options;
        self
    }

    /// The same reader with windows of at most `max_seq_length` tokens, special tokens and question included.
    ///
    /// # Errors
    /// [`crate::Error::InvalidArgument`] when that leaves no room for content, or the model has fewer positions.
    pub fn with_max_seq_length(mut self, max_seq_length: usize) -> Result<Self> {
        self.body.set_max_length(max_seq_length)?;
        Ok(self)
    }

    /// What became of the checkpoint's tensors.
    pub fn report(&self) -> &LoadReport {
        &self.body.report
    }

    /// How answers are looked for.
    pub fn options(&self) -> &SpanOptions {
        &self.options
    }

    /// The transformer.
    pub fn encoder(&self) -> &Arc<EncoderModel> {
        &self.body.encoder
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Arc<TextTokenizer> {
        &self.body.tokenizer
    }

    /// Tokens of the longest window, special tokens and question included.
    pub fn max_seq_length(&self) -> usize {
        self.body.max_length
    }

    /// The slots of the head's own modules.
    #[must_use]
    pub fn heads(&self) -> Vec<&str> {
        vec![self.head.layer.slot()]
    }

    /// The tokens of a question with a passage, in overlapping windows where it is too long for one.
    ///
    /// # Errors
    /// [`crate::Error::InvalidArgument`] for a question that leaves no room, and [`crate::Error::Tokenizer`].
    pub fn tokenize(&self, question: &str, passage: &str) -> Result<Vec<PairWindow>> {
        let tokenizer = &self.body.tokenizer;
        let taken = tokenizer.special_tokens(true) + tokenizer.count(question)?;
        let stride = self
            .options
            .stride
            .min(self.body.max_length.saturating_sub(taken) / 2);
        tokenizer.encode_windows(question, passage, self.body.max_length, stride)
    }

    /// The answers to a question in a passage.
    ///
    /// # Errors
    /// As [`SpanReader::read_all`].
    pub fn read(&self, question: &str, passage: &str) -> Result<SpanReading> {
        let mut readings = self.read_all(&[(question, passage)], &AdapterStack::base())?;
        Ok(readings.pop().unwrap_or_default())
    }

    /// The answers, with adapters, to many questions, each in its passage.
    ///
    /// # Errors
    /// As [`SpanReader::tokenize`] and [`SpanReader::window_logits`].
    pub fn read_all(&self, questions: &[(&str, &str)], adapters: &AdapterStack) -> Result<Vec<SpanReading>> {
        let (mut windows, mut counts) = (Vec::new(), Vec::with_capacity(questions.len()));
        for (question, passage) in questions {
            let of_question = self.tokenize(question, passage)?;
            counts.push(of_question.len());
            windows.extend(of_question);
        }
        let logits = self.window_logits(&windows, adapters)?;
        let mut rest = windows.iter().zip(&logits);
        let reading = |count| {
            self.reading(
                rest.by_ref()
                    .take(count)
                    .map(|(window, logits)| (window, &logits[..])),
            )
        };
        Ok(counts.into_iter().map(reading).collect())
    }

    /// The logits of windows, with adapters: of every token that of a start and that of an end.
    ///
    /// # Errors
    /// [`crate::Error::Adapter`] for adapters of another base, and errors of the device.
    pub fn window_logits(
        &self,
        windows: &[PairWindow],
        adapters: &AdapterStack,
    ) -> Result<Vec<Vec<[f32; 2]>>> {
        let texts: Vec<Encoded> = windows.iter().map(encoded).collect();
        self.body.run(&texts, adapters, |hidden, context| {
            let logits = to_host(self.logits(hidden, context))?; // [t, 2]
            let (logits, _) = logits.as_chunks::<LOGITS>();
            let rows = context.segments().iter();
            Ok(rows.map(|rows| logits[rows].to_vec()).collect())
        })
    }

    /// The answers that the [logits](Self::window_logits) of all windows of one passage tell.
    pub fn reading<'w>(
        &self,
        windows: impl IntoIterator<Item = (&'w PairWindow, &'w [[f32; 2]])>,
    ) -> SpanReading {
        let mut found = Candidates::default();
        for (window, logits) in windows {
            found.add(window, logits, &self.options);
        }
        found.reading(&self.options)
    }

    /// The head on the encoder's hidden states: the logits of a start and of an end.
    ///
    /// # Shapes
    /// `hidden [t, h] -> [t, 2]`.
    pub fn logits(&self, hidden: Tensor<2>, context: &Context) -> Tensor<2> {
        self.head.logits(hidden, context)
    }

    /// Writes the reader, with what adapters make of it, as a folder that ragtune and transformers
    /// (`AutoModelForQuestionAnswering`) load, in the given type. That every question has an answer (an infinite
    /// [`SpanOptions::no_answer_threshold`]) is noted in `config.json` for the next loading here, under the name that
    /// transformers' pipeline has for it. The folder appears whole or not at all.
    ///
    /// Weights that an adapter replaces as a whole are written to the last bit.
    ///
    /// # Errors
    /// As [`super::super::SequenceClassifier::save`].
    pub fn save(&self, folder: impl AsRef<Path>, adapters: &AdapterStack, dtype: FloatType) -> Result<()> {
        // Two numbers for each token, whatever classes the encoder's checkpoint had.
        let labels = Labels::new(["LABEL_0", "LABEL_1"])?;
        let class = (SPAN, |config: &mut Map<String, Value>| {
            labels.write(config);
            match self.options.no_answer_threshold == f32::INFINITY {
                true => config.insert(ANSWERABLE.to_owned(), Value::Bool(false)),
                false => config.remove(ANSWERABLE),
            };
        });
        self.body
            .save(&self.head, folder.as_ref(), adapters, dtype, class)
    }
}

layered_through!(SpanReader, body.encoder);

impl AdapterBase for SpanReader {
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

/// The answers of all windows of one passage.
#[derive(Clone, Debug, Default)]
struct Candidates {
    /// The best score of each span.
    scores: BTreeMap<(usize, usize), f32>,
    no_answer: Option<f32>,
}

impl Candidates {
    /// Adds the best answers of a window, as the reference's `postprocess_qa_predictions` chooses them.
    fn add(&mut self, window: &PairWindow, logits: &[[f32; LOGITS]], options: &SpanOptions) {
        let (start, end) = (|token: usize| logits[token][0], |token: usize| logits[token][1]);
        let nothing = start(0) + end(0);
        self.no_answer = Some(self.no_answer.map_or(nothing, |lowest| lowest.min(nothing)));
        let passage = |token: &usize| window.spans[*token].is_some();
        let best = |logit: &dyn Fn(usize) -> f32| {
            let mut tokens: Vec<usize> = (0..window.spans.len()).filter(passage).collect();
            tokens.sort_by(|a, b| logit(*b).total_cmp(&logit(*a)).then(a.cmp(b)));
            tokens.truncate(options.answers.max(1));
            tokens
        };
        let ends = best(&end);
        for first in best(&start) {
            for &last in ends
                .iter()
                .filter(|&&last| last >= first && last - first < options.max_answer_tokens)
            {
                if let (Some(from), Some(to)) = (window.spans[first], window.spans[last]) {
                    let score = start(first) + end(last);
                    let known = self.scores.entry((from.start, to.end)).or_insert(score);
                    *known = known.max(score);
                }
            }
        }
    }

    fn reading(self, options: &SpanOptions) -> SpanReading {
        let mut answers: Vec<((usize, usize), f32)> = self.scores.into_iter().collect();
        // Equal scores keep the order of the passage.
        answers.sort_by(|a, b| b.1.total_cmp(&a.1));
        answers.truncate(options.answers.max(1));
        let no_answer_score = self.no_answer.unwrap_or_default();
        let scores: Vec<f32> = answers
            .iter()
            .map(|(_, score)| *score)
            .chain([no_answer_score])
            .collect();
        let probabilities = softmax(&scores);
        let best = answers.first().map(|(_, score)| *score);
        SpanReading {
            is_unanswered: best.is_none_or(|best| no_answer_score > best + options.no_answer_threshold),
            no_answer_probability: probabilities.last().copied().unwrap_or_default(),
            no_answer_score,
            answers: answers
                .into_iter()
                .zip(probabilities)
                .map(|(((start, end), score), probability)| AnswerSpan {
                    span: Span { start, end },
                    score,
                    probability,
                })
                .collect(),
        }
    }
}

fn encoded(window: &PairWindow) -> Encoded {
    Encoded {
        ids: window.ids.clone(),
        type_ids: window.type_ids.clone(),
        truncated: false,
    }
}
