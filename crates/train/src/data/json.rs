//! JSON documents and lines whose values know their line.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::source::{Format, Source};
use crate::error::{Error, Result};

/// The fields of an object.
pub(super) type Fields = serde_json::Map<String, Value>;

/// A value of a JSON text that was found to be well-formed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node<'a> {
    source: &'a Source,
    start: usize,
    end: usize,
}

/// The records of a file: the lines of JSON lines; of a document, the items of its array, the items of the one array of
/// objects that an object holds (`{"data": [...]}`), or the object itself.
pub(super) fn records(source: &Source) -> Result<Vec<Node<'_>>> {
    if source.format() == Format::JsonLines || is_lines(source) {
        return lines(source);
    }
    let root = document(source)?;
    if let Some(items) = root.items() {
        return Ok(items);
    }
    let fields = root.fields();
    let mut arrays = fields.iter().filter_map(|(_, node)| node.items());
    match (arrays.next(), arrays.next()) {
        (Some(items), None) if items.iter().all(|item| item.starts_with('{')) => Ok(items),
        _ => Ok(vec![root]),
    }
}

/// The whole file as one value.
pub(super) fn document(source: &Source) -> Result<Node<'_>> {
    let node = Node {
        source,
        start: 0,
        end: source.text().len(),
    };
    node.checked()
}

fn lines(source: &Source) -> Result<Vec<Node<'_>>> {
    let mut nodes = Vec::new();
    let mut start = 0;
    for line in source.text().split_inclusive('\n') {
        let end = start + line.len();
        if !line.trim().is_empty() {
            nodes.push(Node { source, start, end }.checked()?);
        }
        start = end;
    }
    Ok(nodes)
}

/// Whether a file that does not say so has an object on each line: its first line is one, and more follow.
fn is_lines(source: &Source) -> bool {
    let text = source.text().trim();
    let Some((first, _)) = text.split_once('\n') else {
        return false;
    };
    first.starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(first).is_ok()
}

impl<'a> Node<'a> {
    /// The byte that it begins at.
    pub(super) fn at(self) -> usize {
        self.start
    }

    /// What is wrong with it.
    pub(super) fn malformed(self, reason: impl Into<String>) -> Error {
        self.source.malformed(self.start, reason)
    }

    /// The value.
    pub(super) fn value(self) -> Result<Value> {
        serde_json::from_str(self.text()).map_err(|error| self.failed(&error))
    }

    /// The value, which has to be an object.
    pub(super) fn object(self) -> Result<Fields> {
        match self.value()? {
            Value::Object(fields) => Ok(fields),
            other => Err(self.malformed(format!("{} where an object is expected", kind(&other)))),
        }
    }

    /// The items of an array.
    pub(super) fn items(self) -> Option<Vec<Self>> {
        let inside = self.text().strip_prefix('[')?.strip_suffix(']')?;
        Some(self.parts(inside, 1))
    }

    /// The fields of an object in their order; empty for other values.
    pub(super) fn fields(self) -> Vec<(String, Self)> {
        let inside = self
            .text()
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'));
        let parts = inside.map(|inside| self.parts(inside, 1)).unwrap_or_default();
        let field = |part: Self| {
            let name_end = part.start + value_end(part.text());
            let colon = self.source.text()[name_end..part.end].find(':')?;
            let name = serde_json::from_str(&self.source.text()[part.start..name_end]).ok()?;
            let value = Self {
                start: name_end + colon + 1,
                ..part
            };
            Some((name, value.trimmed()))
        };
        parts.into_iter().filter_map(field).collect()
    }

    /// The field of an object; of several with that name, the last.
    pub(super) fn get(self, name: &str) -> Option<Self> {
        let found = self.fields().into_iter().rfind(|(field, _)| field == name);
        found.map(|(_, node)| node)
    }

    pub(super) fn starts_with(self, c: char) -> bool {
        self.text().starts_with(c)
    }

    /// The pieces between the commas of the outermost level.
    fn parts(self, inside: &str, offset: usize) -> Vec<Self> {
        let mut parts = Vec::new();
        let mut at = 0;
        while at < inside.len() {
            let end = at + piece_end(&inside[at..]);
            let part = Self {
                source: self.source,
                start: self.start + offset + at,
                end: self.start + offset + end,
            };
            let part = part.trimmed();
            if !part.text().is_empty() {
                parts.push(part);
            }
            at = end + 1;
        }
        parts
    }

    /// The same without white space around it, once it is known to be one well-formed value.
    fn checked(self) -> Result<Self> {
        let node = self.trimmed();
        match serde_json::from_str::<Once>(node.text()) {
            Ok(_) => Ok(node),
            Err(error) => Err(node.failed(&error)),
        }
    }

    fn trimmed(self) -> Self {
        let text = self.text();
        let start = self.start + text.len() - text.trim_start().len();
        Self {
            start,
            end: start + text.trim().len(),
            ..self
        }
    }

    fn text(self) -> &'a str {
        &self.source.text()[self.start..self.end]
    }

    fn failed(self, error: &serde_json::Error) -> Error {
        let lines_before = error.line().saturating_sub(1);
        let line_start: usize = self
            .text()
            .split_inclusive('\n')
            .take(lines_before)
            .map(str::len)
            .sum();
        let at = self.start + line_start + error.column().saturating_sub(1);
        // The message ends with a line and column that count from the value's start.
        let message = error.to_string();
        let reason = message.split(" at line ").next().unwrap_or_default();
        match error.is_data() {
            true => self.source.malformed(at, reason),
            false => self.source.malformed(at, format!("not JSON: {reason}")),
        }
    }
}

/// A value of any kind whose objects have every key once: of two, one would be lost without a word.
struct Once;

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OnceVisitor)
    }
}

struct OnceVisitor;

impl<'de> Visitor<'de> for OnceVisitor {
    type Value = Once;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_str<E>(self, _: &str) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_unit<E>(self) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Once, A::Error> {
        while items.next_element::<Once>()?.is_some() {}
        Ok(Once)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Once, A::Error> {
        let mut seen = BTreeSet::new();
        while let Some(key) = fields.next_key::<String>()? {
            fields.next_value::<Once>()?;
            if !seen.insert(key.clone()) {
                let message = format!("the key {key:?} stands twice in one object; rename or remove one");
                return Err(A::Error::custom(message));
            }
        }
        Ok(Once)
    }
}

/// What a value is, in words.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Bytes up to the comma behind the first piece of the outermost level, or all.
fn piece_end(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => return at,
            _ => {}
        }
    }
    text.len()
}

/// Bytes of the string that a text begins with.
fn value_end(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines_of(source: &Source) -> Vec<usize> {
        let records = records(source).unwrap();
        records.iter().map(|node| source.origin(node.at()).line).collect()
    }

    #[test]
    fn records_know_their_lines() {
        let text = "[\n {\"a\": \"x, ]\\\"\"},\n\n {\"a\": [1, 2]}, {}\n]\n";
        let source = Source::from_text("a.json", text);
        assert_eq!(lines_of(&source), [2, 4, 4]);
        let nodes = records(&source).unwrap();
        assert_eq!(nodes[0].object().unwrap()["a"], "x, ]\"");
        assert_eq!(nodes[1].get("a").unwrap().items().unwrap().len(), 2);
        let source = Source::from_text("a.jsonl", "{\"a\": 1}\r\n\r\n{\"a\": 2}");
        assert_eq!(lines_of(&source), [1, 3]);
        let source = Source::from_text("a.json", "{\"version\": 1,\n \"data\": [\n{}, {}]}");
        assert_eq!(lines_of(&source), [3, 3]);
        assert_eq!(
            lines_of(&Source::from_text("a.json", "{\"a\": 1}\n{\"a\": 2}\n")),
            [1, 2]
        );
        assert_eq!(lines_of(&Source::from_text("a.json", "\n{\"a\": 1}")), [2]);
    }

    #[test]
    fn errors_have_line_and_column() {
        let error = |path: &str, text: &str| {
            let source = Source::from_text(path, text);
            let result = records(&source).and_then(|nodes| nodes.iter().map(|node| node.object()).collect());
            let result: Result<Vec<Fields>> = result;
            result.unwrap_err().to_string()
        };
        let open = error("a.jsonl", "{\"a\": 1}\n{\"a\": 2\n{\"a\": 3}\n");
        assert!(open.starts_with("a.jsonl, line 2, column 7: not JSON"), "{open}");
        let inner = error("a.json", "[\n{\"a\": 1},\n{\"a\" 2}]");
        assert!(inner.starts_with("a.json, line 3, column 6: not JSON"), "{inner}");
        let kind = error("a.jsonl", "{}\n[1]\n");
        assert_eq!(
            kind,
            "a.jsonl, line 2, column 1: a list where an object is expected"
        );
        let deep = format!("{{\"a\": {}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(error("a.jsonl", &deep).contains("recursion limit"));
        assert!(error("a.json", "").contains("not JSON"));
        let twice = error("a.jsonl", "{\"a\": 1}\n{\"b\": {\"a\": 1, \"a\": 2}}\n");
        assert!(
            twice.starts_with("a.jsonl, line 2, column ") && twice.contains("\"a\" stands twice"),
            "{twice}"
        );
        let document = error("a.json", "[\n{\"text\": \"x\",\n\"text\": \"y\"}]");
        assert!(
            document.starts_with("a.json, line 3") && document.contains("\"text\" stands twice"),
            "{document}"
        );
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i32>().prop_map(Value::from),
            "[a\"\\\\,:\\[\\]{}ä]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a\":,]{1,3}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn parts_are_the_parts_of_the_value(value in values(), pretty in any::<bool>()) {
            let text = if pretty { format!("{value:#}") } else { value.to_string() };
            let source = Source::from_text("a.json", text);
            let node = document(&source).unwrap();
            prop_assert_eq!(&node.value().unwrap(), &value);
            match &value {
                Value::Array(items) => {
                    let nodes = node.items().unwrap();
                    let found: Vec<Value> = nodes.iter().map(|node| node.value().unwrap()).collect();
                    prop_assert_eq!(&found, items);
                }
                Value::Object(fields) => {
                    for (name, value) in fields {
                        prop_assert_eq!(&node.get(name).unwrap().value().unwrap(), value);
                    }
                    prop_assert_eq!(node.fields().len(), fields.len());
                }
                _ => prop_assert!(node.items().is_none() && node.fields().is_empty()),
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[a\",:\\[\\]{}\n\\\\1 ]{0,60}") {
            for path in ["a.json", "a.jsonl", "a"] {
                let source = Source::from_text(path, text.clone());
                if let Ok(nodes) = records(&source) {
                    let _: Vec<_> = nodes.iter().map(|node| node.value()).collect();
                }
            }
        }
    }
}
