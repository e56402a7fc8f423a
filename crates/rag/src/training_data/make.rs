//! The work: from documents to sets, stage by stage.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ragtune_core::text::Embedder;
use ragtune_retrieve::Retriever;
use ragtune_train::data::{Judged, Pair};

use super::benchmark::benchmark;
use super::conversations::{Made, Prompts};
use super::corpus::{self, Source, clipped};
use super::generated::Asking;
use super::negatives::Miner;
use super::options::{TrainingData, TrainingDataEvent};
use super::question::{Candidate, QuestionKind};
use super::report::{Counts, Drops, MiningCounts, Sample, TrainingDataReport};
use super::round_trip::{self, Found};
use super::sets::{TrainingPart, TrainingSets};
use super::{cloze, definitions, headings, select};
use crate::error::{Error, Result};
use crate::remembering::Remembering;

/// Pairs of each kind in the report.
const SAMPLES: usize = 3;
/// Bytes of a passage in the report.
const SAMPLE_BYTES: usize = 240;

/// The negatives of each question of a part.
type Negatives = Vec<Vec<String>>;

impl TrainingData<'_> {
    /// Makes the sets and writes them into a folder; see [`TrainingSets::write`].
    ///
    /// # Errors
    /// Those of [`TrainingData::make`] and of [`TrainingSets::write`].
    pub fn write(self, folder: impl AsRef<Path>) -> Result<TrainingDataReport> {
        let sets = self.make()?;
        sets.write(folder)?;
        Ok(sets.report)
    }

    /// Makes the sets.
    ///
    /// # Errors
    /// [`Error::EmptyBase`], [`Error::TooFewDocuments`] where nothing can be held out, [`Error::NoQuestions`] where none is
    /// left, `InvalidArgument` for options out of range, `NoEmbedder` where negatives are wanted and nothing has an encoder,
    /// [`ragtune_core::Error::Cancelled`], and errors of retriever, encoder and generator.
    pub fn make(self) -> Result<TrainingSets> {
        self.check()?;
        let sources = corpus::read(self.base, &self.cancel)?;
        let passages = sources.iter().map(|source| source.chunks.len()).sum();
        self.tell(TrainingDataEvent::Read {
            documents: sources.len(),
            passages,
        });
        let mut drops = Drops::default();
        let questions = self.questions(&sources, &mut drops)?;
        let made = by_kind(questions.iter().map(|question| question.kind));
        let questions = select::distinct(questions, &mut drops);
        let questions = select::guarded(questions, &self.guard, &mut drops)?;
        let questions = select::limited(questions, self.max_questions, self.seed, &mut drops);
        let retriever: &dyn Retriever = self.retriever.as_deref().unwrap_or(self.base);
        let asked = questions.len();
        let found = round_trip::filter(
            questions,
            &sources,
            retriever,
            self.top_k,
            &mut drops,
            &self.cancel,
            &|done, total| self.tell(TrainingDataEvent::Asked { done, total }),
        )?;
        let round_trip = found.len() as f64 / asked.max(1) as f64;
        if found.is_empty() {
            return Err(Error::NoQuestions {
                made: made.values().sum(),
                asked,
            });
        }
        let (train, held_out) = select::divided(found, self.held_out, self.seed, &mut drops)?;
        if train.is_empty() {
            return Err(Error::NoQuestions {
                made: made.values().sum(),
                asked,
            });
        }
        let kept = train.iter().chain(&held_out).map(|found| found.question.kind);
        let mut report = TrainingDataReport {
            documents: sources.len(),
            passages,
            seed: self.seed,
            top_k: self.top_k,
            made,
            kept: by_kind(kept),
            round_trip,
            ..TrainingDataReport::default()
        };
        let (negatives, other_negatives) = self.negatives(&sources, &train, &held_out, &mut report.mining)?;
        let benchmark = benchmark(&sources, &held_out);
        report.benchmark_questions = benchmark.queries.len();
        report.samples = samples(&sources, &train, &negatives);
        let (train, counts) = self.part(&sources, &train, negatives);
        report.train = counts;
        let (held_out, counts) = self.part(&sources, &held_out, other_negatives);
        report.held_out = counts;
        report.dropped = drops.listed();
        Ok(TrainingSets {
            train,
            held_out,
            benchmark,
            report,
        })
    }

    fn questions(&self, sources: &[Source], drops: &mut Drops) -> Result<Vec<Candidate>> {
        let mut questions = Vec::new();
        for (at, source) in sources.iter().enumerate() {
            self.cancel.check()?;
            let mut own = headings::questions(at, source);
            own.extend(definitions::questions(at, source));
            own.extend(cloze::questions(at, source, self.seed));
            questions.extend(
                own.into_iter()
                    .filter(|question| self.kinds.contains(&question.kind)),
            );
        }
        if let Some(generator) = &self.generator
            && self.kinds.contains(&QuestionKind::Generated)
        {
            let asking = Asking {
                generator: generator.as_ref(),
                options: &self.generate_options,
                passages: self.generated_passages,
                each: self.generated_each,
                seed: self.seed,
            };
            let progress = |done, total| self.tell(TrainingDataEvent::Generated { done, total });
            questions.extend(asking.questions(sources, drops, &self.cancel, &progress)?);
        }
        Ok(questions)
    }

    /// The negatives of both parts; each part has its own passages only.
    fn negatives(
        &self,
        sources: &[Source],
        train: &[Found],
        held_out: &[Found],
        counts: &mut MiningCounts,
    ) -> Result<(Negatives, Negatives)> {
        if self.negatives == 0 {
            return Ok((vec![Vec::new(); train.len()], vec![Vec::new(); held_out.len()]));
        }
        self.tell(TrainingDataEvent::Mining {
            questions: train.len() + held_out.len(),
        });
        let own = self.base.embedder();
        let embedder: &dyn Embedder = match (&self.encoder, &own) {
            (Some(encoder), _) => encoder.as_ref(),
            (None, Some(own)) => own.as_ref(),
            (None, None) => {
                return Err(Error::Retrieve(ragtune_retrieve::Error::NoEmbedder {
                    operation: "mining negatives",
                }));
            }
        };
        let (embedder, lexical) = (Remembering::new(embedder), self.base.lexical());
        let miner = Miner {
            embedder: &embedder,
            lexical: &lexical,
            sources,
            wanted: self.negatives,
            margin: self.margin,
            seed: self.seed,
        };
        let (negatives, found) = miner.mine(train, &self.cancel)?;
        *counts = found;
        let (others, _) = miner.mine(held_out, &self.cancel)?;
        Ok((negatives, others))
    }

    fn part(&self, sources: &[Source], part: &[Found], negatives: Negatives) -> (TrainingPart, Counts) {
        let prompts = Prompts {
            sources,
            template: &self.template,
            shown: self.prompt_sources,
            unanswerable: self.unanswerable,
            seed: self.seed,
        };
        let Made {
            conversations,
            abstentions,
            questions,
        } = prompts.make(part);
        let mut judged = Vec::new();
        let mut pairs = Vec::with_capacity(part.len());
        for (found, negatives) in part.iter().zip(negatives) {
            let Candidate { text, positive, .. } = &found.question;
            let judge = |passage: &String, label| Judged {
                query: text.clone(),
                passage: passage.clone(),
                label,
            };
            judged.push(judge(positive, 1.0));
            judged.extend(negatives.iter().map(|negative| judge(negative, 0.0)));
            pairs.push(Pair {
                anchor: text.clone(),
                positive: positive.clone(),
                negatives,
            });
        }
        let documents: BTreeSet<usize> = part.iter().map(|found| found.question.source).collect();
        let counts = Counts {
            documents: documents.len(),
            pairs: pairs.len(),
            judged: judged.len(),
            conversations: conversations.len(),
            abstentions,
            questions: questions.len(),
        };
        let part = TrainingPart {
            pairs: pairs.into(),
            judged: judged.into(),
            conversations: conversations.into(),
            questions: questions.into(),
        };
        (part, counts)
    }
}

fn by_kind(kinds: impl Iterator<Item = QuestionKind>) -> BTreeMap<QuestionKind, usize> {
    let mut counts = BTreeMap::new();
    for kind in kinds {
        *counts.entry(kind).or_default() += 1;
    }
    counts
}

fn samples(sources: &[Source], part: &[Found], negatives: &[Vec<String>]) -> Vec<Sample> {
    let short = |text: &str| clipped(text, SAMPLE_BYTES).to_owned();
    let mut samples = Vec::new();
    for kind in QuestionKind::ALL {
        let own = part
            .iter()
            .zip(negatives)
            .filter(|(found, _)| found.question.kind == kind);
        samples.extend(own.take(SAMPLES).map(|(found, negatives)| {
            Sample {
                kind,
                question: found.question.text.clone(),
                document: sources[found.question.source].id.clone(),
                positive: short(&found.question.positive),
                negative: negatives.first().map(|negative| short(negative)),
                answer: found
                    .question
                    .answer
                    .as_ref()
                    .map(|answer| answer.sentence.clone()),
            }
        }));
    }
    samples
}
