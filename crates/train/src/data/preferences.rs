//! Two answers to a conversation, of which one is better.

use std::path::Path;

use ragtune_core::text::{Message, MessageRole};
use serde_json::Value;

use super::dataset::{Dataset, Record};
use super::instructions::{alpaca_prompt, with_system};
use super::json::Fields;
use super::record::Preference;
use super::source::Source;
use super::table::{Dialect, Table};
use super::turns;
use crate::error::Result;

/// Reads preferences from a file; the form is found for every record.
///
/// `chosen` and `rejected` are texts, turns of the assistant, or whole conversations that differ in the last turn. The
/// conversation before them is `conversations` (ShareGPT), `messages`, `instruction` with `input` (Alpaca), `prompt` or
/// `question`. The files are JSON, JSON lines, CSV or TSV.
///
/// # Errors
/// Those of [`Source::read`] and [`parse`].
pub fn read(path: impl AsRef<Path>) -> Result<Dataset<Preference>> {
    parse(&Source::read(path)?)
}

/// Reads preferences from a text; see [`read`].
///
/// ```
/// use ragtune_train::data::{Source, preferences};
/// let text = r#"{"prompt": "Is it raining?", "chosen": "No.", "rejected": "Look yourself."}"#;
/// let set = preferences::parse(&Source::from_text("a.jsonl", text))?;
/// assert_eq!(set.records[0].value.chosen, "No.");
/// # Ok::<(), ragtune_train::Error>(())
/// ```
///
/// # Errors
/// [`Error::Malformed`](crate::Error::Malformed) with the line of a record that has none of the forms, or that asks
/// nothing; [`Error::Empty`](crate::Error::Empty). Two equal answers are read, for cleaning to take out.
pub fn parse(source: &Source) -> Result<Dataset<Preference>> {
    let table = Table::read(source, &Dialect::default())?;
    let records = table.rows().iter().map(|row| {
        let fields = row.object(table.columns());
        let value = preference(&fields).map_err(|reason| source.malformed(row.at, reason))?;
        let origin = table.origin(row);
        Ok(Record { value, origin })
    });
    records.collect()
}

fn preference(fields: &Fields) -> Result<Preference, String> {
    let given = |name: &str| fields.get(name).filter(|value| !value.is_null());
    let chosen = given("chosen").ok_or("it has no \"chosen\"")?;
    let rejected = given("rejected").ok_or("it has no \"rejected\"")?;
    let before = ["conversations", "conversation", "messages", "prompt", "question"];
    let (messages, chosen, rejected) = if given("instruction").is_some() {
        let messages = with_system(fields, vec![Message::user(alpaca_prompt(fields)?)])?;
        (messages, turns::answer(chosen)?, turns::answer(rejected)?)
    } else if let Some(conversation) = before.into_iter().find_map(given) {
        let messages = with_system(fields, turns::conversation(conversation)?)?;
        let (chosen, rejected) = (last(chosen, &messages)?, last(rejected, &messages)?);
        (messages, chosen, rejected)
    } else {
        let (before, chosen) = divided(chosen)?;
        let (other, rejected) = divided(rejected)?;
        if before != other {
            return Err("\"chosen\" and \"rejected\" differ before the last turn".to_owned());
        }
        (with_system(fields, before)?, chosen, rejected)
    };
    if messages
        .last()
        .is_none_or(|last| last.role == MessageRole::Assistant)
    {
        return Err("there is no turn of the user that the two answer".to_owned());
    }
    Ok(Preference {
        messages,
        chosen,
        rejected,
    })
}

/// The answer, where a whole conversation stands for it the last turn of that.
fn last(answer: &Value, messages: &[Message]) -> Result<String, String> {
    if answer.as_array().is_none_or(|turns| turns.len() < 2) {
        return turns::answer(answer);
    }
    let (before, answer) = divided(answer)?;
    match before == messages {
        true => Ok(answer),
        false => Err("an answer repeats the conversation, and not as it was".to_owned()),
    }
}

fn divided(conversation: &Value) -> Result<(Vec<Message>, String), String> {
    if !conversation.is_array() {
        return Err("it has no conversation that is answered: name it \"prompt\"".to_owned());
    }
    let mut turns = turns::conversation(conversation)?;
    match turns.pop() {
        Some(Message {
            role: MessageRole::Assistant,
            content,
        }) => Ok((turns, content)),
        _ => Err("a conversation that does not end with the assistant's answer".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_line(line: &str) -> Result<Preference, String> {
        let set = parse(&Source::from_text("a.jsonl", line)).map_err(|error| error.to_string())?;
        Ok(set.records[0].value.clone())
    }

    #[test]
    fn forms() {
        let expected = Preference {
            messages: vec![Message::user("Q")],
            chosen: "A".to_owned(),
            rejected: "B".to_owned(),
        };
        for line in [
            r#"{"conversations": [{"from": "human", "value": "Q"}], "chosen": {"from": "gpt", "value": "A"}, "rejected": {"from": "gpt", "value": "B"}}"#,
            r#"{"instruction": "Q", "input": "", "output": "C", "chosen": "A", "rejected": "B"}"#,
            r#"{"prompt": "Q", "chosen": "A", "rejected": "B"}"#,
            r#"{"prompt": [{"role": "user", "content": "Q"}], "chosen": [{"role": "assistant", "content": "A"}], "rejected": [{"role": "assistant", "content": "B"}]}"#,
            r#"{"chosen": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}], "rejected": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "B"}]}"#,
            r#"{"prompt": "Q", "chosen": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}], "rejected": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "B"}]}"#,
        ] {
            assert_eq!(read_line(line).unwrap(), expected, "{line}");
        }
    }

    #[test]
    fn what_is_no_preference() {
        for (line, reason) in [
            (r#"{"prompt": "Q", "chosen": "A"}"#, "no \"rejected\""),
            (r#"{"chosen": "A", "rejected": "B"}"#, "name it \"prompt\""),
            (
                r#"{"prompt": [], "chosen": "A", "rejected": "B"}"#,
                "no turn of the user",
            ),
            (
                r#"{"prompt": "Q", "chosen": {"from": "human", "value": "A"}, "rejected": "B"}"#,
                "a turn of the user",
            ),
        ] {
            let error = read_line(line).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
