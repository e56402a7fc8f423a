//! Answers as parts of a text (Devlin et al. 2019, arXiv:1810.04805, sections 4.2 and 4.3).
//!
//! Letters: `t` tokens, `b` windows, `n` tokens of the longest window.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use burn::tensor::{Int, Tensor, TensorData};
use ragtune_core::adapters::{AdapterBase, AdapterStack};
use ragtune_core::kernels::on_threads;
use ragtune_core::models::{SpanReader, SpanReading};
use ragtune_core::nn::Segments;
use serde_json::{Value, json};

use super::batches::by_tokens;
use super::features::{Features, Text};
use super::packing::log_likelihoods;
use super::{Objective, Pass, Scores};
use crate::data::{Origin, Question, Record};
use crate::encode::Window;
use crate::error::{Error, Result};
use crate::memory::Footprint;
use crate::metrics::squad::{Squad, SquadScores, Version};

/// Tokens that are evaluated at once.
const EVALUATED_TOKENS: usize = 2048;
/// What is added to the logits behind the end of a window, which makes their probability 0.
const NEVER: f32 = -1e30;

/// The logits of windows by their tokens.
type WindowLogits = HashMap<Vec<u32>, Vec<[f32; 2]>>;

/// A reader learns to mark answers: the mean of the cross entropies of the first and the last token of an answer among all
/// tokens of its window, as in transformers. Where a window has no answer, its first token stands for that.
///
/// ```no_run
/// use std::sync::Arc;
///
/// use ragtune_core::device;
/// use ragtune_core::models::SpanReader;
/// use ragtune_train::data::questions;
/// use ragtune_train::metrics::squad::Version;
/// use ragtune_train::objective::SpanExtraction;
///
/// let valid = questions::read("dev-v2.0.json")?;
/// let model = SpanReader::with_new_head("models/bert-base", 42, &device::cpu())?;
/// let asked = valid.records.iter().map(|record| record.value.clone());
/// let task = SpanExtraction::new(Arc::new(model))
///     .with_version(Version::of(valid.values()))
///     .with_questions(asked);
/// # let _ = task;
/// # Ok::<(), ragtune_train::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SpanExtraction {
    model: Arc<SpanReader>,
    /// The set that evaluated windows are of.
    questions: Arc<[Question]>,
    /// Whether a question may have no answer.
    version: Version,
    features: Features,
}

impl SpanExtraction {
    /// The task of a model.
    #[must_use]
    pub fn new(model: Arc<SpanReader>) -> Self {
        Self {
            features: Features::new(&*model, &model.heads()),
            model,
            questions: Arc::new([]),
            version: Version::default(),
        }
    }

    /// Whether questions may have no answer: with [`Version::V1`] the best span is given however likely "no answer" is, as
    /// `run_qa.py` of transformers does without `version_2_with_negative`, scores are those of SQuAD 1.1, and the model's
    /// [`SpanOptions::no_answer_threshold`](ragtune_core::models::SpanOptions::no_answer_threshold) becomes infinite.
    /// [`Version::of`] the training set says which it is; [`Version::V2`] by default.
    #[must_use]
    pub fn with_version(mut self, version: Version) -> Self {
        self.version = version;
        if version == Version::V1 {
            // So that the folder of the tuned model says it as well.
            let options = self
                .model
                .options()
                .clone()
                .with_no_answer_threshold(f32::INFINITY);
            self.model = Arc::new(SpanReader::clone(&self.model).with_options(options));
        }
        self
    }

    /// Whether questions may have no answer.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The set that the windows handed to [`evaluate`](Objective::evaluate) are of, with contexts and true answers. Without
    /// it only the loss is known.
    #[must_use]
    pub fn with_questions(mut self, questions: impl IntoIterator<Item = Question>) -> Self {
        self.questions = questions.into_iter().collect();
        self
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &Arc<SpanReader> {
        &self.model
    }

    /// Exact match and F1, in percent, of the answers that the model with these adapters gives to questions. Each is the
    /// best span over all windows of its context, or none where [`version`](Self::version) admits that.
    ///
    /// # Errors
    /// [`Error::Empty`] without questions, and errors of the model.
    pub fn measure<'q>(
        &self,
        questions: impl IntoIterator<Item = &'q Question>,
        adapters: &AdapterStack,
    ) -> Result<SquadScores> {
        let questions: Vec<&Question> = questions.into_iter().collect();
        let (readings, _) = self.read(&questions, adapters)?;
        self.scores(&questions, &readings)
    }

    /// What the model says of each question, and of each window that it read for that, by the window's tokens.
    fn read(
        &self,
        questions: &[&Question],
        adapters: &AdapterStack,
    ) -> Result<(Vec<SpanReading>, WindowLogits)> {
        let (mut windows, mut counts) = (Vec::new(), Vec::with_capacity(questions.len()));
        for question in questions {
            let of_question = self.model.tokenize(&question.question, &question.context)?;
            counts.push(of_question.len());
            windows.extend(of_question);
        }
        let logits = self.model.window_logits(&windows, adapters)?;
        let mut rest = windows.iter().zip(&logits);
        let readings = counts.into_iter().map(|count| {
            let of_question = rest.by_ref().take(count);
            self.model
                .reading(of_question.map(|(window, logits)| (window, &logits[..])))
        });
        let readings = readings.collect();
        let logits = windows.into_iter().map(|window| window.ids).zip(logits);
        Ok((readings, logits.collect()))
    }

    fn scores(&self, questions: &[&Question], readings: &[SpanReading]) -> Result<SquadScores> {
        let truth: Vec<Vec<&str>> = questions.iter().map(|question| truth(question)).collect();
        let given = readings.iter().zip(questions);
        let given: Vec<&str> = given
            .map(|(reading, question)| answer(reading, question).0)
            .collect();
        Squad::default()
            .with_version(self.version)
            .evaluate(&truth, &given)
    }

    /// The sum of the losses of windows; those that were read already are not read again.
    fn loss_of(
        &self,
        windows: &[Record<Window>],
        read: &WindowLogits,
        adapters: &AdapterStack,
    ) -> Result<f64> {
        let mut sum = 0.0;
        let mut unread = Vec::new();
        for window in windows {
            let last = window.value.start.max(window.value.end) as usize;
            match read.get(&window.value.ids) {
                Some(logits) if last < logits.len() => sum += cross_entropy(&window.value, logits),
                _ => unread.push(window),
            }
        }
        let lengths: Vec<usize> = unread.iter().map(|window| self.tokens(window)).collect();
        for batch in by_tokens(&lengths, EVALUATED_TOKENS) {
            let batch: Vec<&Record<Window>> = batch.iter().map(|index| unread[*index]).collect();
            let loss = on_threads(AdapterBase::device(&*self.model), || {
                self.loss(&batch, &mut Pass::forward(adapters))
            })?;
            sum += f64::from(loss.into_scalar::<f32>());
        }
        Ok(sum)
    }

    fn shown(
        &self,
        questions: &[&Question],
        readings: &[SpanReading],
        windows: &[Record<Window>],
    ) -> Vec<Value> {
        let lines: BTreeMap<usize, usize> = windows
            .iter()
            .map(|record| (record.value.question, record.origin.line))
            .collect();
        let shown = questions.iter().zip(lines.values()).zip(readings);
        let shown = shown.map(|((question, line), reading)| {
            let (predicted, probability) = answer(reading, question);
            json!({
                "question": question.question, "answers": truth(question), "predicted": predicted,
                "probability": probability, "line": line,
            })
        });
        shown.collect()
    }

    /// The questions that some windows are of, each once.
    fn asked(&self, windows: &[Record<Window>]) -> Result<Vec<&Question>> {
        let asked: BTreeSet<usize> = windows.iter().map(|record| record.value.question).collect();
        match asked.last().filter(|number| **number >= self.questions.len()) {
            None => Ok(asked.iter().map(|number| &self.questions[*number]).collect()),
            Some(unknown) => Err(Error::invalid(
                "questions",
                format!(
                    "{}; a window is of question {unknown}, counted from 0: name the set that the windows were made of",
                    self.questions.len()
                ),
            )),
        }
    }
}

/// The answers that are right.
fn truth(question: &Question) -> Vec<&str> {
    question
        .answers
        .iter()
        .map(|answer| answer.text.as_str())
        .collect()
}

/// The best answer, empty where there is none, and its probability.
fn answer<'q>(reading: &SpanReading, question: &'q Question) -> (&'q str, Option<f32>) {
    let best = reading.best();
    let text = best.and_then(|best| best.span.of(&question.context));
    (text.unwrap_or_default(), best.map(|best| best.probability))
}

/// The loss of a window by its logits.
fn cross_entropy(window: &Window, logits: &[[f32; 2]]) -> f64 {
    let of = |column: usize, target: u32| {
        let column = || logits.iter().map(|logits| f64::from(logits[column]));
        let highest = column().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = column().map(|logit| (logit - highest).exp()).sum();
        let target = column().nth(target as usize).unwrap_or(f64::NEG_INFINITY);
        highest + sum.ln() - target
    };
    (of(0, window.start) + of(1, window.end)) / 2.0
}

/// Numbers of one column, each window in a row of its own.
///
/// # Shapes
/// `logits [t, 2] -> [b, n]`.
fn rows(logits: &Tensor<2>, segments: &Segments, column: usize) -> Tensor<2> {
    let (b, n) = (segments.len(), segments.longest());
    let (mut places, mut masked) = (Vec::with_capacity(b * n), Vec::with_capacity(b * n));
    for range in segments.iter() {
        let length = range.len();
        places.extend((0..n).map(|at| i32::try_from(range.start + at.min(length - 1)).unwrap_or(i32::MAX)));
        masked.extend((0..n).map(|at| if at < length { 0.0 } else { NEVER }));
    }
    let device = logits.device().inner();
    let places = Tensor::<1, Int>::from_data(TensorData::from(places.as_slice()), &device);
    let masked = Tensor::<2>::from_data(TensorData::new(masked, [b, n]), &device);
    let t = logits.dims()[0];
    let numbers = logits.clone().slice([0..t, column..column + 1]).select(0, places); // [b n, 1]
    numbers.reshape([b, n]) + masked
}

impl Objective for SpanExtraction {
    type Example = Record<Window>;

    fn base(&self) -> &dyn AdapterBase {
        &*self.model
    }

    fn tokens(&self, example: &Self::Example) -> usize {
        example.value.ids.len()
    }

    fn digest(&self, example: &Self::Example, into: &mut dyn FnMut(&[u8])) {
        let Window {
            ids,
            type_ids,
            start,
            end,
            ..
        } = &example.value;
        for part in [ids, type_ids, &vec![*start, *end]] {
            into(&part.len().to_le_bytes());
            part.iter().for_each(|number| into(&number.to_le_bytes()));
        }
    }

    fn loss(&self, batch: &[&Self::Example], pass: &mut Pass<'_>) -> Result<Tensor<1>> {
        for record in batch {
            let Window { ids, start, end, .. } = &record.value;
            if *start.max(end) as usize >= ids.len() {
                return Err(Error::Unencodable {
                    origin: record.origin.clone(),
                    reason: format!(
                        "the answer ends with token {}, and the window has {} tokens",
                        start.max(end),
                        ids.len()
                    ),
                });
            }
        }
        let texts = batch
            .iter()
            .map(|record| (&record.value.ids[..], &record.value.type_ids[..]));
        let texts: Vec<Text<'_>> = texts.collect();
        let segments = Segments::from_lengths(texts.iter().map(|(ids, _)| ids.len()));
        let context = pass.context(segments.clone());
        let hidden = self.features.hidden(&self.model, &texts, pass)?; // [t, h]
        let logits = self.model.logits(hidden, &context); // [t, 2]
        let part = |column: usize, of: fn(&Window) -> u32| {
            let tokens: Vec<usize> = batch.iter().map(|record| of(&record.value) as usize).collect();
            log_likelihoods(rows(&logits, &segments, column), &tokens)
        };
        let likely = part(0, |window| window.start) + part(1, |window| window.end); // [b]
        Ok(likely.sum() * -0.5)
    }

    /// `f1` and `exact` in percent over the questions of the windows, and `loss`; the loss alone without
    /// [`with_questions`](Self::with_questions).
    #[allow(clippy::cast_precision_loss, reason = "sets have far fewer than 2^52 windows")]
    fn evaluate(&self, examples: &[Self::Example], adapters: &AdapterStack) -> Result<Scores> {
        if self.questions.is_empty() {
            let sum = self.loss_of(examples, &WindowLogits::new(), adapters)?;
            return Ok(Scores::lower("loss", sum / examples.len().max(1) as f64));
        }
        Ok(self.evaluate_and_predict(examples, adapters)?.0)
    }

    /// Of each question, not of each window: `question`, the true `answers`, `predicted` and its `probability`, and its
    /// `line`. Empty without [`with_questions`](Self::with_questions).
    fn predictions(&self, examples: &[Self::Example], adapters: &AdapterStack) -> Result<Vec<Value>> {
        if self.questions.is_empty() {
            return Ok(Vec::new());
        }
        let questions = self.asked(examples)?;
        let (readings, _) = self.read(&questions, adapters)?;
        Ok(self.shown(&questions, &readings, examples))
    }

    #[allow(clippy::cast_precision_loss, reason = "sets have far fewer than 2^52 windows")]
    fn evaluate_and_predict(
        &self,
        examples: &[Self::Example],
        adapters: &AdapterStack,
    ) -> Result<(Scores, Vec<Value>)> {
        if self.questions.is_empty() {
            return Ok((self.evaluate(examples, adapters)?, Vec::new()));
        }
        let questions = self.asked(examples)?;
        let (readings, read) = self.read(&questions, adapters)?;
        let loss = self.loss_of(examples, &read, adapters)? / examples.len().max(1) as f64;
        let scores = self.scores(&questions, &readings)?;
        let scores = Scores::higher("f1", scores.all.f1)
            .with("exact", scores.all.exact)
            .with("loss", loss);
        Ok((scores, self.shown(&questions, &readings, examples)))
    }

    fn origin<'e>(&self, example: &'e Self::Example) -> Option<&'e Origin> {
        Some(&example.origin)
    }

    fn footprint(&self) -> Option<Footprint> {
        Some(Footprint::encoder(self.model.encoder().shape()))
    }

    fn heads(&self) -> Vec<String> {
        self.model.heads().into_iter().map(str::to_owned).collect()
    }
}
