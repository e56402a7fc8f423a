//! A language model behind an OpenAI-compatible server.

use std::sync::Arc;

use super::chat;
use super::client::{Client, Silence};
use super::options::OpenAiOptions;
use super::stream::ChatStream;
use crate::error::{Error, Result};
use crate::text::{GenerateOptions, Generator, Prompt, TokenCount, TokenStream};

/// A [`Generator`] that asks an OpenAI-compatible server for chat completions.
///
/// The server applies the model's chat template, so tokens can only be estimated beforehand; the usage in the closing
/// event is the server's own count, or an estimate (a token for every four bytes) where it gives none. Clones share
/// the connection.
///
/// ```no_run
/// use ragtune_core::openai::{OpenAiGenerator, OpenAiOptions};
/// use ragtune_core::text::{GenerateEvent, GenerateOptions, Generator};
///
/// let options = OpenAiOptions::new("https://api.example.com/v1").with_key_from_env("EXAMPLE_API_KEY")?;
/// let model = OpenAiGenerator::new(options, "small-model")?.with_context_tokens(32_768);
/// for event in model.stream("What is tea?".into(), GenerateOptions::default())? {
///     if let GenerateEvent::Text(text) = event? {
///         eprint!("{text}");
///     }
/// }
/// # Ok::<(), ragtune_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct OpenAiGenerator {
    client: Arc<Client>,
    model: String,
    context_tokens: usize,
}

impl OpenAiGenerator {
    /// The context of a model when the caller does not tell: the protocol has no question for it.
    pub const DEFAULT_CONTEXT_TOKENS: usize = 4_096;

    /// The model of this name on the server that the options describe; nothing is sent yet.
    ///
    /// # Errors
    /// [`OpenAiError`](super::OpenAiError) for a base URL or key that cannot be used.
    pub fn new(options: OpenAiOptions, model: impl Into<String>) -> Result<Self> {
        let model = model.into();
        if model.is_empty() {
            return Err(Error::InvalidArgument {
                argument: "model",
                reason: "it is empty; give the name under which the server has it".to_owned(),
            });
        }
        Ok(Self {
            client: Arc::new(Client::new(options)?),
            model,
            context_tokens: Self::DEFAULT_CONTEXT_TOKENS,
        })
    }

    /// Tokens that prompt and answer may have together on this server.
    pub fn with_context_tokens(mut self, context_tokens: usize) -> Self {
        self.context_tokens = context_tokens;
        self
    }
}

impl Generator for OpenAiGenerator {
    fn id(&self) -> &str {
        &self.model
    }

    fn context_tokens(&self) -> usize {
        self.context_tokens
    }

    fn count(&self, prompt: &Prompt) -> Result<TokenCount> {
        Ok(TokenCount::estimate(&prompt.to_string()))
    }

    fn stream(&self, prompt: Prompt, options: GenerateOptions) -> Result<TokenStream> {
        let server = self.client.options();
        let body = chat::request(&self.model, &prompt, &options, server)?;
        let json = serde_json::Value::Object(body).to_string();
        let silence = match server.streaming {
            true => Silence::Short,
            false => Silence::Long,
        };
        let answer = self.client.post("/chat/completions", json.as_bytes(), silence)?;
        let prompt_tokens = self.count(&prompt)?;
        Ok(TokenStream::new(ChatStream::new(answer, &options, prompt_tokens)))
    }
}
