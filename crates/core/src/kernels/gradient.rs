//! How a fused operation takes part in burn's automatic differentiation: its output is computed without a record, and one
//! node of the graph remembers how the gradient goes back.

use std::fmt;
use std::sync::Arc;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Autodiff, AutodiffBackend, Backend, BackendTensor, DispatchAutodiffContext, DispatchTensor,
    DispatchTensorKind, TensorMetadata,
};
use burn::tensor::Tensor;

/// A tensor that an operation reads, of any rank, or none in the place of one.
pub struct Input(Option<DispatchTensor>);

impl<const D: usize> From<&Tensor<D>> for Input {
    fn from(tensor: &Tensor<D>) -> Self {
        Self(Some(tensor.clone().into_dispatch()))
    }
}

impl<const D: usize> From<Option<&Tensor<D>>> for Input {
    fn from(tensor: Option<&Tensor<D>>) -> Self {
        Self(tensor.map(|tensor| tensor.clone().into_dispatch()))
    }
}

/// The gradient of a tensor, of its rank.
pub struct Gradient(DispatchTensor);

impl<const D: usize> From<Tensor<D>> for Gradient {
    fn from(tensor: Tensor<D>) -> Self {
        Self(tensor.into_dispatch())
    }
}

/// Gives `output`, which was computed from the values of `inputs` without a record, its place in the graph.
///
/// `backward` gets the gradient of the output and, for each input, whether its gradient is wanted; it returns those, as
/// tensors without a record. It may be called once.
pub fn record<const N: usize, const D: usize>(
    inputs: [Input; N],
    output: Tensor<D>,
    backward: impl Fn(Tensor<D>, [bool; N]) -> [Option<Gradient>; N] + Send + Sync + 'static,
) -> Tensor<D> {
    let context = inputs
        .iter()
        .fold(DispatchAutodiffContext::Disabled, |context, input| {
            context.merge(
                input
                    .0
                    .as_ref()
                    .map_or_else(Default::default, |tensor| tensor.autodiff),
            )
        });
    if context == DispatchAutodiffContext::Disabled {
        return output;
    }
    let output = output.into_dispatch();
    let kind = match output.kind {
        #[cfg(feature = "cpu")]
        DispatchTensorKind::Flex(BackendTensor::Float(output)) => {
            record_on::<burn::backend::Flex, N, D>(inputs, output, Arc::new(backward))
        }
        #[cfg(any(feature = "wgpu", feature = "cuda"))]
        DispatchTensorKind::Cube(BackendTensor::Float(output)) => {
            record_on::<burn::backend::Cube, N, D>(inputs, output, Arc::new(backward))
        }
        // No other backend is compiled in, and no operation of a model is on numbers other than floats.
        other => other,
    };
    Tensor::from_dispatch(DispatchTensor {
        kind: DispatchTensorKind::Autodiff(Box::new(kind)),
        autodiff: context,
    })
}

/// A backend whose tensors the dispatch carries.
trait Carried: Backend {
    /// The tensor with its place in the graph; one without gets a place of its own, at which gradients end.
    fn tracked(tensor: DispatchTensor) -> Option<FloatTensor<Autodiff<Self>>>;
    fn untracked(tensor: DispatchTensor) -> Option<FloatTensor<Self>>;
    fn carry(tensor: FloatTensor<Self>) -> DispatchTensor;
    fn carry_tracked(tensor: FloatTensor<Autodiff<Self>>) -> DispatchTensorKind;
}

macro_rules! carried {
    ($backend:ty, $kind:ident) => {
        impl Carried for $backend {
            fn tracked(tensor: DispatchTensor) -> Option<FloatTensor<Autodiff<Self>>> {
                match tensor.kind {
                    DispatchTensorKind::Autodiff(kind) => match *kind {
                        DispatchTensorKind::$kind(BackendTensor::Autodiff(tensor)) => Some(tensor),
                        _ => None,
                    },
                    DispatchTensorKind::$kind(BackendTensor::Float(tensor)) => {
                        Some(<Autodiff<Self> as AutodiffBackend>::from_inner(tensor))
                    }
                    #[allow(
                        unreachable_patterns,
                        reason = "with one backend there is no other kind"
                    )]
                    _ => None,
                }
            }

            fn untracked(tensor: DispatchTensor) -> Option<FloatTensor<Self>> {
                match tensor.kind {
                    DispatchTensorKind::$kind(BackendTensor::Float(tensor)) => Some(tensor),
                    _ => None,
                }
            }

            fn carry(tensor: FloatTensor<Self>) -> DispatchTensor {
                DispatchTensor {
                    kind: DispatchTensorKind::$kind(BackendTensor::Float(tensor)),
                    autodiff: DispatchAutodiffContext::Disabled,
                }
            }

            fn carry_tracked(tensor: FloatTensor<Autodiff<Self>>) -> DispatchTensorKind {
                DispatchTensorKind::$kind(BackendTensor::Autodiff(tensor))
            }
        }
    };
}

#[cfg(feature = "cpu")]
carried!(burn::backend::Flex, Flex);
#[cfg(any(feature = "wgpu", feature = "cuda"))]
carried!(burn::backend::Cube, Cube);

/// How the gradient of the output becomes those of the inputs.
type Way<const N: usize, const D: usize> =
    Arc<dyn Fn(Tensor<D>, [bool; N]) -> [Option<Gradient>; N] + Send + Sync>;

#[derive(Clone)]
struct State<const N: usize, const D: usize>(Way<N, D>);

impl<const N: usize, const D: usize> fmt::Debug for State<N, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("State")
    }
}

/// The node of the graph.
#[derive(Debug)]
struct Fused<const D: usize>;

impl<B: Carried, const N: usize, const D: usize> Backward<B, N> for Fused<D> {
    type State = State<N, D>;

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let gradient = Tensor::from_dispatch(B::carry(grads.consume::<B>(&ops.node)));
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let found = ops.state.0(gradient, wanted);
        for (parent, gradient) in ops.parents.into_iter().zip(found) {
            let gradient = gradient.and_then(|gradient| B::untracked(gradient.0));
            if let (Some(parent), Some(gradient)) = (parent, gradient) {
                grads.register::<B>(parent.id, gradient);
            }
        }
    }
}

fn record_on<B: Carried, const N: usize, const D: usize>(
    inputs: [Input; N],
    output: FloatTensor<B>,
    backward: Way<N, D>,
) -> DispatchTensorKind {
    let nowhere = || B::float_empty([0].into(), &output.device(), output.dtype().into());
    let inputs = inputs.map(|input| match input.0 {
        Some(tensor) => B::tracked(tensor),
        None => Some(<Autodiff<B> as AutodiffBackend>::from_inner(nowhere())),
    });
    let Some(inputs) = transpose(inputs) else {
        // An input on another device than the output: there is no way back between them.
        return B::carry_tracked(<Autodiff<B> as AutodiffBackend>::from_inner(output));
    };
    let nodes = inputs.each_ref().map(|input| input.node());
    let recorded = match Fused::<D>
        .prepare::<NoCheckpointing>(nodes)
        .compute_bound()
        .stateful()
    {
        OpsKind::Tracked(prepared) => prepared.finish(State(backward), output),
        OpsKind::UnTracked(prepared) => prepared.finish(output),
    };
    B::carry_tracked(recorded)
}

/// All or nothing.
fn transpose<T, const N: usize>(parts: [Option<T>; N]) -> Option<[T; N]> {
    let parts: Option<Vec<T>> = parts.into_iter().collect();
    parts?.try_into().ok()
}
