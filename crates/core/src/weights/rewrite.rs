//! A checkpoint written anew in another precision; docs/formats.md describes the file.

use std::fs::{self, File};
use std::path::Path;

use safetensors::{Dtype, SafeTensorError, tensor::TensorView};

use super::checkpoint::Checkpoint;
use super::convert::QUANTISATION_GROUP;
use super::error::CheckpointError;
use super::int4::INT4_GROUP;
use super::matrix::{Content, StoredMatrix};
use super::precision::Precision;
use crate::error::{Error, Result};

/// Parts of the names of tables of words and of output layers, which int4 leaves in int8: nothing is worth more bits.
const TABLES: [&str; 5] = ["embed", "lm_head", "wte", "wpe", "shared"];
/// Ends of the names of routers of experts, small layers whose every decision counts.
const ROUTERS: [&str; 2] = ["block_sparse_moe.gate.weight", "mlp.gate.weight"];

/// A tensor to be written.
struct Part {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

/// A checkpoint as one safetensors file with its matrices in a precision.
///
/// Of int8 and int4, matrices with a group of columns or more: 64 for int8, 32 for int4, which leaves tables of words and
/// output layers in int8. Vectors, routers of experts and narrower matrices stay, as F32. Integer buffers, which are no
/// weights, are left out.
///
/// # Errors
/// [`Error::InvalidArgument`] when a tensor is quantised already or a weight is beyond the precision, and
/// [`Error::Checkpoint`] when one cannot be read.
pub fn quantise_checkpoint(checkpoint: &Checkpoint, precision: Precision) -> Result<Vec<u8>> {
    let parts = parts(checkpoint, precision)?;
    views(&parts)
        .and_then(|views| safetensors::serialize(views, None))
        .map_err(|source| unwritten(checkpoint.path(), source))
}

/// Writes what [`quantise_checkpoint`] makes to a file, whole or not at all, and returns its length in bytes.
///
/// # Errors
/// As [`quantise_checkpoint`], and [`Error::Io`].
pub fn quantise_to_file(checkpoint: &Checkpoint, precision: Precision, path: &Path) -> Result<u64> {
    let parts = parts(checkpoint, precision)?;
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".part");
    let temporary = Path::new(&temporary);
    let written = write_and_rename(&parts, temporary, path);
    if written.is_err() {
        let _ = fs::remove_file(temporary);
    }
    written
}

fn write_and_rename(parts: &[Part], temporary: &Path, path: &Path) -> Result<u64> {
    let io = |source| Error::io(path, source);
    views(parts)
        .and_then(|views| safetensors::serialize_to_file(views, None, temporary))
        .map_err(|source| unwritten(path, source))?;
    let file = File::open(temporary).map_err(io)?;
    file.sync_all().map_err(io)?;
    fs::rename(temporary, path).map_err(io)?;
    Ok(file.metadata().map_err(io)?.len())
}

fn unwritten(path: &Path, source: SafeTensorError) -> Error {
    Error::Checkpoint {
        path: path.to_owned(),
        source: CheckpointError::Write { source },
    }
}

fn views(parts: &[Part]) -> std::result::Result<Vec<(&str, TensorView<'_>)>, SafeTensorError> {
    let named = parts.iter().map(|part| {
        let view = TensorView::new(part.dtype, part.shape.clone(), &part.bytes)?;
        Ok((part.name.as_str(), view))
    });
    named.collect()
}

fn parts(checkpoint: &Checkpoint, precision: Precision) -> Result<Vec<Part>> {
    if let Some(name) = checkpoint
        .names()
        .find(|name| checkpoint.dtype(name).as_deref() == Some("I8") || checkpoint.is_int4(name))
    {
        return Err(Error::InvalidArgument {
            argument: "checkpoint",
            reason: format!("{name} is quantised already: start from the original weights"),
        });
    }
    let mut parts = Vec::new();
    for name in checkpoint.names() {
        let is_float = checkpoint.dtype(name).is_some_and(|dtype| dtype.contains('F'));
        let Some(shape) = checkpoint.shape(name).filter(|_| is_float) else {
            continue;
        };
        let weights = checkpoint.read(name, shape)?.unwrap_or_default();
        match *shape {
            [rows, columns] => {
                let precision = precision_of(name, columns, precision);
                let matrix = StoredMatrix::new(name, weights, [rows, columns], precision)?;
                write(name, &matrix, &mut parts);
            }
            _ => parts.push(plain(name, shape, &weights)),
        }
    }
    Ok(parts)
}

/// The precision of a matrix in a checkpoint of the given one.
pub(super) fn precision_of(name: &str, columns: usize, precision: Precision) -> Precision {
    let is_table = TABLES.iter().any(|part| name.contains(part));
    let wanted = match precision {
        Precision::Int4 if is_table => Precision::Int8,
        precision => precision,
    };
    match wanted {
        _ if ROUTERS.iter().any(|router| name.ends_with(router)) => Precision::F32,
        Precision::Int8 if columns < QUANTISATION_GROUP => Precision::F32,
        Precision::Int4 if columns < INT4_GROUP => Precision::F32,
        wanted => wanted,
    }
}

fn plain(name: &str, shape: &[usize], weights: &[f32]) -> Part {
    Part {
        name: name.to_owned(),
        dtype: Dtype::F32,
        shape: shape.to_vec(),
        bytes: weights.iter().flat_map(|weight| weight.to_le_bytes()).collect(),
    }
}

/// The tensors that a matrix is stored as.
fn write(name: &str, matrix: &StoredMatrix, parts: &mut Vec<Part>) {
    let [rows, columns] = matrix.dims();
    let mut push = |suffix: &str, dtype, width: usize, bytes: Vec<u8>| {
        parts.push(Part {
            name: format!("{name}{suffix}"),
            dtype,
            shape: vec![rows, width],
            bytes,
        });
    };
    let halves = |values: &[half::f16]| values.iter().flat_map(|value| value.to_le_bytes()).collect();
    match matrix.content() {
        Content::F32(weights) => {
            let bytes = weights.iter().flat_map(|weight| weight.to_le_bytes());
            push("", Dtype::F32, columns, bytes.collect());
        }
        Content::Bf16(weights) => {
            let bytes = weights.iter().flat_map(|weight| weight.to_le_bytes());
            push("", Dtype::BF16, columns, bytes.collect());
        }
        Content::F16(weights) => push("", Dtype::F16, columns, halves(weights)),
        Content::Int8(matrix) => {
            let bytes = matrix.values.iter().map(|value| value.cast_unsigned());
            push("", Dtype::I8, columns, bytes.collect());
            let groups = columns.div_ceil(QUANTISATION_GROUP);
            push("_scale", Dtype::F16, groups, halves(&matrix.scales));
        }
        Content::Int4(matrix) => {
            push("", Dtype::U8, columns.div_ceil(2), matrix.values.clone());
            let groups = columns.div_ceil(INT4_GROUP);
            push("_scale", Dtype::F16, groups, halves(&matrix.scales));
            push("_minimum", Dtype::F16, groups, halves(&matrix.minima));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tensors of f32 with their shapes, and a buffer of integers, as a file.
    fn file(tensors: &[(&str, &[usize])]) -> Checkpoint {
        let bytes: Vec<Vec<u8>> = tensors
            .iter()
            .map(|(_, shape)| {
                let count = shape.iter().product::<usize>();
                (0..count)
                    .flat_map(|i| (i as f32 * 0.7).sin().to_le_bytes())
                    .collect()
            })
            .collect();
        let views = tensors.iter().zip(&bytes).map(|((name, shape), bytes)| {
            (*name, TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap())
        });
        let ids = (
            "position_ids",
            TensorView::new(Dtype::I64, vec![1], &[0; 8]).unwrap(),
        );
        Checkpoint::from_bytes("file", safetensors::serialize(views.chain([ids]), None).unwrap()).unwrap()
    }

    #[test]
    fn a_rewritten_file_reads_back_as_the_weights() {
        let tensors: [(&str, &[usize]); 6] = [
            ("model.embed_tokens.weight", &[3, 70]),
            ("model.layers.0.mlp.down_proj.weight", &[4, 65]),
            ("model.layers.0.mlp.gate.weight", &[2, 64]),
            ("model.layers.0.mlp.narrow.weight", &[2, 20]),
            ("model.norm.weight", &[70]),
            ("stack", &[2, 2, 64]),
        ];
        let whole = file(&tensors);
        for (precision, dtypes) in [
            (Precision::Bf16, ["BF16", "BF16", "F32", "BF16", "F32", "F32"]),
            (Precision::Int8, ["I8", "I8", "F32", "F32", "F32", "F32"]),
            (Precision::Int4, ["I8", "U8", "F32", "F32", "F32", "F32"]),
        ] {
            let small =
                Checkpoint::from_bytes("small", quantise_checkpoint(&whole, precision).unwrap()).unwrap();
            assert!(!small.contains("position_ids"));
            for ((name, shape), dtype) in tensors.iter().zip(dtypes) {
                assert_eq!(
                    small.dtype(name).as_deref(),
                    Some(dtype),
                    "{name} of a file in {precision}"
                );
                let found = small.read(name, shape).unwrap().unwrap();
                let expected = whole.read(name, shape).unwrap().unwrap();
                for (found, expected) in found.iter().zip(&expected) {
                    assert!((found - expected).abs() < 0.08, "{name}: {found} for {expected}");
                }
                if let [rows, columns] = **shape {
                    let matrix = small.matrix(name, [rows, columns]).unwrap().unwrap();
                    assert_eq!(matrix.to_f32(), found);
                }
            }
        }
    }

    #[test]
    fn a_quantised_file_is_not_quantised_again() {
        for precision in [Precision::Int8, Precision::Int4] {
            let once = quantise_checkpoint(&file(&[("w", &[2, 64])]), precision).unwrap();
            let twice = quantise_checkpoint(&Checkpoint::from_bytes("once", once).unwrap(), Precision::Int8);
            assert!(matches!(twice, Err(Error::InvalidArgument { .. })));
        }
    }

    #[test]
    fn a_file_is_written_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(Checkpoint::FILE);
        let whole = file(&[("w", &[2, 64])]);
        let length = quantise_to_file(&whole, Precision::Int4, &path).unwrap();
        assert_eq!(
            fs::read(&path).unwrap(),
            quantise_checkpoint(&whole, Precision::Int4).unwrap()
        );
        assert_eq!(length, fs::metadata(&path).unwrap().len());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
