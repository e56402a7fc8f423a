//! Tensors into a safetensors file, a part at a time.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use half::{bf16, f16};
use safetensors::tensor::{Metadata, TensorInfo};
use safetensors::{Dtype, SafeTensorError};

use super::CheckpointError;
use crate::error::{Error, Result};

/// Numbers that are encoded at once.
const CHUNK: usize = 1 << 14;
/// Bytes that are written at once.
const BUFFER_BYTES: usize = 1 << 16;

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

/// What takes a tensor's numbers, one part behind another.
pub(crate) type HandOn<'f> = &'f mut dyn FnMut(&[f32]);

/// A tensor that is computed when it is written, so that one at a time is in memory, or a part of one.
pub(crate) struct LazyTensor<'a> {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    /// Hands on its numbers in row-major order.
    pub(crate) values: Box<dyn FnOnce(HandOn<'_>) + 'a>,
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

/// Writes a whole safetensors file or none; of a tensor as much is in memory as it hands on at once.
///
/// # Errors
/// [`Error::Io`], and [`Error::Checkpoint`] for a value that is not finite in the type.
pub(crate) fn save(path: &Path, tensors: Vec<LazyTensor<'_>>, dtype: FloatType) -> Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let written = write(&partial, tensors, dtype).map_err(|broken| match broken {
        Broken::Io(source) => Error::io(&partial, source),
        Broken::Checkpoint(source) => Error::Checkpoint {
            path: path.to_owned(),
            source,
        },
    });
    let named = written.and_then(|()| fs::rename(&partial, path).map_err(|source| Error::io(path, source)));
    if named.is_err() {
        let _ = fs::remove_file(&partial);
    }
    named
}

enum Broken {
    Io(io::Error),
    Checkpoint(CheckpointError),
}

fn write(path: &Path, mut tensors: Vec<LazyTensor<'_>>, dtype: FloatType) -> Result<(), Broken> {
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    let header =
        header(&tensors, dtype).map_err(|source| Broken::Checkpoint(CheckpointError::Write { source }))?;
    let mut file = BufWriter::with_capacity(BUFFER_BYTES, fs::File::create(path).map_err(Broken::Io)?);
    let length = header.len() as u64;
    let begun = file.write_all(&length.to_le_bytes());
    begun.and_then(|()| file.write_all(&header)).map_err(Broken::Io)?;
    for LazyTensor { name, shape, values } in tensors {
        let (mut written, mut broken) = (0, None);
        values(&mut |block: &[f32]| {
            // What hands on values cannot fail, so the first failure waits for its end.
            if broken.is_none() {
                broken = write_block(&mut file, (&name, written), block, dtype).err();
                written += block.len();
            }
        });
        match broken {
            Some(broken) => return Err(broken),
            None if written != shape.iter().product::<usize>() => {
                let source = SafeTensorError::TensorInvalidInfo;
                return Err(Broken::Checkpoint(CheckpointError::Write { source }));
            }
            None => {}
        }
    }
    let file = file
        .into_inner()
        .map_err(|error| Broken::Io(error.into_error()))?;
    file.sync_all().map_err(Broken::Io)
}

/// The header, padded to a multiple of 8 bytes, as the `safetensors` crate writes it.
fn header(tensors: &[LazyTensor<'_>], dtype: FloatType) -> Result<Vec<u8>, SafeTensorError> {
    let mut end = 0;
    let infos = tensors.iter().map(|tensor| {
        let start = end;
        end += tensor.shape.iter().product::<usize>() * dtype.bytes();
        let info = TensorInfo {
            dtype: dtype.dtype(),
            shape: tensor.shape.clone(),
            data_offsets: (start, end),
        };
        (tensor.name.clone(), info)
    });
    let format = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let mut header = serde_json::to_vec(&Metadata::new(Some(format), infos.collect())?)?;
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok(header)
}

/// Writes a part of a tensor of which `written` numbers are written.
fn write_block(
    file: &mut impl Write,
    (tensor, written): (&str, usize),
    block: &[f32],
    dtype: FloatType,
) -> Result<(), Broken> {
    for (number, chunk) in block.chunks(CHUNK).enumerate() {
        let bytes = dtype.encode(chunk).map_err(|(index, value)| {
            Broken::Checkpoint(CheckpointError::NotFinite {
                tensor: tensor.to_owned(),
                index: written + number * CHUNK + index,
                value,
            })
        })?;
        file.write_all(&bytes).map_err(Broken::Io)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensors(values: &[f32]) -> Vec<LazyTensor<'_>> {
        let part = |name: &str, values: &[f32]| {
            let values = values.to_vec();
            LazyTensor {
                name: name.to_owned(),
                shape: vec![values.len()],
                values: Box::new(move |hand_on: &mut dyn FnMut(&[f32])| values.chunks(7).for_each(hand_on)),
            }
        };
        let half = values.len() / 2;
        vec![
            part("b.weight", &values[..half]),
            part("a.weight", &values[half..]),
        ]
    }

    #[test]
    fn the_file_is_that_of_the_crate() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("model.safetensors");
        let values: Vec<f32> = (0..3 * CHUNK).map(|i| i as f32 * 0.25 - 7.0).collect();
        for dtype in FloatType::ALL {
            save(&file, tensors(&values), dtype).unwrap();
            let half = values.len() / 2;
            let (b, a) = (
                dtype.encode(&values[..half]).unwrap(),
                dtype.encode(&values[half..]).unwrap(),
            );
            let view = |bytes, length| {
                safetensors::tensor::TensorView::new(dtype.dtype(), vec![length], bytes).unwrap()
            };
            let views = [
                ("b.weight", view(&b, half)),
                ("a.weight", view(&a, values.len() - half)),
            ];
            let format = HashMap::from([("format".to_owned(), "pt".to_owned())]);
            let expected = safetensors::serialize(views, Some(format)).unwrap();
            assert!(fs::read(&file).unwrap() == expected, "{dtype}");
        }
    }

    #[test]
    fn a_file_is_whole_or_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("model.safetensors");
        let mut values = vec![1.0; 2 * CHUNK + 100];
        values[CHUNK + 90] = f32::NAN;
        let error = save(&file, tensors(&values), FloatType::F32).unwrap_err();
        let Error::Checkpoint {
            source: CheckpointError::NotFinite { tensor, index, .. },
            ..
        } = error
        else {
            unreachable!("{error}");
        };
        assert_eq!((tensor.as_str(), index), ("a.weight", 40));
        let mut short = tensors(&[1.0; 20]);
        short[0].shape = vec![11];
        assert!(save(&file, short, FloatType::F32).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
