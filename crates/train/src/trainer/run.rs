//! The training loop.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use burn::tensor::Tensor;
use ragtune_core::adapters::AdapterStack;
use ragtune_core::kernels::on_threads;
use serde_json::json;

use super::control::Control;
use super::event::TrainEvent;
use super::fingerprint::{fingerprint, weights_fingerprint};
use super::history::{Evaluation, History, Step};
use super::named::named;
use super::options::{Duration, TrainOptions};
use super::state::State;
use super::store::Store;
use super::watch::{Told, Watch};
use crate::batch::{BatchPlan, Purpose, Random};
use crate::data::Origin;
use crate::error::{Error, Result};
use crate::objective::{Objective, Pass, Scores, add};
use crate::optimiser::{AdamW, Schedule, global_norm};
use crate::tuning::{Trainable, Tuning};

/// The highest learning rate of any weight.
const MAX_RATE: f64 = 10.0;

/// A run: what is learned, from what, and who watches.
///
/// ```no_run
/// use ragtune_train::objective::Objective;
/// use ragtune_train::trainer::{TrainEvent, TrainOptions, Trainer};
/// use ragtune_train::tuning::{Lora, Trainable, Tuning};
///
/// # fn of<O: Objective>(task: &O, train: &[O::Example], valid: &[O::Example]) -> ragtune_train::Result<()> {
/// let tuning = Tuning::Lora(Lora::default());
/// let mut trainable = Trainable::new(task.base(), &tuning, &task.heads(), 42)?;
/// println!("{trainable}");
/// let report = Trainer::new(task, train, TrainOptions::default())
///     .with_valid(valid)
///     .with_folder("runs/first")
///     .with_observer(|event| {
///         if let TrainEvent::Stepped { step, steps } = event {
///             println!("{} of {steps}: {:.4}", step.number, step.loss);
///         }
///     })
///     .run(&tuning, &mut trainable)?;
/// trainable.adapters(task.base())?.save("runs/first/adapter")?;
/// # let _ = report;
/// # Ok(())
/// # }
/// ```
pub struct Trainer<'a, O: Objective> {
    objective: &'a O,
    train: &'a [O::Example],
    valid: &'a [O::Example],
    options: TrainOptions,
    share: f64,
    watch: Watch<'a, Training>,
}

/// What a trainer tells.
struct Training;

impl Told for Training {
    type Event<'e> = TrainEvent<'e>;
    const NAME: &'static str = "the run";
    const TRACE: &'static str = "the state of a run";
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All its steps were done.
    Finished,
    /// The score had not become better for as many evaluations as the patience.
    Stopped,
    /// It was cancelled; its state is in its folder.
    Cancelled,
    /// The share of its steps was done that was asked for ([`Trainer::with_share`]); its state is in its folder.
    Halted,
}

/// What a run did.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainReport {
    /// How it ended.
    pub outcome: Outcome,
    /// Steps that were done, also those before it went on.
    pub steps: usize,
    /// All steps and evaluations.
    pub history: History,
    /// The step of the best evaluation and its score; the weights are those where the options keep the best.
    pub best: Option<(usize, f64)>,
    /// How good the weights are that the run has come to, where there are validation examples: the scores of its best
    /// evaluation where the options keep the best, and otherwise of its last. A run that was halted between two
    /// evaluations is evaluated for this alone, which changes nothing about how it goes on.
    pub scores: Option<Scores>,
}

impl<'a, O: Objective> Trainer<'a, O> {
    /// A run over examples.
    #[must_use]
    pub fn new(objective: &'a O, train: &'a [O::Example], options: TrainOptions) -> Self {
        Self {
            objective,
            train,
            valid: &[],
            options,
            share: 1.0,
            watch: Watch::new(),
        }
    }

    /// Examples that the model is evaluated on during the run.
    #[must_use]
    pub fn with_valid(mut self, valid: &'a [O::Example]) -> Self {
        self.valid = valid;
        self
    }

    /// Where the run's states are saved; without it the run cannot go on after an end.
    #[must_use]
    pub fn with_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.watch.folder = Some(folder.into());
        self
    }

    /// Goes on from the last state in the folder, if there is one.
    #[must_use]
    pub fn with_resume(mut self, resume: bool) -> Self {
        self.watch.resume = resume;
        self
    }

    /// Ends behind this share of the steps, from above 0 to 1, with a saved state from which the run goes on later. The
    /// schedule, the order and the evaluations are those of the whole run, so that a run in several parts ends with the
    /// same bits as one that ran through.
    #[must_use]
    pub fn with_share(mut self, share: f64) -> Self {
        self.share = share;
        self
    }

    /// Pauses and ends the run from elsewhere.
    #[must_use]
    pub fn with_control(mut self, control: Control) -> Self {
        self.watch.control = control;
        self
    }

    /// Hears of every step, evaluation and saved state.
    #[must_use]
    pub fn with_observer(mut self, observer: impl FnMut(&TrainEvent<'_>) + 'a) -> Self {
        self.watch.observer = Box::new(observer);
        self
    }

    /// Trains. The weights in `trainable` are changed; where the run went on from a saved state they are those of the state
    /// first. The weights at the end are the same on every run with the same settings, examples and device, whether it ran
    /// through or was killed and went on any number of times.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for settings that no run can have, [`Error::Empty`] without examples,
    /// [`Error::Unencodable`] for an example without anything to learn, [`Error::OtherRun`] and [`Error::State`] for a
    /// state that this run cannot go on from (also where the base model has other weights), [`Error::InUse`] where another
    /// run has the folder, [`Error::NotFinite`] for a loss that is no number any more, and
    /// [`Error::Io`].
    pub fn run(mut self, tuning: &Tuning, trainable: &mut Trainable) -> Result<TrainReport> {
        let course = Course::new(&self, tuning)?;
        let mut rates = trainable
            .parameters()
            .iter()
            .map(|parameter| parameter.rate() * course.schedule.peak);
        if let Some(rate) = rates.find(|rate| rate.is_nan() || *rate > MAX_RATE) {
            let reason =
                format!("{rate:e} for a part of the weights, as of a head; it is at most {MAX_RATE}");
            return Err(Error::invalid("learning_rate", reason));
        }
        let store = self.store(tuning, trainable)?;
        let mut state = self.begin(store.as_ref(), trainable)?;
        self.watch.tell(&TrainEvent::Started {
            done: state.done(),
            steps: course.steps,
            examples: self.train.len(),
        });
        let mut epoch = course.epoch(state.epoch)?;
        let until = course.until(self.share);
        let mut outcome = Outcome::Finished;
        // A run that was stopped stays so when it is asked to go on.
        while state.done() < until && !self.stops(&state) {
            if !self.watch.control.proceeds() {
                outcome = Outcome::Cancelled;
                break;
            }
            let rate = course.schedule.rate(state.done());
            let batches = &epoch[state.index];
            let (gradients, loss, tokens) = match self.compute(state.done(), trainable, batches)? {
                Computed::Gradients {
                    gradients,
                    loss,
                    tokens,
                } => (gradients, loss, tokens),
                Computed::NotFinite { batch, loss } => {
                    return Err(self.not_finite(&state, trainable, &batches[batch], loss, store.as_ref()));
                }
            };
            let norm = global_norm(&gradients);
            let clip = match self.options.max_gradient_norm {
                limit if limit > 0.0 && norm > limit => limit / (norm + 1e-6),
                _ => 1.0,
            };
            state
                .optimiser
                .step(trainable.parameters_mut(), gradients, rate, clip);
            state.index += 1;
            let step = Step {
                number: state.done(),
                epoch: course.progress(&state, epoch.len()),
                loss,
                learning_rate: rate,
                gradient_norm: norm,
                tokens,
            };
            self.watch.tell(&TrainEvent::Stepped {
                step: &step,
                steps: course.steps,
            });
            state.history.steps.push(step);
            let epoch_ends = state.index == epoch.len();
            if epoch_ends {
                (state.epoch, state.index) = (state.epoch + 1, 0);
                epoch = course.epoch(state.epoch)?;
            }
            let ends = state.done() == course.steps;
            if !self.valid.is_empty() && due(self.options.evaluate_every, &state, epoch_ends, ends) {
                self.evaluate(&mut state, trainable)?;
            }
            if let Some(store) = &store
                && (self.stops(&state) || due(self.options.save_every, &state, epoch_ends, ends))
            {
                self.save(store, &state, trainable)?;
            }
        }
        outcome = match outcome {
            Outcome::Finished if self.stops(&state) => Outcome::Stopped,
            Outcome::Finished if state.done() < course.steps => Outcome::Halted,
            outcome => outcome,
        };
        if let (Outcome::Cancelled | Outcome::Halted, Some(store)) = (outcome, &store) {
            self.save(store, &state, trainable)?;
        }
        self.finish(outcome, state, trainable)
    }

    /// A step's gradients, computed on a thread of the pool, where operations share their work at once.
    fn compute(&self, step: usize, trainable: &Trainable, batches: &[Vec<usize>]) -> Result<Computed> {
        let work = Work {
            objective: self.objective,
            train: self.train,
            options: &self.options,
        };
        on_threads(self.objective.base().device(), || {
            work.gradients(step, trainable, batches)
        })
    }

    fn evaluate(&mut self, state: &mut State, trainable: &Trainable) -> Result<()> {
        let scores = self.score(trainable)?;
        let best = state.best.as_ref().is_none_or(|best| scores.beats(best.score));
        match best {
            true => state.keep(scores.first(), trainable),
            false => state.stale += 1,
        }
        let evaluation = Evaluation {
            step: state.done(),
            scores,
        };
        self.watch.tell(&TrainEvent::Evaluated {
            evaluation: &evaluation,
            best,
        });
        state.history.evaluations.push(evaluation);
        Ok(())
    }

    /// The scores of the weights as they are.
    fn score(&self, trainable: &Trainable) -> Result<Scores> {
        let adapters = trainable.adapters(self.objective.base())?;
        let adapters = AdapterStack::base().with(Arc::new(adapters), 1.0);
        self.objective.evaluate(self.valid, &adapters)
    }

    /// Whether the score has not become better for too long.
    fn stops(&self, state: &State) -> bool {
        let patience = self.options.patience;
        patience.is_some_and(|patience| state.stale >= patience)
    }

    fn store(&self, tuning: &Tuning, trainable: &Trainable) -> Result<Option<Store>> {
        let Some(folder) = self.watch.folder()? else {
            return Ok(None);
        };
        // How many weights learn how fast, which a head's own rate changes.
        let mut rates: BTreeMap<String, usize> = BTreeMap::new();
        for parameter in trainable.parameters() {
            *rates.entry(parameter.rate().to_string()).or_default() += parameter.count();
        }
        let settings = json!({
            "tuning": tuning.to_json(),
            "options": self.options.to_json(),
            "weights": rates,
            "objective": self.objective.settings(),
            "base model": weights_fingerprint(self.objective.base()),
        });
        let data = fingerprint(self.objective, &[self.train, self.valid]);
        Store::new(folder, settings, data).map(Some)
    }

    /// The state that the run begins with: a saved one, or that before the first step.
    fn begin(&self, store: Option<&Store>, trainable: &mut Trainable) -> Result<State> {
        let new = |trainable: &Trainable| State::new(AdamW::new(self.options.adamw, trainable.parameters()));
        match store {
            Some(store) if self.watch.resume => {
                let loaded = store.load(trainable, self.options.adamw)?;
                Ok(loaded.unwrap_or_else(|| new(trainable)))
            }
            Some(store) if store.is_used()? => Err(Watch::<Training>::used()),
            _ => Ok(new(trainable)),
        }
    }

    fn save(&mut self, store: &Store, state: &State, trainable: &Trainable) -> Result<()> {
        let path = store.save(state, trainable)?;
        self.watch.tell(&TrainEvent::Saved {
            path: &path,
            step: state.done(),
        });
        Ok(())
    }

    fn finish(&self, outcome: Outcome, state: State, trainable: &mut Trainable) -> Result<TrainReport> {
        let scores = self.reached(outcome, &state, trainable)?;
        let steps = state.done();
        let best = state.best.as_ref().map(|best| (best.step, best.score));
        let goes_on = matches!(outcome, Outcome::Cancelled | Outcome::Halted);
        if let (Some(best), true, false) = (state.best, self.options.keep_best, goes_on) {
            for (parameter, values) in trainable.parameters_mut().iter_mut().zip(best.values) {
                parameter.values = values;
            }
        }
        Ok(TrainReport {
            outcome,
            steps,
            history: state.history,
            best,
            scores,
        })
    }

    /// How good the weights are that the run would have if it ended here.
    fn reached(&self, outcome: Outcome, state: &State, trainable: &Trainable) -> Result<Option<Scores>> {
        let evaluations = &state.history.evaluations;
        let at = |step: usize| evaluations.iter().rfind(|evaluation| evaluation.step == step);
        let kept = match &state.best {
            Some(best) if self.options.keep_best => at(best.step),
            _ => evaluations.last(),
        };
        let kept = kept.map(|evaluation| evaluation.scores.clone());
        if outcome != Outcome::Halted || self.valid.is_empty() || at(state.done()).is_some() {
            return Ok(kept);
        }
        let here = self.score(trainable)?;
        Ok(Some(match kept {
            Some(kept) if self.options.keep_best && !here.beats(kept.first()) => kept,
            _ => here,
        }))
    }

    fn not_finite(
        &self,
        state: &State,
        trainable: &Trainable,
        batch: &[usize],
        loss: f64,
        store: Option<&Store>,
    ) -> Error {
        let examples = batch
            .iter()
            .map(|index| (*index, self.objective.origin(&self.train[*index])));
        let examples = named(examples);
        Error::NotFinite {
            step: state.done() + 1,
            loss,
            examples,
            saved: store.and_then(|store| store.save(state, trainable).ok()),
        }
    }
}

/// What a step is computed from; unlike the run it can go to another thread.
struct Work<'a, O: Objective> {
    objective: &'a O,
    train: &'a [O::Example],
    options: &'a TrainOptions,
}

/// What a step came to before the weights change.
enum Computed {
    Gradients {
        gradients: Vec<Option<Tensor<1>>>,
        /// The mean of the step.
        loss: f64,
        tokens: usize,
    },
    NotFinite {
        /// The batch of the step.
        batch: usize,
        loss: f64,
    },
}

impl<O: Objective> Work<'_, O> {
    /// The gradients of a step, of all its batches together.
    fn gradients(&self, step: usize, trainable: &Trainable, batches: &[Vec<usize>]) -> Result<Computed> {
        let base = self.objective.base();
        let leaves = trainable.leaves(base)?;
        let plain = match self.options.gradient_checkpointing {
            true => Some(AdapterStack::base().with(Arc::new(trainable.adapters(base)?), 1.0)),
            false => None,
        };
        let examples = batches.iter().flatten().map(|index| &self.train[*index]);
        let (weight, tokens) = examples.fold((0.0, 0), |(weight, tokens), example| {
            (
                weight + self.objective.weight(example),
                tokens + self.objective.tokens(example),
            )
        });
        let mut random = Random::of(self.options.seed, Purpose::Dropout, step as u64);
        let mut gradients = vec![None; trainable.parameters().len()];
        let mut sum = 0.0;
        for (number, batch) in batches.iter().enumerate() {
            let examples: Vec<&O::Example> = batch.iter().map(|index| &self.train[*index]).collect();
            let mut pass = Pass::training(&leaves, trainable, plain.clone(), random.next_u64())
                .with_model_dropout(self.options.model_dropout);
            // The share of this batch in the whole step, so that the division into batches changes nothing.
            let loss = self.objective.loss(&examples, &mut pass)? * (1.0 / weight);
            let value = f64::from(loss.clone().into_scalar::<f32>());
            if !value.is_finite() {
                return Ok(Computed::NotFinite {
                    batch: number,
                    loss: value,
                });
            }
            sum += value;
            add(&mut gradients, pass.backward(&loss)?);
        }
        Ok(Computed::Gradients {
            gradients,
            loss: sum,
            tokens,
        })
    }
}

/// Which examples make which step, and with which rate.
struct Course {
    plan: BatchPlan,
    lengths: Vec<usize>,
    steps: usize,
    schedule: Schedule,
}

impl Course {
    fn new<O: Objective>(trainer: &Trainer<'_, O>, tuning: &Tuning) -> Result<Self> {
        let (objective, options) = (trainer.objective, &trainer.options);
        options.check()?;
        if !(trainer.share > 0.0 && trainer.share <= 1.0) {
            let reason = format!("{}; it is from above 0 to 1", trainer.share);
            return Err(Error::invalid("share", reason));
        }
        if trainer.share < 1.0 && trainer.watch.folder.is_none() {
            let reason = "a part of a run goes on from its state later; name a folder for it";
            return Err(Error::invalid("share", reason));
        }
        if objective.couples() && options.accumulation > 1 {
            return Err(Error::invalid(
                "accumulation",
                "the loss of this task depends on all examples of a batch; make the batch larger instead, with \
                 gradient checkpointing where memory is short",
            ));
        }
        for (index, example) in trainer.train.iter().enumerate() {
            let weight = objective.weight(example);
            if !(weight.is_finite() && weight > 0.0) {
                let origin = objective.origin(example).cloned();
                return Err(Error::Unencodable {
                    origin: origin.unwrap_or_else(|| Origin::in_memory(index)),
                    reason: "nothing of it is trained; leave it out, or raise the limit of tokens".to_owned(),
                });
            }
        }
        let plan = options.plan();
        let lengths: Vec<usize> = trainer
            .train
            .iter()
            .map(|example| objective.tokens(example))
            .collect();
        let steps = match options.duration {
            Duration::Steps(steps) => steps,
            Duration::Epochs(epochs) => steps_of(&plan, &lengths, epochs)?,
        };
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of the steps"
        )]
        let warmup = (options.warmup * steps as f64).ceil() as usize;
        Ok(Self {
            plan,
            lengths,
            steps,
            schedule: Schedule {
                peak: options.learning_rate.unwrap_or_else(|| tuning.learning_rate()),
                warmup,
                total: steps,
                decay: options.decay,
            },
        })
    }

    /// The step behind which a share of the run ends.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of the steps"
    )]
    fn until(&self, share: f64) -> usize {
        // A share such as 1 / 3 is not a number of two's powers: three of nine steps stay three.
        let steps = (share * self.steps as f64 - 1e-9).ceil() as usize;
        steps.clamp(1, self.steps)
    }

    /// The steps of an epoch, each its batches.
    fn epoch(&self, epoch: u64) -> Result<Vec<Vec<Vec<usize>>>> {
        self.plan.steps(&self.lengths, epoch)
    }

    #[allow(clippy::cast_precision_loss, reason = "a number for people")]
    fn progress(&self, state: &State, steps: usize) -> f64 {
        state.epoch as f64 + state.index as f64 / steps as f64
    }
}

/// The steps of so many epochs.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "runs have far fewer than 2^52 steps"
)]
fn steps_of(plan: &BatchPlan, lengths: &[usize], epochs: f64) -> Result<usize> {
    let (whole, part) = (epochs.floor() as u64, epochs.fract());
    let mut steps = 0;
    for epoch in 0..whole {
        steps += plan.count_steps(lengths, epoch)?;
    }
    let last = plan.count_steps(lengths, whole)? as f64;
    Ok((steps + (part * last).ceil() as usize).max(1))
}

/// Whether something that happens every so many steps, or else at the end of each epoch, happens now.
fn due(every: Option<usize>, state: &State, epoch_ends: bool, ends: bool) -> bool {
    ends || every.map_or(epoch_ends, |every| state.done().is_multiple_of(every))
}
