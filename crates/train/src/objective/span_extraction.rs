//! Answers as parts of a text (Devlin et al. 2019, arXiv:1810.04805, sections 4.2 and 4.3).
//!
//! Letters: `t` tokens, `b` windows, `n` tokens of the longest window.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use burn::tensor::{Int, Tensor, TensorData};
use ragtune_core::adapters::{AdapterBase, AdapterStack};
use ragtune_core::kernels::on_threads;
use ragtune_core::models::SpanReader;
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
        let given = self.answers(&questions, adapters)?;
        let given: Vec<&str> = given.iter().map(|(answer, _)| *answer).collect();
        let truth: Vec<Vec<&str>> = questions
            .iter()
            .map(|question| {
                question
                    .answers
                    .iter()
                    .map(|answer| answer.text.as_str())
                    .collect()
            })
            .collect();
        Squad::default()
            .with_version(self.version)
            .evaluate(&truth, &given)
    }

    /// The best answer to each question, which is empty where there is none, and its probability.
    fn answers<'q>(
        &self,
        questions: &[&'q Question],
        adapters: &AdapterStack,
    ) -> Result<Vec<(&'q str, Option<f32>)>> {
        let asked: Vec<(&str, &str)> = questions
            .iter()
            .map(|question| (question.question.as_str(), question.context.as_str()))
            .collect();
        let readings = self.model.read_all(&asked, adapters)?;
        let given = readings.iter().zip(questions).map(|(reading, question)| {
            let answer = reading.best();
            let text = answer.and_then(|answer| answer.span.of(&question.context));
            (text.unwrap_or_default(), answer.map(|answer| answer.probability))
        });
        Ok(given.collect())
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
        let lengths: Vec<usize> = examples.iter().map(|example| self.tokens(example)).collect();
        let mut sum = 0.0;
        for batch in by_tokens(&lengths, EVALUATED_TOKENS) {
            let batch: Vec<&Self::Example> = batch.iter().map(|index| &examples[*index]).collect();
            let loss = on_threads(AdapterBase::device(&*self.model), || {
                self.loss(&batch, &mut Pass::forward(adapters))
            })?;
            sum += f64::from(loss.into_scalar::<f32>());
        }
        let loss = sum / examples.len().max(1) as f64;
        if self.questions.is_empty() {
            return Ok(Scores::lower("loss", loss));
        }
        let scores = self.measure(self.asked(examples)?, adapters)?;
        Ok(Scores::higher("f1", scores.all.f1)
            .with("exact", scores.all.exact)
            .with("loss", loss))
    }

    /// Of each question, not of each window: `question`, the true `answers`, `predicted` and its `probability`, and its
    /// `line`. Empty without [`with_questions`](Self::with_questions).
    fn predictions(&self, examples: &[Self::Example], adapters: &AdapterStack) -> Result<Vec<Value>> {
        if self.questions.is_empty() {
            return Ok(Vec::new());
        }
        let questions = self.asked(examples)?;
        let given = self.answers(&questions, adapters)?;
        let lines: BTreeMap<usize, usize> = examples
            .iter()
            .map(|record| (record.value.question, record.origin.line))
            .collect();
        let shown = questions.iter().zip(lines.values()).zip(given);
        let shown = shown.map(|((question, line), (answer, probability))| {
            let truth: Vec<&str> = question.answers.iter().map(|answer| answer.text.as_str()).collect();
            json!({
                "question": question.question, "answers": truth, "predicted": answer, "probability": probability,
                "line": line,
            })
        });
        Ok(shown.collect())
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
