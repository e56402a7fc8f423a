//! What a run keeps for the next: JSON files that are whole or not there.

use std::error::Error;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Outcome;

/// Writes a value.
///
/// # Errors
/// The file cannot be written.
pub fn write(file: &Path, value: &impl Serialize) -> Outcome {
    let partial = file.with_extension("partial");
    fs::write(&partial, serde_json::to_vec_pretty(value)?)
        .and_then(|()| fs::rename(&partial, file))
        .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    Ok(())
}

/// Reads a value.
///
/// # Errors
/// The file cannot be read, or is damaged.
pub fn read<T: for<'de> Deserialize<'de>>(file: &Path) -> Result<T, Box<dyn Error>> {
    let bytes = fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    serde_json::from_slice(&bytes).map_err(|error| {
        format!(
            "{} is damaged ({error}); remove it to measure again",
            file.display()
        )
        .into()
    })
}

/// Reads a value, where there is one.
///
/// # Errors
/// As [`read`].
pub fn find<T: for<'de> Deserialize<'de>>(file: &Path) -> Result<Option<T>, Box<dyn Error>> {
    match file.exists() {
        true => read(file).map(Some),
        false => Ok(None),
    }
}
