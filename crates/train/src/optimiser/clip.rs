//! The length of all gradients together.

use burn::tensor::Tensor;

/// The Euclidean norm of all gradients as one vector, as `torch.nn.utils.clip_grad_norm_` has it.
#[must_use]
pub fn global_norm(gradients: &[Option<Tensor<1>>]) -> f64 {
    let squares = gradients.iter().flatten().map(ragtune_core::kernels::square_sum);
    squares.sum::<f64>().sqrt()
}
