//! The weight of a linear layer, stored the way its device multiplies with it fastest.
//!
//! Letters: `i` input width, `o` output width.

use burn::tensor::Tensor;
#[cfg(feature = "cpu")]
use {
    super::cpu::{self, Panels},
    crate::device::{self, Device},
    burn::tensor::TensorData,
    std::sync::Arc,
};

/// A weight `[o, i]`.
///
/// On the CPU it is kept packed for the product and not beside that as a tensor, so it takes its size once; elsewhere,
/// and where gradients are recorded, it is the tensor itself.
#[derive(Clone, Debug)]
pub struct LinearWeight {
    storage: Storage,
}

#[derive(Clone, Debug)]
enum Storage {
    Plain(Box<Tensor<2>>),
    #[cfg(feature = "cpu")]
    Packed(Arc<Panels>),
}

impl LinearWeight {
    /// Takes over a weight as checkpoints store it.
    ///
    /// # Shapes
    ///
    /// `weight [o, i]`.
    #[must_use]
    pub fn new(weight: Tensor<2>) -> Self {
        #[cfg(feature = "cpu")]
        let weight = match cpu::into_flex(weight) {
            Ok(weight) => {
                return Self {
                    storage: Storage::Packed(Arc::new(cpu::pack(weight))),
                };
            }
            Err(weight) => weight,
        };
        Self {
            storage: Storage::Plain(Box::new(weight)),
        }
    }

    /// `[o, i]`.
    #[must_use]
    pub fn dims(&self) -> [usize; 2] {
        match &self.storage {
            Storage::Plain(weight) => weight.dims(),
            #[cfg(feature = "cpu")]
            Storage::Packed(panels) => [panels.n(), panels.k()],
        }
    }

    /// The weight as checkpoints store it; where it is packed, a copy.
    ///
    /// # Shapes
    ///
    /// `-> [o, i]`.
    #[must_use]
    pub fn to_tensor(&self) -> Tensor<2> {
        match &self.storage {
            Storage::Plain(weight) => (**weight).clone(),
            #[cfg(feature = "cpu")]
            Storage::Packed(panels) => {
                let device: Device = device::cpu();
                Tensor::from_data(TensorData::new(panels.unpack(), self.dims()), &device)
            }
        }
    }

    /// The rows of these ids, each below `o`, as f32: a tied embedding is read out of its output layer.
    ///
    /// # Shapes
    ///
    /// `ids [t] -> [t, i]`.
    #[must_use]
    pub fn rows(&self, ids: &[u32]) -> Tensor<2> {
        match &self.storage {
            Storage::Plain(weight) => super::embedding(weight, ids),
            #[cfg(feature = "cpu")]
            Storage::Packed(panels) => {
                let device: Device = device::cpu();
                let mut rows = vec![0.0; ids.len() * panels.k()];
                for (id, row) in ids.iter().zip(rows.chunks_exact_mut(panels.k())) {
                    panels.copy_row(*id as usize, row);
                }
                Tensor::from_data(TensorData::new(rows, [ids.len(), panels.k()]), &device)
            }
        }
    }

    /// Bytes that the weight takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match &self.storage {
            Storage::Plain(weight) => weight.dims().iter().product::<usize>() * size_of::<f32>(),
            #[cfg(feature = "cpu")]
            Storage::Packed(panels) => panels.bytes(),
        }
    }

    /// The packed form, where the weight has it.
    #[cfg(feature = "cpu")]
    pub(super) fn panels(&self) -> Option<&Panels> {
        match &self.storage {
            Storage::Plain(_) => None,
            Storage::Packed(panels) => Some(panels),
        }
    }
}
