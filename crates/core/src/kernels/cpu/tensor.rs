//! The border between burn's tensors and the slices that the fused operations work on.

use burn::backend::flex::FlexTensor;
use burn::backend::{BackendTensor, DispatchAutodiffContext, DispatchTensor, DispatchTensorKind, Flex};
use burn::tensor::Bytes;
use burn::tensor::{DType, Shape, Tensor};

use super::packed::Packed;
use super::rows::Rows;

/// The tensor's memory when it is f32 on the CPU and records no gradients, else the tensor itself.
pub fn into_flex<const D: usize>(tensor: Tensor<D>) -> Result<FlexTensor, Tensor<D>> {
    match tensor.into_dispatch() {
        DispatchTensor {
            kind: DispatchTensorKind::Flex(BackendTensor::Float(flex)),
            autodiff: DispatchAutodiffContext::Disabled,
        } if flex.dtype() == DType::F32 => Ok(flex),
        other => Err(Tensor::from_dispatch(other)),
    }
}

/// The tensor that holds this memory.
pub fn from_flex<const D: usize>(flex: FlexTensor) -> Tensor<D> {
    Tensor::from_primitive::<Flex>(flex)
}

/// A weight `[o, i]` packed for [`linear`](super::linear).
pub fn pack(weight: FlexTensor) -> Packed {
    let weight = row_major(weight);
    Packed::f32(rows(&weight))
}

/// A new contiguous tensor of these components.
pub fn from_vec(data: Vec<f32>, shape: impl Into<Shape>) -> FlexTensor {
    let layout = burn::backend::flex::Layout::contiguous(shape.into());
    FlexTensor::new(Bytes::from_elems(data), layout, DType::F32)
}

/// The same values with neighbouring components of a row side by side; a copy only where they are not.
pub fn row_major(tensor: FlexTensor) -> FlexTensor {
    let strides = tensor.layout().strides();
    let readable =
        strides.last().is_none_or(|stride| *stride == 1) && strides.iter().all(|stride| *stride >= 0);
    if readable { tensor } else { tensor.to_contiguous() }
}

/// The same values in memory that holds nothing else, so that they can be changed in place where nobody shares them.
pub fn whole(tensor: FlexTensor) -> FlexTensor {
    let layout = tensor.layout();
    let bytes = layout.num_elements() * size_of::<f32>();
    if layout.is_contiguous() && layout.start_offset() == 0 && tensor.bytes().len() == bytes {
        return tensor; // not `to_contiguous`, which would return a second handle and so force a copy on writing
    }
    tensor.to_contiguous()
}

/// [`whole`], in memory that nobody else holds; the threads share the work of a copy.
pub fn own(tensor: FlexTensor) -> FlexTensor {
    let tensor = whole(tensor);
    if tensor.is_unique() {
        return tensor;
    }
    let source = tensor.storage::<f32>();
    let mut copy = vec![0.0; source.len()];
    super::blocks::for_each_block(copy.as_mut_slice(), 1, |first, block| {
        block.copy_from_slice(&source[first..][..block.len()]);
    });
    from_vec(copy, tensor.layout().shape().clone())
}

/// The rows of a 2-D tensor that went through [`row_major`].
pub fn rows(tensor: &FlexTensor) -> Rows<'_> {
    let (shape, strides) = (tensor.layout().shape(), tensor.layout().strides());
    let data = &tensor.storage::<f32>()[tensor.layout().start_offset()..];
    Rows::new(data, strides[0].unsigned_abs(), shape[0], shape[1])
}

/// The components of a tensor in order, copied only where they do not lie so in memory.
pub fn with_slice<R>(tensor: &FlexTensor, read: impl FnOnce(&[f32]) -> R) -> R {
    match tensor.as_slice::<f32>() {
        Some(slice) => read(slice),
        None => {
            let copy = tensor.to_contiguous();
            read(&copy.storage::<f32>()[..copy.layout().num_elements()])
        }
    }
}
