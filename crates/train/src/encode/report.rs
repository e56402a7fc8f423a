//! What became of examples on their way to tokens.

use std::collections::BTreeMap;
use std::fmt;

use crate::data::{Dataset, Origin, Record};
use crate::error::{Error, Result};

/// What is done with an example that has more tokens than fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// An error names the example.
    #[default]
    Error,
    /// What does not fit is cut off, and counted.
    Truncate,
    /// The example is left out, and counted.
    Drop,
}

/// How many tokens an example may have.
///
/// ```
/// use ragtune_train::encode::{Limits, Overflow};
/// let limits = Limits::new(512).with_overflow(Overflow::Truncate);
/// assert_eq!(limits.max_tokens, 512);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Tokens of an example at most, special ones among them.
    pub max_tokens: usize,
    /// What is done with longer ones.
    pub overflow: Overflow,
}

/// What became of a set of examples.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EncodeReport {
    /// Examples that came in.
    pub examples: usize,
    /// Sequences or windows that came out.
    pub items: usize,
    /// Tokens that came out.
    pub tokens: usize,
    /// Tokens, labels or spans to learn that came out.
    pub targets: usize,
    /// Examples that were cut.
    pub truncated: usize,
    /// Targets that were cut off with them.
    pub lost_targets: usize,
    /// Examples that were left out because they are too long.
    pub too_long: Vec<Origin>,
    /// Examples that were left out because nothing of them is learned, be it that all of it was cut off.
    pub without_target: Vec<Origin>,
    /// Questions that were left out because their answer stands in no window as a whole.
    pub in_no_window: Vec<Origin>,
    /// Sentences that are longer than a window and came in several.
    pub in_windows: usize,
    /// Answers behind which the end token was put, because the chat template does not close the turn.
    pub appended_stops: usize,
    /// Answers within a conversation that the chat template does not close, so that no end is learned there.
    pub open_turns: usize,
    /// Answers of which the chat template shows something else than was said, such as without their reasoning.
    pub rewritten_turns: usize,
    /// Tokens in which the beginning of an answer and the text before it are one; they are not learned.
    pub straddling_tokens: usize,
    /// Words that have no token of their own, such as those that the tokenizer drops; they have no label.
    pub words_without_token: usize,
    /// Windows that show no answer of a question that has one elsewhere in its context.
    pub windows_without_answer: usize,
    /// Such windows that were left out again ([`EncodedSet::with_empty_windows`]).
    pub left_out_windows: usize,
    /// The tokens that end answers, and how often they are learned.
    pub stop_tokens: BTreeMap<u32, usize>,
}

/// What examples became.
#[derive(Clone, Debug, PartialEq)]
pub struct EncodedSet<T> {
    /// The sequences or windows, each with the origin of its example.
    pub items: Vec<Record<T>>,
    /// For each, the index of its example in the set.
    pub sources: Vec<usize>,
    /// What became of the others.
    pub report: EncodeReport,
}

/// Something with a number of tokens, which batches are divided by.
pub trait TokenCount {
    /// Number of tokens.
    fn tokens(&self) -> usize;
}

impl Limits {
    /// At most so many tokens; a longer example is an error.
    pub fn new(max_tokens: usize) -> Self {
        Self {
            max_tokens,
            overflow: Overflow::Error,
        }
    }

    /// What is done with longer examples.
    #[must_use]
    pub fn with_overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    pub(super) fn check(&self) -> Result<()> {
        match self.max_tokens < 2 {
            true => Err(Error::invalid(
                "max_tokens",
                "fewer than 2; nothing can be learned from that",
            )),
            false => Ok(()),
        }
    }
}

impl<T: TokenCount> EncodedSet<T> {
    /// The number of tokens of each item, as [`BatchPlan`](crate::batch::BatchPlan) takes them.
    pub fn lengths(&self) -> Vec<usize> {
        self.items.iter().map(|item| item.value.tokens()).collect()
    }
}

/// What one example became.
pub(super) struct Outcome<T> {
    pub(super) items: Vec<T>,
    /// What is to be added to the report.
    pub(super) report: EncodeReport,
}

impl<T> Outcome<T> {
    pub(super) fn new(items: Vec<T>, report: EncodeReport) -> Self {
        Self { items, report }
    }

    /// An example that is left out because of its length.
    pub(super) fn too_long(origin: &Origin) -> Self {
        let too_long = vec![origin.clone()];
        Self::new(
            Vec::new(),
            EncodeReport {
                too_long,
                ..EncodeReport::default()
            },
        )
    }

    /// An example that is left out because nothing of it is learned.
    pub(super) fn without_target(origin: &Origin, report: EncodeReport) -> Self {
        let without_target = vec![origin.clone()];
        Self::new(
            Vec::new(),
            EncodeReport {
                without_target,
                ..report
            },
        )
    }
}

/// Encodes every example, in parallel, and adds up what became of them.
pub(super) fn encode_all<R: Sync, T: TokenCount + Send>(
    set: &Dataset<R>,
    encode: impl Fn(&Record<R>) -> Result<Outcome<T>> + Sync + Send,
) -> Result<EncodedSet<T>> {
    use rayon::prelude::*;

    let outcomes: Vec<Result<Outcome<T>>> = set.records.par_iter().map(encode).collect();
    let mut encoded = EncodedSet {
        items: Vec::new(),
        sources: Vec::new(),
        report: EncodeReport::default(),
    };
    // One behind another, so that of several errors the first example's is the one that is seen.
    for (index, outcome) in outcomes.into_iter().enumerate() {
        let outcome = outcome?;
        encoded.report.add(outcome.report);
        encoded.report.examples += 1;
        encoded.report.items += outcome.items.len();
        encoded.report.tokens += outcome.items.iter().map(TokenCount::tokens).sum::<usize>();
        encoded
            .sources
            .extend(std::iter::repeat_n(index, outcome.items.len()));
        let origin = &set.records[index].origin;
        encoded
            .items
            .extend(outcome.items.into_iter().map(|value| Record {
                value,
                origin: origin.clone(),
            }));
    }
    match encoded.items.is_empty() {
        true => Err(Error::Empty {
            what: "what was encoded".to_owned(),
            hint: encoded.report.to_string(),
        }),
        false => Ok(encoded),
    }
}

/// An error of a model's parts, with the example that it came up in.
pub(super) fn at(origin: &Origin, error: Error) -> Error {
    let Error::Core(core) = error else {
        return error;
    };
    let mut reason = core.to_string();
    let mut source = std::error::Error::source(&core);
    while let Some(inner) = source {
        reason = format!("{reason}: {inner}");
        source = inner.source();
    }
    Error::Unencodable {
        origin: origin.clone(),
        reason,
    }
}

impl EncodeReport {
    pub(super) fn add(&mut self, other: Self) {
        self.targets += other.targets;
        self.truncated += other.truncated;
        self.lost_targets += other.lost_targets;
        self.too_long.extend(other.too_long);
        self.without_target.extend(other.without_target);
        self.in_no_window.extend(other.in_no_window);
        self.in_windows += other.in_windows;
        self.appended_stops += other.appended_stops;
        self.open_turns += other.open_turns;
        self.rewritten_turns += other.rewritten_turns;
        self.straddling_tokens += other.straddling_tokens;
        self.words_without_token += other.words_without_token;
        self.windows_without_answer += other.windows_without_answer;
        self.left_out_windows += other.left_out_windows;
        for (id, count) in other.stop_tokens {
            *self.stop_tokens.entry(id).or_default() += count;
        }
    }
}

impl fmt::Display for EncodeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} examples: {} items, {} tokens, {} of them targets",
            self.examples, self.items, self.tokens, self.targets
        )?;
        let counts = [
            (self.too_long.len(), "too long and left out"),
            (self.without_target.len(), "left out with nothing to learn"),
            (
                self.in_no_window.len(),
                "left out whose answer is in no window as a whole",
            ),
            (self.truncated, "cut"),
            (self.lost_targets, "targets cut off"),
            (self.in_windows, "read in windows"),
            (self.appended_stops, "answers closed with the end token"),
            (self.open_turns, "answers left open by the chat template"),
            (self.rewritten_turns, "answers rewritten by the chat template"),
            (self.straddling_tokens, "tokens across the beginning of an answer"),
            (self.words_without_token, "words without token"),
            (self.windows_without_answer, "windows without the answer"),
            (self.left_out_windows, "more such windows left out"),
        ];
        for (count, what) in counts.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, "; {count} {what}")?;
        }
        Ok(())
    }
}
