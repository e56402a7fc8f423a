//! The examples of each task.

use std::borrow::Cow;

use ragtune_core::text::{Message, Span};
use serde::Serialize;

/// A text, or a pair of texts, and its labels: one for single-label tasks, any number for multi-label tasks.
///
/// ```
/// use ragtune_train::data::Labelled;
/// let single = Labelled::new("I lost my card", "lost_card");
/// let pair = Labelled::new("It rains.", "entailment").with_pair("The street is wet.");
/// assert_eq!((single.labels.len(), pair.pair.as_deref()), (1, Some("The street is wet.")));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Labelled {
    /// The text.
    pub text: String,
    /// The second text of a task on pairs.
    pub pair: Option<String>,
    /// The labels.
    pub labels: Vec<String>,
}

/// Words and a tag for each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tagged {
    /// The words of a sentence.
    pub words: Vec<String>,
    /// As many tags, such as `B-location` or `O`.
    pub tags: Vec<String>,
}

/// A question whose answer stands in a given text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Question {
    /// The question's identifier in its file.
    pub id: String,
    /// The question.
    pub question: String,
    /// The text that may answer it.
    pub context: String,
    /// The answers that were marked; none where the context has no answer.
    pub answers: Vec<Answer>,
    /// The document that the context is from, for splits by document.
    pub document: Option<String>,
}

/// A part of a context.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// The answer, as it stands in the context.
    pub text: String,
    /// Its first byte in the context.
    pub start: usize,
}

/// A conversation to learn from: what the assistant says is learned, the last turn is the assistant's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Instruction {
    /// The turns.
    pub messages: Vec<Message>,
}

/// Plain text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Passage {
    /// The text.
    pub text: String,
}

/// Two texts that belong together, and any number that do not belong to the first: a pair, or a triple with one negative.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pair {
    /// The text that is searched with, usually a question.
    pub anchor: String,
    /// The text to be found.
    pub positive: String,
    /// Texts that must not be found.
    pub negatives: Vec<String>,
}

/// A passage judged for a query.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Judged {
    /// The query.
    pub query: String,
    /// The passage.
    pub passage: String,
    /// How well it answers; 0 is not at all, 1 fully.
    pub label: f32,
}

/// Two answers to the same conversation, of which one is better.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Preference {
    /// The conversation up to the answer.
    pub messages: Vec<Message>,
    /// The better answer.
    pub chosen: String,
    /// The worse answer.
    pub rejected: String,
}

/// What cleaning, splitting and fingerprints need to know about an example.
pub trait Sample {
    /// What is given to the model; examples of equal input are duplicates or contradict each other.
    fn input(&self) -> Cow<'_, str>;

    /// What is to be learned for it; empty where the input is all there is.
    fn output(&self) -> Cow<'_, str>;

    /// The name of a field that has to have a value and has none.
    fn missing(&self) -> Option<&'static str>;

    /// Whether one input has one output, so that two different ones contradict each other.
    fn is_single_valued(&self) -> bool {
        false
    }

    /// The class that splits keep in proportion.
    fn stratum(&self) -> Option<String> {
        None
    }

    /// The source whose examples must not be divided between training and test, such as a document.
    fn group(&self) -> Option<&str> {
        None
    }
}

impl Labelled {
    /// A text with one label.
    pub fn new(text: impl Into<String>, label: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            pair: None,
            labels: vec![label.into()],
        }
    }

    /// A text with any number of labels.
    pub fn with_labels<S: Into<String>>(
        text: impl Into<String>,
        labels: impl IntoIterator<Item = S>,
    ) -> Self {
        Self {
            text: text.into(),
            pair: None,
            labels: labels.into_iter().map(Into::into).collect(),
        }
    }

    /// The same with a second text.
    #[must_use]
    pub fn with_pair(mut self, pair: impl Into<String>) -> Self {
        self.pair = Some(pair.into());
        self
    }
}

impl Answer {
    /// The bytes of the context that it covers.
    pub fn span(&self) -> Span {
        Span::new(self.start, self.start + self.text.len())
    }
}

impl Instruction {
    /// A question and its answer.
    pub fn new(prompt: impl Into<String>, completion: impl Into<String>) -> Self {
        Self {
            messages: vec![Message::user(prompt), Message::assistant(completion)],
        }
    }
}

impl Pair {
    /// Two texts that belong together.
    pub fn new(anchor: impl Into<String>, positive: impl Into<String>) -> Self {
        Self {
            anchor: anchor.into(),
            positive: positive.into(),
            negatives: Vec::new(),
        }
    }
}

impl Sample for Labelled {
    fn input(&self) -> Cow<'_, str> {
        match &self.pair {
            None => Cow::Borrowed(&self.text),
            Some(pair) => Cow::Owned(format!("{}\n{pair}", self.text)),
        }
    }

    fn output(&self) -> Cow<'_, str> {
        let mut labels: Vec<&str> = self.labels.iter().map(String::as_str).collect();
        labels.sort_unstable();
        Cow::Owned(labels.join("\n"))
    }

    fn missing(&self) -> Option<&'static str> {
        if self.text.trim().is_empty() {
            return Some("text");
        }
        if self.pair.as_ref().is_some_and(|pair| pair.trim().is_empty()) {
            return Some("pair");
        }
        // No label at all is an answer in a multi-label task; an empty label is none.
        let empty = self.labels.iter().any(|label| label.trim().is_empty());
        empty.then_some("label")
    }

    fn is_single_valued(&self) -> bool {
        true
    }

    fn stratum(&self) -> Option<String> {
        Some(self.output().into_owned())
    }
}

impl Sample for Tagged {
    fn input(&self) -> Cow<'_, str> {
        Cow::Owned(self.words.join(" "))
    }

    fn output(&self) -> Cow<'_, str> {
        Cow::Owned(self.tags.join(" "))
    }

    fn missing(&self) -> Option<&'static str> {
        if self.words.is_empty() || self.words.iter().all(|word| word.trim().is_empty()) {
            return Some("words");
        }
        self.tags.iter().any(|tag| tag.trim().is_empty()).then_some("tag")
    }

    fn is_single_valued(&self) -> bool {
        true
    }
}

impl Sample for Question {
    fn input(&self) -> Cow<'_, str> {
        Cow::Owned(format!("{}\n{}", self.question, self.context))
    }

    fn output(&self) -> Cow<'_, str> {
        let answers: Vec<&str> = self.answers.iter().map(|answer| answer.text.as_str()).collect();
        Cow::Owned(answers.join("\n"))
    }

    fn missing(&self) -> Option<&'static str> {
        if self.question.trim().is_empty() {
            return Some("question");
        }
        self.context.trim().is_empty().then_some("context")
    }

    fn stratum(&self) -> Option<String> {
        let kind = if self.answers.is_empty() {
            "no answer"
        } else {
            "answer"
        };
        Some(kind.to_owned())
    }

    /// The document; without one the context, which others may ask about as well.
    fn group(&self) -> Option<&str> {
        Some(self.document.as_deref().unwrap_or(&self.context))
    }
}

impl Sample for Instruction {
    fn input(&self) -> Cow<'_, str> {
        let before = self.messages.len().saturating_sub(1);
        Cow::Owned(joined(&self.messages[..before]))
    }

    fn output(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.messages.last().map_or("", |message| &message.content))
    }

    fn missing(&self) -> Option<&'static str> {
        let empty = self
            .messages
            .iter()
            .any(|message| message.content.trim().is_empty());
        (empty || self.messages.len() < 2).then_some("message")
    }
}

impl Sample for Passage {
    fn input(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.text)
    }

    fn output(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }

    fn missing(&self) -> Option<&'static str> {
        self.text.trim().is_empty().then_some("text")
    }
}

impl Sample for Pair {
    fn input(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.anchor)
    }

    fn output(&self) -> Cow<'_, str> {
        let mut texts = vec![self.positive.as_str()];
        texts.extend(self.negatives.iter().map(String::as_str));
        Cow::Owned(texts.join("\n"))
    }

    fn missing(&self) -> Option<&'static str> {
        if self.anchor.trim().is_empty() {
            return Some("anchor");
        }
        if self.positive.trim().is_empty() {
            return Some("positive");
        }
        let empty = self.negatives.iter().any(|text| text.trim().is_empty());
        empty.then_some("negative")
    }
}

impl Sample for Judged {
    fn input(&self) -> Cow<'_, str> {
        Cow::Owned(format!("{}\n{}", self.query, self.passage))
    }

    fn output(&self) -> Cow<'_, str> {
        Cow::Owned(self.label.to_string())
    }

    fn missing(&self) -> Option<&'static str> {
        if self.query.trim().is_empty() {
            return Some("query");
        }
        self.passage.trim().is_empty().then_some("passage")
    }

    fn is_single_valued(&self) -> bool {
        true
    }

    fn group(&self) -> Option<&str> {
        Some(&self.query)
    }
}

impl Sample for Preference {
    fn input(&self) -> Cow<'_, str> {
        Cow::Owned(joined(&self.messages))
    }

    fn output(&self) -> Cow<'_, str> {
        Cow::Owned(format!("{}\n{}", self.chosen, self.rejected))
    }

    fn missing(&self) -> Option<&'static str> {
        if self.messages.is_empty() || self.messages.iter().any(|m| m.content.trim().is_empty()) {
            return Some("message");
        }
        if self.chosen.trim().is_empty() {
            return Some("chosen");
        }
        if self.rejected.trim().is_empty() {
            return Some("rejected");
        }
        // Neither of two equal answers is better.
        (self.chosen == self.rejected).then_some("difference")
    }
}

fn joined(messages: &[Message]) -> String {
    let turns: Vec<String> = messages
        .iter()
        .map(|message| format!("{}: {}", message.role, message.content))
        .collect();
    turns.join("\n")
}
