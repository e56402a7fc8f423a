//! The affine map of a linear layer where gradients are recorded: forward as fast as without, and on the way back only what
//! is wanted. A frozen weight gets no gradient, and what only its gradient would need is not kept.
//!
//! Letters: `t` tokens, `i` input width, `o` output width.

use burn::tensor::Tensor;

use super::gradient::{self, Gradient, Input};
use super::matmul::transposed_times;
use super::{LinearWeight, linear as forward};

/// Whether a gradient is to go back through any of the maps.
pub(super) fn is_tracked<const N: usize>(
    x: &Tensor<2>,
    maps: [(&LinearWeight, Option<&Tensor<1>>); N],
) -> bool {
    let of = |(weight, bias): (&LinearWeight, Option<&Tensor<1>>)| {
        weight.tracked().is_some() || bias.is_some_and(Tensor::is_tracked)
    };
    x.is_tracked() || maps.into_iter().any(of)
}

/// `x weight^T + bias`.
///
/// # Shapes
///
/// `x [t, i]`, `weight [o, i]`, `bias [o] -> [t, o]`.
pub(super) fn linear(x: Tensor<2>, weight: &LinearWeight, bias: Option<&Tensor<1>>) -> Tensor<2> {
    let inputs = [Input::from(&x), Input::from(weight.tracked()), Input::from(bias)];
    let rows = x.inner();
    let y = {
        let bias = bias.map(|bias| bias.clone().inner());
        forward(rows.clone(), &weight.untracked(), bias.as_ref(), None)
    };
    let kept = weight.tracked().is_some().then_some(rows);
    // Not packed: on the way back the weight is read the other way round.
    let weight = Back::new(weight);
    gradient::record(
        inputs,
        y,
        move |dy: Tensor<2>, [x_wanted, weight_wanted, bias_wanted]| {
            let dx = x_wanted.then(|| Gradient::from(weight.times(dy.clone())));
            let dweight = match (&kept, weight_wanted) {
                (Some(x), true) => Some(Gradient::from(transposed_times(dy.clone(), x.clone(), None))),
                _ => None,
            };
            let dbias = bias_wanted.then(|| Gradient::from(column_sums(dy)));
            [dx, dweight, dbias]
        },
    )
}

/// The weight on the way back.
pub(super) enum Back {
    Plain(Box<Tensor<2>>),
    Frozen(LinearWeight),
}

impl Back {
    pub(super) fn new(weight: &LinearWeight) -> Self {
        match weight.tracked() {
            Some(tensor) => Self::Plain(Box::new(tensor.clone().inner())),
            None => Self::Frozen(weight.clone()),
        }
    }

    /// # Shapes
    /// `[t, o] -> [t, i]`.
    pub(super) fn times(&self, rows: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Plain(weight) => super::matmul::times(rows, (**weight).clone()),
            Self::Frozen(weight) => weight.times(rows),
        }
    }
}

/// The sum of all rows.
///
/// # Shapes
///
/// `[t, o] -> [o]`.
pub(super) fn column_sums(x: Tensor<2>) -> Tensor<1> {
    #[cfg(feature = "cpu")]
    let x = match super::cpu::into_flex(x) {
        Ok(x) => return super::cpu::from_flex(super::cpu::column_sums(x)),
        Err(x) => x,
    };
    x.sum_dim(0).squeeze_dim(0)
}
