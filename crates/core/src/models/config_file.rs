//! Fields of a JSON configuration, each read with its limits and an error that names file and field.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::weights::ModelFiles;

/// The object of a configuration file.
#[derive(Clone, Debug)]
pub(super) struct ConfigFile {
    path: PathBuf,
    /// Where the fields stand inside the file: empty, or names that each end in a dot.
    place: String,
    fields: Map<String, Value>,
}

impl ConfigFile {
    /// A file that may be absent.
    pub(super) fn read(files: &ModelFiles, name: &str) -> Result<Option<Self>> {
        let fields = files.json(name)?;
        let path = files.path(name);
        Ok(fields.map(|fields| Self {
            path,
            place: String::new(),
            fields,
        }))
    }

    /// A file that must exist.
    pub(super) fn require(files: &ModelFiles, name: &str, remedy: &'static str) -> Result<Self> {
        let path = files.path(name);
        match Self::read(files, name)? {
            Some(file) => Ok(file),
            None => Err(Error::MissingFile { path, remedy }),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The value of a field; `null` counts as absent.
    pub(super) fn get(&self, field: &str) -> Option<&Value> {
        self.fields.get(field).filter(|value| !value.is_null())
    }

    /// Whether the file has the field, be it `null`.
    pub(super) fn has(&self, field: &str) -> bool {
        self.fields.contains_key(field)
    }

    /// A whole number within limits that must be there.
    pub(super) fn size(&self, field: &str, limits: RangeInclusive<usize>) -> Result<usize> {
        match self.optional_size(field, limits.clone())? {
            Some(size) => Ok(size),
            None => Err(self.wrong(field, whole(&limits))),
        }
    }

    /// A whole number within limits.
    pub(super) fn optional_size(&self, field: &str, limits: RangeInclusive<usize>) -> Result<Option<usize>> {
        let Some(value) = self.get(field) else {
            return Ok(None);
        };
        let size = value.as_u64().and_then(|size| usize::try_from(size).ok());
        match size.filter(|size| limits.contains(size)) {
            Some(size) => Ok(Some(size)),
            None => Err(self.wrong(field, whole(&limits))),
        }
    }

    /// A small positive number that is added to a variance, or its default.
    pub(super) fn epsilon(&self, field: &str, default: f64) -> Result<f64> {
        match self.get(field) {
            None => Ok(default),
            Some(value) => match value.as_f64().filter(|eps| (0.0..=1.0).contains(eps)) {
                Some(eps) => Ok(eps),
                None => Err(self.wrong(field, "a number from 0 to 1")),
            },
        }
    }

    /// A finite number within limits, or `None` where the field is absent.
    pub(super) fn number(&self, field: &str, limits: RangeInclusive<f64>) -> Result<Option<f64>> {
        match self.get(field) {
            None => Ok(None),
            Some(value) => match value.as_f64().filter(|number| limits.contains(number)) {
                Some(number) => Ok(Some(number)),
                None => Err(self.wrong(field, real(&limits))),
            },
        }
    }

    /// As many finite numbers within limits as `count` says, or `None` where the field is absent.
    pub(super) fn numbers(
        &self,
        field: &str,
        count: usize,
        limits: RangeInclusive<f64>,
    ) -> Result<Option<Vec<f64>>> {
        let Some(value) = self.get(field) else {
            return Ok(None);
        };
        let numbers = value.as_array().filter(|numbers| numbers.len() == count);
        let numbers = numbers.and_then(|numbers| {
            let number = |value: &Value| value.as_f64().filter(|number| limits.contains(number));
            numbers.iter().map(number).collect::<Option<Vec<f64>>>()
        });
        match numbers {
            Some(numbers) => Ok(Some(numbers)),
            None => Err(self.wrong(
                field,
                format!("a list of {count} numbers, each {}", real(&limits)),
            )),
        }
    }

    /// The fields of an object inside this one, or `None` where it is absent.
    pub(super) fn object(&self, field: &str) -> Result<Option<Self>> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::Object(fields)) => Ok(Some(Self {
                path: self.path.clone(),
                place: format!("{}{field}.", self.place),
                fields: fields.clone(),
            })),
            Some(_) => Err(self.wrong(field, "an object")),
        }
    }

    /// A text, or `None` where the field is absent.
    pub(super) fn text(&self, field: &str) -> Result<Option<&str>> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(field, "a text")),
        }
    }

    /// A switch, or its default.
    pub(super) fn flag(&self, field: &str, default: bool) -> Result<bool> {
        match self.get(field) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.wrong(field, "true or false")),
        }
    }

    /// The name of a field with those of the objects around it.
    pub(super) fn name(&self, field: &str) -> String {
        format!("{}{field}", self.place)
    }

    /// The error of a field that is missing or wrong.
    pub(super) fn wrong(&self, field: &str, expected: impl Into<String>) -> Error {
        let found = self
            .get(field)
            .map_or_else(|| "missing".to_owned(), |value| shorten(&value.to_string()));
        Error::Config {
            path: self.path.clone(),
            field: self.name(field),
            found,
            expected: expected.into(),
        }
    }
}

fn whole(limits: &RangeInclusive<usize>) -> String {
    format!("a whole number from {} to {}", limits.start(), limits.end())
}

fn real(limits: &RangeInclusive<f64>) -> String {
    format!("a number from {} to {}", limits.start(), limits.end())
}

/// The start of a value, so that a message stays readable.
fn shorten(value: &str) -> String {
    const MAX_CHARS: usize = 80;
    match value.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}...", &value[..end]),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(json: &'static str) -> ConfigFile {
        let files = ModelFiles::in_memory("m", [("config.json", json.as_bytes())]);
        ConfigFile::require(&files, "config.json", "").unwrap()
    }

    #[test]
    fn names_file_field_and_limits() {
        let config = file(r#"{"a": -1, "b": 1e30, "c": 7, "d": "x", "e": null}"#);
        assert_eq!(config.size("c", 1..=10).unwrap(), 7);
        assert_eq!(config.optional_size("e", 1..=10).unwrap(), None);
        for (field, found) in [
            ("a", "-1"),
            ("b", "1e+30"),
            ("d", "\"x\""),
            ("e", "missing"),
            ("f", "missing"),
        ] {
            let message = config.size(field, 1..=10).unwrap_err().to_string();
            assert_eq!(
                message,
                format!(
                    "m/config.json: the field {field:?} is {found} where a whole number from 1 to 10 is expected"
                )
            );
        }
        assert!(config.epsilon("a", 1e-12).is_err());
        assert!(config.flag("c", true).is_err());
        assert!(config.text("c").is_err());
    }

    #[test]
    fn names_fields_inside_objects() {
        let config = file(r#"{"rope": {"factor": 0.5, "list": [1, 2.5], "deep": {"x": 1}}, "text": "x"}"#);
        let rope = config.object("rope").unwrap().unwrap();
        assert_eq!(rope.number("factor", 0.0..=1.0).unwrap(), Some(0.5));
        assert_eq!(rope.number("absent", 0.0..=1.0).unwrap(), None);
        assert_eq!(rope.numbers("list", 2, 0.0..=9.0).unwrap(), Some(vec![1.0, 2.5]));
        assert!(config.object("absent").unwrap().is_none());
        assert!(config.object("text").is_err());
        assert!(rope.numbers("list", 3, 0.0..=9.0).is_err());
        assert!(rope.numbers("list", 2, 0.0..=2.0).is_err());
        let deep = rope.object("deep").unwrap().unwrap();
        for (error, expected) in [
            (
                rope.number("factor", 1.0..=8.0).unwrap_err(),
                "m/config.json: the field \"rope.factor\" is 0.5 where a number from 1 to 8 is expected",
            ),
            (
                deep.size("y", 1..=2).unwrap_err(),
                "m/config.json: the field \"rope.deep.y\" is missing where a whole number from 1 to 2 is expected",
            ),
        ] {
            assert_eq!(error.to_string(), expected);
        }
    }
}
