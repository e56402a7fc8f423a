//! Activations with their derivatives, on vectors of f32.

use pulp::Simd;

use super::vector_math::{
    GELU_CUBIC, SQRT_2_OVER_PI, activate, clamp, exp, normal_distribution, sigmoid, tanh,
};
use crate::kernels::Activation;

/// `1 / sqrt(2 pi)`, the density of the standard normal distribution at 0.
const DENSITY_AT_0: f32 = 0.398_942_3;
/// From here on the slopes of the forms of GELU differ from 0 or 1 by less than f32 can hold beside 1.
const GELU_RANGE: f32 = 12.0;
/// The same of SiLU; its sigmoid is 0 or 1 there.
const SILU_RANGE: f32 = 100.0;

/// The activation of each component and its derivative there.
#[inline(always)]
pub fn activate_with_slope<S: Simd>(simd: S, activation: Activation, x: S::f32s) -> (S::f32s, S::f32s) {
    let one = simd.splat_f32s(1.0);
    match activation {
        Activation::Gelu => {
            // Phi(x) + x phi(x).
            let phi = normal_distribution(simd, x);
            let inside = clamp(simd, x, -GELU_RANGE, GELU_RANGE);
            let exponent = simd.mul_f32s(simd.mul_f32s(inside, inside), simd.splat_f32s(-0.5));
            let density = simd.mul_f32s(exp(simd, exponent), simd.splat_f32s(DENSITY_AT_0));
            (simd.mul_f32s(x, phi), simd.mul_add_e_f32s(inside, density, phi))
        }
        Activation::GeluTanh => {
            // With s = 1 / (1 + e^-2u): s + x s (1 - s) 2 u'.
            let inside = clamp(simd, x, -GELU_RANGE, GELU_RANGE);
            let square = simd.mul_f32s(inside, inside);
            let twice = 2.0 * SQRT_2_OVER_PI;
            let inner = simd.mul_add_e_f32s(
                square,
                simd.splat_f32s(twice * GELU_CUBIC),
                simd.splat_f32s(twice),
            );
            let s = sigmoid(simd, simd.mul_f32s(inside, inner));
            let inner = simd.mul_add_e_f32s(
                square,
                simd.splat_f32s(3.0 * twice * GELU_CUBIC),
                simd.splat_f32s(twice),
            );
            let s_slope = simd.mul_f32s(s, simd.sub_f32s(one, s));
            let slope = simd.mul_add_e_f32s(simd.mul_f32s(inside, s_slope), inner, s);
            (simd.mul_f32s(x, s), slope)
        }
        Activation::Relu => {
            let zero = simd.splat_f32s(0.0);
            let slope = simd.select_f32s(simd.less_than_f32s(zero, x), one, zero);
            (activate(simd, activation, x), slope)
        }
        Activation::Silu => {
            // With s = 1 / (1 + e^-x): s (1 + x (1 - s)).
            let inside = clamp(simd, x, -SILU_RANGE, SILU_RANGE);
            let s = sigmoid(simd, inside);
            let slope = simd.mul_f32s(s, simd.mul_add_e_f32s(inside, simd.sub_f32s(one, s), one));
            (simd.mul_f32s(x, s), slope)
        }
        Activation::Tanh => {
            let y = tanh(simd, x);
            (y, simd.sub_f32s(one, simd.mul_f32s(y, y)))
        }
    }
}
