//! Dropout (Srivastava et al. 2014, JMLR 15, section 4, in the form that scales what is kept) whose mask is a pure function
//! of a key: it is computed again on the way back and never kept, and a run that resumes drops the same components.

use burn::tensor::{Tensor, TensorData};

#[cfg(feature = "autodiff")]
use super::gradient::{self, Gradient, Input};

/// Sets each component to 0 with the given probability, independently, and multiplies the others by
/// `1 / (1 - probability)`.
///
/// Which components are dropped depends on the key and the shape alone, on every device. So a key is to be used once: make
/// it of the run's seed, the step and the place in the model.
///
/// # Shapes
///
/// `[...] -> [...]`, any shape; `0 <= probability < 1`.
///
/// # Example
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use burn::tensor::Tensor;
/// use ragtune_core::{device, kernels::dropout};
///
/// let x = Tensor::<1>::ones([10_000], &device::cpu());
/// let y = dropout(x.clone(), 0.25, 7);
/// assert!((y.clone().mean().into_scalar::<f32>() - 1.0).abs() < 0.05);
/// assert_eq!(y.into_data(), dropout(x, 0.25, 7).into_data());
/// # }
/// ```
#[must_use]
pub fn dropout<const D: usize>(x: Tensor<D>, probability: f64, key: u64) -> Tensor<D> {
    if probability <= 0.0 {
        return x;
    }
    let mask = Mask::new(probability, key);
    #[cfg(feature = "autodiff")]
    if x.is_tracked() {
        let inputs = [Input::from(&x)];
        return gradient::record(inputs, masked(x.inner(), mask), move |dy: Tensor<D>, _| {
            [Some(Gradient::from(masked(dy, mask)))]
        });
    }
    masked(x, mask)
}

fn masked<const D: usize>(x: Tensor<D>, mask: Mask) -> Tensor<D> {
    #[cfg(feature = "cpu")]
    let x = match super::cpu::into_flex(x) {
        Ok(x) => return super::cpu::from_flex(super::cpu::dropout(x, mask)),
        Err(x) => x,
    };
    composed(x, mask)
}

pub(super) fn composed<const D: usize>(x: Tensor<D>, mask: Mask) -> Tensor<D> {
    let mut factors = vec![1.0; x.shape().num_elements()];
    mask.apply(0, &mut factors);
    let factors = Tensor::<D>::from_data(TensorData::new(factors, x.dims()), &x.device());
    x * factors
}

/// Which components are dropped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mask {
    key: u64,
    /// Hashes below it are dropped.
    threshold: u32,
    /// What the others are multiplied by.
    factor: f32,
}

impl Mask {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the probability is between 0 and 1, and a factor is an f32"
    )]
    pub(super) fn new(probability: f64, key: u64) -> Self {
        let inverse = 1.0 / (1.0 - probability);
        Self {
            key,
            threshold: (probability * 2f64.powi(32)) as u32,
            factor: if inverse.is_finite() { inverse as f32 } else { 0.0 },
        }
    }

    /// Drops components of `values`, the first of which is component `first` of the tensor.
    #[inline(always)]
    #[allow(
        clippy::cast_possible_truncation,
        reason = "an index is taken apart into its halves"
    )]
    pub(super) fn apply(self, first: usize, values: &mut [f32]) {
        let mut rest = values;
        let mut at = first as u64;
        while !rest.is_empty() {
            // Up to where the upper half of the index changes.
            let until = ((1 << 32) - (at & 0xFFFF_FFFF)).min(rest.len() as u64);
            let (values, others) = rest.split_at_mut(until as usize);
            let words = mix_64(self.key ^ mix_64(at >> 32));
            let (one, other, start) = (words as u32, (words >> 32) as u32, at as u32);
            for (offset, value) in (0u32..).zip(values.iter_mut()) {
                let hash = mix_32(mix_32(start.wrapping_add(offset).wrapping_add(one)) ^ other);
                *value *= if hash < self.threshold { 0.0 } else { self.factor };
            }
            (rest, at) = (others, at + until);
        }
    }
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014, OOPSLA, figure 16).
fn mix_64(x: u64) -> u64 {
    let x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// A bijection of 32 bits in which every input bit changes about half the output bits; constants of the search in
/// github.com/skeeto/hash-prospector.
#[inline(always)]
fn mix_32(x: u32) -> u32 {
    let x = (x ^ (x >> 16)).wrapping_mul(0x21F0_AAAD);
    let x = (x ^ (x >> 15)).wrapping_mul(0xD35A_2D97);
    x ^ (x >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(key: u64, probability: f64, first: usize, count: usize) -> Vec<bool> {
        let mut values = vec![1.0; count];
        Mask::new(probability, key).apply(first, &mut values);
        values.iter().map(|value| *value != 0.0).collect()
    }

    /// How often both are true, minus the product of how often each is, in standard deviations of a fair coin's count.
    fn dependence(a: &[bool], b: &[bool]) -> f64 {
        let count = a.len() as f64;
        let share = |these: &mut dyn Iterator<Item = bool>| these.filter(|x| *x).count() as f64 / count;
        let both = share(&mut a.iter().zip(b).map(|(a, b)| *a && *b));
        let expected = share(&mut a.iter().copied()) * share(&mut b.iter().copied());
        (both - expected).abs() * count.sqrt() * 4.0
    }

    #[test]
    fn the_share_of_dropped_components_is_the_probability() {
        for (key, probability) in [(0, 0.1), (1, 0.5), (u64::MAX, 0.9), (1 << 40, 0.05)] {
            let count = 1_000_000;
            let dropped = kept(key, probability, 0, count)
                .iter()
                .filter(|kept| !**kept)
                .count() as f64;
            let deviation = (count as f64 * probability * (1.0 - probability)).sqrt();
            assert!(
                (dropped - count as f64 * probability).abs() < 4.5 * deviation,
                "{key} {probability}: {dropped}"
            );
        }
    }

    #[test]
    fn neighbours_rows_and_keys_are_independent() {
        let count = 1 << 20;
        let all = kept(3, 0.5, 0, count + 4096);
        for lag in [1, 2, 3, 8, 64, 384, 576, 4096] {
            let found = dependence(&all[..count], &all[lag..][..count]);
            assert!(found < 4.5, "lag {lag}: {found}");
        }
        for key in [2, 4, 3 | 1 << 32, 3 | 1 << 63] {
            let found = dependence(&all[..count], &kept(key, 0.5, 0, count));
            assert!(found < 4.5, "key {key}: {found}");
        }
    }

    #[test]
    fn a_component_does_not_depend_on_how_the_work_is_divided() {
        let all = kept(9, 0.3, 0, 10_000);
        assert_eq!(all[1234..], kept(9, 0.3, 1234, 10_000 - 1234));
        // Across the border of 2^32 components.
        let border = (1 << 32) - 500;
        assert_eq!(kept(9, 0.3, border, 1000)[500..], kept(9, 0.3, 1 << 32, 500));
        assert_ne!(kept(9, 0.3, 1 << 32, 500), all[..500]);
    }
}
