//! The peak of a run's memory, and settings that hold a limit.

use std::collections::BTreeMap;
use std::fmt;

use super::{Features, Footprint};
use crate::batch::BatchSize;
use crate::error::{Error, Result};
use crate::trainer::{Duration, TrainOptions};
use crate::tuning::{Part, Trainable};

const FLOAT: u64 = size_of::<f32>() as u64;
/// Most bytes of logits that exist at once (`ragtune_core::kernels::cross_entropy`).
const LOGITS: u64 = 64 << 20;
/// Fewest rows of them.
const MIN_ROWS: u64 = 64;
/// Epochs whose batches are looked at for the largest.
const EPOCHS: u64 = 4;
/// Tokens that are evaluated at once.
const EVALUATED_TOKENS: usize = 2048;
/// What the table of kept features takes of a text beside its numbers.
const KEPT_TEXT: u64 = 128;
/// The most features that are kept (`objective/features.rs`).
const MAX_FEATURES: u64 = 1 << 30;
/// What small things take beside tensors.
const OVERHEAD: u64 = 6 << 20;
/// What every further thread holds of what it freed, where layers are computed back.
const THREAD: u64 = 4 << 20;

/// The peak of a run's memory by what takes it, in bytes.
///
/// It is foretold from the widths of the model, the trained weights and the largest batch, for devices whose memory is the
/// process's own; `docs/training.md` compares it with what was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryPlan {
    /// What the process holds before the run, with the model and the trained weights.
    pub resident: u64,
    /// Both moments of the optimiser, and the copy of the best weights.
    pub optimiser: u64,
    /// The gradients of all trained weights, where they are held beside those of another batch twice.
    pub gradients: u64,
    /// What the largest batch keeps between the way forward and the way back.
    pub activations: u64,
    /// What the loss takes while it is computed.
    pub loss: u64,
    /// What exists beside all that while a layer is computed.
    pub passing: u64,
    /// What small things and threads take beside tensors, which depends on the allocator most of all.
    pub overhead: u64,
    /// The peak.
    pub peak: u64,
}

/// Settings that hold a limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// The settings.
    pub options: TrainOptions,
    /// What they take.
    pub plan: MemoryPlan,
}

impl MemoryPlan {
    /// Foretells the peak of a run over examples of these lengths, in tokens; `valid` are those of the validation examples,
    /// none for a run without. `resident` is what the process holds with the model loaded and the trained weights made.
    ///
    /// # Errors
    /// [`Error::Empty`] and [`Error::InvalidArgument`] for lengths that no batch can be made of.
    pub fn new(
        resident: u64,
        footprint: &Footprint,
        trainable: &Trainable,
        options: &TrainOptions,
        lengths: &[usize],
        valid: &[usize],
    ) -> Result<Self> {
        let before = trainable.virtual_tokens();
        let Seen {
            tokens,
            texts,
            examples,
        } = largest(options, lengths, before)?;
        let tokens = tokens as u64;
        let evaluates = !valid.is_empty();
        let evaluated = evaluated(valid, before) as u64;
        let at_once = footprint.at_once_of(tokens);
        let again = options.gradient_checkpointing;
        let trained = trainable.count() as u64 * FLOAT;
        let whole = whole_matrices(trainable) as u64 * FLOAT;
        let layers = footprint.layers as u64;
        let kept = footprint.layer(trainable) as u64;
        let hidden = footprint.hidden as u64;
        let reached = layers - trainable.first_layer().unwrap_or(0).min(footprint.layers) as u64;
        // 1. What is there all the time. Layers that run again read the weights without a record, from a packed copy.
        let best = if evaluates { trained } else { 0 };
        let optimiser = 2 * trained + best;
        let copies = if again { whole } else { 0 };
        let base = resident + optimiser + copies;
        // 2. What is kept from the way forward: every layer, or what goes from layer to layer and one layer whole.
        let width = match again {
            true => reached * footprint.streams as u64 * hidden,
            false => reached * kept - footprint.unreached(trainable) as u64,
        };
        let states = tokens * (width + 2 * hidden) * FLOAT;
        let layer = match again {
            true => at_once * kept * FLOAT,
            false => states / layers.max(1),
        };
        let activations = states + if again { layer } else { 0 };
        // 3. What passes.
        let held = if options.accumulation > 1 { 2 } else { 1 };
        let gradients = held * trained;
        let carried = gradients - trained;
        let largest = largest_matrix(trainable) as u64 * FLOAT;
        let passing = match again {
            // What comes out of a layer and what comes back to it; its own states are counted among those kept.
            true => 2 * at_once * footprint.streams as u64 * hidden * FLOAT,
            false => at_once * footprint.passing() as u64 * FLOAT,
        };
        // The gradient of a whole matrix is a product that reads its factors the other way round, from copies.
        let turned = match whole {
            0 => 0,
            _ => at_once * (footprint.intermediate + footprint.hidden) as u64 * FLOAT,
        };
        let loss = loss(footprint, trainable, tokens);
        // 4. The peak is at the loss, at the last layer where it runs again, at the end of the way back, or in an
        // evaluation.
        let turning = base + states + loss.max(turned) + carried;
        let repeating = base + activations + passing + carried;
        let ending = base + gradients + largest + passing + layer;
        let evaluating = resident
            + optimiser
            + whole
            + footprint.at_once_of(evaluated) * footprint.passing() as u64 * FLOAT
            + logits(footprint, evaluated);
        // 5. Behind the last step the result is written, a part of a weight at a time; of updates each sum on its own.
        let writing = resident + whole + 3 * largest_sum(trainable) as u64 * FLOAT;
        let frozen = trainable.method() == "head";
        let peak = if frozen {
            // The head's states, its gradient, and what the step gives back of both.
            let (features, computing) = self::frozen(footprint, (lengths, valid), texts, examples);
            let of_head = match footprint.features {
                Features::Tokens => 4 * tokens.max(evaluated) * hidden * FLOAT,
                Features::Texts => 4 * texts as u64 * hidden * FLOAT,
            };
            base + gradients + features + computing.max(of_head + 2 * trained)
        } else {
            turning
        };
        let peak = peak
            .max(writing)
            .max(if again && !frozen { repeating } else { 0 })
            .max(if frozen { 0 } else { ending })
            .max(if evaluates && !frozen { evaluating } else { 0 });
        let further = rayon::current_num_threads().saturating_sub(1) as u64;
        let overhead = OVERHEAD + if frozen { 0 } else { further * THREAD };
        let peak = overhead + peak;
        Ok(Self {
            resident,
            optimiser,
            gradients,
            activations,
            loss,
            passing,
            overhead,
            peak,
        })
    }

    /// Settings whose peak is at most `limit` bytes and whose steps are the same: first smaller batches with more
    /// accumulation, then layers that are computed again.
    ///
    /// # Errors
    /// [`Error::Memory`] says what the least is, where even one example at a time takes more; and as [`MemoryPlan::new`].
    pub fn fit(
        limit: u64,
        resident: u64,
        footprint: &Footprint,
        trainable: &Trainable,
        options: &TrainOptions,
        lengths: &[usize],
        valid: &[usize],
    ) -> Result<Fit> {
        let mut least: Option<Fit> = None;
        for checkpointing in [options.gradient_checkpointing, true] {
            for divisor in divisors(options.batch) {
                let options = divided(options, divisor).with_gradient_checkpointing(checkpointing);
                let plan = Self::new(resident, footprint, trainable, &options, lengths, valid)?;
                let fit = Fit { options, plan };
                if plan.peak <= limit {
                    return Ok(fit);
                }
                if least.as_ref().is_none_or(|least| plan.peak < least.plan.peak) {
                    least = Some(fit);
                }
            }
        }
        Err(Error::Memory {
            limit,
            least: least.map_or(resident, |least| least.plan.peak),
            trained: trainable.count(),
        })
    }
}

/// What a run comes to.
#[derive(Default)]
struct Seen {
    /// The tokens of the largest batch.
    tokens: usize,
    /// The most texts of a batch.
    texts: usize,
    /// Examples, each once.
    examples: usize,
}

/// The largest batch that the run comes to, each text with so many tokens `before` it.
fn largest(options: &TrainOptions, lengths: &[usize], before: usize) -> Result<Seen> {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number of epochs, of which few are looked at"
    )]
    let (epochs, mut left) = match options.duration {
        Duration::Epochs(epochs) => ((epochs.ceil() as u64).clamp(1, EPOCHS), usize::MAX),
        Duration::Steps(steps) => (EPOCHS, steps.max(1)),
    };
    let mut seen = Seen::default();
    for epoch in 0..epochs {
        let steps = options.plan().steps(lengths, epoch)?;
        let reached = left.min(steps.len());
        for batch in steps[..reached].iter().flatten() {
            let tokens = batch.iter().map(|index| lengths[*index] + before);
            seen.tokens = seen.tokens.max(tokens.sum());
            seen.texts = seen.texts.max(batch.len());
            seen.examples += batch.len();
        }
        left -= reached;
    }
    seen.examples = seen.examples.min(lengths.len());
    Ok(seen)
}

/// What a head that trains alone takes of the frozen model: the features that are kept, and what exists while they are
/// computed, on every thread for a text of its own.
fn frozen(
    footprint: &Footprint,
    (lengths, valid): (&[usize], &[usize]),
    texts: usize,
    examples: usize,
) -> (u64, u64) {
    let hidden = footprint.hidden as u64;
    let kept = |lengths: &[usize], count: usize| {
        let count = count as u64;
        let tokens = lengths.iter().map(|length| *length as u64).sum::<u64>();
        let numbers = match footprint.features {
            Features::Tokens => tokens * count / (lengths.len() as u64).max(1),
            Features::Texts => count,
        };
        numbers * hidden * FLOAT + count * KEPT_TEXT
    };
    let features = kept(lengths, examples) + kept(valid, valid.len());
    let longest = lengths.iter().chain(valid).max().copied().unwrap_or(0);
    let threads = rayon::current_num_threads().min(texts.max(valid.len()));
    let computing = (threads * longest * footprint.passing()) as u64 * FLOAT;
    (features.min(MAX_FEATURES), computing)
}

/// The tokens that an evaluation computes at once, at most.
fn evaluated(lengths: &[usize], before: usize) -> usize {
    let tokens = || lengths.iter().map(|length| length + before);
    let longest = tokens().max().unwrap_or(0);
    tokens().sum::<usize>().min(longest.max(EVALUATED_TOKENS))
}

/// What the loss over all words takes: the logits of some rows, the gradients of the hidden states, and where the output
/// layer is trained its packed copy and its gradient.
fn loss(footprint: &Footprint, trainable: &Trainable, tokens: u64) -> u64 {
    let (words, hidden) = (footprint.vocabulary as u64, footprint.hidden as u64);
    if words == 0 {
        return tokens * hidden * FLOAT;
    }
    let output = trainable
        .parameters()
        .iter()
        .filter(|parameter| parameter.part() == Part::Weight);
    let trained = output
        .map(|parameter| parameter.count() as u64)
        .find(|count| *count == words * hidden);
    logits(footprint, tokens) + 2 * tokens * hidden * FLOAT + trained.map_or(0, |count| 2 * count * FLOAT)
}

/// The logits that exist at once, of at most so many tokens.
fn logits(footprint: &Footprint, tokens: u64) -> u64 {
    match footprint.vocabulary as u64 {
        0 => 0,
        words => {
            let rows = (LOGITS / (words * FLOAT) / MIN_ROWS * MIN_ROWS).max(MIN_ROWS);
            rows.min(tokens) * words * FLOAT
        }
    }
}

/// Weights of whole matrices, which are packed again for every use.
fn whole_matrices(trainable: &Trainable) -> usize {
    let matrices = trainable
        .parameters()
        .iter()
        .filter(|parameter| parameter.dims().len() == 2);
    matrices
        .filter(|parameter| parameter.part() == Part::Weight)
        .map(|parameter| parameter.count())
        .sum()
}

/// Weights of the largest matrix that an update is added to when the result is written.
fn largest_sum(trainable: &Trainable) -> usize {
    let of = |part: Part, dim: usize| {
        let parts = trainable
            .parameters()
            .iter()
            .filter(move |parameter| parameter.part() == part);
        parts.filter_map(move |parameter| Some((parameter.slot(), *parameter.dims().get(dim)?)))
    };
    let rows: BTreeMap<&str, usize> = of(Part::LoraB, 0).collect();
    let sums = of(Part::LoraA, 1).filter_map(|(slot, width)| Some(width * rows.get(slot)?));
    sums.max().unwrap_or(0)
}

fn largest_matrix(trainable: &Trainable) -> usize {
    trainable
        .parameters()
        .iter()
        .map(|parameter| parameter.count())
        .max()
        .unwrap_or(0)
}

/// The parts into which a batch can be divided.
fn divisors(batch: BatchSize) -> Vec<usize> {
    let (BatchSize::Examples(size) | BatchSize::Tokens(size)) = batch;
    match batch {
        BatchSize::Examples(_) => (1..=size)
            .filter(|divisor| size.is_multiple_of(*divisor))
            .collect(),
        // Batches of tokens are made anew for every limit, so their steps would change.
        BatchSize::Tokens(_) => vec![1],
    }
}

fn divided(options: &TrainOptions, divisor: usize) -> TrainOptions {
    match options.batch {
        BatchSize::Examples(size) => {
            let accumulation = options.accumulation * divisor;
            options
                .clone()
                .with_batch(size / divisor)
                .with_accumulation(accumulation)
        }
        BatchSize::Tokens(_) => options.clone(),
    }
}

impl fmt::Display for MemoryPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[allow(clippy::cast_precision_loss, reason = "sizes for people")]
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        write!(
            f,
            "peak {:.0} MB: {:.0} before the run, {:.0} optimiser, {:.0} at most beside them (gradients {:.0}, kept of the \
             largest batch {:.0}, loss {:.0})",
            megabytes(self.peak),
            megabytes(self.resident),
            megabytes(self.optimiser),
            megabytes(self.peak.saturating_sub(self.resident + self.optimiser)),
            megabytes(self.gradients),
            megabytes(self.activations),
            megabytes(self.loss),
        )
    }
}
