//! Rows of logits become losses and, in place, their gradients.
//!
//! Letters: `c` rows, `v` vocabulary.

use burn::backend::flex::FlexTensor;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::tensor::{from_vec, own, whole};
use super::vector_math::{exp, tanh};

/// Components of a task.
const TASK_COMPONENTS: usize = 32 * 1024;

/// How the loss of a row is computed.
#[derive(Clone, Copy)]
pub struct Softened {
    /// Logits are brought below this, as `cap tanh(logit / cap)`.
    pub softcap: Option<f32>,
    /// The share of the target's probability that all classes divide among themselves.
    pub smoothing: f32,
}

/// What is found of some rows.
pub struct RowLosses {
    /// The negative logarithm of the target's probability, `[c]`.
    pub nll: FlexTensor,
    /// The same with label smoothing, `[c]`.
    pub losses: FlexTensor,
    /// The gradients of the logits, `[c, v]`, where there are factors.
    pub gradients: Option<FlexTensor>,
}

/// The losses of each row and, where there are factors, their gradients multiplied by those. A target that is no class
/// gives NaN.
///
/// # Shapes
///
/// `logits [c, v]`, `targets [c]`, `factors [c]`.
pub fn row_losses(
    logits: FlexTensor,
    targets: &[u32],
    factors: Option<FlexTensor>,
    how: Softened,
) -> RowLosses {
    let mut logits = own(logits);
    let (c, v) = (logits.layout().shape()[0], logits.layout().shape()[1]);
    let factors = factors.map(whole);
    let factors = factors.as_ref().map(|factors| factors.storage::<f32>());
    let (mut nll, mut losses) = (vec![0.0; c], vec![0.0; c]);
    let height = (TASK_COMPONENTS / v.max(1)).max(1);
    logits
        .storage_mut::<f32>()
        .par_chunks_mut((height * v).max(1))
        .zip(nll.par_chunks_mut(height))
        .zip(losses.par_chunks_mut(height))
        .enumerate()
        .for_each(|(index, ((logits, nll), losses))| {
            let first = index * height;
            Arch::new().dispatch(Task {
                logits,
                v,
                targets: &targets[first..],
                factors: factors.map(|factors| &factors[first..]),
                how,
                nll,
                losses,
            });
        });
    RowLosses {
        nll: from_vec(nll, [c]),
        losses: from_vec(losses, [c]),
        gradients: factors.is_some().then_some(logits),
    }
}

struct Task<'a> {
    logits: &'a mut [f32],
    v: usize,
    targets: &'a [u32],
    factors: Option<&'a [f32]>,
    how: Softened,
    nll: &'a mut [f32],
    losses: &'a mut [f32],
}

impl WithSimd for Task<'_> {
    type Output = ();

    #[inline(always)]
    #[allow(
        clippy::cast_precision_loss,
        reason = "a vocabulary has far fewer than 2^24 entries"
    )]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { v, how, .. } = self;
        let smoothing = how.smoothing;
        for (row, z) in self.logits.chunks_exact_mut(v).enumerate() {
            if let Some(cap) = how.softcap {
                bound(simd, z, cap);
            }
            let (log_sum, total) = log_sum_exp(simd, z);
            let target = self.targets[row] as usize;
            let nll = z.get(target).map_or(f32::NAN, |z| log_sum - z);
            self.nll[row] = nll;
            self.losses[row] = match smoothing {
                0.0 => nll,
                _ => (1.0 - smoothing) * nll + smoothing * (log_sum - total / v as f32),
            };
            let Some(factors) = self.factors else {
                continue;
            };
            // factor (p - (1 - smoothing) [target] - smoothing / v) (1 - (z / cap)^2)
            let factor = factors[row];
            let capped = |z: f32| how.softcap.map_or(1.0, |cap| 1.0 - (z / cap) * (z / cap));
            let at_target = z
                .get(target)
                .map_or(0.0, |z| factor * (1.0 - smoothing) * capped(*z));
            let slope = Slope {
                log_sum,
                share: smoothing / v as f32,
                factor,
                inverse_cap: how.softcap.map_or(0.0, |cap| 1.0 / cap),
            };
            slope.replace(simd, z);
            if let Some(z) = z.get_mut(target) {
                *z -= at_target;
            }
        }
    }
}

/// `cap tanh(z / cap)` in place of each component.
#[inline(always)]
fn bound<S: Simd>(simd: S, row: &mut [f32], cap: f32) {
    let (caps, inverse) = (simd.splat_f32s(cap), simd.splat_f32s(1.0 / cap));
    let (vectors, tail) = S::as_mut_simd_f32s(row);
    for vector in vectors {
        *vector = simd.mul_f32s(tanh(simd, simd.mul_f32s(*vector, inverse)), caps);
    }
    if !tail.is_empty() {
        let z = simd.mul_f32s(simd.partial_load_f32s(tail), inverse);
        simd.partial_store_f32s(tail, simd.mul_f32s(tanh(simd, z), caps));
    }
}

/// The gradient of a row's loss by its logits, but for the target's own part.
#[derive(Clone, Copy)]
struct Slope {
    log_sum: f32,
    share: f32,
    factor: f32,
    inverse_cap: f32,
}

impl Slope {
    /// Replaces logits by gradients.
    #[inline(always)]
    fn replace<S: Simd>(self, simd: S, row: &mut [f32]) {
        let (vectors, tail) = S::as_mut_simd_f32s(row);
        for vector in vectors {
            *vector = self.at(simd, *vector);
        }
        if !tail.is_empty() {
            let found = self.at(simd, simd.partial_load_f32s(tail));
            simd.partial_store_f32s(tail, found);
        }
    }

    /// `factor (e^(z - log_sum) - share) (1 - (z / cap)^2)`.
    #[inline(always)]
    fn at<S: Simd>(self, simd: S, z: S::f32s) -> S::f32s {
        let p = exp(simd, simd.sub_f32s(z, simd.splat_f32s(self.log_sum)));
        let scaled = simd.mul_f32s(z, simd.splat_f32s(self.inverse_cap));
        let slope = simd.sub_f32s(simd.splat_f32s(1.0), simd.mul_f32s(scaled, scaled));
        let p = simd.sub_f32s(p, simd.splat_f32s(self.share));
        simd.mul_f32s(simd.mul_f32s(p, simd.splat_f32s(self.factor)), slope)
    }
}

/// `log(sum(e^z))` and `sum(z)`.
#[inline(always)]
fn log_sum_exp<S: Simd>(simd: S, row: &[f32]) -> (f32, f32) {
    let (vectors, tail) = S::as_simd_f32s(row);
    let mut maxima = simd.splat_f32s(f32::NEG_INFINITY);
    for vector in vectors {
        maxima = simd.select_f32s(simd.less_than_f32s(maxima, *vector), *vector, maxima);
    }
    let maximum = tail
        .iter()
        .fold(simd.reduce_max_f32s(maxima), |most, z| most.max(*z));
    let maxima = simd.splat_f32s(maximum);
    let [mut sum, mut total] = [simd.splat_f32s(0.0); 2];
    for vector in vectors {
        sum = simd.add_f32s(sum, exp(simd, simd.sub_f32s(*vector, maxima)));
        total = simd.add_f32s(total, *vector);
    }
    let (mut sum, mut total) = (simd.reduce_sum_f32s(sum), simd.reduce_sum_f32s(total));
    for z in tail {
        sum += (z - maximum).exp();
        total += z;
    }
    (maximum + sum.ln(), total)
}
