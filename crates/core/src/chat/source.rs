//! Where a model folder keeps its chat templates and the texts of its special tokens.

use std::borrow::Cow;
use std::path::PathBuf;

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::weights::ModelFiles;

/// The file of the default template; it wins over `tokenizer_config.json`.
const TEMPLATE_FILE: &str = "chat_template.jinja";
/// The older form of the same: an object with the field `chat_template`.
const TEMPLATE_JSON: &str = "chat_template.json";
/// The folder of named templates beside it.
const TEMPLATE_FOLDER: &str = "additional_chat_templates";
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
const TOKENS_MAP: &str = "special_tokens_map.json";
/// The name of the template that is used unless another is asked for.
pub(super) const DEFAULT: &str = "default";
/// The variables that templates find the special tokens' texts in.
const TOKEN_NAMES: [&str; 7] = [
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
];

/// A template's text and the file that it stands in.
#[derive(Clone, Debug)]
pub(super) struct TemplateSource {
    pub path: PathBuf,
    pub text: String,
}

/// The template of this name; `None` where the folder has none.
pub(super) fn find(files: &ModelFiles, name: &str) -> Result<Option<TemplateSource>> {
    let file = match name {
        DEFAULT => TEMPLATE_FILE.to_owned(),
        name if is_file_name(name) => format!("{TEMPLATE_FOLDER}/{name}.jinja"),
        name => {
            return Err(Error::InvalidArgument {
                argument: "name",
                reason: format!("{name:?} is no template's name: letters, digits, `_` and `-` are"),
            });
        }
    };
    if let Some(bytes) = files.read(&file)? {
        let path = files.path(&file);
        let text = String::from_utf8(bytes.into_owned()).map_err(|source| Error::ChatTemplate {
            path: path.clone(),
            line: None,
            remedy: "chat templates are UTF-8 texts",
            source: Box::new(source),
        })?;
        return Ok(Some(TemplateSource { path, text }));
    }
    for file in [TEMPLATE_JSON, TOKENIZER_CONFIG] {
        let Some(fields) = files.json::<Map<String, Value>>(file)? else {
            continue;
        };
        let path = files.path(file);
        let found = match fields.get("chat_template") {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => (name == DEFAULT).then_some(Cow::Borrowed(text.as_str())),
            Some(Value::Array(named)) => {
                let of_name = named.iter().find(|entry| entry["name"].as_str() == Some(name));
                match of_name.map(|entry| entry["template"].as_str()) {
                    None => None,
                    Some(Some(text)) => Some(Cow::Borrowed(text)),
                    Some(None) => {
                        return Err(wrong(
                            path,
                            "chat_template",
                            "texts in the fields name and template",
                        ));
                    }
                }
            }
            Some(_) => {
                return Err(wrong(
                    path,
                    "chat_template",
                    "a text, or a list of objects with the fields name and template",
                ));
            }
        };
        if let Some(text) = found {
            let text = text.into_owned();
            return Ok(Some(TemplateSource { path, text }));
        }
    }
    Ok(None)
}

/// The special tokens' texts by the names that templates call them, such as `bos_token`.
pub(super) fn special_tokens(files: &ModelFiles) -> Result<Vec<(&'static str, String)>> {
    let mut tokens = Vec::new();
    let config = files
        .json::<Map<String, Value>>(TOKENIZER_CONFIG)?
        .unwrap_or_default();
    let map = files.json::<Map<String, Value>>(TOKENS_MAP)?.unwrap_or_default();
    for name in TOKEN_NAMES {
        let found = config.get(name).filter(|value| !value.is_null());
        let (file, value) = match (found, map.get(name)) {
            (Some(value), _) => (TOKENIZER_CONFIG, value),
            (None, Some(value)) => (TOKENS_MAP, value),
            (None, None) => continue,
        };
        match value {
            Value::Null => {}
            Value::String(text) => tokens.push((name, text.clone())),
            value => match value["content"].as_str() {
                Some(text) => tokens.push((name, text.to_owned())),
                None => {
                    return Err(wrong(
                        files.path(file),
                        name,
                        "a text, or an object with the field content",
                    ));
                }
            },
        }
    }
    Ok(tokens)
}

fn is_file_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

fn wrong(path: PathBuf, field: &str, expected: &str) -> Error {
    Error::Config {
        path,
        field: field.to_owned(),
        found: "something else".to_owned(),
        expected: expected.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(files: &[(&'static str, &'static str)], name: &str) -> Option<String> {
        let files = files.iter().map(|(name, text)| (*name, text.as_bytes()));
        let files = ModelFiles::in_memory("m", files.collect::<Vec<_>>());
        find(&files, name).unwrap().map(|source| source.text)
    }

    #[test]
    fn every_place_is_looked_at() {
        let config = (
            TOKENIZER_CONFIG,
            r#"{"chat_template": [{"name": "default", "template": "d"}, {"name": "rag", "template": "r"}]}"#,
        );
        assert_eq!(text(&[config], "default").unwrap(), "d");
        assert_eq!(text(&[config], "rag").unwrap(), "r");
        assert_eq!(text(&[config], "tool_use"), None);
        let json = (TEMPLATE_JSON, r#"{"chat_template": "j"}"#);
        assert_eq!(text(&[config, json], "default").unwrap(), "j");
        let jinja = (TEMPLATE_FILE, "file");
        assert_eq!(text(&[config, json, jinja], "default").unwrap(), "file");
        let named = ("additional_chat_templates/rag.jinja", "named");
        assert_eq!(text(&[config, named], "rag").unwrap(), "named");
        assert_eq!(text(&[], "default"), None);
    }

    #[test]
    fn other_things_are_errors() {
        let files = |json: &'static str| ModelFiles::in_memory("m", [(TOKENIZER_CONFIG, json.as_bytes())]);
        assert!(find(&files(r#"{"chat_template": 3}"#), "default").is_err());
        assert!(find(&files(r#"{"chat_template": [{"name": "default"}]}"#), "default").is_err());
        assert!(find(&files("{}"), "../secret").is_err());
        assert!(special_tokens(&files(r#"{"bos_token": 3}"#)).is_err());
        let tokens =
            special_tokens(&files(r#"{"bos_token": {"content": "<s>"}, "eos_token": null}"#)).unwrap();
        assert_eq!(tokens, [("bos_token", "<s>".to_owned())]);
    }
}
