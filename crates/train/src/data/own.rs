//! Formats of the user's own: JSON records by a function.

use serde_json::Value;

use super::dataset::{Dataset, Record};
use super::json;
use super::source::Source;
use crate::error::Result;

/// Reads JSON or JSON lines of any form: the function makes an example of each record, `None` leaves it out, and what it
/// finds wrong becomes an error with file and line.
///
/// ```
/// use ragtune_train::data::{Instruction, Source, from_json};
/// let line = r#"{"source": ["Long.", "Longer."], "target": ["Short."]}"#;
/// let text = |value: &serde_json::Value| value.as_str().map(str::to_owned).ok_or("not a text".to_owned());
/// let set = from_json(&Source::from_text("a.jsonl", line), |record| {
///     let source = record["source"].as_array().ok_or("no source")?;
///     let source: Vec<String> = source.iter().map(text).collect::<Result<_, _>>()?;
///     Ok(Some(Instruction::new(source.join(" "), text(&record["target"][0])?)))
/// })?;
/// assert_eq!(set.records[0].value, Instruction::new("Long. Longer.", "Short."));
/// # Ok::<(), ragtune_train::Error>(())
/// ```
///
/// # Errors
/// [`Error::Malformed`](crate::Error::Malformed) with the line, [`Error::Empty`](crate::Error::Empty).
pub fn from_json<R>(
    source: &Source,
    mut make: impl FnMut(&Value) -> Result<Option<R>, String>,
) -> Result<Dataset<R>> {
    let mut records = Vec::new();
    for node in json::records(source)? {
        if let Some(value) = make(&node.value()?).map_err(|reason| node.malformed(reason))? {
            let origin = source.origin(node.at());
            records.push(Record { value, origin });
        }
    }
    match records.is_empty() {
        true => Err(source.empty("no record of it became an example")),
        false => Ok(records.into_iter().collect()),
    }
}
