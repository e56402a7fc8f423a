//! A table of vectors, looked up by id.
//!
//! Letters: `t` tokens, `v` rows of the table, `h` hidden width.

use burn::tensor::Tensor;

use super::Context;
use crate::{
    Error, Result,
    adapters::AdapterStack,
    kernels::{self, LinearWeight},
};

/// A table of which rows are taken by id: words, positions, token types.
///
/// # Example
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use burn::tensor::Tensor;
/// use ragtune_core::{device, nn::Embedding};
///
/// let table = Tensor::from_floats([[0.0, 0.5], [1.0, 1.5]], &device::cpu());
/// let words = Embedding::new("embeddings.word_embeddings", table);
/// assert_eq!(words.forward(&[1, 0])?.into_data().try_to_vec::<f32>().unwrap(), [1.0, 1.5, 0.0, 0.5]);
/// assert!(words.forward(&[2]).is_err());
/// # }
/// # Ok::<(), ragtune_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Embedding {
    slot: String,
    table: Table,
}

#[derive(Clone, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "a model has one or two, which stay where they were made"
)]
enum Table {
    Plain(Tensor<2>),
    /// In its precision.
    Weight(LinearWeight),
    /// The weight of the output layer, stored once.
    Tied(LinearWeight),
}

impl Embedding {
    /// A table as the checkpoint stores it; `slot` is its module path there.
    ///
    /// # Shapes
    ///
    /// `weight [v, h]`.
    #[must_use]
    pub fn new(slot: impl Into<String>, weight: Tensor<2>) -> Self {
        Self {
            slot: slot.into(),
            table: Table::Plain(weight),
        }
    }

    /// A table in the form of a layer's weight, which keeps it in its precision.
    ///
    /// # Shapes
    ///
    /// `weight [v, h]`.
    #[must_use]
    pub fn of_weight(slot: impl Into<String>, weight: LinearWeight) -> Self {
        Self {
            slot: slot.into(),
            table: Table::Weight(weight),
        }
    }

    /// A table that is the weight of the model's output layer as well, and is stored once.
    ///
    /// # Shapes
    ///
    /// `weight [v, h]`.
    #[must_use]
    pub fn tied(slot: impl Into<String>, weight: LinearWeight) -> Self {
        Self {
            slot: slot.into(),
            table: Table::Tied(weight),
        }
    }

    /// The module path in the checkpoint.
    #[must_use]
    pub fn slot(&self) -> &str {
        &self.slot
    }

    /// Number of rows `v`.
    #[must_use]
    pub fn num_embeddings(&self) -> usize {
        self.dims()[0]
    }

    /// Width `h` of a row.
    #[must_use]
    pub fn embedding_dim(&self) -> usize {
        self.dims()[1]
    }

    /// The table as the checkpoint stores it; a copy where it is kept as a layer's weight.
    ///
    /// # Shapes
    ///
    /// `-> [v, h]`.
    #[must_use]
    pub fn weight(&self) -> Tensor<2> {
        match &self.table {
            Table::Plain(table) => table.clone(),
            Table::Weight(weight) | Table::Tied(weight) => weight.to_tensor(),
        }
    }

    /// Whether the table is the weight of the output layer.
    #[must_use]
    pub fn is_tied(&self) -> bool {
        matches!(self.table, Table::Tied(_))
    }

    /// The rows of the ids, changed for each text by its adapters.
    ///
    /// # Shapes
    ///
    /// `ids [t] -> [t, h]`.
    ///
    /// # Errors
    ///
    /// As [`Embedding::forward`].
    pub fn forward_adapted(&self, ids: &[u32], context: &Context) -> Result<Tensor<2>> {
        let rows = self.forward(ids)?;
        Ok(match context.adapts(&self.slot) {
            false => rows,
            true => AdapterStack::embedding(context, self, ids, rows),
        })
    }

    /// The rows of the ids, in their order, without adapters.
    ///
    /// # Shapes
    ///
    /// `ids [t] -> [t, h]`.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownId`] for an id that the table does not have.
    pub fn forward(&self, ids: &[u32]) -> Result<Tensor<2>> {
        let rows = self.num_embeddings();
        match ids.iter().find(|id| **id as usize >= rows) {
            Some(id) => Err(Error::UnknownId {
                table: self.slot.clone(),
                id: *id,
                rows,
            }),
            None => Ok(self.rows(ids)),
        }
    }

    /// The rows of ids that the table has.
    ///
    /// # Shapes
    ///
    /// `ids [t] -> [t, h]`.
    pub(crate) fn rows(&self, ids: &[u32]) -> Tensor<2> {
        match &self.table {
            Table::Plain(table) => kernels::embedding(table, ids),
            Table::Weight(weight) | Table::Tied(weight) => weight.rows(ids),
        }
    }

    fn dims(&self) -> [usize; 2] {
        match &self.table {
            Table::Plain(table) => table.dims(),
            Table::Weight(weight) | Table::Tied(weight) => weight.dims(),
        }
    }
}
