//! Tensors into a safetensors file, one at a time.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::View;

use super::CheckpointError;
use crate::error::{Error, Result};

/// The floating-point type that weights are stored in.
///
/// ```
/// use ragtune_core::weights::FloatType;
/// assert_eq!("bf16".parse::<FloatType>()?, FloatType::Bf16);
/// assert!("int8".parse::<FloatType>().is_err());
/// # Ok::<(), ragtune_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FloatType {
    /// 32 bits.
    #[default]
    F32,
    /// 16 bits: 5 of exponent, 10 of mantissa.
    F16,
    /// 16 bits: 8 of exponent, 7 of mantissa.
    Bf16,
}

/// A tensor that is computed when it is written, so that one at a time is in memory.
pub(crate) struct LazyTensor<'a> {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Box<dyn Fn() -> Vec<f32> + 'a>,
}

impl FloatType {
    /// Every type.
    pub const ALL: [Self; 3] = [Self::F32, Self::F16, Self::Bf16];

    /// The name in `config.json`.
    #[must_use]
    pub fn torch_name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F16 => "float16",
            Self::Bf16 => "bfloat16",
        }
    }

    fn dtype(self) -> Dtype {
        match self {
            Self::F32 => Dtype::F32,
            Self::F16 => Dtype::F16,
            Self::Bf16 => Dtype::BF16,
        }
    }

    fn bytes(self) -> usize {
        self.dtype().bitsize() / 8
    }

    /// The values in this type, little-endian; the first one that is not finite in it otherwise.
    fn encode(self, values: &[f32]) -> Result<Vec<u8>, (usize, f32)> {
        let rounded = |value: f32| match self {
            Self::F32 => value,
            Self::F16 => f16::from_f32(value).to_f32(),
            Self::Bf16 => bf16::from_f32(value).to_f32(),
        };
        if let Some(index) = values.iter().position(|value| !rounded(*value).is_finite()) {
            return Err((index, values[index]));
        }
        Ok(match self {
            Self::F32 => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::F16 => values
                .iter()
                .flat_map(|value| f16::from_f32(*value).to_le_bytes())
                .collect(),
            Self::Bf16 => values
                .iter()
                .flat_map(|value| bf16::from_f32(*value).to_le_bytes())
                .collect(),
        })
    }
}

impl fmt::Display for FloatType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        })
    }
}

impl FromStr for FloatType {
    type Err = Error;

    /// # Errors
    ///
    /// [`Error::InvalidArgument`] lists the names that exist.
    fn from_str(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|kind| kind.to_string() == name);
        found.ok_or_else(|| Error::InvalidArgument {
            argument: "dtype",
            reason: format!("{name:?} is none of f32, f16, bf16"),
        })
    }
}

/// Writes a whole safetensors file or none.
///
/// # Errors
/// [`Error::Io`], and [`Error::Checkpoint`] for a value that is not finite in the type.
pub(crate) fn save(path: &Path, tensors: Vec<LazyTensor<'_>>, dtype: FloatType) -> Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let broken = RefCell::new(None);
    let views = tensors.into_iter().map(|tensor| {
        let name = tensor.name.clone();
        let view = Encoded {
            tensor,
            dtype,
            broken: &broken,
        };
        (name, view)
    });
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let written = safetensors::serialize_to_file(views, Some(metadata), &partial);
    let fail = |error| {
        let _ = fs::remove_file(&partial);
        Err(error)
    };
    let of_file = |source| Error::Checkpoint {
        path: path.to_owned(),
        source,
    };
    if let Some(source) = broken.into_inner() {
        return fail(of_file(source));
    }
    match written {
        Err(safetensors::SafeTensorError::IoError(source)) => return fail(Error::io(&partial, source)),
        Err(source) => return fail(of_file(CheckpointError::Write { source })),
        Ok(()) => {}
    }
    let synced = fs::File::open(&partial).and_then(|file| file.sync_all());
    match synced.and_then(|()| fs::rename(&partial, path)) {
        Ok(()) => Ok(()),
        Err(source) => fail(Error::io(path, source)),
    }
}

struct Encoded<'a> {
    tensor: LazyTensor<'a>,
    dtype: FloatType,
    /// The first thing that went wrong, because a view cannot fail.
    broken: &'a RefCell<Option<CheckpointError>>,
}

impl View for Encoded<'_> {
    fn dtype(&self) -> Dtype {
        self.dtype.dtype()
    }

    fn shape(&self) -> &[usize] {
        &self.tensor.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        match self.dtype.encode(&(self.tensor.values)()) {
            Ok(bytes) => Cow::Owned(bytes),
            Err((index, value)) => {
                self.broken
                    .borrow_mut()
                    .get_or_insert_with(|| CheckpointError::NotFinite {
                        tensor: self.tensor.name.clone(),
                        index,
                        value,
                    });
                Cow::Owned(vec![0; self.data_len()])
            }
        }
    }

    fn data_len(&self) -> usize {
        self.tensor.shape.iter().product::<usize>() * self.dtype.bytes()
    }
}
