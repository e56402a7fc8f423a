//! Records as tokens with targets.

/// A text for a language model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sequence {
    /// Ids in the vocabulary.
    pub ids: Vec<u32>,
    /// Whether the model learns to foretell the token itself, for each.
    pub trained: Vec<bool>,
}

/// Two answers to one prompt, with the prompt in front of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PreferenceSequences {
    /// The better answer.
    pub chosen: Sequence,
    /// The worse answer.
    pub rejected: Sequence,
}

/// A text or a pair of texts, and the numbers of its labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClassifiedTokens {
    /// Ids in the vocabulary.
    pub ids: Vec<u32>,
    /// The text of the pair that each token is of.
    pub type_ids: Vec<u32>,
    /// Numbers of labels.
    pub labels: Vec<u32>,
}

/// Words as tokens, and the number of each one's tag.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaggedTokens {
    /// Ids in the vocabulary.
    pub ids: Vec<u32>,
    /// The type of each token.
    pub type_ids: Vec<u32>,
    /// The number of the tag of the word that begins with the token; `u32::MAX` where none does.
    pub targets: Vec<u32>,
}

/// A question with a window of its context.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// Ids in the vocabulary.
    pub ids: Vec<u32>,
    /// 0 for the question, 1 for the context.
    pub type_ids: Vec<u32>,
    /// The first token of the answer; 0 where the window has none.
    pub start: u32,
    /// The last token of the answer; 0 where the window has none.
    pub end: u32,
    /// The bytes of the context that each token stands for.
    pub offsets: Vec<Option<(usize, usize)>>,
    /// The number of the question in its set.
    pub question: usize,
}

/// Texts that belong together and texts that do not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextTuple {
    /// The text that is searched with.
    pub anchor: Vec<u32>,
    /// The text to be found.
    pub positive: Vec<u32>,
    /// Texts that must not be found.
    pub negatives: Vec<Vec<u32>>,
}

/// A question and a passage with a judgement.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JudgedTokens {
    /// Ids in the vocabulary.
    pub ids: Vec<u32>,
    /// 0 for the question, 1 for the passage.
    pub type_ids: Vec<u32>,
    /// 0 is not at all, 1 fully.
    pub label: f32,
}
