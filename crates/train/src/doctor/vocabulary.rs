//! What a tokenizer says about itself.

use ragtune_core::chat::ChatTemplate;
use ragtune_core::models::TextTokenizer;

use super::inputs::Vocabulary;
use super::markers::{Marker, template_markers};
use crate::error::Result;

/// How the token for what is unknown is commonly spelled.
const UNKNOWN: [&str; 3] = ["[UNK]", "<unk>", "<|unk|>"];

/// How the token for padding is commonly spelled.
const PAD: [&str; 4] = ["[PAD]", "<pad>", "<|pad|>", "<|padding|>"];

impl Vocabulary {
    /// What a tokenizer says: its last token, the one that it puts before every text, and those for padding and for what
    /// is unknown where they have a common name. Embedding, stop tokens and context are the model's.
    ///
    /// ```
    /// # use ragtune_core::{models::TextTokenizer, weights::ModelFiles};
    /// use ragtune_train::doctor::Vocabulary;
    /// # let json = r#"{"version":"1.0","added_tokens":[{"id":0,"content":"<s>","single_word":false,"lstrip":false,
    /// # "rstrip":false,"normalized":false,"special":true}],"normalizer":null,"pre_tokenizer":{"type":"Whitespace"},
    /// # "post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>","type_id":0}},
    /// # {"Sequence":{"id":"A","type_id":0}}],"pair":[{"Sequence":{"id":"A","type_id":0}},{"Sequence":{"id":"B","type_id":0}}],
    /// # "special_tokens":{"<s>":{"id":"<s>","ids":[0],"tokens":["<s>"]}}},"decoder":null,
    /// # "model":{"type":"WordLevel","vocab":{"<s>":0,"<unk>":1,"a":2},"unk_token":"<unk>"}}"#;
    /// # let files = ModelFiles::in_memory("m", [("tokenizer.json", json.as_bytes().to_vec())]);
    /// # let tokenizer = TextTokenizer::load(&files)?;
    /// let vocabulary = Vocabulary::of(&tokenizer)?;
    /// assert_eq!((vocabulary.last_id, vocabulary.start, vocabulary.unknown), (2, Some(0), Some(1)));
    /// let whole = Vocabulary { embedding_rows: 8, stops: vec![0], context: Some(128), ..vocabulary };
    /// # let _ = whole;
    /// # Ok::<(), ragtune_train::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Core`](crate::Error::Core) when the tokenizer fails.
    pub fn of(tokenizer: &TextTokenizer) -> Result<Self> {
        let around = tokenizer.encode_with_special("", true)?.ids;
        // A tokenizer may put a token at the end alone.
        let start = around
            .first()
            .copied()
            .filter(|id| tokenizer.is_special(*id) && starts_texts(tokenizer, *id));
        let named = |names: &[&str]| names.iter().find_map(|name| tokenizer.token_id(name));
        Ok(Self {
            last_id: tokenizer.last_id().unwrap_or(0),
            start,
            start_expected: start.is_some(),
            pad: named(&PAD),
            unknown: named(&UNKNOWN),
            ..Self::default()
        })
    }
}

impl Marker {
    /// The markers of a chat template, and how many tokens each is to a tokenizer.
    pub fn of(template: &ChatTemplate, tokenizer: &TextTokenizer) -> Vec<Self> {
        template_markers(template.source(), |text| {
            // What cannot be encoded is no token.
            tokenizer
                .encode_with_special(text, false)
                .map_or(0, |tokens| tokens.ids.len())
        })
    }
}

/// Does this token stand before a text?
fn starts_texts(tokenizer: &TextTokenizer, id: u32) -> bool {
    tokenizer
        .encode_with_special("a", true)
        .is_ok_and(|tokens| tokens.ids.first() == Some(&id))
}
