//! The header of a safetensors file, checked before anything is read through it.
//!
//! Format (safetensors 0.8, README): eight bytes of little-endian header length, the header as a JSON object from
//! tensor name to `{dtype, shape, data_offsets}`, then the tensors' bytes without holes or overlaps.

use std::collections::BTreeMap;
use std::ops::Range;

use safetensors::Dtype;
use serde::Deserialize;

use super::error::CheckpointError;

/// The longest header that is read, the limit of the safetensors library.
const MAX_HEADER_BYTES: u64 = 100_000_000;
const LENGTH_BYTES: usize = 8;
const METADATA: &str = "__metadata__";

/// Where one tensor lies in its file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TensorEntry {
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    /// Bytes of the file.
    pub(super) bytes: Range<usize>,
}

#[derive(Deserialize)]
struct RawEntry {
    dtype: Dtype,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

/// Reads and checks the header of a whole file.
pub(super) fn parse(file: &[u8]) -> Result<BTreeMap<String, TensorEntry>, CheckpointError> {
    let found = file.len() as u64;
    let Some((length, rest)) = file.split_first_chunk::<LENGTH_BYTES>() else {
        let expected = LENGTH_BYTES as u64;
        return Err(CheckpointError::Length { expected, found });
    };
    let length = u64::from_le_bytes(*length);
    if length > MAX_HEADER_BYTES {
        return Err(CheckpointError::HeaderTooLong {
            found: length,
            limit: MAX_HEADER_BYTES,
        });
    }
    let Some(json) = rest.get(..length as usize) else {
        let expected = LENGTH_BYTES as u64 + length;
        return Err(CheckpointError::Length { expected, found });
    };
    let mut entries: BTreeMap<String, serde_json::Value> =
        serde_json::from_slice(json).map_err(|source| CheckpointError::Header { source })?;
    entries.remove(METADATA);
    let mut tensors = Vec::with_capacity(entries.len());
    for (tensor, entry) in entries {
        match RawEntry::deserialize(entry) {
            Ok(entry) => tensors.push((tensor, entry)),
            Err(source) => return Err(CheckpointError::Entry { tensor, source }),
        }
    }
    let start = LENGTH_BYTES + length as usize;
    place(tensors, start, file.len())
}

/// Checks that the tensors cover the data exactly, and turns their offsets into positions in the file.
fn place(
    mut tensors: Vec<(String, RawEntry)>,
    start: usize,
    file_bytes: usize,
) -> Result<BTreeMap<String, TensorEntry>, CheckpointError> {
    let data_bytes = (file_bytes - start) as u64;
    tensors.sort_by_key(|(_, entry)| entry.data_offsets);
    let mut placed = BTreeMap::new();
    let mut end = 0;
    for (tensor, entry) in tensors {
        let (from, to) = entry.data_offsets;
        if from != end {
            return Err(CheckpointError::Offset {
                tensor,
                expected: end,
                found: from,
            });
        }
        let shape: Option<Vec<usize>> = entry
            .shape
            .iter()
            .map(|&axis| usize::try_from(axis).ok())
            .collect();
        let bytes = entry
            .shape
            .iter()
            .try_fold(1u64, |product, &axis| product.checked_mul(axis))
            .and_then(|elements| elements.checked_mul(entry.dtype.bitsize() as u64))
            .filter(|bits| bits % 8 == 0)
            .map(|bits| bits / 8);
        let (Some(shape), true) = (shape, to >= from && bytes == Some(to - from)) else {
            return Err(CheckpointError::Size {
                tensor,
                shape: entry.shape.iter().map(|&axis| axis as usize).collect(),
                dtype: entry.dtype.to_string(),
                found: to.saturating_sub(from),
            });
        };
        end = to;
        // Positions beyond the file are caught below, before any is used.
        let bytes = start.saturating_add(from as usize)..start.saturating_add(to as usize);
        let dtype = entry.dtype;
        placed.insert(tensor, TensorEntry { dtype, shape, bytes });
    }
    if end != data_bytes {
        return Err(CheckpointError::Length {
            expected: (start as u64).saturating_add(end),
            found: file_bytes as u64,
        });
    }
    Ok(placed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: usize) -> Vec<u8> {
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header.as_bytes());
        file.resize(file.len() + data, 0);
        file
    }

    #[test]
    fn reads_a_header() {
        let header = r#"{"__metadata__":{"format":"pt"},"b":{"dtype":"F16","shape":[],"data_offsets":[8,10]},
            "a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}}"#;
        let tensors = parse(&file(header, 10)).unwrap();
        let start = 8 + header.len();
        assert_eq!(tensors["a"].shape, [2, 1]);
        assert_eq!(tensors["a"].bytes, start..start + 8);
        assert_eq!(tensors["b"].dtype, Dtype::F16);
        assert_eq!(tensors["b"].bytes, start + 8..start + 10);
    }

    #[test]
    fn names_every_fault() {
        let overlapping = r#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}"#;
        assert!(
            matches!(parse(&file(overlapping, 6)), Err(CheckpointError::Offset { tensor, expected: 4, found: 2 }) if tensor == "b")
        );
        let lying = r#"{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,4]}}"#;
        assert!(
            matches!(parse(&file(lying, 4)), Err(CheckpointError::Size { tensor, found: 4, .. }) if tensor == "a")
        );
        let backwards = r#"{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"b":{"dtype":"U8","shape":[1],"data_offsets":[0,18446744073709551615]}}"#;
        assert!(matches!(
            parse(&file(backwards, 4)),
            Err(CheckpointError::Size { .. })
        ));
        let overflowing = r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}}"#;
        assert!(matches!(
            parse(&file(overflowing, 4)),
            Err(CheckpointError::Size { .. })
        ));
        let huge =
            r#"{"a":{"dtype":"U8","shape":[1152921504606846976],"data_offsets":[0,1152921504606846976]}}"#;
        assert!(matches!(
            parse(&file(huge, 4)),
            Err(CheckpointError::Length { .. })
        ));
        let dtype = r#"{"a":{"dtype":"Q5","shape":[1],"data_offsets":[0,4]}}"#;
        assert!(
            matches!(parse(&file(dtype, 4)), Err(CheckpointError::Entry { tensor, .. }) if tensor == "a")
        );
        assert!(matches!(
            parse(&u64::MAX.to_le_bytes()),
            Err(CheckpointError::HeaderTooLong { .. })
        ));
        assert!(matches!(
            parse(&file("[1]", 0)),
            Err(CheckpointError::Header { .. })
        ));
        assert!(matches!(
            parse(b"short"),
            Err(CheckpointError::Length {
                expected: 8,
                found: 5
            })
        ));
    }
}
