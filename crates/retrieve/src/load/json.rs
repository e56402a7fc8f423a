//! JSON and lines of it.

use std::fmt;
use std::path::Path;

use ragtune_core::text::{Locator, Metadata, Value};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::code::SourceCodeLoader;
use super::draft::{Draft, one_line};
use super::limits::{Budget, LoadLimits};
use super::loader::{Loaded, Loader};
use super::text::{extension, format, has_extension, read};
use crate::error::{Error, Result};

/// Lists and objects in each other that the parser follows.
const PARSED_DEPTH: u64 = 127;
/// Bytes that a parsed value takes in memory, about.
const VALUE_BYTES: u64 = 64;

/// Loads JSON (`.json`) and JSON lines (`.jsonl`, `.ndjson`): a line `name: value` for each value, with the way to it as
/// its name (`author.name`, `steps[0]`), and a blank line between the records of a list. Of lines, places have the line of
/// the file. What is no strict JSON, such as configuration with comments, is loaded as source code.
///
/// [`with_fields`](Self::with_fields) says which values are the text, [`with_metadata`](Self::with_metadata) which describe
/// the document. Metadata: `format` is `json`.
///
/// ```
/// use std::path::Path;
/// use ragtune_retrieve::Loader;
/// use ragtune_retrieve::load::JsonLoader;
/// let loader = JsonLoader::default().with_fields(["body"]).with_metadata(["year"]);
/// let loaded = loader.load(Path::new("tea.json"), br#"{"body": "Steep it.", "year": 2024, "id": 7}"#)?;
/// assert_eq!(loaded.text, "Steep it.\n");
/// assert_eq!(loaded.metadata["year"], 2024.into());
/// # Ok::<(), ragtune_retrieve::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JsonLoader {
    fields: Vec<String>,
    metadata: Vec<String>,
    limits: LoadLimits,
}

impl JsonLoader {
    /// With the fields that are the text, each a name or a way such as `author.name`, of each record in a list. A single
    /// field is written without its name.
    pub fn with_fields<T: Into<String>>(mut self, fields: impl IntoIterator<Item = T>) -> Self {
        self.fields = fields.into_iter().map(Into::into).collect();
        self
    }

    /// With fields of the outermost object that become the document's metadata.
    pub fn with_metadata<T: Into<String>>(mut self, fields: impl IntoIterator<Item = T>) -> Self {
        self.metadata = fields.into_iter().map(Into::into).collect();
        self
    }

    /// With other limits.
    pub fn with_limits(mut self, limits: LoadLimits) -> Self {
        self.limits = limits;
        self
    }

    fn lines(&self, source: &str, budget: &Budget) -> Result<Loaded> {
        let mut draft = Draft::new(budget);
        for (number, line) in (1u32..).zip(source.lines()) {
            budget.look()?;
            if line.trim().is_empty() {
                continue;
            }
            check_depth(line, budget)?;
            let record = parse(line).map_err(|error| {
                budget.unreadable(format!("its line {number} is no JSON ({error}): repair the line"))
            })?;
            draft.place(Locator {
                line: Some(number),
                ..Locator::default()
            });
            self.record(&record, &mut draft)?;
        }
        Ok(draft.finish(format("json")))
    }

    /// Writes the lines of a record as one block.
    fn record(&self, record: &Json, draft: &mut Draft) -> Result<()> {
        let mut lines = Vec::new();
        if self.fields.is_empty() {
            flatten("", record, &mut lines);
        } else {
            for field in &self.fields {
                let mut found = Vec::new();
                if let Some(value) = record.at(field) {
                    let name = if self.fields.len() == 1 { "" } else { field };
                    flatten(name, value, &mut found);
                }
                lines.append(&mut found);
            }
        }
        draft.block(&lines.join("\n"))
    }
}

impl Loader for JsonLoader {
    fn id(&self) -> String {
        format!("json-1 fields {:?} metadata {:?}", self.fields, self.metadata)
    }

    fn accepts(&self, path: &Path) -> bool {
        has_extension(path, &["geojson", "json", "jsonl", "jsonld", "ndjson"])
    }

    fn load(&self, path: &Path, bytes: &[u8]) -> Result<Loaded> {
        let budget = Budget::new(path, bytes.len(), &self.limits)?;
        let source = read(path, bytes, None)?;
        if matches!(extension(path).as_deref(), Some("jsonl" | "ndjson")) {
            return self.lines(&source, &budget);
        }
        // A value takes more memory than its text.
        let values = source
            .bytes()
            .filter(|byte| matches!(byte, b',' | b'[' | b'{'))
            .count();
        budget.unpack(values as u64 * VALUE_BYTES)?;
        check_depth(&source, &budget)?;
        let Ok(value) = parse(&source) else {
            return SourceCodeLoader.load(path, bytes);
        };
        let mut metadata = format("json");
        self.describe(&value, &mut metadata);
        let mut draft = Draft::new(&budget);
        match &value {
            Json::List(records) if records.iter().any(|record| matches!(record, Json::Object(_))) => {
                records
                    .iter()
                    .try_for_each(|record| self.record(record, &mut draft))?;
            }
            value => self.record(value, &mut draft)?,
        }
        Ok(draft.finish(metadata))
    }
}

impl JsonLoader {
    fn describe(&self, value: &Json, metadata: &mut Metadata) {
        for field in &self.metadata {
            if let Some(found) = value.at(field).and_then(Json::metadata) {
                metadata.insert(field.clone(), found);
            }
        }
    }
}

/// A value, the names of an object in their order.
pub(super) enum Json {
    Null,
    Bool(bool),
    Int(i64),
    /// A number that is not whole, or too large.
    Float(f64),
    Text(String),
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
}

impl Json {
    /// The value of a name in an object.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(fields) => fields
                .iter()
                .find(|(found, _)| found == name)
                .map(|(_, value)| value),
            _ => None,
        }
    }

    /// The value at the end of a way such as `author.name`; a name may have dots of its own.
    fn at(&self, way: &str) -> Option<&Self> {
        self.get(way).or_else(|| {
            way.match_indices('.')
                .find_map(|(dot, _)| self.get(&way[..dot])?.at(&way[dot + 1..]))
        })
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn as_list(&self) -> &[Self] {
        match self {
            Self::List(values) => values,
            _ => &[],
        }
    }

    /// The value as metadata; an object has no form there.
    fn metadata(&self) -> Option<Value> {
        Some(match self {
            Self::Bool(value) => (*value).into(),
            Self::Int(value) => (*value).into(),
            Self::Float(value) if value.is_finite() => (*value).into(),
            Self::Text(text) => text.as_str().into(),
            Self::List(values) => Value::List(values.iter().filter_map(Self::metadata).collect()),
            _ => return None,
        })
    }

    fn scalar(&self) -> Option<String> {
        match self {
            Self::Bool(value) => Some(value.to_string()),
            Self::Int(value) => Some(value.to_string()),
            Self::Float(value) => Some(value.to_string()),
            Self::Text(text) => Some(text.clone()),
            _ => None,
        }
    }
}

/// Checks how deep lists and objects lie in each other.
fn check_depth(source: &str, budget: &Budget) -> Result<()> {
    let (mut depth, mut deepest) = (0u64, 0u64);
    let (mut in_text, mut is_escaped) = (false, false);
    for byte in source.bytes() {
        match (in_text, byte) {
            (true, _) if is_escaped => is_escaped = false,
            (true, b'\\') => is_escaped = true,
            (_, b'"') => in_text = !in_text,
            (true, _) => {}
            (false, b'[' | b'{') => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            (false, b']' | b'}') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    budget.depth(usize::try_from(deepest).unwrap_or(usize::MAX))?;
    match deepest > PARSED_DEPTH {
        true => Err(Error::Unreadable {
            path: budget.path().to_owned(),
            reason: format!(
                "its lists and objects lie {deepest} deep in each other, and {PARSED_DEPTH} is the most that is read"
            ),
        }),
        false => Ok(()),
    }
}

/// Parses strict JSON; the parser refuses what nests deeper than 128.
pub(super) fn parse(source: &str) -> serde_json::Result<Json> {
    serde_json::from_str(source)
}

/// The lines of a value under its name.
fn flatten(name: &str, value: &Json, lines: &mut Vec<String>) {
    let push = |lines: &mut Vec<String>, text: &str| {
        let text = text.trim();
        if !text.is_empty() {
            lines.push(if name.is_empty() {
                text.to_owned()
            } else {
                format!("{name}: {text}")
            });
        }
    };
    match value {
        Json::Null => {}
        Json::Object(fields) => {
            for (field, value) in fields {
                let field = one_line(field);
                let name = if name.is_empty() {
                    field
                } else {
                    format!("{name}.{field}")
                };
                flatten(&name, value, lines);
            }
        }
        Json::List(values) => {
            let scalars: Vec<String> = values.iter().filter_map(Json::scalar).collect();
            if scalars.len() == values.len() {
                return push(lines, &scalars.join(", "));
            }
            for (at, value) in values.iter().enumerate() {
                flatten(&format!("{name}[{at}]"), value, lines);
            }
        }
        value => push(lines, &value.scalar().unwrap_or_default()),
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> std::result::Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> std::result::Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> std::result::Result<Json, E> {
        Ok(Json::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> std::result::Result<Json, E> {
        Ok(i64::try_from(value).map_or(Json::Float(value as f64), Json::Int))
    }

    fn visit_f64<E>(self, value: f64) -> std::result::Result<Json, E> {
        Ok(Json::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> std::result::Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> std::result::Result<Json, E> {
        Ok(Json::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> std::result::Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = values.next_element()? {
            list.push(value);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> std::result::Result<Json, A::Error> {
        let mut object = Vec::new();
        while let Some(field) = fields.next_entry()? {
            object.push(field);
        }
        Ok(Json::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(loader: &JsonLoader, name: &str, text: &str) -> Loaded {
        loader.load(Path::new(name), text.as_bytes()).unwrap()
    }

    #[test]
    fn values_have_the_way_to_them_as_their_name() {
        let text = r#"{"z": 1, "a": {"name": "Oolong", "tags": ["dark", 2], "none": null, "steps": [{"at": 80.5}, "wait"]}, "b": true}"#;
        let loaded = load(&JsonLoader::default(), "a.json", text);
        assert_eq!(
            loaded.text,
            "z: 1\na.name: Oolong\na.tags: dark, 2\na.steps[0].at: 80.5\na.steps[1]: wait\nb: true\n"
        );
        assert_eq!(
            load(&JsonLoader::default(), "a.json", r#"[{"a": 1}, {"a": 2}]"#).text,
            "a: 1\n\na: 2\n"
        );
        assert_eq!(load(&JsonLoader::default(), "a.json", "[1, 2]").text, "1, 2\n");
        assert_eq!(load(&JsonLoader::default(), "a.json", "\"tea\"").text, "tea\n");
    }

    #[test]
    fn fields_are_chosen() {
        let loader = JsonLoader::default()
            .with_fields(["title", "meta.by"])
            .with_metadata(["meta.by", "x"]);
        let loaded = load(
            &loader,
            "a.json",
            r#"{"title": "Tea", "id": 1, "meta": {"by": "Lu Yu"}}"#,
        );
        assert_eq!(loaded.text, "title: Tea\nmeta.by: Lu Yu\n");
        assert_eq!(loaded.metadata["meta.by"], "Lu Yu".into());
        assert!(!loaded.metadata.contains_key("x"));
    }

    #[test]
    fn lines_keep_their_number() {
        let loaded = load(
            &JsonLoader::default(),
            "a.jsonl",
            "{\"a\": 1}\n\n{\"a\": \"two\\nlines\"}\n",
        );
        assert_eq!(loaded.text, "a: 1\n\na: two\nlines\n");
        let lines: Vec<_> = loaded.markers.iter().map(|m| (m.at, m.locator.line)).collect();
        assert_eq!(lines, [(0, Some(1)), (6, Some(3))]);
        let error = JsonLoader::default()
            .load(Path::new("a.jsonl"), b"{}\n{")
            .unwrap_err();
        assert!(error.to_string().contains("line 2"), "{error}");
    }

    #[test]
    fn what_is_no_strict_json_is_source_code() {
        for text in ["{\"a\": 1, // why\n}", "{\"a\": \"[[[[\\\"\", }"] {
            let loaded = load(&JsonLoader::default(), "a.json", text);
            assert_eq!(
                (loaded.text.as_str(), &loaded.metadata["format"]),
                (text, &"code".into())
            );
        }
    }

    #[test]
    fn deep_nesting_is_an_error() {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        let load = |name: &str, text: &str| JsonLoader::default().load(Path::new(name), text.as_bytes());
        assert_eq!(
            load("a.json", &nested(127))
                .unwrap()
                .text
                .trim_end()
                .rsplit(": ")
                .next(),
            Some("1")
        );
        assert!(
            matches!(load("a.json", &nested(128)), Err(Error::Unreadable { reason, .. }) if reason.contains("128 deep"))
        );
        for text in [nested(257), "{\"a\":".repeat(200_000), "[".repeat(100_000)] {
            for name in ["a.json", "a.jsonl"] {
                let error = load(name, &text).unwrap_err();
                assert!(
                    matches!(
                        error,
                        Error::LoadLimit {
                            setter: "with_depth",
                            ..
                        }
                    ),
                    "{error}"
                );
            }
        }
    }

    #[test]
    fn many_values_are_too_much() {
        let text = format!("[{}1]", "1,".repeat(100_000));
        let loader = JsonLoader::default().with_limits(LoadLimits::default().with_unpacked_bytes(1 << 20));
        let error = loader.load(Path::new("a.json"), text.as_bytes()).unwrap_err();
        assert!(matches!(error, crate::Error::LoadLimit { .. }), "{error}");
    }
}
