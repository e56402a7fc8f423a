//! What the text of an answer may be.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A form that an answer must have; the model chooses among the tokens that lead to it.
///
/// ```
/// use ragtune_core::text::{Constraint, GenerateOptions};
/// let schema = serde_json::json!({"type": "object", "properties": {"year": {"type": "integer"}}});
/// let options = GenerateOptions::default().with_constraint(Constraint::JsonSchema(schema));
/// assert!(options.constraint.is_some());
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Constraint {
    /// Any JSON value.
    Json,
    /// JSON that a JSON schema accepts.
    JsonSchema(Value),
    /// A text that a regular expression matches from its beginning to its end.
    Regex(String),
}
