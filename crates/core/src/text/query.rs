//! A question to a corpus.

use serde::{Deserialize, Serialize};

use super::filter::Filter;
use super::prompt::Message;
use super::score::Threshold;

/// What is looked for, who may see what, and how much is wanted.
///
/// ```
/// use ragtune_core::text::{Filter, Query};
/// let query = Query::new("How do I run one test?").with_top_k(5).with_filter(Filter::prefix("path", "ch11"));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Query {
    /// The question.
    pub text: String,
    /// The conversation before it, oldest turn first.
    pub history: Vec<Message>,
    /// The condition that the asker set.
    pub filter: Option<Filter>,
    /// The condition that the application set for this user; both hold before anything is scored.
    pub access: Option<Filter>,
    /// The least score of one kind.
    pub threshold: Option<Threshold>,
    /// How many hits are wanted.
    pub top_k: usize,
}

impl Query {
    /// The number of hits when the caller names none.
    pub const DEFAULT_TOP_K: usize = 10;

    /// A question without conditions.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            history: Vec::new(),
            filter: None,
            access: None,
            threshold: None,
            top_k: Self::DEFAULT_TOP_K,
        }
    }

    /// The question at the end of this conversation.
    pub fn with_history(mut self, history: impl IntoIterator<Item = Message>) -> Self {
        self.history = history.into_iter().collect();
        self
    }

    /// The question among documents that meet this condition.
    pub fn with_filter(mut self, filter: Filter) -> Self {
        self.filter = Some(filter);
        self
    }

    /// The question of a user who may see only documents that meet this condition.
    pub fn with_access(mut self, access: Filter) -> Self {
        self.access = Some(access);
        self
    }

    /// Only hits that score at least so much.
    pub fn with_threshold(mut self, threshold: Threshold) -> Self {
        self.threshold = Some(threshold);
        self
    }

    /// At most this many hits.
    pub fn with_top_k(mut self, top_k: usize) -> Self {
        self.top_k = top_k;
        self
    }

    /// Both conditions in one: what a retriever must apply before it scores.
    pub fn condition(&self) -> Option<Filter> {
        match (&self.access, &self.filter) {
            (Some(access), Some(filter)) => Some(Filter::And(vec![access.clone(), filter.clone()])),
            (Some(one), None) | (None, Some(one)) => Some(one.clone()),
            (None, None) => None,
        }
    }
}

impl From<&str> for Query {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Query {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<&String> for Query {
    fn from(text: &String) -> Self {
        Self::new(text.as_str())
    }
}
