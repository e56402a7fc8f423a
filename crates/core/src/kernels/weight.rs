//! The weight of a linear layer or an embedding table, stored the way its device multiplies with it fastest.
//!
//! Letters: `i` input width, `o` output width, `t` tokens.

#[cfg(feature = "cpu")]
use std::sync::Arc;

use burn::tensor::{Tensor, TensorData};

#[cfg(feature = "cpu")]
use super::cpu::{self, Packed};
use crate::Result;
use crate::device::{self, Device};
use crate::weights::{Precision, StoredMatrix};

/// A weight `[o, i]`.
///
/// On the CPU it is kept packed for the product, in its precision and not beside that as a tensor, so it takes its size
/// once; elsewhere, and where gradients are recorded, it is the tensor itself, in f32.
#[derive(Clone, Debug)]
pub struct LinearWeight {
    storage: Storage,
}

#[derive(Clone, Debug)]
enum Storage {
    Plain(Box<Tensor<2>>),
    #[cfg(feature = "cpu")]
    Packed(Arc<Packed>),
}

impl LinearWeight {
    /// Takes over a weight as checkpoints store it, in f32.
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

    /// A weight in the given precision where its device is the CPU, rounded where that is coarser; elsewhere in f32.
    ///
    /// # Shapes
    ///
    /// `weight [o, i]`.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) when a weight is not finite or beyond the precision.
    pub fn with_precision(weight: Tensor<2>, precision: Precision) -> Result<Self> {
        let device = weight.device();
        if precision == Precision::F32 || !device::is_cpu(&device) {
            return Ok(Self::new(weight));
        }
        let dims = weight.dims();
        let weights: Vec<f32> = weight.into_data().iter::<f32>().collect();
        Ok(Self::from_stored(
            &StoredMatrix::new("weight", weights, dims, precision)?,
            &device,
        ))
    }

    /// A weight in the precision that it is stored in, which on the CPU is never decoded as a whole; elsewhere in f32.
    #[must_use]
    pub fn from_stored(matrix: &StoredMatrix, device: &Device) -> Self {
        #[cfg(feature = "cpu")]
        if device::is_cpu(device) {
            return Self {
                storage: Storage::Packed(Arc::new(Packed::new(matrix))),
            };
        }
        Self::new(Tensor::from_data(
            TensorData::new(matrix.to_f32(), matrix.dims()),
            device,
        ))
    }

    /// `[o, i]`.
    #[must_use]
    pub fn dims(&self) -> [usize; 2] {
        match &self.storage {
            Storage::Plain(weight) => weight.dims(),
            #[cfg(feature = "cpu")]
            Storage::Packed(packed) => [packed.n(), packed.k()],
        }
    }

    /// The precision that it is kept in.
    #[must_use]
    pub fn precision(&self) -> Precision {
        match &self.storage {
            Storage::Plain(_) => Precision::F32,
            #[cfg(feature = "cpu")]
            Storage::Packed(packed) => packed.precision(),
        }
    }

    /// Bytes of memory that it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match &self.storage {
            Storage::Plain(weight) => weight.shape().num_elements() * size_of::<f32>(),
            #[cfg(feature = "cpu")]
            Storage::Packed(packed) => packed.bytes(),
        }
    }

    /// The device that it lives on.
    #[must_use]
    pub fn device(&self) -> Device {
        match &self.storage {
            Storage::Plain(weight) => weight.device(),
            #[cfg(feature = "cpu")]
            Storage::Packed(_) => device::cpu(),
        }
    }

    /// The weight as checkpoints store it; where it is packed, a copy in f32.
    ///
    /// # Shapes
    ///
    /// `-> [o, i]`.
    #[must_use]
    pub fn to_tensor(&self) -> Tensor<2> {
        match &self.storage {
            Storage::Plain(weight) => (**weight).clone(),
            #[cfg(feature = "cpu")]
            Storage::Packed(packed) => {
                Tensor::from_data(TensorData::new(packed.unpack(), self.dims()), &device::cpu())
            }
        }
    }

    /// Rows by index, each below `o`: the weight as a table of embeddings.
    ///
    /// # Shapes
    ///
    /// `ids [t] -> [t, i]`.
    #[must_use]
    pub fn rows(&self, ids: &[u32]) -> Tensor<2> {
        match &self.storage {
            Storage::Plain(weight) => super::embedding(weight, ids),
            #[cfg(feature = "cpu")]
            Storage::Packed(packed) => {
                let mut rows = Vec::with_capacity(ids.len() * packed.k());
                for id in ids {
                    packed.append_column(*id as usize, &mut rows);
                }
                Tensor::from_data(TensorData::new(rows, [ids.len(), packed.k()]), &device::cpu())
            }
        }
    }

    /// The weight itself where its gradient is wanted.
    #[cfg(feature = "autodiff")]
    pub(super) fn tracked(&self) -> Option<&Tensor<2>> {
        match &self.storage {
            Storage::Plain(weight) => weight.is_tracked().then_some(weight),
            #[cfg(feature = "cpu")]
            Storage::Packed(_) => None,
        }
    }

    /// The same values without a record, in the form that its device multiplies with.
    #[cfg(feature = "autodiff")]
    pub(super) fn untracked(&self) -> Self {
        match &self.storage {
            Storage::Plain(weight) => Self::new((**weight).clone().inner()),
            #[cfg(feature = "cpu")]
            Storage::Packed(_) => self.clone(),
        }
    }

    /// `rows weight`, the way back through the layer, without a record.
    ///
    /// # Shapes
    ///
    /// `rows [t, o] -> [t, i]`.
    #[cfg(feature = "autodiff")]
    pub(super) fn times(&self, rows: Tensor<2>) -> Tensor<2> {
        #[cfg(feature = "cpu")]
        let rows = match (&self.storage, cpu::into_flex(rows)) {
            (Storage::Packed(packed), Ok(rows)) => {
                return cpu::from_flex(cpu::times_packed(rows, packed));
            }
            (_, rows) => rows.map_or_else(|tensor| tensor, cpu::from_flex),
        };
        super::matmul::times(rows, self.to_tensor().inner())
    }

    /// The packed form, where the weight has it.
    #[cfg(feature = "cpu")]
    pub(super) fn packed(&self) -> Option<&Packed> {
        match &self.storage {
            Storage::Plain(_) => None,
            Storage::Packed(packed) => Some(packed),
        }
    }
}
