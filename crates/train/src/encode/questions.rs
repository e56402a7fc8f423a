//! Questions with their contexts, in overlapping windows.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use ragtune_core::models::{TextTokenizer, Tokens};
use ragtune_core::text::Span;

use super::report::{EncodeReport, EncodedSet, Outcome, Overflow, TokenCount, at, encode_all};
use super::texts::TextEncoder;
use crate::batch::{Purpose, Random};
use crate::data::{Dataset, Question, Record};
use crate::error::{Error, Result};

/// Sizes of the windows that long contexts are read in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WindowLimits {
    /// Tokens of a window at most: question, part of the context, special tokens.
    pub max_tokens: usize,
    /// Tokens of the context that a window has in common with the one before it.
    pub overlap_tokens: usize,
    /// What is done with a question that leaves no room for its context. Cut, it has half of the room.
    pub overflow: Overflow,
}

/// A question and a part of its context.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// Ids in the vocabulary.
    pub ids: Vec<u32>,
    /// 0 for the question, 1 for the context, where the tokenizer tells them apart.
    pub type_ids: Vec<u32>,
    /// The first token of the answer, if the whole of it stands in this window; otherwise 0, the window's first token,
    /// which stands for "no answer here".
    pub start: u32,
    /// The last token of the answer, or 0.
    pub end: u32,
    /// The bytes of the context that each token stands for; none for tokens of the question and special ones.
    pub offsets: Vec<Option<(usize, usize)>>,
    /// The number of the question in its set.
    pub question: usize,
}

impl Default for WindowLimits {
    /// 384 tokens, 128 of them in common, as `run_qa.py` of transformers has it.
    fn default() -> Self {
        Self {
            max_tokens: 384,
            overlap_tokens: 128,
            overflow: Overflow::Error,
        }
    }
}

impl WindowLimits {
    /// Tokens of a window at most.
    #[must_use]
    pub fn with_max_tokens(mut self, max_tokens: usize) -> Self {
        self.max_tokens = max_tokens;
        self
    }

    /// Tokens that a window has in common with the one before it.
    #[must_use]
    pub fn with_overlap_tokens(mut self, overlap_tokens: usize) -> Self {
        self.overlap_tokens = overlap_tokens;
        self
    }

    /// What is done with a question that leaves no room for its context.
    #[must_use]
    pub fn with_overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }
}

impl Window {
    /// Whether the whole of an answer stands in the window.
    pub fn has_answer(&self) -> bool {
        self.end > 0
    }

    /// The bytes of the context from one token of the window to another; none where one of them is not of the context or
    /// they are in the wrong order.
    pub fn span(&self, first: usize, last: usize) -> Option<Span> {
        let of = |token: usize| self.offsets.get(token).copied().flatten();
        let ((start, _), (_, end)) = (of(first)?, of(last)?);
        (first <= last && start <= end).then_some(Span::new(start, end))
    }
}

impl TextEncoder<'_> {
    /// The windows of questions and their contexts. Of several answers the first is learned. A question whose answer
    /// stands whole in none of its windows is left out, since they would all teach that it has none
    /// ([`EncodeReport::in_no_window`]). A context that several questions share goes through the tokenizer once.
    ///
    /// # Errors
    /// [`Error::TooLong`] with [`Overflow::Error`] for a question that leaves no room for its context,
    /// [`Error::InvalidArgument`] for windows without room or with too much in common, [`Error::Unencodable`] when the
    /// tokenizer fails, [`Error::Empty`].
    pub fn questions(&self, set: &Dataset<Question>, limits: WindowLimits) -> Result<EncodedSet<Window>> {
        let layout = Layout::of(self.tokenizer)?;
        let room = limits.max_tokens.saturating_sub(layout.special());
        if room < 2 {
            let reason = format!(
                "{} leave no room beside {} special tokens",
                limits.max_tokens,
                layout.special()
            );
            return Err(Error::invalid("max_tokens", reason));
        }
        if limits.overlap_tokens.saturating_mul(2) > room {
            let reason = format!(
                "{} of {room} tokens; choose at most half of them",
                limits.overlap_tokens
            );
            return Err(Error::invalid("overlap_tokens", reason));
        }
        let contexts = Contexts::of(set, self.tokenizer)?;
        let mut encoded = encode_all(set, |record: &Record<Question>| {
            self.question(record, contexts.of_question(record), &layout, limits, room)
        })?;
        for (window, &source) in encoded.items.iter_mut().zip(&encoded.sources) {
            window.value.question = source;
        }
        Ok(encoded)
    }

    fn question(
        &self,
        record: &Record<Question>,
        context: &Tokens,
        layout: &Layout,
        limits: WindowLimits,
        room: usize,
    ) -> Result<Outcome<Window>> {
        let Record { value, origin } = record;
        let asked = self.tokenizer.encode_ordinary(&value.question, false);
        let mut question = asked.map_err(|error| at(origin, error.into()))?.ids;
        let mut report = EncodeReport::default();
        // A window moves on by at least one token.
        if question.len() + limits.overlap_tokens >= room {
            match limits.overflow {
                Overflow::Error => {
                    return Err(Error::TooLong {
                        origin: origin.clone(),
                        tokens: question.len(),
                        limit: room.saturating_sub(limits.overlap_tokens + 1),
                    });
                }
                Overflow::Drop => return Ok(Outcome::too_long(origin)),
                Overflow::Truncate => {
                    question.truncate((room / 2).min(room - limits.overlap_tokens - 1));
                    report.truncated = 1;
                }
            }
        }
        let answer = value
            .answers
            .first()
            .and_then(|answer| tokens_of(answer.span(), &context.spans));
        let size = room - question.len();
        let mut windows = Vec::new();
        let mut start = 0;
        loop {
            let end = context.ids.len().min(start + size);
            let mut window = layout.window(&question, &context.ids[start..end], &context.spans[start..end]);
            let moved = |token: usize| u32::try_from(token - start + layout.context_start(&question));
            if let Some((first, last)) = answer.filter(|(first, last)| start <= *first && *last < end) {
                (window.start, window.end) = (moved(first).unwrap_or(0), moved(last).unwrap_or(0));
            }
            windows.push(window);
            if end == context.ids.len() {
                break;
            }
            start = end - limits.overlap_tokens;
        }
        if !value.answers.is_empty() {
            let shown = windows.iter().filter(|window| window.has_answer()).count();
            if shown == 0 {
                report.in_no_window = vec![origin.clone()];
                return Ok(Outcome::new(Vec::new(), report));
            }
            report.windows_without_answer = windows.len() - shown;
        }
        report.targets = windows.len();
        Ok(Outcome::new(windows, report))
    }
}

impl EncodedSet<Window> {
    /// Keeps of every question at most so many windows without its answer, chosen by the seed. A long context has many of
    /// them, which teach little each and take most of the time.
    #[must_use]
    pub fn with_empty_windows(mut self, most: usize, seed: u64) -> Self {
        let mut empty: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (number, window) in self.items.iter().enumerate() {
            if !window.value.has_answer() {
                empty.entry(window.value.question).or_default().push(number);
            }
        }
        let mut dropped = vec![false; self.items.len()];
        for (question, windows) in &mut empty {
            Random::of(seed, Purpose::Mining, *question as u64).shuffle(windows);
            windows
                .iter()
                .skip(most)
                .for_each(|number| dropped[*number] = true);
        }
        let mut numbers = dropped.iter();
        self.items.retain(|_| numbers.next() == Some(&false));
        let mut numbers = dropped.iter();
        self.sources.retain(|_| numbers.next() == Some(&false));
        let answered = self
            .items
            .iter()
            .filter(|window| window.value.has_answer())
            .count();
        self.report.left_out_windows += dropped.iter().filter(|dropped| **dropped).count();
        self.report.items = self.items.len();
        self.report.targets = self.items.len();
        self.report.tokens = self.items.iter().map(|window| window.value.tokens()).sum();
        self.report.windows_without_answer = self
            .report
            .windows_without_answer
            .min(self.items.len() - answered);
        self
    }
}

impl TokenCount for Window {
    fn tokens(&self) -> usize {
        self.ids.len()
    }
}

/// The tokens of the contexts of a set, each of them once.
struct Contexts<'s> {
    numbers: HashMap<&'s str, usize>,
    tokens: Vec<Tokens>,
}

impl<'s> Contexts<'s> {
    fn of(set: &'s Dataset<Question>, tokenizer: &TextTokenizer) -> Result<Self> {
        use rayon::prelude::*;

        let mut numbers = HashMap::new();
        let mut first: Vec<&Record<Question>> = Vec::new();
        for record in &set.records {
            numbers.entry(record.value.context.as_str()).or_insert_with(|| {
                first.push(record);
                first.len() - 1
            });
        }
        let encode = |record: &&Record<Question>| {
            let tokens = tokenizer.encode_ordinary(&record.value.context, false);
            tokens.map_err(|error| at(&record.origin, error.into()))
        };
        let tokens: Vec<Result<Tokens>> = first.par_iter().map(encode).collect();
        let tokens = tokens.into_iter().collect::<Result<_>>()?;
        Ok(Self { numbers, tokens })
    }

    /// The tokens of the context of one of the set's questions.
    fn of_question(&self, record: &Record<Question>) -> &Tokens {
        &self.tokens[self.numbers[record.value.context.as_str()]]
    }
}

/// The special tokens around a pair of texts, and the types of all.
struct Layout {
    before: Vec<u32>,
    between: Vec<u32>,
    behind: Vec<u32>,
    before_types: Vec<u32>,
    between_types: Vec<u32>,
    behind_types: Vec<u32>,
    question_type: u32,
    context_type: u32,
}

impl Layout {
    /// What a tokenizer puts around a pair, found out from one.
    fn of(tokenizer: &TextTokenizer) -> Result<Self> {
        let (first, second) = ("a", "b");
        let question = tokenizer.encode_ordinary(first, false)?.ids;
        let context = tokenizer.encode_ordinary(second, false)?.ids;
        let length = question.len() + context.len() + tokenizer.special_tokens(true);
        let pairs = tokenizer.encode_pairs(first, &[second], length)?;
        let pair = pairs.into_iter().next().unwrap_or_default();
        let find = |from: usize, part: &[u32]| {
            let rest = pair.ids.get(from..)?;
            let at = rest
                .windows(part.len().max(1))
                .position(|window| window == part)?;
            Some((from + at, from + at + part.len()))
        };
        let found = find(0, &question).and_then(|asked| Some((asked, find(asked.1, &context)?)));
        let Some((asked, given)) = found else {
            let reason = "it changes the tokens of a text beside another; is it a tokenizer for pairs?";
            return Err(Error::invalid("tokenizer", reason));
        };
        let types = |range: Range<usize>| pair.type_ids.get(range).unwrap_or_default().to_vec();
        Ok(Self {
            before: pair.ids[..asked.0].to_vec(),
            between: pair.ids[asked.1..given.0].to_vec(),
            behind: pair.ids[given.1..].to_vec(),
            before_types: types(0..asked.0),
            between_types: types(asked.1..given.0),
            behind_types: types(given.1..pair.ids.len()),
            question_type: pair.type_ids.get(asked.0).copied().unwrap_or(0),
            context_type: pair.type_ids.get(given.0).copied().unwrap_or(0),
        })
    }

    fn special(&self) -> usize {
        self.before.len() + self.between.len() + self.behind.len()
    }

    /// Tokens of a window before its context.
    fn context_start(&self, question: &[u32]) -> usize {
        self.before.len() + question.len() + self.between.len()
    }

    fn window(&self, question: &[u32], context: &[u32], spans: &[Span]) -> Window {
        let mut offsets = vec![None; self.context_start(question)];
        offsets.extend(spans.iter().map(|span| Some((span.start, span.end))));
        offsets.resize(offsets.len() + self.behind.len(), None);
        Window {
            ids: [&self.before, question, &self.between, context, &self.behind].concat(),
            type_ids: [
                self.before_types.clone(),
                vec![self.question_type; question.len()],
                self.between_types.clone(),
                vec![self.context_type; context.len()],
                self.behind_types.clone(),
            ]
            .concat(),
            offsets,
            ..Window::default()
        }
    }
}

/// The first and the last token that cover a part of some bytes.
fn tokens_of(answer: Span, spans: &[Span]) -> Option<(usize, usize)> {
    let first = spans.iter().position(|span| span.overlaps(answer))?;
    let last = spans.iter().rposition(|span| span.overlaps(answer))?;
    Some((first, last))
}

#[cfg(test)]
mod tests {
    use ragtune_core::weights::ModelFiles;

    use super::*;

    #[test]
    fn a_context_goes_through_the_tokenizer_once() {
        let json = r#"{"version":"1.0","added_tokens":[],"normalizer":null,"pre_tokenizer":{"type":"Whitespace"},
            "post_processor":null,"decoder":null,
            "model":{"type":"WordLevel","vocab":{"<unk>":0,"a":1,"b":2},"unk_token":"<unk>"}}"#;
        let files = ModelFiles::in_memory("m", [("tokenizer.json", json.as_bytes().to_vec())]);
        let tokenizer = TextTokenizer::load(&files).unwrap();
        let question = |context: &str| Question {
            id: String::new(),
            question: "a".to_owned(),
            context: context.to_owned(),
            answers: Vec::new(),
            document: None,
        };
        let set = Dataset::from(["a b", "b", "a b", "b a b", "b"].map(question).to_vec());
        let contexts = Contexts::of(&set, &tokenizer).unwrap();
        assert_eq!(contexts.tokens.len(), 3);
        for record in &set.records {
            let alone = tokenizer.encode_ordinary(&record.value.context, false).unwrap();
            assert_eq!(contexts.of_question(record).ids, alone.ids);
        }
    }
}
