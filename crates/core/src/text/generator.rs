//! A prompt to text, as a stream.

use serde::{Deserialize, Serialize};

use super::embedder::TokenCount;
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

/// How to continue a prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GenerateOptions {
    /// Tokens of the answer at most.
    pub max_tokens: usize,
    /// 0 takes the most probable token; 1 samples from the model's own distribution.
    pub temperature: f32,
    /// Sample among this many most probable tokens only.
    pub top_k: Option<usize>,
    /// Sample among the most probable tokens that reach this probability together.
    pub top_p: Option<f32>,
    /// Sample among tokens at least this fraction as probable as the most probable one.
    pub min_p: Option<f32>,
    /// Seed of the sampling.
    pub seed: u64,
    /// Texts that end the answer; they are not part of it.
    pub stop: Vec<String>,
}

impl Default for GenerateOptions {
    fn default() -> Self {
        Self {
            max_tokens: 512,
            temperature: 0.0,
            top_k: None,
            top_p: None,
            min_p: None,
            seed: 0,
            stop: Vec::new(),
        }
    }
}

impl GenerateOptions {
    /// At most this many tokens.
    pub fn with_max_tokens(mut self, max_tokens: usize) -> Self {
        self.max_tokens = max_tokens;
        self
    }

    /// This temperature; 0 is greedy.
    pub fn with_temperature(mut self, temperature: f32) -> Self {
        self.temperature = temperature;
        self
    }

    /// This seed.
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// One more text that ends the answer.
    pub fn with_stop(mut self, stop: impl Into<String>) -> Self {
        self.stop.push(stop.into());
        self
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

/// What a stream yields.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum GenerateEvent {
    /// The next piece of text, always whole characters.
    Text(String),
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
        let mut text = String::new();
        for event in self {
            match event? {
                GenerateEvent::Text(piece) => text.push_str(&piece),
                GenerateEvent::Done { finish, usage } => return Ok(Generation { text, finish, usage }),
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    /// The text.
    pub text: String,
    /// Why it ended.
    pub finish: FinishReason,
    /// What it took.
    pub usage: Usage,
}
