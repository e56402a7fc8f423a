//! The affine maps of linear layers, one or several of the same rows, with activation and gate.
//!
//! Letters: `t` tokens, `i` input width, `o` output width.

use burn::tensor::Tensor;

#[cfg(feature = "autodiff")]
use super::linear_gradient;
use super::{Activation, LinearWeight, activation};

/// `activation(x weight^T + bias)`.
///
/// # Shapes
///
/// `x [t, i]`, `weight [o, i]`, `bias [o] -> [t, o]`.
#[must_use]
pub fn linear(
    x: Tensor<2>,
    weight: &LinearWeight,
    bias: Option<&Tensor<1>>,
    activation: Option<Activation>,
) -> Tensor<2> {
    #[cfg(feature = "autodiff")]
    if linear_gradient::is_tracked(&x, [(weight, bias)]) {
        let y = linear_gradient::linear(x, weight, bias);
        return match activation {
            Some(kind) => super::activate(y, kind),
            None => y,
        };
    }
    #[cfg(feature = "cpu")]
    let x = match fused::run(x, [(weight, None, bias, activation)]) {
        Ok([y]) => return y,
        Err(x) => x,
    };
    composed(x, weight, bias, activation)
}

/// `x weight^T + bias` for each weight, such as those of query, key and value: the threads share the work of all.
///
/// # Shapes
///
/// `x [t, i]`, weights `[o, i]`, biases `[o] -> [t, o]` of each, with widths `o` of their own.
#[must_use]
pub fn linear_each<const N: usize>(
    x: Tensor<2>,
    maps: [(&LinearWeight, Option<&Tensor<1>>); N],
) -> [Tensor<2>; N] {
    #[cfg(feature = "autodiff")]
    if linear_gradient::is_tracked(&x, maps) {
        return maps.map(|(weight, bias)| linear(x.clone(), weight, bias, None));
    }
    #[cfg(feature = "cpu")]
    let x = match fused::run(x, maps.map(|(weight, bias)| (weight, None, bias, None))) {
        Ok(y) => return y,
        Err(x) => x,
    };
    composed_each(x, maps)
}

/// `activation(gate) * up` of two affine maps of the same rows, in one pass.
///
/// # Shapes
///
/// `x [t, i]`, each `weight [o, i]`, `bias [o] -> [t, o]`.
#[must_use]
pub fn linear_gated(
    x: Tensor<2>,
    gate: (&LinearWeight, Option<&Tensor<1>>),
    up: (&LinearWeight, Option<&Tensor<1>>),
    activation: Activation,
) -> Tensor<2> {
    #[cfg(feature = "autodiff")]
    if linear_gradient::is_tracked(&x, [gate, up]) {
        let gate = linear(x.clone(), gate.0, gate.1, None);
        return super::gated(gate, linear(x, up.0, up.1, None), activation);
    }
    #[cfg(feature = "cpu")]
    let x = match fused::run(x, [(up.0, Some(gate), up.1, Some(activation))]) {
        Ok([y]) => return y,
        Err(x) => x,
    };
    composed_gated(x, gate, up, activation)
}

pub(super) fn composed(
    x: Tensor<2>,
    weight: &LinearWeight,
    bias: Option<&Tensor<1>>,
    activation: Option<Activation>,
) -> Tensor<2> {
    let [t, _] = x.dims();
    let [o, _] = weight.dims();
    if t == 0 {
        return Tensor::zeros([0, o], &x.device());
    }
    let y = x.matmul(weight.to_tensor().transpose()); // [t, o]; the transpose is a view
    let y = match bias {
        Some(bias) => y + bias.clone().unsqueeze(),
        None => y,
    };
    match activation {
        Some(kind) => activation::composed(y, kind),
        None => y,
    }
}

pub(super) fn composed_each<const N: usize>(
    x: Tensor<2>,
    maps: [(&LinearWeight, Option<&Tensor<1>>); N],
) -> [Tensor<2>; N] {
    maps.map(|(weight, bias)| composed(x.clone(), weight, bias, None))
}

pub(super) fn composed_gated(
    x: Tensor<2>,
    gate: (&LinearWeight, Option<&Tensor<1>>),
    up: (&LinearWeight, Option<&Tensor<1>>),
    activation: Activation,
) -> Tensor<2> {
    let gate = composed(x.clone(), gate.0, gate.1, None);
    super::gated::composed(gate, composed(x, up.0, up.1, None), activation)
}

#[cfg(feature = "cpu")]
mod fused {
    use burn::backend::flex::FlexTensor;
    use burn::tensor::Tensor;

    use crate::kernels::cpu::{self, Packed, from_flex, into_flex};
    use crate::kernels::{Activation, LinearWeight};

    /// A weight with its bias.
    type Affine<'a> = (&'a LinearWeight, Option<&'a Tensor<1>>);
    /// Weight, gate, bias and activation of one map.
    type Map<'a> = (
        &'a LinearWeight,
        Option<Affine<'a>>,
        Option<&'a Tensor<1>>,
        Option<Activation>,
    );

    /// The maps in one piece of work, or `x` where they are not all on the CPU or do not fit each other.
    pub(super) fn run<const N: usize>(x: Tensor<2>, maps: [Map<'_>; N]) -> Result<[Tensor<2>; N], Tensor<2>> {
        let i = x.dims()[1];
        let mut packed = Vec::with_capacity(N);
        for (weight, gate, bias, activation) in maps {
            let fits = gate.is_none_or(|(gate, _)| gate.dims() == weight.dims());
            let gate = gate.map(|gate| parts(gate, i));
            let (Some((weight, bias)), true, None | Some(Some(_))) = (parts((weight, bias), i), fits, &gate)
            else {
                return Err(x);
            };
            packed.push(cpu::Map {
                weight,
                gate: gate.flatten(),
                bias,
                activation,
            });
        }
        let mut outputs = cpu::linear(into_flex(x)?, packed).into_iter();
        // One output for each map.
        Ok(std::array::from_fn(|_| {
            outputs
                .next()
                .map_or_else(|| Tensor::zeros([0, 0], &crate::device::cpu()), from_flex)
        }))
    }

    /// What the product reads of a weight and its bias, where both are on the CPU and fit rows of width `i`.
    fn parts<'a>((weight, bias): Affine<'a>, i: usize) -> Option<(&'a Packed, Option<FlexTensor>)> {
        let [o, width] = weight.dims();
        let packed = weight.packed().filter(|_| width == i)?;
        match bias {
            None => Some((packed, None)),
            Some(bias) if bias.dims() == [o] => Some((packed, Some(into_flex(bias.clone()).ok()?))),
            Some(_) => None,
        }
    }
}
