//! Turns of conversations in the forms that data sets have: `{"role", "content"}` and `{"from", "value"}`.

use ragtune_core::text::{Message, MessageRole};
use serde_json::Value;

use super::json::{self, Fields};

/// A conversation: a list of turns in either form, or one text that the user says.
pub(super) fn conversation(value: &Value) -> Result<Vec<Message>, String> {
    match value {
        Value::String(text) => Ok(vec![Message::user(text)]),
        Value::Array(turns) => turns.iter().enumerate().map(numbered_turn).collect(),
        other => Err(format!(
            "{} where a text or a list of turns is expected",
            json::kind(other)
        )),
    }
}

/// An answer: a text, a turn of the assistant, or a list of one such turn.
pub(super) fn answer(value: &Value) -> Result<String, String> {
    let message = match value {
        Value::String(text) => return Ok(text.clone()),
        Value::Object(_) => turn(value)?,
        Value::Array(turns) => match turns.as_slice() {
            [one] => turn(one)?,
            more => {
                return Err(format!(
                    "{} turns where the one that answers is expected",
                    more.len()
                ));
            }
        },
        other => return Err(format!("{} where an answer is expected", json::kind(other))),
    };
    match message.role {
        MessageRole::Assistant => Ok(message.content),
        role => Err(format!(
            "a turn of the {role} where the assistant's answer is expected"
        )),
    }
}

/// The text of a field: absent and null are none.
pub(super) fn text(fields: &Fields, name: &str) -> Result<Option<String>, String> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(other) => Err(format!(
            "{name:?} is {} where a text is expected",
            json::kind(other)
        )),
    }
}

fn numbered_turn((index, value): (usize, &Value)) -> Result<Message, String> {
    turn(value).map_err(|reason| format!("turn {}: {reason}", index + 1))
}

fn turn(value: &Value) -> Result<Message, String> {
    let Value::Object(fields) = value else {
        return Err(format!("{} where a turn is expected", json::kind(value)));
    };
    if let Some(calls) = fields.get("tool_calls").or_else(|| fields.get("function_call"))
        && !calls.is_null()
    {
        return Err(
            "it calls a tool, which conversations here do not have; leave it out or write it as text"
                .to_owned(),
        );
    }
    if fields
        .get("weight")
        .and_then(Value::as_f64)
        .is_some_and(|weight| weight != 1.0)
    {
        return Err(
            "it has a weight, and every answer counts alike here; end the conversation at the last answer to learn".to_owned(),
        );
    }
    let role = fields
        .get("role")
        .or_else(|| fields.get("from"))
        .and_then(Value::as_str)
        .ok_or("it has no \"role\" or \"from\"")?;
    let content = fields
        .get("content")
        .or_else(|| fields.get("value"))
        .ok_or("it has no \"content\" or \"value\"")?;
    Ok(Message {
        role: self::role(role)?,
        content: self::content(content)?,
    })
}

fn role(name: &str) -> Result<MessageRole, String> {
    match name.to_ascii_lowercase().as_str() {
        "system" | "developer" => Ok(MessageRole::System),
        "user" | "human" | "prompter" => Ok(MessageRole::User),
        "assistant" | "gpt" | "model" | "bot" | "chatgpt" | "bing" | "bard" => Ok(MessageRole::Assistant),
        _ => Err(format!(
            "the role {name:?} has no place here; there are system, user and assistant"
        )),
    }
}

/// A text, or the parts of one (`[{"type": "text", "text": ...}]`).
fn content(value: &Value) -> Result<String, String> {
    let parts = match value {
        Value::String(text) => return Ok(text.clone()),
        Value::Null => return Ok(String::new()),
        Value::Array(parts) => parts,
        other => return Err(format!("{} where its text is expected", json::kind(other))),
    };
    let text = |part: &Value| match part {
        Value::String(text) => Ok(text.clone()),
        Value::Object(fields) => match fields.get("text").and_then(Value::as_str) {
            Some(text) => Ok(text.to_owned()),
            None => Err("it has a part that is not text".to_owned()),
        },
        _ => Err("it has a part that is not text".to_owned()),
    };
    parts.iter().map(text).collect()
}
