//! Answers of a given form, by llguidance: at each step, the tokens that can still lead to it.
//!
//! The grammar works on the bytes of tokens, so any vocabulary does. No token is written without the model: where only
//! one can follow, the model reads it like any other.

use std::sync::Arc;

use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::{SimpleVob, TokRxInfo, TokTrie, TokenId, TokenizerEnv};
use llguidance::{Matcher, ParserFactory};
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::models::TextTokenizer;
use crate::text::Constraint;

/// Characters of the grammar engine's own words in an error at most.
const MAX_REASON_CHARS: usize = 300;
/// The key under which a schema can carry llguidance's own options.
const OPTIONS: &str = "x-guidance";

/// Makes grammars over the vocabulary of one tokenizer.
pub(super) struct Grammars {
    factory: ParserFactory,
}

impl Grammars {
    /// The vocabulary of a tokenizer; an answer may end with these tokens once its form is complete.
    pub(super) fn new(tokenizer: &TextTokenizer, end_tokens: &[u32]) -> Result<Self> {
        let mut words: Vec<Vec<u8>> = tokenizer
            .token_bytes()
            .into_iter()
            .map(Option::unwrap_or_default)
            .collect();
        let mut ends: Vec<u32> = end_tokens
            .iter()
            .copied()
            .filter(|&id| (id as usize) < words.len())
            .collect();
        for &end in &ends {
            words[end as usize].clear();
        }
        if ends.is_empty() {
            // The grammar needs a token for the end; the model has none, so it is one that cannot be chosen.
            ends.push(words.len() as u32);
            words.push(Vec::new());
        }
        let info = TokRxInfo::new(words.len() as u32, ends[0]);
        let trie = TokTrie::from(&info, &words).with_eos_tokens(&ends);
        let mut factory = ParserFactory::new_simple(&(Arc::new(Vocabulary { trie }) as _))
            .map_err(|error| failed(&error))?;
        factory.quiet();
        factory.limits_mut().verbose_errors = false;
        Ok(Self { factory })
    }

    /// The grammar of a constraint, at its beginning.
    pub(super) fn grammar(&self, constraint: &Constraint) -> Result<Grammar> {
        let grammar = match constraint {
            Constraint::Json => TopLevelGrammar::from_json_schema(schema(&json!({}))?),
            Constraint::JsonSchema(value) => TopLevelGrammar::from_json_schema(schema(value)?),
            Constraint::Regex(regex) => TopLevelGrammar::from_regex(regex),
        };
        let parser = self
            .factory
            .create_parser(grammar)
            .map_err(|error| failed(&error))?;
        let mut matcher = Matcher::new(Ok(parser));
        // A form that no text has shows when the first token is looked for.
        let first = matcher.compute_mask_or_eos().map_err(|error| failed(&error))?;
        if first.num_set() == 0 {
            return Err(Error::Constraint {
                reason: "no text has this form".to_owned(),
            });
        }
        Ok(Grammar { matcher })
    }
}

/// Where an answer stands in its form.
pub(super) struct Grammar {
    matcher: Matcher,
}

impl Grammar {
    /// The tokens that may follow, a bit for each (see [`super::processors::mask`]).
    pub(super) fn mask(&mut self) -> Result<SimpleVob> {
        self.matcher.compute_mask_or_eos().map_err(|error| failed(&error))
    }

    /// Goes on by a token that may follow.
    pub(super) fn accept(&mut self, token: u32) -> Result<()> {
        self.matcher.consume_token(token).map_err(|error| failed(&error))
    }

    /// Whether nothing can follow any more.
    pub(super) fn is_complete(&self) -> bool {
        self.matcher.is_stopped()
    }
}

/// A schema with separators as `json.dumps` writes them and no other white space between values: with free white space,
/// a model can go on for ever without a word.
fn schema(value: &Value) -> Result<Value> {
    let mut fields = match value {
        Value::Object(fields) => fields.clone(),
        Value::Bool(true) => serde_json::Map::new(),
        other => {
            return Err(Error::Constraint {
                reason: format!("a JSON schema is an object, not {other}"),
            });
        }
    };
    fields.entry(OPTIONS).or_insert_with(
        || json!({"whitespace_flexible": false, "item_separator": ", ", "key_separator": ": "}),
    );
    Ok(Value::Object(fields))
}

fn failed(error: &dyn std::fmt::Display) -> Error {
    let text = error.to_string();
    let words: Vec<&str> = text.split_whitespace().collect();
    Error::Constraint {
        reason: words.join(" ").chars().take(MAX_REASON_CHARS).collect(),
    }
}

/// The bytes of each token.
struct Vocabulary {
    trie: TokTrie,
}

impl TokenizerEnv for Vocabulary {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<TokenId> {
        self.trie.greedy_tokenize(bytes)
    }

    /// The longest token at each place is not always what the tokenizer would take.
    fn tokenize_is_canonical(&self) -> bool {
        false
    }
}
