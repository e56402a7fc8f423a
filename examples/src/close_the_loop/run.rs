//! The loop: documents, training data, tuned encoder, measurement, promotion. Each stage is kept, and none is done twice.

use std::error::Error;
use std::path::Path;

use ragtune::core::device;
use ragtune::core::generation::LocalGenerator;
use ragtune::experiment::Experiment;
use ragtune::promotion::{Promotion, PromotionEvent, Trial};
use ragtune::retrieve::measure::BeirDataset;
use ragtune::train::data::pairs::{self, PairColumns};
use ragtune::training_data::{TrainingData, TrainingDataEvent, TrainingDataReport, TrainingSets};
use ragtune::{Encoder, KnowledgeBase};

use super::args::Args;
use super::measured::Trialled;
use super::report::{self, Report};
use super::subject::Subject;
use super::train::{self, Tuned};
use crate::claim::{self, Claim};
use crate::number::count;
use crate::progress::Counter;
use crate::{Outcome, kept, output};

/// Runs the example.
///
/// # Errors
/// Those of every stage. That the candidate is refused is a result, not an error.
pub fn close_the_loop(args: &Args) -> Outcome {
    let subject = Subject::read(args)?;
    let needed = Promotion::default().min_questions;
    if let Some(own) = subject.questions.as_ref().filter(|own| own.len() < needed) {
        return Err(format!(
            "{} of your own are too few to decide by, {needed} are needed; write more, or leave --questions out",
            count(own.len(), "question")
        )
        .into());
    }
    claim::outside("--out", &args.out, &args.folder)?;
    claim::outside("--store", &args.store(), &args.folder)?;
    let claim = Claim::take(&args.out, "loop", &subject.settings(args)?)?;
    if let Some(report) = kept::find::<Report>(&report::file(args))? {
        output::note!("the loop in {} is closed; this is its result", args.out.display());
        return report::show(args, &report);
    }
    let name = args
        .folder
        .file_name()
        .unwrap_or(args.folder.as_os_str())
        .to_string_lossy();
    let mut experiment = Experiment::start("close the loop", name).with_seed(args.seed);
    if claim.goes_on() {
        experiment.note("began in a process before; the seconds are of the last one");
    }
    let report = Loop {
        args,
        subject: &subject,
        base: None,
    }
    .run()?;
    report::write(args, experiment, &report)?;
    report::show(args, &report)
}

/// A loop that is being closed.
struct Loop<'a> {
    args: &'a Args,
    subject: &'a Subject,
    /// The base, once a stage needs it.
    base: Option<KnowledgeBase>,
}

impl Loop<'_> {
    fn run(mut self) -> Result<Report, Box<dyn Error>> {
        // 1. The documents, and what there is to learn from them.
        let (subject, data) = (self.subject, self.args.out.join("data"));
        if data.exists() {
            self.goes_on("training data");
        } else {
            let sets = make(self.args, &self.base()?, subject)?;
            sets.write(&data)?;
        }
        let made: TrainingDataReport = kept::read(&data.join("report.json"))?;
        output::note!("{made}");
        let promotion = self.promotion();
        let has_benchmark = made.benchmark_questions >= promotion.min_questions;
        if subject.questions.is_none() && !has_benchmark {
            return Err(format!(
                "{} held out are too few to decide by, {} are needed; hold out more (--held-out), add documents, or name \
                 questions of your own (--questions), into another --out",
                count(made.benchmark_questions, "question"),
                promotion.min_questions
            )
            .into());
        }
        // 2. The encoder on the pairs.
        let kept = train::file(self.args);
        let tuned: Tuned = match kept::find(&kept)? {
            Some(tuned) => {
                self.goes_on("tuned encoder");
                tuned
            }
            None => {
                let learned = pairs::read(data.join("pairs.train.jsonl"), &PairColumns::default())?;
                train::train(self.args, &subject.encoder, &learned)?
            }
        };
        // 3. Beside the one before.
        let own = match &subject.questions {
            None => None,
            Some(questions) => {
                let what = format!("{} of your own", count(questions.len(), "question"));
                let ask =
                    |base: &KnowledgeBase, candidate| promotion.try_questions(base, candidate, questions);
                Some(self.trial("own questions", &what, &tuned, ask)?)
            }
        };
        let held_out = match has_benchmark {
            false => None,
            true => {
                let benchmark = BeirDataset::load(&data.join("held-out"))?;
                let what = format!("{} held out", count(made.benchmark_questions, "question"));
                let ask =
                    |base: &KnowledgeBase, candidate| promotion.try_benchmark(base, candidate, &benchmark);
                Some(self.trial("held out", &what, &tuned, ask)?)
            }
        };
        let mut measured = Vec::new();
        for (trialled, _) in own.iter().chain(&held_out) {
            measured.extend(trialled.measured.iter().cloned());
        }
        // 4. Questions of one's own decide where there are some.
        let Some((decided, trial)) = own.or(held_out) else {
            return Err("there is nothing to decide by".into());
        };
        if decided.refusal.is_none() {
            self.promote(trial, &tuned)?;
        }
        Ok(Report {
            folder: self.args.folder.display().to_string(),
            encoder: subject.encoder.display().to_string(),
            data: made,
            steps: tuned.steps,
            train_seconds: tuned.seconds,
            trainable: tuned.trainable,
            loss: tuned.loss,
            measured,
            promoted: decided.refusal.is_none(),
            refusal: decided.refusal,
            model: tuned.folder.display().to_string(),
            base: self.args.store().display().to_string(),
        })
    }

    fn goes_on(&self, what: &str) {
        output::note!("{what}: there already, in {}", self.args.out.display());
    }

    /// The base with the documents in it.
    fn base(&mut self) -> Result<KnowledgeBase, Box<dyn Error>> {
        let base = match self.base.take() {
            Some(base) => base,
            None => self.subject.base(self.args)?,
        };
        self.base = Some(base.clone());
        Ok(base)
    }

    fn promotion(&self) -> Promotion {
        let counter = Counter::new("measuring: embedding documents");
        Promotion::default()
            .with_mode(self.args.mode())
            .with_requires_gain(self.args.require_gain)
            .with_on_event(move |event| match event {
                PromotionEvent::Embedded { done, total } => counter.set(*done, *total),
                PromotionEvent::Asking {
                    number,
                    total,
                    questions,
                } => {
                    counter.finish();
                    output::note!(
                        "measuring: {}, search {number} of {total}",
                        count(*questions, "question")
                    );
                }
                _ => {}
            })
    }

    /// Measures on questions of a name, unless that was done; then the trial itself is gone.
    fn trial(
        &mut self,
        on: &str,
        what: &str,
        tuned: &Tuned,
        ask: impl FnOnce(&KnowledgeBase, Encoder) -> ragtune::Result<Trial>,
    ) -> Result<(Trialled, Option<Trial>), Box<dyn Error>> {
        let file = self
            .args
            .out
            .join(format!("measured.{}.json", on.replace(' ', "-")));
        if let Some(trialled) = kept::find(&file)? {
            self.goes_on(&format!("measured, {on}"));
            return Ok((trialled, None));
        }
        output::note!("measuring on {what}");
        let trial = ask(&self.base()?, candidate(&tuned.folder)?)?;
        let trialled = Trialled::of(on, &trial)?;
        kept::write(&file, &trialled)?;
        Ok((trialled, Some(trial)))
    }

    /// Embeds the base with the tuned encoder, if that is not what an interrupted process did last.
    fn promote(&mut self, trial: Option<Trial>, tuned: &Tuned) -> Outcome {
        if let Some(trial) = trial {
            trial.promote(&self.base()?)?;
            return Ok(());
        }
        let store = self.args.store();
        // Two handles would lock each other out.
        self.base = None;
        match KnowledgeBase::open(&store)?.with_embedder(candidate(&tuned.folder)?) {
            Ok(base) if base.document_ids()?.is_empty() => {}
            Ok(_) => return Ok(()),
            Err(ragtune::retrieve::Error::EmbedderMismatch { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        output::note!("embedding the base with the tuned encoder");
        self.base()?.reembed(candidate(&tuned.folder)?)?;
        Ok(())
    }
}

fn candidate(folder: &Path) -> ragtune::core::Result<Encoder> {
    Encoder::load(folder, &device::cpu())
}

fn make(args: &Args, base: &KnowledgeBase, subject: &Subject) -> Result<TrainingSets, Box<dyn Error>> {
    let (asked, generated) = (
        Counter::new("asking questions back"),
        Counter::new("passages that a model asks about"),
    );
    let mut data = TrainingData::from(base)
        .with_seed(args.seed)
        .with_held_out(args.held_out)
        .with_round_trip(args.round_trip)
        .with_max_questions(args.max_questions)
        .with_negatives(args.negatives)
        .with_on_event(|event| match event {
            TrainingDataEvent::Generated { done, total } => generated.set(*done, *total),
            TrainingDataEvent::Asked { done, total } => asked.set(*done, *total),
            TrainingDataEvent::Mining { questions } => {
                asked.say(&format!("mining negatives for {}", count(*questions, "question")));
            }
            _ => {}
        });
    if let Some(questions) = &subject.questions {
        data = data.with_guarded(questions.questions.iter().map(|question| question.text.as_str()));
    }
    if let Some(folder) = &subject.generator {
        data = data.with_generator(LocalGenerator::load(folder, &device::cpu())?);
    }
    let sets = data.make()?;
    asked.finish();
    generated.finish();
    Ok(sets)
}
