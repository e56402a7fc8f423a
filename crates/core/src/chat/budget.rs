//! What one rendering may cost: every value that a template builds, copies, compares or prints is paid for with its
//! size, and the budget is the same whatever the template does.
//!
//! Steps alone are no bound: a step that doubles a text costs as much as all steps before it together.

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind, State};

/// Bytes of values that one rendering may handle, and so the most that it can hold; a conversation that fills a context
/// of a million tokens takes some dozens of MiB.
pub(super) const MAX_BYTES: usize = 512 << 20;
/// What an item of a list costs that is copied or listed.
pub(super) const VALUE_BYTES: usize = 32;
/// What a value costs beside its text that is walked through: it takes as long as copying so many bytes and more.
const WALK_BYTES: usize = 256;
/// Values inside values at most; Python gives up at about a thousand.
pub(super) const MAX_DEPTH: usize = 200;

/// What is left of the budget; one per rendering, among the extensions of its state.
struct Budget(usize);

/// Pays for so many bytes.
pub(super) fn charge(state: &mut State, bytes: usize) -> Result<(), Error> {
    let budget = state.get_or_insert_extension(Budget(MAX_BYTES));
    match budget.0.checked_sub(bytes) {
        Some(left) => {
            budget.0 = left;
            Ok(())
        }
        None => Err(exhausted()),
    }
}

/// Pays for all that is inside a value, so many times.
pub(super) fn charge_deep(state: &mut State, value: &Value, times: usize) -> Result<(), Error> {
    let left = state.get_or_insert_extension(Budget(MAX_BYTES)).0;
    let times = times.max(1);
    let mut left_each = left / times;
    let before = left_each;
    measure(value, 0, &mut left_each)?;
    charge(state, (before - left_each).saturating_mul(times))
}

/// Pays for a value without what is inside its items, so many times.
pub(super) fn charge_shallow(state: &mut State, value: &Value, times: usize) -> Result<(), Error> {
    charge(state, shallow(value).saturating_mul(times.max(1)))
}

/// Bytes of a text, or of as many values as a collection has.
pub(super) fn shallow(value: &Value) -> usize {
    match value.as_str() {
        Some(text) => text.len(),
        None => value.len().unwrap_or(1).saturating_mul(VALUE_BYTES),
    }
}

/// Takes the size of a value and of all inside it from what is left.
fn measure(value: &Value, depth: usize, left: &mut usize) -> Result<(), Error> {
    if depth > MAX_DEPTH {
        return Err(too_deep());
    }
    let text = match value.kind() {
        ValueKind::String => value.as_str().map_or(0, str::len),
        ValueKind::Bytes => value.as_bytes().map_or(0, <[u8]>::len),
        _ => 0,
    };
    *left = left.checked_sub(WALK_BYTES + text).ok_or_else(exhausted)?;
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable if value.as_object().is_some() => {
            for item in value.try_iter()? {
                measure(&item, depth + 1, left)?;
            }
        }
        ValueKind::Map => {
            for key in value.try_iter()? {
                measure(&key, depth + 1, left)?;
                measure(&value.get_item(&key)?, depth + 1, left)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// The error of a template that costs too much.
pub(super) fn exhausted() -> Error {
    let detail = format!(
        "the template handles more than {} MiB of values for one prompt",
        MAX_BYTES >> 20
    );
    Error::new(ErrorKind::OutOfFuel, detail)
}

/// The error of a value that is nested too deeply.
pub(super) fn too_deep() -> Error {
    let detail = format!("a value of the template is nested more than {MAX_DEPTH} deep");
    Error::new(ErrorKind::OutOfFuel, detail)
}
