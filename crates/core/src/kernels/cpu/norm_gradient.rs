//! The way back of normalisations, row by row in the first-level cache.
//!
//! Letters: `t` tokens, `h` hidden width.
//!
//! What the rows add to the gradients of weight and bias is summed in blocks of fixed height, and the blocks in their order,
//! so that the result does not depend on the number of threads.

use burn::backend::flex::FlexTensor;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::layer_norm::add;
use super::tensor::{from_vec, own, whole};

/// Rows whose gradients of weight and bias are summed together.
const BLOCK_ROWS: usize = 32;

/// The gradients of a norm's input, weight and bias.
pub struct NormGradients {
    pub y: FlexTensor,
    pub weight: Option<FlexTensor>,
    pub bias: Option<FlexTensor>,
}

/// Which norm it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Norm {
    /// `y / sqrt(mean(y^2) + eps) * weight`.
    Rms,
    /// `(y - mean) / sqrt(variance + eps) * weight + bias`.
    Layer,
}

/// The gradients of the norm of each row, those of weight and bias where they are wanted.
///
/// # Shapes
///
/// `y [t, h]`, `weight [h]`, `dy [t, h] -> [t, h]`, `[h]`, `[h]`.
pub fn norm_backward(
    norm: Norm,
    y: FlexTensor,
    weight: FlexTensor,
    eps: f64,
    dy: FlexTensor,
    parameters_wanted: bool,
) -> NormGradients {
    let (y, weight, mut dy) = (whole(y), whole(weight), own(dy));
    let (t, h) = (dy.layout().shape()[0], dy.layout().shape()[1]);
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the precision of the computation is f32"
    )]
    let eps = eps as f32;
    let block = (BLOCK_ROWS * h).max(1);
    let blocks = t.div_ceil(BLOCK_ROWS);
    let mut sums = vec![0.0; if parameters_wanted { blocks * 2 * h } else { 0 }];
    let parts: Vec<&mut [f32]> = match parameters_wanted && h > 0 {
        true => sums.chunks_exact_mut(2 * h).collect(),
        false => (0..blocks).map(|_| Default::default()).collect(),
    };
    let (rows, scale) = (y.storage::<f32>(), weight.storage::<f32>());
    dy.storage_mut::<f32>()
        .par_chunks_mut(block)
        .zip(rows.par_chunks(block))
        .zip(parts)
        .for_each(|((dy, y), sums)| {
            Arch::new().dispatch(Task {
                norm,
                y,
                weight: scale,
                eps,
                dy,
                sums,
            });
        });
    let [weight, bias] = [0, h].map(|column| {
        parameters_wanted.then(|| {
            let mut total = vec![0.0; h];
            for sums in sums.chunks_exact((2 * h).max(1)) {
                for (total, sum) in total.iter_mut().zip(&sums[column..][..h]) {
                    *total += sum;
                }
            }
            from_vec(total, [h])
        })
    });
    NormGradients { y: dy, weight, bias }
}

/// The sum of all rows.
///
/// # Shapes
///
/// `[t, h] -> [h]`.
pub fn column_sums(x: FlexTensor) -> FlexTensor {
    let x = whole(x);
    let h = x.layout().shape()[1];
    let sums: Vec<Vec<f32>> = x
        .storage::<f32>()
        .par_chunks((BLOCK_ROWS * h).max(1))
        .map(|rows| Arch::new().dispatch(Columns { rows, h }))
        .collect();
    let mut total = vec![0.0; h];
    for sums in sums {
        for (total, sum) in total.iter_mut().zip(sums) {
            *total += sum;
        }
    }
    from_vec(total, [h])
}

struct Columns<'a> {
    rows: &'a [f32],
    h: usize,
}

impl WithSimd for Columns<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
        let mut sums = vec![0.0; self.h];
        for row in self.rows.chunks_exact(self.h.max(1)) {
            add(simd, &mut sums, row);
        }
        sums
    }
}

/// Some rows.
struct Task<'a> {
    norm: Norm,
    y: &'a [f32],
    weight: &'a [f32],
    eps: f32,
    /// Becomes the gradient of `y`.
    dy: &'a mut [f32],
    /// The gradients of weight and bias behind each other, or nothing.
    sums: &'a mut [f32],
}

impl WithSimd for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let h = self.weight.len();
        let (dweight, dbias) = self.sums.split_at_mut(self.sums.len() / 2);
        for (y, dy) in self.y.chunks_exact(h).zip(self.dy.chunks_exact_mut(h)) {
            #[allow(
                clippy::cast_precision_loss,
                reason = "a row has far fewer than 2^24 components"
            )]
            let count = h as f32;
            let mean = match self.norm {
                Norm::Rms => 0.0,
                Norm::Layer => sums::<S>(simd, y, y, self.weight, 0.0).plain / count,
            };
            // With n = (y - mean) scale and g = dy weight: scale (g - n mean(g n)), and for the layer norm less mean(g).
            let found = sums::<S>(simd, y, dy, self.weight, mean);
            let scale = 1.0 / (found.squares / count + self.eps).sqrt();
            let along = found.weighted_products * scale * scale * scale / count;
            let shift = match self.norm {
                Norm::Rms => 0.0,
                Norm::Layer => found.weighted * scale / count,
            };
            if !dweight.is_empty() {
                let sides = y.iter().zip(dy.iter());
                for ((sum, bias), (y, dy)) in dweight.iter_mut().zip(dbias.iter_mut()).zip(sides) {
                    *sum += dy * ((y - mean) * scale);
                    *bias += dy;
                }
            }
            for ((dy, y), weight) in dy.iter_mut().zip(y).zip(self.weight) {
                *dy = *dy * weight * scale - (y - mean) * along - shift;
            }
        }
    }
}

/// Sums over a row.
struct Sums {
    /// Of `y`.
    plain: f32,
    /// Of `(y - mean)^2`.
    squares: f32,
    /// Of `dy weight`.
    weighted: f32,
    /// Of `dy weight (y - mean)`.
    weighted_products: f32,
}

#[inline(always)]
fn sums<S: Simd>(simd: S, y: &[f32], dy: &[f32], weight: &[f32], mean: f32) -> Sums {
    let (ys, y_tail) = S::as_simd_f32s(y);
    let (dys, dy_tail) = S::as_simd_f32s(dy);
    let (weights, weight_tail) = S::as_simd_f32s(weight);
    let means = simd.splat_f32s(mean);
    let [mut plain, mut squares, mut weighted, mut products] = [simd.splat_f32s(0.0); 4];
    for ((y, dy), weight) in ys.iter().zip(dys).zip(weights) {
        let centred = simd.sub_f32s(*y, means);
        let g = simd.mul_f32s(*dy, *weight);
        plain = simd.add_f32s(plain, *y);
        squares = simd.mul_add_e_f32s(centred, centred, squares);
        weighted = simd.add_f32s(weighted, g);
        products = simd.mul_add_e_f32s(centred, g, products);
    }
    let mut sums = Sums {
        plain: simd.reduce_sum_f32s(plain),
        squares: simd.reduce_sum_f32s(squares),
        weighted: simd.reduce_sum_f32s(weighted),
        weighted_products: simd.reduce_sum_f32s(products),
    };
    for ((y, dy), weight) in y_tail.iter().zip(dy_tail).zip(weight_tail) {
        sums.plain += y;
        sums.squares += (y - mean) * (y - mean);
        sums.weighted += dy * weight;
        sums.weighted_products += (y - mean) * dy * weight;
    }
    sums
}
