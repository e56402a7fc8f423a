//! The loss of a language model or classifier straight from its hidden states: logits exist for some rows at a time only,
//! and their gradients are used up before the next rows come (Wijmans et al. 2024, arXiv:2411.09009, section 4).
//!
//! Letters: `t` tokens, `h` hidden width, `v` vocabulary or classes, `n` rows that count, `c` rows of a chunk.

use std::sync::Mutex;

use burn::tensor::{IndexingUpdateOp, Int, Tensor, TensorData, activation};

use super::embedding_gradient::scatter;
use super::gradient::{self, Gradient, Input};
use super::linear_gradient::{Back, column_sums};
use super::matmul::transposed_times;
use super::{LinearWeight, embedding, linear};
use crate::device;

/// The target of a row that does not count.
pub const IGNORED: u32 = u32::MAX;

/// Most bytes of logits that exist at once.
const CHUNK_BYTES: usize = 64 << 20;
/// Fewest rows of a chunk, however wide they are: below, reading the weight takes longer than multiplying.
const MIN_CHUNK: usize = 64;

/// How the loss is computed.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct CrossEntropyOptions {
    /// What the sum over the rows is multiplied by, usually 1 over the number of rows that count in the whole batch.
    pub scale: f64,
    /// Where logits are brought below a bound, as `softcap tanh(logit / softcap)` (Gemma 2, arXiv:2408.00118, section 2).
    pub softcap: Option<f64>,
    /// The share of the target's probability that all classes divide among themselves (Szegedy et al. 2016,
    /// arXiv:1512.00567, section 7).
    pub label_smoothing: f64,
}

impl Default for CrossEntropyOptions {
    fn default() -> Self {
        Self {
            scale: 1.0,
            softcap: None,
            label_smoothing: 0.0,
        }
    }
}

impl CrossEntropyOptions {
    /// Multiplies the sum over the rows.
    #[must_use]
    pub fn with_scale(mut self, scale: f64) -> Self {
        self.scale = scale;
        self
    }

    /// Brings logits below a bound.
    #[must_use]
    pub fn with_softcap(mut self, softcap: Option<f64>) -> Self {
        self.softcap = softcap;
        self
    }

    /// Gives every class a share of the target's probability.
    #[must_use]
    pub fn with_label_smoothing(mut self, label_smoothing: f64) -> Self {
        self.label_smoothing = label_smoothing;
        self
    }
}

/// The sum over the rows of `scale` times the loss, and the negative logarithm of the target's probability of each row,
/// which records no gradients and is 0 where the target is [`IGNORED`].
///
/// Logits are `hidden weight^T + bias`. Their gradients are computed along with the loss, only for what is tracked; so a
/// frozen weight, in whatever precision, gets none. A target that is no class gives NaN on the CPU; the caller has checked.
///
/// # Shapes
///
/// `hidden [t, h]`, `weight [v, h]`, `bias [v]`, `targets [t] -> [1], [t]`.
///
/// # Example
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use burn::tensor::Tensor;
/// use ragtune_core::{device, kernels::{CrossEntropyOptions, IGNORED, LinearWeight, cross_entropy}};
///
/// let device = device::cpu();
/// let weight = LinearWeight::new(Tensor::zeros([8, 4], &device));
/// let hidden = Tensor::ones([3, 4], &device);
/// let (loss, nll) = cross_entropy(hidden, &weight, None, &[5, IGNORED, 0], CrossEntropyOptions::default());
/// // Both rows that count are guesses among eight.
/// assert!((loss.into_scalar::<f32>() - 2.0 * 8f32.ln()).abs() < 1e-5);
/// assert_eq!(nll.into_data().try_to_vec::<f32>().unwrap()[1], 0.0);
/// # }
/// ```
#[must_use]
pub fn cross_entropy(
    hidden: Tensor<2>,
    weight: &LinearWeight,
    bias: Option<&Tensor<1>>,
    targets: &[u32],
    options: CrossEntropyOptions,
) -> (Tensor<1>, Tensor<1>) {
    let wanted = [
        hidden.is_tracked(),
        weight.tracked().is_some(),
        bias.is_some_and(Tensor::is_tracked),
    ];
    let inputs = [
        Input::from(&hidden),
        Input::from(weight.tracked()),
        Input::from(bias),
    ];
    let rows = Counted::new(hidden.inner(), targets);
    let head = Head::new(weight, bias, options);
    let factors = wanted.contains(&true).then(|| rows.factors(options.scale));
    let found = head.run(&rows, factors.as_ref(), wanted);
    let loss = found.losses.sum() * options.scale;
    let gradients = Mutex::new(Some(found.gradients));
    let loss = gradient::record(inputs, loss, move |dy: Tensor<1>, _| {
        let gradients = gradients.lock().ok().and_then(|mut gradients| gradients.take());
        let Gradients { hidden, weight, bias } = gradients.unwrap_or_default();
        [
            hidden.map(|found| Gradient::from(scaled(found, &dy))),
            weight.map(|found| Gradient::from(scaled(found, &dy))),
            bias.map(|found| Gradient::from(scaled(found, &dy))),
        ]
    });
    (loss, found.nll)
}

/// The logarithm of the target's probability of each row, 0 where the target is [`IGNORED`].
///
/// The way back computes the logits again, chunk by chunk. Of the options, the softcap counts.
///
/// # Shapes
///
/// `hidden [t, h]`, `weight [v, h]`, `bias [v]`, `targets [t] -> [t]`.
///
/// # Example
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use burn::tensor::Tensor;
/// use ragtune_core::{device, kernels::{CrossEntropyOptions, LinearWeight, log_probabilities}};
///
/// let device = device::cpu();
/// let weight = LinearWeight::new(Tensor::zeros([8, 4], &device));
/// let hidden = Tensor::ones([1, 4], &device);
/// let found = log_probabilities(hidden, &weight, None, &[5], CrossEntropyOptions::default());
/// assert!((found.into_scalar::<f32>() + 8f32.ln()).abs() < 1e-6);
/// # }
/// ```
#[must_use]
pub fn log_probabilities(
    hidden: Tensor<2>,
    weight: &LinearWeight,
    bias: Option<&Tensor<1>>,
    targets: &[u32],
    options: CrossEntropyOptions,
) -> Tensor<1> {
    let inputs = [
        Input::from(&hidden),
        Input::from(weight.tracked()),
        Input::from(bias),
    ];
    let options = CrossEntropyOptions {
        scale: 1.0,
        label_smoothing: 0.0,
        ..options
    };
    let rows = Counted::new(hidden.inner(), targets);
    let found = Head::new(weight, bias, options).run(&rows, None, [false; 3]);
    let (weight, bias) = (weight.clone(), bias.cloned());
    gradient::record(inputs, found.nll.neg(), move |dy: Tensor<1>, wanted| {
        let head = Head::new(&weight, bias.as_ref(), options);
        let factors = rows.of_counted(dy.neg());
        let Gradients { hidden, weight, bias } = head.run(&rows, Some(&factors), wanted).gradients;
        [
            hidden.map(Gradient::from),
            weight.map(Gradient::from),
            bias.map(Gradient::from),
        ]
    })
}

/// The rows that count.
struct Counted {
    /// `[n, h]`.
    rows: Tensor<2>,
    targets: Vec<u32>,
    /// Where they stood, unless every row counts.
    places: Option<Vec<u32>>,
    /// Number of rows `t` that there were.
    total: usize,
}

impl Counted {
    fn new(hidden: Tensor<2>, targets: &[u32]) -> Self {
        let total = hidden.dims()[0];
        if !targets.contains(&IGNORED) {
            return Self {
                rows: hidden,
                targets: targets.to_vec(),
                places: None,
                total,
            };
        }
        let places: Vec<u32> = (0u32..)
            .zip(targets)
            .filter(|(_, target)| **target != IGNORED)
            .map(|(place, _)| place)
            .collect();
        Self {
            rows: embedding(&hidden, &places),
            targets: targets
                .iter()
                .copied()
                .filter(|target| *target != IGNORED)
                .collect(),
            places: Some(places),
            total,
        }
    }

    /// The same number for each row.
    fn factors(&self, scale: f64) -> Tensor<1> {
        Tensor::ones([self.targets.len()], &self.rows.device()) * scale
    }

    /// `[t] -> [n]`.
    fn of_counted(&self, values: Tensor<1>) -> Tensor<1> {
        match &self.places {
            None => values,
            Some(places) => {
                let values = values.unsqueeze_dim::<2>(1);
                embedding(&values, places).squeeze_dim(1)
            }
        }
    }

    /// `[n, w] -> [t, w]`; the rows that do not count are 0.
    fn put_back(&self, rows: Tensor<2>) -> Tensor<2> {
        match &self.places {
            None => rows,
            Some(places) => scatter(rows, places, self.total),
        }
    }
}

/// The layer whose output the loss is of.
struct Head {
    weight: LinearWeight,
    back: Back,
    bias: Option<Tensor<1>>,
    options: CrossEntropyOptions,
}

#[derive(Default)]
struct Gradients {
    hidden: Option<Tensor<2>>,
    weight: Option<Tensor<2>>,
    bias: Option<Tensor<1>>,
}

struct Found {
    /// `[t]`.
    nll: Tensor<1>,
    /// `[n]`.
    losses: Tensor<1>,
    gradients: Gradients,
}

impl Head {
    fn new(weight: &LinearWeight, bias: Option<&Tensor<1>>, options: CrossEntropyOptions) -> Self {
        Self {
            weight: weight.untracked(),
            back: Back::new(weight),
            bias: bias.map(|bias| bias.clone().inner()),
            options,
        }
    }

    /// The losses of all rows and, where there are factors `[n]`, the gradients that are wanted of hidden states, weight
    /// and bias.
    fn run(&self, rows: &Counted, factors: Option<&Tensor<1>>, wanted: [bool; 3]) -> Found {
        let device = rows.rows.device();
        let ([n, h], [v, _]) = (rows.rows.dims(), self.weight.dims());
        let fitting = CHUNK_BYTES / (v * size_of::<f32>()).max(1);
        let most = (fitting / MIN_CHUNK * MIN_CHUNK).max(MIN_CHUNK);
        // Equal chunks, because each of them reads the whole weight.
        let chunk = n
            .div_ceil(n.div_ceil(most).max(1))
            .max(1)
            .next_multiple_of(MIN_CHUNK);
        let [hidden_wanted, weight_wanted, bias_wanted] = wanted;
        let (mut nll, mut losses, mut dhidden) = (Vec::new(), Vec::new(), Vec::new());
        let mut gradients = Gradients::default();
        for first in (0..n).step_by(chunk) {
            let end = (first + chunk).min(n);
            let x = rows.rows.clone().slice([first..end, 0..h]);
            let logits = linear(x.clone(), &self.weight, self.bias.as_ref(), None); // [c, v]
            let targets = &rows.targets[first..end];
            let factors = factors.map(|factors| factors.clone().narrow(0, first, end - first));
            let found = row_losses(logits, targets, factors, self.options);
            nll.push(found.nll);
            losses.push(found.losses);
            let Some(dlogits) = found.gradients else {
                continue;
            };
            if bias_wanted {
                let added = column_sums(dlogits.clone());
                gradients.bias = Some(match gradients.bias.take() {
                    Some(sum) => sum + added,
                    None => added,
                });
            }
            if weight_wanted {
                let sum = gradients.weight.take();
                gradients.weight = Some(transposed_times(dlogits.clone(), x, sum));
            }
            if hidden_wanted {
                dhidden.push(self.back.times(dlogits));
            }
        }
        let joined = |parts: Vec<Tensor<1>>| match parts.is_empty() {
            true => Tensor::zeros([0], &device),
            false => Tensor::cat(parts, 0),
        };
        // What is wanted is given even where no row counts, because the graph waits for it.
        if bias_wanted && n == 0 {
            gradients.bias = Some(Tensor::zeros([v], &device));
        }
        if weight_wanted && n == 0 {
            gradients.weight = Some(Tensor::zeros([v, h], &device));
        }
        if hidden_wanted {
            gradients.hidden = Some(match dhidden.is_empty() {
                true => Tensor::zeros([rows.total, h], &device),
                false => rows.put_back(Tensor::cat(dhidden, 0)),
            });
        }
        let nll = match n {
            0 => Tensor::zeros([rows.total], &device),
            _ => rows.put_back(joined(nll).unsqueeze_dim::<2>(1)).squeeze_dim(1),
        };
        Found {
            nll,
            losses: joined(losses),
            gradients,
        }
    }
}

/// `gradient` times the number in `by`.
fn scaled<const D: usize>(gradient: Tensor<D>, by: &Tensor<1>) -> Tensor<D> {
    if device::is_cpu(&by.device()) {
        // Reading it costs nothing here, and it is usually 1.
        let by: f64 = by.clone().into_data().iter::<f64>().sum();
        return if by == 1.0 { gradient } else { gradient * by };
    }
    gradient * by.clone().unsqueeze()
}

/// What is found of a chunk.
pub(super) struct RowLosses {
    /// `[c]`.
    pub(super) nll: Tensor<1>,
    /// With label smoothing, `[c]`.
    pub(super) losses: Tensor<1>,
    /// `[c, v]`, where there are factors.
    pub(super) gradients: Option<Tensor<2>>,
}

/// The losses of a chunk and, where there are factors, the gradients of its logits.
///
/// # Shapes
///
/// `logits [c, v]`, `targets [c]`, `factors [c]`.
pub(super) fn row_losses(
    logits: Tensor<2>,
    targets: &[u32],
    factors: Option<Tensor<1>>,
    options: CrossEntropyOptions,
) -> RowLosses {
    #[cfg(feature = "cpu")]
    let (logits, factors) = {
        use super::cpu::{self, from_flex, into_flex};
        #[allow(
            clippy::cast_possible_truncation,
            reason = "the precision of the computation is f32"
        )]
        let how = cpu::Softened {
            softcap: options.softcap.map(|cap| cap as f32),
            smoothing: options.label_smoothing as f32,
        };
        match (into_flex(logits), factors.map(into_flex)) {
            (Ok(logits), factors @ (None | Some(Ok(_)))) => {
                let found = cpu::row_losses(logits, targets, factors.and_then(Result::ok), how);
                return RowLosses {
                    nll: from_flex(found.nll),
                    losses: from_flex(found.losses),
                    gradients: found.gradients.map(from_flex),
                };
            }
            (logits, factors) => (
                logits.map_or_else(|tensor| tensor, from_flex),
                factors.map(|side| side.map_or_else(|tensor| tensor, from_flex)),
            ),
        }
    };
    composed_row_losses(logits, targets, factors, options)
}

pub(super) fn composed_row_losses(
    logits: Tensor<2>,
    targets: &[u32],
    factors: Option<Tensor<1>>,
    options: CrossEntropyOptions,
) -> RowLosses {
    let [c, v] = logits.dims();
    let targets: Vec<i32> = targets.iter().map(|id| id.cast_signed()).collect();
    let data = TensorData::new(targets, [c, 1]);
    let targets = Tensor::<2, Int>::from_data(data, &logits.device());
    let bounded = options.softcap.map(|cap| (logits.clone() / cap).tanh()); // z / cap
    let z = match (&bounded, options.softcap) {
        (Some(bounded), Some(cap)) => bounded.clone() * cap,
        _ => logits,
    };
    let log_p = activation::log_softmax(z, 1);
    let nll: Tensor<1> = log_p.clone().gather(1, targets.clone()).neg().squeeze_dim(1);
    let smoothing = options.label_smoothing;
    let losses = match smoothing {
        0.0 => nll.clone(),
        _ => nll.clone() * (1.0 - smoothing) - log_p.clone().mean_dim(1).squeeze_dim::<1>(1) * smoothing,
    };
    let gradients = factors.map(|factors| {
        #[allow(
            clippy::cast_precision_loss,
            reason = "a vocabulary has far fewer than 2^52 entries"
        )]
        let share = smoothing / v as f64;
        let taken = Tensor::ones([c, 1], &log_p.device()) * (smoothing - 1.0);
        let found = (log_p.exp() - share).scatter(1, targets, taken, IndexingUpdateOp::Add);
        let found = found * factors.unsqueeze_dim::<2>(1);
        match bounded {
            Some(bounded) => found * ((bounded.clone() * bounded).neg() + 1.0),
            None => found,
        }
    });
    RowLosses {
        nll,
        losses,
        gradients,
    }
}
