//! The turns of a conversation and the texts of variables, on their way into a template.

use serde_json::{Map, Value};

use crate::text::MessageRole;

/// A role and a text that is marked.
pub(super) type Turn = (MessageRole, String);

/// Instructions at the head of the user's first turn, on lines of their own, as llama.cpp puts them there.
pub(super) fn fold_system(turns: Vec<Turn>) -> Vec<Turn> {
    let (system, mut others): (Vec<Turn>, Vec<Turn>) = turns
        .into_iter()
        .partition(|(role, _)| *role == MessageRole::System);
    let instructions: Vec<String> = system.into_iter().map(|(_, text)| text).collect();
    if instructions.is_empty() {
        return others;
    }
    let instructions = instructions.join("\n");
    match others.iter_mut().find(|(role, _)| *role == MessageRole::User) {
        Some((_, text)) => *text = format!("{instructions}\n{text}"),
        None => others.insert(0, (MessageRole::User, instructions)),
    }
    others
}

/// The texts inside a value.
pub(super) fn strings(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().flat_map(strings).collect(),
        Value::Object(fields) => fields.values().flat_map(strings).collect(),
        _ => Vec::new(),
    }
}

/// A value with its texts changed; the names of fields stay.
pub(super) fn map_strings(value: Value, change: &impl Fn(&str) -> String) -> Value {
    match value {
        Value::String(text) => Value::String(change(&text)),
        Value::Array(items) => items.into_iter().map(|item| map_strings(item, change)).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (name, map_strings(value, change)))
            .collect::<Map<_, _>>()
            .into(),
        other => other,
    }
}
