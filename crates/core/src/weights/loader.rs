//! Reading a model's tensors by name, with an account of what was found.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;

use burn::tensor::{Device, Tensor, TensorData};
use serde::Serialize;

use super::Checkpoint;
use super::matrix::{Content, StoredMatrix};
use super::precision::Precision;
use super::rewrite::precision_of;
use super::suggest::nearest;
use crate::error::{Error, Result};

/// Prefixes under which a bare model's tensors stand in checkpoints of that model with a head.
const PREFIXES: [&str; 7] = [
    "",
    "bert.",
    "roberta.",
    "distilbert.",
    "mpnet.",
    "model.",
    "0.auto_model.",
];
/// Suggestions for each missing tensor.
const SUGGESTIONS: usize = 2;
/// Missing tensors that get suggestions and are written out in a message.
const MAX_LISTED: usize = 12;
/// Missing tensors are stood in for up to so many weights together (or as many as the file has), so that one error
/// lists all that are missing.
const MAX_STAND_IN: usize = 1 << 26;

/// What became of the tensors of a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LoadReport {
    /// Tensors of the file that are in the model, sorted.
    pub applied: Vec<String>,
    /// Tensors that the model asked for and the file lacks, in the model's order; empty for a loaded model.
    pub missing: Vec<MissingTensor>,
    /// Tensors of the file that the model has no place for (heads of the training, stored position ids), sorted.
    pub unused: Vec<String>,
}

/// A tensor that a checkpoint lacks.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MissingTensor {
    /// The name that the model asked for.
    pub name: String,
    /// The nearest unused names of the file.
    pub did_you_mean: Vec<String>,
}

/// Hands out the tensors of a checkpoint by the names that a model gives them; see [`Checkpoint::load`].
#[derive(Debug)]
pub struct Loader<'a> {
    checkpoint: &'a Checkpoint,
    device: &'a Device,
    account: &'a RefCell<Account>,
    prefix: String,
    precision: Option<Precision>,
}

/// What was asked for so far.
#[derive(Debug, Default)]
pub(super) struct Account {
    applied: BTreeSet<String>,
    missing: Vec<String>,
    stood_in: usize,
}

impl<'a> Loader<'a> {
    pub(super) fn new(checkpoint: &'a Checkpoint, device: &'a Device, account: &'a RefCell<Account>) -> Self {
        Self {
            checkpoint,
            device,
            account,
            prefix: String::new(),
            precision: None,
        }
    }

    /// The device that tensors are put on.
    pub fn device(&self) -> &Device {
        self.device
    }

    /// The same loader for names under a prefix (with its dot).
    pub fn under(&self, prefix: &str) -> Self {
        Self {
            checkpoint: self.checkpoint,
            device: self.device,
            account: self.account,
            prefix: format!("{}{prefix}", self.prefix),
            precision: self.precision,
        }
    }

    /// The same loader, which rounds matrices to a precision as [`quantise_checkpoint`](super::quantise_checkpoint) does.
    pub fn with_precision(&self, precision: Option<Precision>) -> Self {
        Self {
            precision,
            ..self.under("")
        }
    }

    /// The same loader for names under that known prefix (`bert.`, `roberta.`, ...) under which the file has `anchor`.
    pub fn under_prefix_of(&self, anchor: &str) -> Self {
        let found = PREFIXES.iter().find(|prefix| {
            self.checkpoint
                .contains(&format!("{}{prefix}{anchor}", self.prefix))
        });
        self.under(found.unwrap_or(&""))
    }

    /// Whether the file has the tensor.
    pub fn contains(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// The shape of a tensor in the file.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.checkpoint.shape(&self.find(name)?)
    }

    /// A tensor as f32 on the device. A missing tensor is noted for the error of [`Checkpoint::load`], and zeros stand
    /// in for it meanwhile.
    ///
    /// # Shapes
    /// `shape`, which the file's must equal.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] as [`Checkpoint::read`]; [`Error::MissingTensors`] at once when a missing tensor is too
    /// large to be stood in for.
    pub fn tensor<const D: usize>(&self, name: &str, shape: [usize; D]) -> Result<Tensor<D>> {
        let weights = self.read(name, &shape)?;
        Ok(Tensor::from_data(TensorData::new(weights, shape), self.device))
    }

    /// The weights of a tensor in row-major order; otherwise as [`Loader::tensor`].
    ///
    /// # Errors
    /// As [`Loader::tensor`].
    pub fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let Some(stored) = self.find(name) else {
            return self.stand_in(format!("{}{name}", self.prefix), shape);
        };
        let weights = self.checkpoint.read(&stored, shape)?.unwrap_or_default();
        let mut account = self.account.borrow_mut();
        account.apply(self.checkpoint, stored);
        Ok(weights)
    }

    /// A weight matrix in the precision that it is stored in, or in that of
    /// [`with_precision`](Self::with_precision); otherwise as [`Loader::tensor`].
    ///
    /// # Errors
    /// As [`Loader::tensor`]; [`Error::InvalidArgument`] when a weight is beyond the precision, or is int8 or int4 and
    /// another precision is asked for.
    pub fn matrix(&self, name: &str, dims: [usize; 2]) -> Result<StoredMatrix> {
        self.rounded(name, self.stored(name, dims)?)
    }

    /// The transpose of a weight matrix, which is turned before it is rounded; otherwise as [`Loader::matrix`].
    ///
    /// # Errors
    /// As [`Loader::matrix`].
    pub fn transposed_matrix(&self, name: &str, dims: [usize; 2]) -> Result<StoredMatrix> {
        self.rounded(name, self.stored(name, dims)?.transposed(name)?)
    }

    /// The matrix in the precision that was asked for.
    fn rounded(&self, name: &str, matrix: StoredMatrix) -> Result<StoredMatrix> {
        let Some(precision) = self.precision else {
            return Ok(matrix);
        };
        let name = format!("{}{name}", self.prefix);
        let wanted = precision_of(&name, matrix.dims()[1], precision);
        let is_quantised = matches!(matrix.precision(), Precision::Int8 | Precision::Int4);
        if is_quantised && matrix.precision() != wanted {
            return Err(Error::InvalidArgument {
                argument: "precision",
                reason: format!(
                    "{name} is {} already: ask for {wanted} of the original weights",
                    matrix.precision()
                ),
            });
        }
        matrix.into_precision(&name, wanted)
    }

    fn stored(&self, name: &str, dims: [usize; 2]) -> Result<StoredMatrix> {
        let found = self
            .find(name)
            .and_then(|stored| Some((self.checkpoint.matrix(&stored, dims).transpose()?, stored)));
        match found {
            Some((matrix, stored)) => {
                let matrix = matrix?;
                self.account.borrow_mut().apply(self.checkpoint, stored);
                Ok(matrix)
            }
            None => {
                let zeros = self.stand_in(format!("{}{name}", self.prefix), &dims)?;
                StoredMatrix::from_content(name, dims, Content::F32(zeros))
            }
        }
    }

    /// Notes a missing tensor, and gives zeros in its place.
    fn stand_in(&self, name: String, shape: &[usize]) -> Result<Vec<f32>> {
        let mut account = self.account.borrow_mut();
        account.missing.push(name);
        let limit = self.checkpoint.elements().max(MAX_STAND_IN);
        let elements = shape
            .iter()
            .try_fold(1usize, |product, &axis| product.checked_mul(axis));
        let together = elements.and_then(|elements| elements.checked_add(account.stood_in));
        match (elements, together) {
            (Some(elements), Some(together)) if together <= limit => {
                account.stood_in = together;
                Ok(vec![0.0; elements])
            }
            _ => Err(Error::MissingTensors {
                path: self.checkpoint.path().to_owned(),
                report: Box::new(account.report(self.checkpoint)),
            }),
        }
    }

    /// The name in the file: as asked for, or the name that TensorFlow checkpoints gave layer norms' weights.
    fn find(&self, name: &str) -> Option<String> {
        let name = format!("{}{name}", self.prefix);
        if self.checkpoint.contains(&name) {
            return Some(name);
        }
        let (stem, part) = name.rsplit_once('.')?;
        let old = match part {
            "weight" if stem.ends_with("LayerNorm") => "gamma",
            "bias" if stem.ends_with("LayerNorm") => "beta",
            _ => return None,
        };
        Some(format!("{stem}.{old}")).filter(|old| self.checkpoint.contains(old))
    }
}

impl Account {
    /// Notes that a tensor, and what belongs to it, is in the model.
    fn apply(&mut self, checkpoint: &Checkpoint, stored: String) {
        self.applied.extend(checkpoint.companions(&stored));
        self.applied.insert(stored);
    }

    pub(super) fn report(&self, checkpoint: &Checkpoint) -> LoadReport {
        let unused: Vec<String> = checkpoint
            .names()
            .filter(|name| !self.applied.contains(*name))
            .map(str::to_owned)
            .collect();
        let suggest = |(i, name): (usize, &String)| MissingTensor {
            name: name.clone(),
            did_you_mean: if i < MAX_LISTED {
                nearest(name, unused.iter().map(String::as_str), SUGGESTIONS)
            } else {
                Vec::new()
            },
        };
        LoadReport {
            applied: self.applied.iter().cloned().collect(),
            missing: self.missing.iter().enumerate().map(suggest).collect(),
            unused,
        }
    }
}

impl LoadReport {
    /// Adds the account of a sub-folder of the same model.
    pub(crate) fn absorb(&mut self, other: Self, folder: &str) {
        let inside = |name: String| match folder {
            "" => name,
            folder => format!("{folder}/{name}"),
        };
        self.applied.extend(other.applied.into_iter().map(inside));
        self.missing.extend(other.missing);
        self.unused.extend(other.unused.into_iter().map(inside));
    }
}

/// The missing tensors with their suggestions, as messages list them.
impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, missing) in self.missing.iter().take(MAX_LISTED).enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{}", missing.name)?;
            if !missing.did_you_mean.is_empty() {
                write!(f, " (did you mean {}?)", missing.did_you_mean.join(" or "))?;
            }
        }
        match self.missing.len().saturating_sub(MAX_LISTED) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}
