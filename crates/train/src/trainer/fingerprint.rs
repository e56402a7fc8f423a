//! A number for all that a run learns from.

use crate::objective::Objective;

/// The BLAKE3 sum, in hexadecimal digits, of all examples of some sets as the objective tells them apart: two runs with the
/// same sum learn from the same tokens.
pub fn fingerprint<O: Objective>(objective: &O, sets: &[&[O::Example]]) -> String {
    let mut hasher = blake3::Hasher::new();
    for set in sets {
        hasher.update(&set.len().to_le_bytes());
        for example in *set {
            let mut parts = blake3::Hasher::new();
            objective.digest(example, &mut |bytes| {
                parts.update(bytes);
            });
            hasher.update(parts.finalize().as_bytes());
        }
    }
    hasher.finalize().to_hex().to_string()
}
