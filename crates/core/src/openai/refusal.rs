//! What a server says about a request that it does not answer.

use serde_json::Value;

use crate::http::Secret;

/// Bytes of a refusal that are read.
pub(super) const REFUSAL_BYTES: u64 = 64 << 10;
/// Characters of a message that are kept.
const MESSAGE_CHARS: usize = 500;

/// The message in the body of a refusal: that of the JSON forms that servers use, or else the text itself.
pub(super) fn message_of_body(body: &[u8], key: Option<&Secret>) -> String {
    let message = match serde_json::from_slice::<Value>(body) {
        Ok(json) => message_in(&json).unwrap_or_else(|| json.to_string()),
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    presentable(&message, key)
}

/// The message of an `error` value inside an answer.
pub(super) fn message_of_error(error: &Value, key: Option<&Secret>) -> String {
    presentable(&message_in(error).unwrap_or_else(|| error.to_string()), key)
}

/// A server's text for an error message: short, in one line, without the key should the server repeat it.
pub(super) fn presentable(text: &str, key: Option<&Secret>) -> String {
    let text = key.map_or_else(|| text.to_owned(), |key| key.hidden_in(text));
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect();
    let line = words.join(" ");
    if line.is_empty() {
        return "it gives no reason".to_owned();
    }
    match line.char_indices().nth(MESSAGE_CHARS) {
        Some((end, _)) => format!("{} …", &line[..end]),
        None => line,
    }
}

/// `{"error": {"message": ..}}` (OpenAI), `{"error": ".."}` (Ollama), `{"message": ..}` (vLLM), `{"detail": ..}`
/// (FastAPI).
fn message_in(json: &Value) -> Option<String> {
    match json {
        Value::String(text) => Some(text.clone()),
        Value::Object(fields) => {
            ["error", "message", "detail"]
                .iter()
                .find_map(|name| match fields.get(*name)? {
                    Value::Null => None,
                    Value::Object(inner) => inner
                        .get("message")
                        .and_then(message_in)
                        .or_else(|| Some(Value::Object(inner.clone()).to_string())),
                    Value::String(text) => Some(text.clone()),
                    other => Some(other.to_string()),
                })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_is_found_in_every_form() {
        let message = |body: &str| message_of_body(body.as_bytes(), None);
        assert_eq!(
            message(r#"{"error": {"message": "no such model", "code": 7}}"#),
            "no such model"
        );
        assert_eq!(message(r#"{"error": "no such model"}"#), "no such model");
        assert_eq!(
            message(r#"{"object": "error", "message": "no such model"}"#),
            "no such model"
        );
        assert_eq!(
            message(r#"{"detail": [{"loc": ["body"]}]}"#),
            r#"[{"loc":["body"]}]"#
        );
        assert_eq!(message(r#"{"error": {"code": 7}}"#), r#"{"code":7}"#);
        assert_eq!(message("<html>Bad\r\n\x1b[2J Gateway"), "<html>Bad [2J Gateway");
        assert_eq!(message(""), "it gives no reason");
        assert_eq!(message(&"x".repeat(9_999)).chars().count(), MESSAGE_CHARS + 2);
    }

    #[test]
    fn a_key_that_the_server_repeats_is_hidden() {
        let key = Secret::new("sk-very-secret");
        let body = br#"{"error": {"message": "Incorrect API key provided: sk-very-secret."}}"#;
        assert_eq!(
            message_of_body(body, Some(&key)),
            "Incorrect API key provided: (secret)."
        );
    }
}
