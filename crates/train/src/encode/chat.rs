//! Conversations to tokens of which the assistant's are learned.

use std::collections::BTreeSet;
use std::sync::Arc;

use ragtune_core::chat::{ChatOptions, ChatTemplate};
use ragtune_core::models::{CausalLm, TextTokenizer, Tokens};
use ragtune_core::text::{Message, Span};

use super::regions::{self, AnswerRegion};
use super::report::{EncodeReport, EncodedSet, Limits, Outcome, Overflow, at, encode_all};
use super::sequence::Sequence;
use crate::data::{Dataset, Instruction, Origin, Record};
use crate::error::{Error, Result};

/// How conversations are written for a model without chat template: the format in which
/// [`LocalGenerator`](ragtune_core::generation::LocalGenerator) asks such a model.
const PLAIN: &str = "{% for m in messages %}{% if m.role == 'system' %}{{ m.content }}{{ '\\n\\n' }}\
                     {% elif m.role == 'user' %}{{ 'User: ' + m.content + '\\n' }}\
                     {% else %}{{ 'Assistant: ' + m.content + '\\n' }}{% endif %}{% endfor %}\
                     {% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}";

/// Turns conversations into tokens by a model's chat template.
///
/// Exactly what the assistant says is learned, and the token that ends it. The parts are found in the rendered text, so
/// that any template will do; see the module's text. Where the template closes an answer, the closing is learned up to
/// its first special token; where it does not, the model's end token is put behind the last answer. The tokens are those
/// that the model is asked with later: text of messages never becomes a control token, and no token is put before what
/// the template writes.
///
/// ```
/// # use std::sync::Arc;
/// # use ragtune_core::{chat::ChatTemplate, models::TextTokenizer, weights::ModelFiles};
/// use ragtune_core::text::Message;
/// use ragtune_train::encode::ChatEncoder;
/// # let vocab = r#"{"a":0,"b":1,"u":2,"<end>":3,":":4}"#;
/// # let json = format!(r#"{{"version":"1.0","added_tokens":[{{"id":3,"content":"<end>","single_word":false,"lstrip":false,
/// # "rstrip":false,"normalized":false,"special":true}}],"normalizer":null,"pre_tokenizer":{{"type":"Split","pattern":
/// # {{"String":""}},"behavior":"Isolated","invert":false}},"post_processor":null,"decoder":null,"model":{{"type":"WordLevel",
/// # "vocab":{vocab},"unk_token":"u"}}}}"#);
/// # let files = ModelFiles::in_memory("m", [("tokenizer.json", json.into_bytes())]);
/// # let tokenizer = Arc::new(TextTokenizer::load(&files)?);
/// let template = ChatTemplate::new("{% for m in messages %}{{ m.role[0] }}:{{ m.content }}<end>{% endfor %}")?;
/// let encoder = ChatEncoder::new(tokenizer, Some(Arc::new(template)), Some(3))?;
/// let sequence = encoder.conversation(&[Message::user("b"), Message::assistant("a")])?;
/// // u : b <end> a : a <end>
/// assert_eq!(sequence.ids, [2, 4, 1, 3, 0, 4, 0, 3]);
/// assert_eq!(sequence.trained_ids(), [0, 3]);
/// # Ok::<(), ragtune_train::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ChatEncoder {
    pub(super) tokenizer: Arc<TextTokenizer>,
    template: Arc<ChatTemplate>,
    options: ChatOptions,
    /// The template's generation prompt.
    header: String,
    /// Tokens before what is rendered: none by a template, which writes the beginning itself.
    prefix: Vec<u32>,
    control: BTreeSet<u32>,
    pub(super) stop: Option<u32>,
    last_answer_only: bool,
}

impl ChatEncoder {
    /// An encoder by tokenizer and template; `stop` is the token that ends an answer which the template leaves open.
    ///
    /// Without a template conversations are written as
    /// [`LocalGenerator`](ragtune_core::generation::LocalGenerator) writes them for a model that has none.
    ///
    /// # Errors
    /// [`Error::Core`] when the tokenizer fails.
    pub fn new(
        tokenizer: Arc<TextTokenizer>,
        template: Option<Arc<ChatTemplate>>,
        stop: Option<u32>,
    ) -> Result<Self> {
        let (template, prefix) = match template {
            Some(template) => (template, Vec::new()),
            None => {
                let control = tokenizer.control_tokens("");
                let template = ChatTemplate::new(PLAIN)?.with_control_tokens(control);
                (Arc::new(template), beginning(&tokenizer)?)
            }
        };
        let options = ChatOptions::default();
        let control = tokenizer.control_tokens(template.source());
        Ok(Self {
            header: regions::header(&template, &options),
            control: control
                .iter()
                .filter_map(|text| tokenizer.token_id(text))
                .collect(),
            tokenizer,
            template,
            options,
            prefix,
            stop,
            last_answer_only: false,
        })
    }

    /// The encoder of a model: its tokenizer, its chat template and its first end token.
    ///
    /// # Errors
    /// [`Error::Core`] when the tokenizer fails.
    pub fn of(lm: &CausalLm) -> Result<Self> {
        let stop = lm.end_tokens().first().copied();
        Self::new(Arc::clone(lm.tokenizer()), lm.chat_template().cloned(), stop)
    }

    /// Variables of the chat template and how it is used, as the tuned model will be asked.
    #[must_use]
    pub fn with_chat_options(mut self, options: ChatOptions) -> Self {
        self.header = regions::header(&self.template, &options);
        self.options = options;
        self
    }

    /// Whether only the last answer of a conversation is learned; all are by default.
    #[must_use]
    pub fn with_last_answer_only(mut self, last_only: bool) -> Self {
        self.last_answer_only = last_only;
        self
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Arc<TextTokenizer> {
        &self.tokenizer
    }

    /// The chat template; a plain format for a model that has none.
    pub fn template(&self) -> &ChatTemplate {
        &self.template
    }

    /// The tokens of a conversation.
    ///
    /// # Errors
    /// [`Error::Core`] when the template refuses the conversation or the tokenizer fails, and [`Error::Unencodable`] when
    /// the template leaves out or repeats an answer.
    pub fn conversation(&self, messages: &[Message]) -> Result<Sequence> {
        Ok(self.encode(messages, &Origin::in_memory(0))?.0)
    }

    /// The tokens of a set of conversations.
    ///
    /// # Errors
    /// As [`ChatEncoder::conversation`] with the example's origin; [`Error::TooLong`] with [`Overflow::Error`];
    /// [`Error::Empty`] when none is left.
    pub fn conversations(&self, set: &Dataset<Instruction>, limits: Limits) -> Result<EncodedSet<Sequence>> {
        limits.check()?;
        encode_all(set, |record: &Record<Instruction>| {
            let (sequence, report) = self
                .encode(&record.value.messages, &record.origin)
                .map_err(|error| at(&record.origin, error))?;
            fitted(sequence, report, &record.origin, limits)
        })
    }

    /// The tokens of a prompt and its completion as plain text, without a chat template: the tokenizer's beginning, the
    /// prompt, the completion, the end token; the last two are learned.
    ///
    /// # Errors
    /// [`Error::Core`] when the tokenizer fails.
    pub fn completion(&self, prompt: &str, completion: &str) -> Result<Sequence> {
        Ok(self.encode_completion(prompt, completion)?.0)
    }

    /// The tokens of a set of prompts and completions as plain text; see [`ChatEncoder::completion`].
    ///
    /// # Errors
    /// [`Error::Unencodable`] for an example that is not one turn of the user and one of the assistant, and those of
    /// [`ChatEncoder::conversations`].
    pub fn completions(&self, set: &Dataset<Instruction>, limits: Limits) -> Result<EncodedSet<Sequence>> {
        limits.check()?;
        encode_all(set, |record: &Record<Instruction>| {
            let messages = &record.value.messages;
            let [prompt, completion] = messages.as_slice() else {
                let turns = messages.len();
                return Err(Error::Unencodable {
                    origin: record.origin.clone(),
                    reason: format!("{turns} turns where a prompt and its completion are expected"),
                });
            };
            let (sequence, report) = self
                .encode_completion(&prompt.content, &completion.content)
                .map_err(|error| at(&record.origin, error))?;
            fitted(sequence, report, &record.origin, limits)
        })
    }

    fn encode_completion(&self, prompt: &str, completion: &str) -> Result<(Sequence, EncodeReport)> {
        let text = format!("{prompt}{completion}");
        let tokens = self.tokenizer.encode_ordinary(&text, false)?;
        let mut report = EncodeReport {
            straddling_tokens: straddling(&text, &tokens, prompt.len()),
            ..EncodeReport::default()
        };
        let mut ids = beginning(&self.tokenizer)?;
        let mut trained = vec![false; ids.len()];
        trained.extend(tokens.spans.iter().map(|&span| speaks(&text, span, prompt.len())));
        ids.extend(tokens.ids);
        self.push_stop(&mut ids, &mut trained, &mut report);
        let sequence = Sequence::new(ids, trained);
        report.targets = sequence.targets();
        Ok((sequence, report))
    }

    /// The tokens of a conversation, and what there is to say about it.
    pub(super) fn encode(&self, messages: &[Message], origin: &Origin) -> Result<(Sequence, EncodeReport)> {
        let found = regions::find(&self.template, &self.options, &self.header, messages)?;
        let conversation = found.map_err(|reason| Error::Unencodable {
            origin: origin.clone(),
            reason,
        })?;
        let text = conversation.prompt.text();
        let tokens = self.tokenizer.encode_prompt(&conversation.prompt)?;
        let mut trained = vec![false; tokens.ids.len()];
        let mut report = EncodeReport::default();
        let mut ids = tokens.ids.clone();
        // The number of the last answer, which may be the one that the template leaves to the model.
        let written = conversation.answers.len();
        let last = written.saturating_sub(usize::from(conversation.unwritten.is_none()));
        let skipped = if self.last_answer_only { last } else { 0 };
        for (number, answer) in conversation.answers.iter().enumerate().skip(skipped) {
            report.rewritten_turns += usize::from(answer.rewritten);
            report.straddling_tokens += straddling(text, &tokens, answer.said.start);
            let stop = self.stop_of(&tokens, answer);
            let end = match stop {
                Some(stop) => tokens.spans[stop].end,
                None => answer.said.start + text[answer.said.start..answer.closed].trim_end().len(),
            };
            // White space at the end of what was said is the model's, that of a closing without a token is not.
            let end = end.max(answer.said.end);
            for (token, span) in tokens.spans.iter().enumerate() {
                trained[token] |= speaks(text, *span, answer.said.start) && span.start < end;
            }
            match stop {
                Some(stop) => *report.stop_tokens.entry(tokens.ids[stop]).or_default() += 1,
                None if number < last => report.open_turns += 1,
                None => self.append_stop(&tokens, end, &mut ids, &mut trained, &mut report),
            }
        }
        if let Some(answer) = &conversation.unwritten {
            ids.extend(self.tokenizer.encode_ordinary(answer, false)?.ids);
            trained.resize(ids.len(), true);
            self.push_stop(&mut ids, &mut trained, &mut report);
        }
        let mut flags = vec![false; self.prefix.len()];
        flags.append(&mut trained);
        let sequence = Sequence::new([self.prefix.clone(), ids].concat(), flags);
        report.targets = sequence.targets();
        Ok((sequence, report))
    }

    /// The first token of an answer's closing that steers a model.
    fn stop_of(&self, tokens: &Tokens, answer: &AnswerRegion) -> Option<usize> {
        let steers = |id: u32| self.tokenizer.is_special(id) || self.control.contains(&id);
        tokens.spans.iter().zip(&tokens.ids).position(|(span, &id)| {
            answer.said.end <= span.start && span.end <= answer.closed && !span.is_empty() && steers(id)
        })
    }

    /// Puts the end token behind what was said, in place of the white space that ends the text.
    fn append_stop(
        &self,
        tokens: &Tokens,
        end: usize,
        ids: &mut Vec<u32>,
        trained: &mut Vec<bool>,
        report: &mut EncodeReport,
    ) {
        if self.stop.is_some() {
            let kept = tokens
                .spans
                .iter()
                .rposition(|span| span.start < end)
                .map_or(0, |at| at + 1);
            ids.truncate(kept);
            trained.truncate(kept);
        }
        self.push_stop(ids, trained, report);
    }

    fn push_stop(&self, ids: &mut Vec<u32>, trained: &mut Vec<bool>, report: &mut EncodeReport) {
        let Some(stop) = self.stop else {
            report.open_turns += 1;
            return;
        };
        ids.push(stop);
        trained.push(true);
        report.appended_stops += 1;
        *report.stop_tokens.entry(stop).or_default() += 1;
    }
}

/// The special tokens that the tokenizer puts before a text.
pub(super) fn beginning(tokenizer: &TextTokenizer) -> Result<Vec<u32>> {
    let tokens = tokenizer.encode_ordinary("a", true)?;
    let content = tokens.spans.iter().position(|span| !span.is_empty());
    Ok(tokens.ids[..content.unwrap_or(0)].to_vec())
}

/// A sequence within the limit, by the policy for those that are not.
pub(super) fn fitted(
    mut sequence: Sequence,
    mut report: EncodeReport,
    origin: &Origin,
    limits: Limits,
) -> Result<Outcome<Sequence>> {
    if sequence.len() > limits.max_tokens {
        match limits.overflow {
            Overflow::Error => {
                return Err(Error::TooLong {
                    origin: origin.clone(),
                    tokens: sequence.len(),
                    limit: limits.max_tokens,
                });
            }
            Overflow::Drop => return Ok(Outcome::too_long(origin)),
            Overflow::Truncate => {
                report.lost_targets = sequence.cut(limits.max_tokens);
                report.targets = sequence.targets();
                report.truncated = 1;
                for (&stop, count) in &mut report.stop_tokens {
                    *count = sequence.trained_ids().iter().filter(|&&id| id == stop).count();
                }
                report.stop_tokens.retain(|_, count| *count > 0);
            }
        }
    }
    Ok(match sequence.targets() {
        0 => Outcome::without_target(origin, report),
        _ => Outcome::new(vec![sequence], report),
    })
}

/// Whether a token stands behind the place where an answer begins; it may reach back over white space.
fn speaks(text: &str, token: Span, answer: usize) -> bool {
    let before = text.get(token.start..answer).unwrap_or_default();
    token.start >= answer || token.end > answer && before.trim().is_empty()
}

/// Tokens that begin before a place, not only with white space, and end behind it.
fn straddling(text: &str, tokens: &Tokens, at: usize) -> usize {
    let across = tokens
        .spans
        .iter()
        .filter(|span| span.start < at && at < span.end);
    let begins = across.filter_map(|span| text.get(span.start..at));
    begins.filter(|begin| !begin.trim().is_empty()).count()
}
