//! The answerer over a question-answering checkpoint.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use ragtune_core::adapters::AdapterStack;
use ragtune_core::device::Device;
use ragtune_core::models::SpanReader;
use ragtune_core::text::{Query, ScoredChunk, Span};
use ragtune_retrieve::Retriever;
use ragtune_train::data::{Dataset, Question};
use ragtune_train::metrics::Squad;

use super::calibration::CalibrationMap;
use super::labelled::{self, LabelledQuestion, Outcome};
use super::options::{Calibrating, ReaderOptions};
use super::pool;
use super::risk::ReaderCalibration;
use crate::answer::{Abstention, Component, ModelCall};
use crate::answerer::{AnswerEvent, AnswerStream, Answerer, CitationClaim};
use crate::error::Result;
use crate::rag::SearchText;

/// Answers with the part of a passage that a question-answering model marks, and cites exactly that.
///
/// Any `...ForQuestionAnswering` checkpoint will do, and what `finetune --task qa` makes. The best span over all passages is
/// the answer, with the probability that it is right; below a threshold there is none. [`calibrate`](Self::calibrate) sets
/// the threshold such that no more answers are wrong than the caller allows.
///
/// ```no_run
/// use ragtune::core::device;
/// use ragtune::reader::{Calibrating, LabelledQuestion};
/// use ragtune::{Encoder, ExtractiveReader, KnowledgeBase, Rag};
///
/// let base = KnowledgeBase::open("index")?.with_embedder(Encoder::builtin()?)?;
/// let questions = [LabelledQuestion::new("How hot is green tea steeped?", ["80 degrees"])]; // some hundred
/// let reader = ExtractiveReader::load("runs/reader/model", &device::cpu())?
///     .calibrate(&base, &questions, &Calibrating::to(0.1))?; // at most a tenth of its answers is wrong
/// println!("{}", reader.calibration().expect("it was made above"));
/// let rag = Rag::builder().retriever(base).answerer(reader).build()?;
/// println!("{}", rag.ask("How hot is black tea steeped?")?);
/// # Ok::<(), ragtune::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ExtractiveReader {
    model: Arc<SpanReader>,
    adapters: AdapterStack,
    options: ReaderOptions,
    calibration: Option<ReaderCalibration>,
}

/// The best part of all passages.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ReaderAnswer {
    /// Number of its passage, counted from 1.
    pub source: usize,
    /// Its bytes in the stored document.
    pub span: Span,
    /// The answer.
    pub text: String,
    /// Logarithm of its odds against everything else, as the model has them.
    pub log_odds: f64,
    /// The probability that it is right; as good as the calibration, and without one what the model claims.
    pub probability: f64,
}

impl ExtractiveReader {
    /// Reads with this model.
    pub fn new(model: impl Into<Arc<SpanReader>>) -> Self {
        Self {
            model: model.into(),
            adapters: AdapterStack::base(),
            options: ReaderOptions::default(),
            calibration: None,
        }
    }

    /// Loads a checkpoint's folder.
    ///
    /// # Errors
    /// As [`SpanReader::load`].
    pub fn load(folder: impl Into<PathBuf>, device: &Device) -> Result<Self> {
        Ok(Self::new(SpanReader::load(folder, device)?))
    }

    /// Reads with adapters of the model.
    #[must_use]
    pub fn with_adapters(mut self, adapters: AdapterStack) -> Self {
        self.adapters = adapters;
        self
    }

    /// Answers by other options.
    #[must_use]
    pub fn with_options(mut self, options: ReaderOptions) -> Self {
        self.options = options;
        self
    }

    /// Answers by a calibration that was made before, of this model over this retriever.
    #[must_use]
    pub fn with_calibration(mut self, calibration: ReaderCalibration) -> Self {
        self.calibration = Some(calibration);
        self
    }

    /// The calibration in use.
    pub fn calibration(&self) -> Option<&ReaderCalibration> {
        self.calibration.as_ref()
    }

    /// The model.
    pub fn model(&self) -> &Arc<SpanReader> {
        &self.model
    }

    /// Sets probabilities and threshold by questions that are asked of a retriever.
    ///
    /// # Errors
    /// [`Error::NotCalibrated`](crate::Error::NotCalibrated) where no threshold keeps the promise;
    /// [`ragtune_core::Error::Cancelled`]; what keeps retriever and model from working.
    pub fn calibrate(
        self,
        retriever: &dyn Retriever,
        questions: &[LabelledQuestion],
        wanted: &Calibrating,
    ) -> Result<Self> {
        let mut outcomes = Vec::with_capacity(questions.len());
        for labelled in questions {
            wanted.cancel.check()?;
            let query = Query::new(&labelled.question).with_top_k(wanted.top_k);
            let hits = retriever.retrieve(&query)?;
            outcomes.push(self.outcome(labelled, &hits, wanted)?);
        }
        self.calibrated(&outcomes, wanted)
    }

    /// Sets probabilities and threshold by questions that come with the text to read, such as a SQuAD file.
    ///
    /// # Errors
    /// As [`ExtractiveReader::calibrate`].
    pub fn calibrate_on(self, questions: &Dataset<Question>, wanted: &Calibrating) -> Result<Self> {
        let mut outcomes = Vec::with_capacity(questions.len());
        for question in questions.values() {
            wanted.cancel.check()?;
            let hits = [labelled::context(question)];
            outcomes.push(self.outcome(&question.into(), &hits, wanted)?);
        }
        self.calibrated(&outcomes, wanted)
    }

    fn calibrated(mut self, outcomes: &[Outcome], wanted: &Calibrating) -> Result<Self> {
        self.calibration = Some(ReaderCalibration::fit(outcomes, wanted)?);
        Ok(self)
    }

    /// What the reader would answer at any threshold, and whether that is right.
    fn outcome(
        &self,
        labelled: &LabelledQuestion,
        hits: &[ScoredChunk],
        wanted: &Calibrating,
    ) -> Result<Outcome> {
        let answer = self.read(&Query::new(&labelled.question), hits)?;
        Ok(match answer {
            // An abstention is no error, and never the surest answer.
            None => Outcome {
                log_odds: f64::NEG_INFINITY,
                is_right: labelled.answers.is_empty(),
            },
            Some(answer) => {
                let (exact, f1) = Squad::default().score(&labelled.answers, &answer.text);
                let is_right = match wanted.min_f1 < 1.0 {
                    true => f1 >= wanted.min_f1,
                    false => exact == 1.0,
                };
                Outcome {
                    log_odds: answer.log_odds,
                    is_right: is_right && !labelled.answers.is_empty(),
                }
            }
        })
    }

    /// The best span over the passages, whatever its probability; `None` where no passage has one.
    ///
    /// # Errors
    /// As [`SpanReader::read_all`].
    pub fn read(&self, question: &Query, hits: &[ScoredChunk]) -> Result<Option<ReaderAnswer>> {
        let hits = &hits[..hits.len().min(self.options.max_passages)];
        let question = SearchText::of(question).text;
        let passages: Vec<&str> = hits.iter().map(|hit| hit.chunk.text.as_str()).collect();
        let asked: Vec<(&str, &str)> = passages
            .iter()
            .map(|passage| (question.as_str(), *passage))
            .collect();
        let readings = self.model.read_all(&asked, &self.adapters)?;
        let Some(best) = pool::best(&passages, &readings, self.options.has_no_answer) else {
            return Ok(None);
        };
        let chunk = &hits[best.passage].chunk;
        let odds_as_they_are = CalibrationMap::default();
        let map = self
            .calibration
            .as_ref()
            .map_or(&odds_as_they_are, |known| &known.map);
        Ok(Some(ReaderAnswer {
            source: best.passage + 1,
            span: best.span.shifted(chunk.span.start),
            text: best.span.of(&chunk.text).unwrap_or_default().to_owned(),
            log_odds: best.log_odds,
            probability: map.probability(best.log_odds),
        }))
    }

    fn events(&self, question: &Query, hits: &[ScoredChunk]) -> Result<Vec<AnswerEvent>> {
        let started = Instant::now();
        let answer = self.read(question, hits)?;
        let call = ModelCall {
            component: Component::Reader,
            id: None,
            texts: hits.len().min(self.options.max_passages),
            usage: None,
            finish: None,
            ms: started.elapsed().as_secs_f64() * 1e3,
        };
        let min = match &self.calibration {
            Some(calibration) => calibration.min_probability(),
            None => self.options.min_probability,
        };
        let is_given = |answer: &ReaderAnswer| match &self.calibration {
            Some(calibration) => answer.log_odds >= calibration.min_log_odds,
            None => answer.probability >= min,
        };
        let mut events = vec![AnswerEvent::Call(call)];
        if let Some(answer) = &answer {
            events.push(AnswerEvent::Confidence(answer.probability as f32));
        }
        match answer {
            Some(answer) if is_given(&answer) => {
                let answer_span = Span::new(0, answer.text.len());
                events.push(AnswerEvent::Text(format!("{} [{}]", answer.text, answer.source)));
                events.push(AnswerEvent::Citation(CitationClaim {
                    source: answer.source,
                    span: answer.span,
                    answer_span,
                }));
            }
            weak => events.push(AnswerEvent::Abstain(Abstention::WeakEvidence {
                best: weak.map_or(0.0, |answer| answer.probability as f32),
                min: min as f32,
            })),
        }
        Ok(events)
    }
}

impl Answerer for ExtractiveReader {
    fn answer(&self, question: &Query, chunks: Vec<ScoredChunk>) -> Result<AnswerStream> {
        if chunks.is_empty() {
            return Ok(AnswerStream::abstain(Abstention::NoHits));
        }
        let (reader, question) = (self.clone(), question.clone());
        let work = std::iter::once_with(move || reader.events(&question, &chunks));
        Ok(AnswerStream::new(work.flat_map(|events| match events {
            Ok(events) => events.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        })))
    }
}
