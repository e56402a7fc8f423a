//! What a chat template is told besides the messages.

use serde_json::{Map, Value};

/// What a template is told besides the messages.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ChatOptions {
    /// Whether the text ends where the model's answer begins.
    pub add_generation_prompt: bool,
    /// Whether standing instructions go to the head of the first turn of the user where the template has no place for
    /// them; otherwise the template decides, which may be an error or silence.
    pub fold_system: bool,
    /// Further variables, such as `tools`, `documents` or `enable_thinking`.
    pub variables: Map<String, Value>,
}

impl Default for ChatOptions {
    fn default() -> Self {
        Self {
            add_generation_prompt: true,
            fold_system: true,
            variables: Map::new(),
        }
    }
}

impl ChatOptions {
    /// Whether the text ends where the model's answer begins.
    pub fn with_add_generation_prompt(mut self, add: bool) -> Self {
        self.add_generation_prompt = add;
        self
    }

    /// Whether standing instructions go into the user's first turn where the template has no place for them.
    pub fn with_fold_system(mut self, fold: bool) -> Self {
        self.fold_system = fold;
        self
    }

    /// One more variable of the template.
    pub fn with_variable(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }
}
