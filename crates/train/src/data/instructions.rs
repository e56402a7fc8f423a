//! Conversations to learn from: Alpaca, ShareGPT, OpenAI chat, prompt and completion.

use std::path::Path;

use ragtune_core::text::{Message, MessageRole};
use serde_json::Value;

use super::dataset::{Dataset, Record};
use super::json::Fields;
use super::record::Instruction;
use super::source::Source;
use super::table::{Dialect, Table};
use super::turns;
use crate::error::Result;

/// Fields that hold a prompt and its answer, in the order in which they are looked for.
const PROMPT_AND_ANSWER: &[(&str, &str)] = &[
    ("prompt", "completion"),
    ("prompt", "response"),
    ("prompt", "answer"),
    ("question", "answer"),
    ("query", "response"),
    ("input", "output"),
];

/// Reads conversations from a file; the form is found for every record.
///
/// | form | fields |
/// |---|---|
/// | OpenAI chat | `messages`: `[{"role", "content"}]` |
/// | ShareGPT | `conversations`: `[{"from", "value"}]`, `system` |
/// | Alpaca | `instruction`, `input`, `output`; `system`, `history` as LLaMA-Factory has them |
/// | prompt and completion | `prompt` and `completion` (or `question` and `answer`, ...): texts or lists of turns |
///
/// The files are JSON, JSON lines, CSV or TSV.
///
/// # Errors
/// Those of [`Source::read`] and [`parse`].
pub fn read(path: impl AsRef<Path>) -> Result<Dataset<Instruction>> {
    parse(&Source::read(path)?)
}

/// Reads conversations from a text; see [`read`].
///
/// ```
/// use ragtune_train::data::{Source, instructions};
/// let text = r#"{"instruction": "Translate to French.", "input": "cat", "output": "chat"}"#;
/// let set = instructions::parse(&Source::from_text("a.jsonl", text))?;
/// let messages = &set.records[0].value.messages;
/// assert_eq!(messages[0].content, "Translate to French.\n\ncat");
/// assert_eq!(messages[1].content, "chat");
/// # Ok::<(), ragtune_train::Error>(())
/// ```
///
/// # Errors
/// [`Error::Malformed`](crate::Error::Malformed) with the line of a record that has none of the forms, has a turn of
/// another role, or does not end with the assistant's turn; [`Error::Empty`](crate::Error::Empty).
pub fn parse(source: &Source) -> Result<Dataset<Instruction>> {
    let table = Table::read(source, &Dialect::default())?;
    let records = table.rows().iter().map(|row| {
        let fields = row.object(table.columns());
        let messages = messages(&fields)
            .and_then(checked)
            .map_err(|reason| source.malformed(row.at, reason))?;
        Ok(Record {
            value: Instruction { messages },
            origin: table.origin(row),
        })
    });
    records.collect()
}

fn messages(fields: &Fields) -> Result<Vec<Message>, String> {
    let given = |name: &str| fields.get(name).filter(|value| !value.is_null());
    if let Some(messages) = given("messages") {
        return turns::conversation(messages);
    }
    if let Some(conversation) = given("conversations").or_else(|| given("conversation")) {
        return with_system(fields, turns::conversation(conversation)?);
    }
    if given("instruction").is_some() {
        return alpaca(fields);
    }
    for (prompt, answer) in PROMPT_AND_ANSWER {
        let (Some(prompt), Some(answer)) = (given(prompt), given(answer)) else {
            continue;
        };
        let mut messages = with_system(fields, turns::conversation(prompt)?)?;
        messages.push(Message::assistant(turns::answer(answer)?));
        return Ok(messages);
    }
    let names: Vec<&str> = fields.keys().map(String::as_str).collect();
    Err(format!(
        "no form of a conversation: it has {}; known are messages, conversations, instruction with output, prompt with \
         completion",
        names.join(", ")
    ))
}

fn alpaca(fields: &Fields) -> Result<Vec<Message>, String> {
    let mut messages = with_system(fields, Vec::new())?;
    match fields.get("history") {
        None | Some(Value::Null) => {}
        Some(Value::Array(turns)) => {
            for turn in turns {
                match turn.as_array().map(Vec::as_slice) {
                    Some([Value::String(user), Value::String(assistant)]) => {
                        messages.extend([Message::user(user), Message::assistant(assistant)]);
                    }
                    _ => return Err("\"history\" is not a list of pairs of texts".to_owned()),
                }
            }
        }
        Some(_) => return Err("\"history\" is not a list of pairs of texts".to_owned()),
    }
    messages.push(Message::user(alpaca_prompt(fields)?));
    let output = match turns::text(fields, "output")? {
        Some(output) => output,
        None => turns::text(fields, "response")?.ok_or("it has an instruction and no \"output\"")?,
    };
    messages.push(Message::assistant(output));
    Ok(messages)
}

/// The instruction, and below it what it is about, where there is something.
pub(super) fn alpaca_prompt(fields: &Fields) -> Result<String, String> {
    let instruction = turns::text(fields, "instruction")?.unwrap_or_default();
    let input = turns::text(fields, "input")?.unwrap_or_default();
    Ok(match input.trim().is_empty() {
        true => instruction,
        false => format!("{instruction}\n\n{input}"),
    })
}

/// The turns behind the standing instructions of the field `system`.
pub(super) fn with_system(fields: &Fields, turns: Vec<Message>) -> Result<Vec<Message>, String> {
    let system = turns::text(fields, "system")?.filter(|system| !system.trim().is_empty());
    let system = system.map(Message::system);
    Ok(system.into_iter().chain(turns).collect())
}

fn checked(messages: Vec<Message>) -> Result<Vec<Message>, String> {
    match messages.last().map(|last| last.role) {
        Some(MessageRole::Assistant) => Ok(messages),
        Some(role) => Err(format!(
            "the last turn is the {role}'s; end the conversation with the assistant's answer, which is what is learned"
        )),
        None => Err("a conversation without turns".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_line(line: &str) -> Result<Vec<Message>, String> {
        let set = parse(&Source::from_text("a.jsonl", line)).map_err(|error| error.to_string())?;
        Ok(set.records[0].value.messages.clone())
    }

    #[test]
    fn forms() {
        let expected = vec![Message::system("S"), Message::user("Q"), Message::assistant("A")];
        for line in [
            r#"{"messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "Q"},
                {"role": "assistant", "content": [{"type": "text", "text": "A"}], "tool_calls": null}]}"#,
            r#"{"system": "S", "conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]}"#,
            r#"{"system": "S", "instruction": "Q", "input": "", "output": "A"}"#,
            r#"{"system": "S", "prompt": "Q", "completion": "A"}"#,
            r#"{"prompt": [{"role": "system", "content": "S"}, {"role": "user", "content": "Q"}],
                "completion": [{"role": "assistant", "content": "A"}]}"#,
        ] {
            assert_eq!(read_line(&line.replace('\n', "")).unwrap(), expected, "{line}");
        }
        let line = r#"{"instruction": "Q", "input": "I", "output": "A", "history": [["q", "a"]]}"#;
        let messages = read_line(line).unwrap();
        assert_eq!(messages.len(), 4);
        assert_eq!(messages[2].content, "Q\n\nI");
        let csv = Source::from_text("a.csv", "question,answer\nQ,A\n");
        assert_eq!(parse(&csv).unwrap().records[0].value, Instruction::new("Q", "A"));
    }

    #[test]
    fn what_is_no_conversation() {
        for (line, reason) in [
            (r#"{"a": 1, "b": 2}"#, "it has a, b"),
            (r#"{"messages": []}"#, "without turns"),
            (
                r#"{"messages": [{"role": "user", "content": "Q"}]}"#,
                "last turn is the user's",
            ),
            (
                r#"{"messages": [{"role": "tool", "content": "Q"}]}"#,
                "turn 1: the role \"tool\"",
            ),
            (
                r#"{"messages": [{"role": "assistant", "content": null, "tool_calls": []}]}"#,
                "calls a tool",
            ),
            (
                r#"{"messages": [{"role": "assistant", "content": "A", "weight": 0}]}"#,
                "weight",
            ),
            (r#"{"messages": [{"content": "Q"}]}"#, "no \"role\""),
            (r#"{"messages": {"role": "user"}}"#, "an object where"),
            (r#"{"instruction": "Q"}"#, "no \"output\""),
            (r#"{"instruction": "Q", "output": 3}"#, "\"output\" is a number"),
            (
                r#"{"prompt": "Q", "completion": [{"role": "user", "content": "A"}]}"#,
                "a turn of the user",
            ),
            (
                r#"{"conversations": [{"from": "human", "value": [{"type": "image"}]}]}"#,
                "not text",
            ),
        ] {
            let error =
                read_line(&format!("{{\"prompt\": \"Q\", \"completion\": \"A\"}}\n{line}")).unwrap_err();
            assert!(error.starts_with("a.jsonl, line 2, column 1"), "{error}");
            assert!(error.contains(reason), "{error} / {reason}");
        }
        assert!(read_line("").is_err());
    }
}
