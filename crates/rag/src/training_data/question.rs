//! A question with the place of its answer.

use std::fmt;

use ragtune_core::text::Span;
use serde::{Deserialize, Serialize};

/// Where a question comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum QuestionKind {
    /// The title of a document, for its text.
    Title,
    /// A heading under its title, for what stands below it.
    Heading,
    /// "What is X?", for a sentence that says so.
    Definition,
    /// A sentence, for what stands around it (the inverse cloze task: Lee, Chang and Toutanova 2019,
    /// arXiv:1906.00300, section 4).
    Cloze,
    /// A question that a language model wrote for a passage.
    Generated,
}

impl QuestionKind {
    /// All kinds, in the order in which questions are made.
    pub const ALL: [Self; 5] = [
        Self::Title,
        Self::Heading,
        Self::Definition,
        Self::Cloze,
        Self::Generated,
    ];
}

impl fmt::Display for QuestionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Title => "title",
            Self::Heading => "heading",
            Self::Definition => "definition",
            Self::Cloze => "cloze",
            Self::Generated => "generated",
        })
    }
}

/// A question before it is checked.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub kind: QuestionKind,
    pub text: String,
    /// Index of its document.
    pub source: usize,
    /// Bytes of the document that answer it.
    pub place: Span,
    /// The text to be found, without what the question says word for word.
    pub positive: String,
    /// Bytes of the document that the question repeats, and that a fair test takes out.
    pub taken: Option<Span>,
    /// The answer in words, and its bytes in the document where it stands there.
    pub answer: Option<Answer>,
}

/// An answer to a question.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// What a model is to say, as a sentence.
    pub sentence: String,
    /// Bytes of the document that say so.
    pub evidence: Span,
    /// The shortest part of the document that answers.
    pub span: Option<Span>,
}
