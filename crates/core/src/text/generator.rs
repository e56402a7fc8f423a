//! A prompt to text, as a stream.

use serde::{Deserialize, Serialize};

use super::embedder::TokenCount;
use super::generate_options::GenerateOptions;
use super::prompt::Prompt;
use crate::error::{Error, Result};

/// Continues prompts.
///
/// Streaming is the primitive; [`Generator::generate`] collects the stream. Dropping the stream cancels the work.
///
/// ```
/// use ragtune_core::text::{
///     FinishReason, GenerateEvent, GenerateOptions, Generator, Prompt, TokenCount, TokenStream, Usage,
/// };
///
/// /// Repeats the last message.
/// struct Echo;
///
/// impl Generator for Echo {
///     fn id(&self) -> &str {
///         "echo"
///     }
///     fn context_tokens(&self) -> usize {
///         1_000
///     }
///     fn count(&self, prompt: &Prompt) -> ragtune_core::Result<TokenCount> {
///         Ok(TokenCount::estimate(&prompt.to_string()))
///     }
///     fn stream(&self, prompt: Prompt, _: GenerateOptions) -> ragtune_core::Result<TokenStream> {
///         let text = prompt.messages.last().map(|m| m.content.clone()).unwrap_or_default();
///         let done = GenerateEvent::Done { finish: FinishReason::Stop, usage: Usage::default() };
///         Ok(TokenStream::new([Ok(GenerateEvent::Text(text)), Ok(done)].into_iter()))
///     }
/// }
///
/// assert_eq!(Echo.generate("Hello".into(), GenerateOptions::default())?.text, "Hello");
/// # Ok::<(), ragtune_core::Error>(())
/// ```
pub trait Generator: Send + Sync {
    /// The model's name in traces.
    fn id(&self) -> &str;

    /// Tokens that prompt and answer may have together.
    fn context_tokens(&self) -> usize;

    /// Tokens of a prompt, its template included.
    ///
    /// # Errors
    /// Whatever keeps the tokenizer or template from working.
    fn count(&self, prompt: &Prompt) -> Result<TokenCount>;

    /// Starts to continue the prompt. The stream owns what it needs, so it fits a thread, a task or a response body;
    /// it ends with [`GenerateEvent::Done`] or an error.
    ///
    /// # Errors
    /// Whatever keeps the model from starting; an option that it cannot honour is an error, never ignored.
    fn stream(&self, prompt: Prompt, options: GenerateOptions) -> Result<TokenStream>;

    /// The whole continuation.
    ///
    /// # Errors
    /// Those of [`Generator::stream`] and of its events.
    fn generate(&self, prompt: Prompt, options: GenerateOptions) -> Result<Generation> {
        self.stream(prompt, options)?.collect_all()
    }

    /// The whole continuation of each prompt, in order.
    ///
    /// # Errors
    /// The first error of any of them.
    fn generate_batch(&self, prompts: Vec<Prompt>, options: GenerateOptions) -> Result<Vec<Generation>> {
        prompts
            .into_iter()
            .map(|prompt| self.generate(prompt, options.clone()))
            .collect()
    }
}

/// Why a continuation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FinishReason {
    /// The model or a stop text ended it.
    Stop,
    /// The token limit ended it.
    Length,
}

/// Tokens that were read and written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Tokens of the answer.
    pub completion_tokens: usize,
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.prompt_tokens += other.prompt_tokens;
        self.completion_tokens += other.completion_tokens;
    }
}

/// A token of an answer with its log-probabilities (natural logarithm) in the model's own distribution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenLogprob {
    /// The id in the model's vocabulary; `None` where the model does not tell.
    pub id: Option<u32>,
    /// The token's own text; not always whole characters, which then show as U+FFFD.
    pub text: String,
    /// The log-probability.
    pub logprob: f32,
    /// The most probable tokens, best first, if they were asked for; the token itself may be among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<TokenLogprob>,
}

/// What a stream yields.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum GenerateEvent {
    /// The next piece of text, always whole characters; empty where the work goes on and there is nothing to show yet.
    Text(String),
    /// The next token, if [`GenerateOptions::logprobs`] asks for them; its text may come later or not at all (it is held
    /// back while a character or a stop text is incomplete).
    Token(TokenLogprob),
    /// The end.
    Done {
        /// Why it ended.
        finish: FinishReason,
        /// What it took.
        usage: Usage,
    },
}

/// A continuation in the making; pull it to go on, drop it to cancel.
pub struct TokenStream(Box<dyn Iterator<Item = Result<GenerateEvent>> + Send>);

impl TokenStream {
    /// A stream from any iterator of events.
    pub fn new(events: impl Iterator<Item = Result<GenerateEvent>> + Send + 'static) -> Self {
        Self(Box::new(events))
    }

    /// Runs the stream to its end.
    ///
    /// # Errors
    /// The first error of the stream, or [`Error::External`] when it ends without [`GenerateEvent::Done`].
    pub fn collect_all(self) -> Result<Generation> {
        let (mut text, mut tokens) = (String::new(), Vec::new());
        for event in self {
            match event? {
                GenerateEvent::Text(piece) => text.push_str(&piece),
                GenerateEvent::Token(token) => tokens.push(token),
                GenerateEvent::Done { finish, usage } => {
                    return Ok(Generation {
                        text,
                        tokens,
                        finish,
                        usage,
                    });
                }
            }
        }
        Err(Error::external(
            "generator",
            "the stream ended without its closing event",
        ))
    }
}

impl Iterator for TokenStream {
    type Item = Result<GenerateEvent>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

impl std::fmt::Debug for TokenStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenStream")
    }
}

/// A whole continuation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Generation {
    /// The text.
    pub text: String,
    /// Its tokens, if [`GenerateOptions::logprobs`] asked for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<TokenLogprob>,
    /// Why it ended.
    pub finish: FinishReason,
    /// What it took.
    pub usage: Usage,
}
