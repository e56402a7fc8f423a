//! The sentence encoder that travels inside the library: all-MiniLM-L6-v2 with int8 weights.
//!
//! The package registry takes no package of more than 10 MB, so the weights file is cut into three packages of data
//! (`docs/decisions/0001-built-in-model.md`). Here the parts are put together, checked, and loaded like any folder.

use std::borrow::Cow;

use burn::tensor::Device;

use super::Encoder;
use crate::device;
use crate::error::{Error, Result};
use crate::weights::{Checkpoint, ModelFiles};

/// BLAKE3 of the weights file that the three parts make.
const WEIGHTS_BLAKE3: &str = "627dc51d90e93d9551f21cba1f1d7ec342509dee0c1e0a8ce6639e19a44ed74a";
/// BLAKE3 of the other files: each name, a zero byte, the content, in the order of the package.
const FILES_BLAKE3: &str = "6e19e1843796b64c53b921711a37cd29241644b9f0dbc53ab8504c0f43f32bc7";
/// What messages call the folder.
const LABEL: &str = "builtin:all-MiniLM-L6-v2";

impl Encoder {
    /// The encoder inside the library, on the CPU: all-MiniLM-L6-v2 with int8 weights, vectors of 384 components,
    /// texts of at most 256 tokens, English.
    ///
    /// ```
    /// use ragtune_core::models::Encoder;
    /// use ragtune_core::text::{Embedder, Role};
    /// let encoder = Encoder::builtin()?;
    /// let vectors = encoder.embed(&["a cup of green tea"], Role::Document)?;
    /// assert_eq!(vectors.dim(), 384);
    /// # Ok::<(), ragtune_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::BuiltinDamaged`] when the program's copy of the model is not the one that was published.
    pub fn builtin() -> Result<Self> {
        Self::builtin_on(&device::cpu())
    }

    /// The encoder inside the library on another device.
    ///
    /// # Errors
    /// As [`Encoder::builtin`].
    pub fn builtin_on(device: &Device) -> Result<Self> {
        let parts = [
            ragtune_minilm_1::WEIGHTS,
            ragtune_minilm_2::WEIGHTS,
            ragtune_minilm_3::WEIGHTS,
        ];
        let files = assemble(&parts, &ragtune_minilm_1::FILES)?;
        Self::from_files(&files, device)
    }
}

/// The model's files, checked. The parts are copied once, into one buffer that loading shares and then gives back.
fn assemble(parts: &[&[u8]], files: &[(&'static str, &'static [u8])]) -> Result<ModelFiles> {
    let weights = parts.concat();
    check(Checkpoint::FILE, WEIGHTS_BLAKE3, &blake3::hash(&weights))?;
    let mut hasher = blake3::Hasher::new();
    for (name, bytes) in files {
        hasher.update(name.as_bytes()).update(&[0]).update(bytes);
    }
    check("configuration and tokenizer", FILES_BLAKE3, &hasher.finalize())?;
    let files = files.iter().map(|&(name, bytes)| (name, Cow::Borrowed(bytes)));
    Ok(ModelFiles::in_memory(
        LABEL,
        files.chain([(Checkpoint::FILE, Cow::Owned(weights))]),
    ))
}

fn check(what: &'static str, expected: &'static str, found: &blake3::Hash) -> Result<()> {
    let found = found.to_hex();
    if *found == *expected {
        return Ok(());
    }
    Err(Error::BuiltinDamaged {
        what,
        expected,
        found: found.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_part_is_a_typed_error() {
        let first = ragtune_minilm_1::WEIGHTS;
        let (second, third) = (ragtune_minilm_2::WEIGHTS, ragtune_minilm_3::WEIGHTS);
        let files = &ragtune_minilm_1::FILES;
        assert!(assemble(&[first, second, third], files).is_ok());
        let mut flipped = second.to_vec();
        flipped[1234] ^= 1;
        for parts in [
            [first, &flipped, third],
            [second, first, third],
            [first, second, &third[1..]],
        ] {
            let error = assemble(&parts, files).unwrap_err();
            assert!(
                matches!(
                    &error,
                    Error::BuiltinDamaged {
                        what: "model.safetensors",
                        ..
                    }
                ),
                "{error}"
            );
        }
        let error = assemble(&[first, second, third], &files[1..]).unwrap_err();
        assert!(matches!(error, Error::BuiltinDamaged { .. }));
    }
}
