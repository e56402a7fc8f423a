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
    fields: Map<String, Value>,
}

impl ConfigFile {
    /// A file that may be absent.
    pub(super) fn read(files: &ModelFiles, name: &str) -> Result<Option<Self>> {
        let fields = files.json(name)?;
        let path = files.path(name);
        Ok(fields.map(|fields| Self { path, fields }))
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

    /// The error of a field that is missing or wrong.
    pub(super) fn wrong(&self, field: &str, expected: impl Into<String>) -> Error {
        let found = self
            .get(field)
            .map_or_else(|| "missing".to_owned(), |value| shorten(&value.to_string()));
        Error::Config {
            path: self.path.clone(),
            field: field.to_owned(),
            found,
            expected: expected.into(),
        }
    }
}

fn whole(limits: &RangeInclusive<usize>) -> String {
    format!("a whole number from {} to {}", limits.start(), limits.end())
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
}
