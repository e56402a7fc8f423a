//! What is put before a text by its role (sentence-transformers 6.2, `encode_query` and `encode_document`).

use serde_json::{Map, Value};

use super::super::config_file::ConfigFile;
use crate::error::Result;
use crate::text::Role;

/// The names under which prompts of documents are looked for, the first first.
const DOCUMENT_NAMES: [&str; 3] = ["document", "passage", "corpus"];

/// The prompt of each role; empty where there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Prompts {
    query: String,
    document: String,
}

impl Prompts {
    /// Reads `prompts` and `default_prompt_name`. The default prompt is for models that have no prompt for either
    /// role; one that is meant for questions must not reach documents.
    pub(super) fn read(file: &ConfigFile) -> Result<Self> {
        let none = Map::new();
        let prompts = match file.get("prompts") {
            None => &none,
            Some(Value::Object(prompts)) => prompts,
            Some(_) => return Err(file.wrong("prompts", "an object from name to text")),
        };
        let named = |name: &str| match prompts.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(prompt)) => Ok(Some(prompt.clone())),
            Some(_) => Err(file.wrong("prompts", "an object from name to text")),
        };
        let query = named("query")?;
        let mut document = None;
        for name in DOCUMENT_NAMES {
            if document.is_none() {
                document = named(name)?.filter(|prompt| name == "document" || !prompt.is_empty());
            }
        }
        let has_roles = [&query, &document]
            .iter()
            .any(|prompt| prompt.as_ref().is_some_and(|prompt| !prompt.is_empty()));
        let default = match file.text("default_prompt_name")? {
            None => None,
            Some(name) => match named(name)? {
                Some(prompt) => Some(prompt),
                None => return Err(file.wrong("default_prompt_name", "the name of one of the prompts")),
            },
        };
        let default = default.filter(|_| !has_roles).unwrap_or_default();
        let of_role = |prompt: Option<String>| {
            prompt
                .filter(|prompt| has_roles || !prompt.is_empty())
                .unwrap_or_else(|| default.clone())
        };
        Ok(Self {
            query: of_role(query),
            document: of_role(document),
        })
    }

    pub(super) fn of(&self, role: Role) -> &str {
        match role {
            Role::Query => &self.query,
            Role::Document => &self.document,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::weights::ModelFiles;

    fn prompts(json: &'static str) -> Result<Prompts> {
        let files = ModelFiles::in_memory("m", [("c.json", json.as_bytes())]);
        Prompts::read(&ConfigFile::require(&files, "c.json", "")?)
    }

    #[test]
    fn roles_take_their_own_prompts() {
        let both = prompts(r#"{"prompts": {"query": "q: ", "document": "d: "}}"#).unwrap();
        assert_eq!((both.of(Role::Query), both.of(Role::Document)), ("q: ", "d: "));
        let passage = prompts(r#"{"prompts": {"query": "q: ", "passage": "p: "}}"#).unwrap();
        assert_eq!(
            (passage.of(Role::Query), passage.of(Role::Document)),
            ("q: ", "p: ")
        );
        let one = prompts(r#"{"prompts": {"query": "q: ", "document": ""}, "default_prompt_name": "query"}"#)
            .unwrap();
        assert_eq!((one.of(Role::Query), one.of(Role::Document)), ("q: ", ""));
        assert_eq!(prompts("{}").unwrap(), Prompts::default());
    }

    #[test]
    fn the_default_prompt_serves_models_without_roles() {
        let default = prompts(
            r#"{"prompts": {"query": "", "document": "", "sts": "s: "}, "default_prompt_name": "sts"}"#,
        )
        .unwrap();
        assert_eq!(
            (default.of(Role::Query), default.of(Role::Document)),
            ("s: ", "s: ")
        );
        let unknown = prompts(r#"{"prompts": {}, "default_prompt_name": "sts"}"#);
        assert!(matches!(unknown, Err(Error::Config { field, .. }) if field == "default_prompt_name"));
    }
}
