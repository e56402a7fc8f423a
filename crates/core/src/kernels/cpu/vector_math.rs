//! Elementary functions on vectors of f32, by range reduction and polynomials or rational functions.
//!
//! Their errors against f64 are checked by the tests below and listed in `docs/numerics.md`. NaN gives NaN.

use pulp::Simd;

use crate::kernels::Activation;

/// `log2(e)`.
const LOG2_E: f32 = std::f32::consts::LOG2_E;
/// The upper bits of `ln 2`; its product with an integer below 2^15 is exact (Cody and Waite 1980, chapter 6).
const LN_2_HIGH: f32 = 0.693_359_4;
/// `ln 2 - LN_2_HIGH`.
const LN_2_LOW: f32 = -2.121_944_4e-4;
/// `1.5 * 2^23`: adding it rounds an f32 to an integer, which then stands in the low bits of the sum.
const ROUND: f32 = 12_582_912.0;
/// Below this `exp` is 0: the result would be subnormal.
const EXP_LOWEST: f32 = -87.0;
/// Above this `exp` is infinite.
const EXP_HIGHEST: f32 = 88.722_83;
/// `(exp(r) - 1 - r) / r^2` on `|r| <= ln(2)/2`, highest power first (coefficients of Cephes 2.8, `expf`).
const EXP: [f32; 6] = [
    1.987_569_2e-4,
    1.398_199_9e-3,
    8.333_452e-3,
    4.166_579_6e-2,
    0.166_666_66,
    0.5,
];

/// From here on the normal distribution function differs from 0 or 1 by less than f32 can hold beside 1.
const PHI_RANGE: f32 = 5.6;
/// Numerator of `(Phi(x) - 1/2) / x` in `x^2`, highest power first; our own minimax fit on `|x| <= 5.6`, error 2.5e-8.
const PHI_P: [f32; 7] = [
    1.080_221_7e-10,
    -2.199_665_7e-8,
    3.361_535_4e-6,
    1.824_658e-4,
    4.587_547_4e-3,
    3.711_241e-2,
    0.398_942_1,
];
/// Its denominator.
const PHI_Q: [f32; 5] = [6.624_694e-5, 1.901_468e-3, 2.978_592_7e-2, 0.259_691_15, 1.0];

/// From here on tanh differs from 1 by less than f32 can hold.
const TANH_RANGE: f32 = 9.0;
/// Numerator of `tanh(x) / x` in `x^2`, highest power first; our own minimax fit on `|x| <= 9`, relative error 2.1e-8.
const TANH_P: [f32; 5] = [1.335_466_2e-8, 2.060_908_3e-5, 3.495_588_2e-3, 0.133_810_25, 1.0];
/// Its denominator.
const TANH_Q: [f32; 5] = [7.776_559e-7, 3.285_634_7e-4, 2.587_698_3e-2, 0.467_143_42, 1.0];

/// `sqrt(2 / pi)`, of the tanh form of GELU.
pub const SQRT_2_OVER_PI: f32 = 0.797_884_6;
/// The cubic coefficient of the tanh form of GELU.
pub const GELU_CUBIC: f32 = 0.044_715;

/// Replaces each component by its activation.
#[inline(always)]
pub fn activate_all<S: Simd>(simd: S, activation: Activation, values: &mut [f32]) {
    let (vectors, tail) = S::as_mut_simd_f32s(values);
    for vector in vectors {
        *vector = activate(simd, activation, *vector);
    }
    if !tail.is_empty() {
        let values = activate(simd, activation, simd.partial_load_f32s(tail));
        simd.partial_store_f32s(tail, values);
    }
}

/// The activation of each component.
#[inline(always)]
pub fn activate<S: Simd>(simd: S, activation: Activation, x: S::f32s) -> S::f32s {
    match activation {
        Activation::Gelu => gelu(simd, x),
        Activation::GeluTanh => gelu_tanh(simd, x),
        Activation::Relu => {
            let zero = simd.splat_f32s(0.0);
            simd.select_f32s(simd.less_than_f32s(x, zero), zero, x)
        }
        Activation::Silu => simd.mul_f32s(x, sigmoid(simd, x)),
        Activation::Tanh => tanh(simd, x),
    }
}

/// `e^x`; results below 2^-125 are 0.
#[inline(always)]
pub fn exp<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    // 1. x = n ln 2 + r with integer n and |r| <= ln(2)/2.
    let (lowest, highest) = (simd.splat_f32s(EXP_LOWEST), simd.splat_f32s(EXP_HIGHEST));
    let inside = clamp(simd, x, EXP_LOWEST, EXP_HIGHEST);
    let shifted = simd.mul_add_e_f32s(inside, simd.splat_f32s(LOG2_E), simd.splat_f32s(ROUND));
    let n = simd.sub_f32s(shifted, simd.splat_f32s(ROUND));
    let r = simd.mul_add_e_f32s(n, simd.splat_f32s(-LN_2_HIGH), inside);
    let r = simd.mul_add_e_f32s(n, simd.splat_f32s(-LN_2_LOW), r);
    // 2. e^r.
    let p = polynomial(simd, r, &EXP);
    let y = simd.add_f32s(
        simd.mul_add_e_f32s(simd.mul_f32s(p, r), r, r),
        simd.splat_f32s(1.0),
    );
    // 3. Twice 2^(n/2), because 2^128 is not an f32 while e^x may still be one.
    let bits = simd.transmute_u32s_f32s(shifted);
    let exponent = simd.wrapping_dyn_shl_u32s(bits, simd.splat_u32s(23));
    let half = simd.transmute_f32s_u32s(simd.add_u32s(exponent, simd.splat_u32s(126 << 23)));
    let y = simd.mul_f32s(simd.mul_f32s(y, half), simd.splat_f32s(2.0));
    // 4. The ends of the range; a NaN compares false and stays.
    let y = simd.select_f32s(simd.less_than_f32s(x, lowest), simd.splat_f32s(0.0), y);
    simd.select_f32s(simd.less_than_f32s(highest, x), simd.splat_f32s(f32::INFINITY), y)
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
pub fn sigmoid<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let one = simd.splat_f32s(1.0);
    simd.div_f32s(one, simd.add_f32s(one, exp(simd, simd.neg_f32s(x))))
}

/// `x Phi(x)` with the distribution function `Phi` of the standard normal distribution.
#[inline(always)]
pub fn gelu<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    simd.mul_f32s(x, normal_distribution(simd, x))
}

/// The distribution function of the standard normal distribution.
#[inline(always)]
pub fn normal_distribution<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let inside = clamp(simd, x, -PHI_RANGE, PHI_RANGE);
    let square = simd.mul_f32s(inside, inside);
    let p = simd.mul_f32s(inside, polynomial(simd, square, &PHI_P));
    let phi = simd.add_f32s(
        simd.div_f32s(p, polynomial(simd, square, &PHI_Q)),
        simd.splat_f32s(0.5),
    );
    let below = simd.less_than_f32s(x, simd.splat_f32s(-PHI_RANGE));
    simd.select_f32s(below, simd.splat_f32s(0.0), phi)
}

/// `x/2 (1 + tanh(u)) = x / (1 + e^-2u)` with `u = sqrt(2/pi) (x + 0.044715 x^3)`.
#[inline(always)]
pub fn gelu_tanh<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let square = simd.mul_f32s(x, x);
    let inner = simd.mul_add_e_f32s(square, simd.splat_f32s(GELU_CUBIC), simd.splat_f32s(1.0));
    let twice = simd.mul_f32s(simd.mul_f32s(x, inner), simd.splat_f32s(2.0 * SQRT_2_OVER_PI));
    simd.mul_f32s(x, sigmoid(simd, twice))
}

/// The hyperbolic tangent.
#[inline(always)]
pub fn tanh<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let inside = clamp(simd, x, -TANH_RANGE, TANH_RANGE);
    let square = simd.mul_f32s(inside, inside);
    let p = simd.mul_f32s(inside, polynomial(simd, square, &TANH_P));
    clamp(
        simd,
        simd.div_f32s(p, polynomial(simd, square, &TANH_Q)),
        -1.0,
        1.0,
    )
}

/// `x` brought between the bounds; a NaN compares false and stays.
#[inline(always)]
pub fn clamp<S: Simd>(simd: S, x: S::f32s, low: f32, high: f32) -> S::f32s {
    let (low, high) = (simd.splat_f32s(low), simd.splat_f32s(high));
    let x = simd.select_f32s(simd.less_than_f32s(x, low), low, x);
    simd.select_f32s(simd.less_than_f32s(high, x), high, x)
}

/// Horner's rule, highest power first.
#[inline(always)]
fn polynomial<S: Simd, const N: usize>(simd: S, x: S::f32s, coefficients: &[f32; N]) -> S::f32s {
    let mut sum = simd.splat_f32s(coefficients[0]);
    for coefficient in &coefficients[1..] {
        sum = simd.mul_add_e_f32s(sum, x, simd.splat_f32s(*coefficient));
    }
    sum
}

#[cfg(test)]
mod tests {
    use std::f64::consts::{FRAC_1_SQRT_2, PI};

    use pulp::{Arch, Scalar, WithSimd};

    use super::*;

    /// What to compute of every component.
    #[derive(Clone, Copy)]
    enum Function {
        Exp,
        Of(Activation),
    }

    struct Map<'a>(Function, &'a mut [f32]);

    impl WithSimd for Map<'_> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let Self(function, values) = self;
            for chunk in values.chunks_mut(S::F32_LANES) {
                let x = simd.partial_load_f32s(chunk);
                let y = match function {
                    Function::Exp => exp(simd, x),
                    Function::Of(activation) => activate(simd, activation, x),
                };
                simd.partial_store_f32s(chunk, y);
            }
        }
    }

    /// The results of every instruction set that this machine has.
    fn on_every_simd(function: Function, x: &[f32]) -> Vec<Vec<f32>> {
        let mut results = vec![x.to_vec(), x.to_vec()];
        Arch::new().dispatch(Map(function, &mut results[0]));
        Scalar.vectorize(Map(function, &mut results[1]));
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = pulp::x86::V3::try_new() {
            let mut y = x.to_vec();
            Simd::vectorize(simd, Map(function, &mut y));
            results.push(y);
        }
        results
    }

    /// `erf(x) = 2/sqrt(pi) e^(-x^2) sum 2^n x^(2n+1) / (2n+1)!!` (Abramowitz and Stegun 1964, 7.1.6).
    fn erf(x: f64) -> f64 {
        let (mut term, mut sum, mut n) = (x, x, 0.0);
        while term.abs() > 1e-18 * sum.abs() {
            n += 1.0;
            term *= 2.0 * x * x / (2.0 * n + 1.0);
            sum += term;
        }
        2.0 / PI.sqrt() * (-x * x).exp() * sum
    }

    fn exact(activation: Activation, x: f64) -> f64 {
        match activation {
            Activation::Gelu if x.abs() > 20.0 => x.max(0.0),
            Activation::Gelu => x * 0.5 * (1.0 + erf(x * FRAC_1_SQRT_2)),
            Activation::GeluTanh => {
                x * 0.5 * (1.0 + ((2.0 / PI).sqrt() * (x + 0.044_715 * x * x * x)).tanh())
            }
            Activation::Relu => x.max(0.0),
            Activation::Silu => x / (1.0 + (-x).exp()),
            Activation::Tanh => x.tanh(),
        }
    }

    /// Evenly spaced and logarithmically spaced points of both signs.
    fn points(range: f32) -> Vec<f32> {
        let even = (-50_000..=50_000).map(|i| i as f32 / 50_000.0 * range);
        let small = (0..10_000).flat_map(|i| {
            let x = 10f32.powf(i as f32 / 10_000.0 * 12.0 - 12.0);
            [x, -x]
        });
        even.chain(small).chain([0.0, -0.0]).collect()
    }

    #[test]
    fn exp_is_exact_to_two_units_in_the_last_place() {
        let x = points(86.9);
        for y in on_every_simd(Function::Exp, &x) {
            for (x, y) in x.iter().zip(y) {
                let exact = f64::from(*x).exp();
                let unit = exact * f64::from(f32::EPSILON);
                assert!(
                    (f64::from(y) - exact).abs() <= 2.0 * unit,
                    "exp({x}) = {y}, not {exact}"
                );
            }
        }
    }

    #[test]
    fn exp_at_the_ends_of_the_range() {
        let x = [88.7, 89.0, f32::INFINITY, -88.0, -200.0, f32::NEG_INFINITY];
        for y in on_every_simd(Function::Exp, &x) {
            assert!((f64::from(y[0]) / f64::from(88.7f32).exp() - 1.0).abs() < 3e-7);
            assert_eq!(y[1..], [f32::INFINITY, f32::INFINITY, 0.0, 0.0, 0.0]);
        }
    }

    #[test]
    fn activations_match_f64() {
        // Bounds on |error| / max(|x|, 1): what docs/numerics.md promises.
        for (activation, bound) in [
            (Activation::Gelu, 4e-7),
            (Activation::GeluTanh, 3e-7),
            (Activation::Relu, 0.0),
            (Activation::Silu, 3e-7),
            (Activation::Tanh, 5e-7),
        ] {
            let x = points(40.0);
            for y in on_every_simd(Function::Of(activation), &x) {
                for (x, y) in x.iter().zip(y) {
                    let error = (f64::from(y) - exact(activation, f64::from(*x))).abs();
                    let scale = f64::from(x.abs().max(1.0));
                    assert!(
                        error <= bound * scale,
                        "{activation:?}({x}) = {y}, error {error:e}"
                    );
                }
            }
        }
    }

    #[test]
    fn small_arguments_keep_their_relative_accuracy() {
        let x: Vec<f32> = points(1.0)
            .into_iter()
            .filter(|x| x.abs() > 1e-12 && x.abs() < 0.1)
            .collect();
        for activation in [
            Activation::Gelu,
            Activation::GeluTanh,
            Activation::Silu,
            Activation::Tanh,
        ] {
            for y in on_every_simd(Function::Of(activation), &x) {
                for (x, y) in x.iter().zip(y) {
                    let exact = exact(activation, f64::from(*x));
                    assert!(
                        (f64::from(y) / exact - 1.0).abs() < 6e-7,
                        "{activation:?}({x}) = {y}, not {exact}"
                    );
                }
            }
        }
    }

    #[test]
    fn extremes() {
        let x = [f32::NAN, f32::INFINITY, 3e38, -3e38, -1e4];
        for activation in [
            Activation::Gelu,
            Activation::GeluTanh,
            Activation::Relu,
            Activation::Silu,
        ] {
            for y in on_every_simd(Function::Of(activation), &x) {
                assert!(y[0].is_nan(), "{activation:?}");
                assert_eq!(y[1..3], x[1..3], "{activation:?}");
                assert!(y[3..].iter().all(|y| *y == 0.0), "{activation:?} {y:?}");
            }
        }
        for y in on_every_simd(Function::Of(Activation::Tanh), &x) {
            assert!(y[0].is_nan());
            assert_eq!(y[1..], [1.0, 1.0, -1.0, -1.0]);
        }
        assert!(on_every_simd(Function::Exp, &x).iter().all(|y| y[0].is_nan()));
    }
}
