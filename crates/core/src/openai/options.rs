//! Where the server is, who asks, and how patient the asker is.

use serde_json::{Map, Value};

use super::error::OpenAiError;
use crate::http::Secret;
use crate::progress::Cancel;

/// How a server is asked.
///
/// ```
/// use ragtune_core::openai::OpenAiOptions;
/// let options = OpenAiOptions::new("http://localhost:8000/v1").with_retries(5).with_read_timeout_ms(300_000);
/// ```
///
/// No environment variable is read unless the caller names it:
///
/// ```
/// use ragtune_core::openai::{OpenAiError, OpenAiOptions};
/// let options = OpenAiOptions::new("https://api.example.com/v1").with_key_from_env("A_KEY_THAT_NOBODY_SET");
/// assert!(matches!(options, Err(ragtune_core::Error::OpenAi(OpenAiError::MissingKey { .. }))));
/// ```
#[derive(Clone, Debug)]
pub struct OpenAiOptions {
    pub(super) base_url: String,
    pub(super) key: Option<Secret>,
    pub(super) key_over_http: bool,
    pub(super) proxy: Option<ureq::Proxy>,
    pub(super) extra: Map<String, Value>,
    pub(super) streaming: bool,
    pub(super) sampling_extensions: bool,
    pub(super) token_limit: TokenLimit,
    pub(super) connect_timeout_ms: u64,
    pub(super) read_timeout_ms: u64,
    pub(super) total_timeout_ms: u64,
    pub(super) retries: u32,
    pub(super) first_pause_ms: u64,
    pub(super) max_pause_ms: u64,
    pub(super) jitter_seed: u64,
    pub(super) max_response_bytes: u64,
    pub(super) cancel: Cancel,
}

/// The name under which a server takes the limit of the answer's tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenLimit {
    /// `max_tokens`, which almost every server takes.
    #[default]
    MaxTokens,
    /// `max_completion_tokens`, which the newer models of OpenAI itself insist on.
    MaxCompletionTokens,
}

impl OpenAiOptions {
    /// A server by the address that stands before `/chat/completions`, usually ending in `/v1`; no key.
    pub fn new(base_url: impl Into<String>) -> Self {
        Self {
            base_url: base_url.into(),
            key: None,
            key_over_http: false,
            proxy: None,
            extra: Map::new(),
            streaming: true,
            sampling_extensions: false,
            token_limit: TokenLimit::default(),
            connect_timeout_ms: 10_000,
            read_timeout_ms: 120_000,
            total_timeout_ms: 600_000,
            retries: 3,
            first_pause_ms: 500,
            max_pause_ms: 30_000,
            jitter_seed: 0,
            max_response_bytes: 64 << 20,
            cancel: Cancel::new(),
        }
    }

    /// Shows the server, and no other one, this key.
    pub fn with_key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(Secret::new(key));
        self
    }

    /// Shows the server, and no other one, the key that this environment variable has.
    ///
    /// # Errors
    /// [`OpenAiError::MissingKey`] where the variable is not set, empty or no text.
    pub fn with_key_from_env(self, variable: &str) -> crate::Result<Self> {
        let missing = |reason| OpenAiError::MissingKey {
            variable: variable.to_owned(),
            reason,
        };
        match std::env::var(variable) {
            Ok(key) if key.trim().is_empty() => Err(missing("is empty").into()),
            Ok(key) => Ok(self.with_key(key.trim())),
            Err(std::env::VarError::NotPresent) => Err(missing("is not set").into()),
            Err(std::env::VarError::NotUnicode(_)) => Err(missing("is no text").into()),
        }
    }

    /// Sends the key without encryption also to another machine: only for networks that are trusted as a whole.
    pub fn with_key_over_http(mut self) -> Self {
        self.key_over_http = true;
        self
    }

    /// Goes through the proxy that `HTTPS_PROXY`, `HTTP_PROXY` or `ALL_PROXY` name, except for hosts of `NO_PROXY`.
    pub fn with_proxy_from_env(mut self) -> Self {
        self.proxy = ureq::Proxy::try_from_env();
        self
    }

    /// Adds a field of the server's own to every request body; it replaces a field of the same name.
    pub fn with_extra_field(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.extra.insert(name.into(), value.into());
        self
    }

    /// Asks for the whole answer at once; the stream then has one piece of text.
    pub fn without_streaming(mut self) -> Self {
        self.streaming = false;
        self
    }

    /// The server takes `top_k` and `min_p` as well, which are not of the protocol (llama.cpp, vLLM and others do).
    pub fn with_sampling_extensions(mut self) -> Self {
        self.sampling_extensions = true;
        self
    }

    /// The name under which the server takes the limit of the answer's tokens.
    pub fn with_token_limit(mut self, token_limit: TokenLimit) -> Self {
        self.token_limit = token_limit;
        self
    }

    /// Gives up on a connection after so many milliseconds (10,000 unless told).
    pub fn with_connect_timeout_ms(mut self, timeout_ms: u64) -> Self {
        self.connect_timeout_ms = timeout_ms;
        self
    }

    /// Gives up on a server that sends nothing for so many milliseconds (120,000 unless told).
    ///
    /// A server that streams is silent while it reads the prompt; without streaming only the total counts.
    pub fn with_read_timeout_ms(mut self, timeout_ms: u64) -> Self {
        self.read_timeout_ms = timeout_ms;
        self
    }

    /// Gives up after so many milliseconds altogether, retries and the reader's own pauses included (600,000 unless
    /// told).
    pub fn with_total_timeout_ms(mut self, timeout_ms: u64) -> Self {
        self.total_timeout_ms = timeout_ms;
        self
    }

    /// Asks again so many times (3 unless told) after a refused or broken connection and after HTTP 408, 429 and 5xx;
    /// never once text was passed on.
    pub fn with_retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// Waits between retries: about `first_ms` milliseconds (500 unless told), then twice as long each time, at most
    /// `max_ms` (30,000 unless told).
    ///
    /// What a server asks for in `Retry-After` replaces the computed pause; a server that asks for more than `max_ms`
    /// gets no further request, and the error says how long it asks to wait.
    pub fn with_pauses_ms(mut self, first_ms: u64, max_ms: u64) -> Self {
        self.first_pause_ms = first_ms;
        self.max_pause_ms = max_ms;
        self
    }

    /// The seed of the random part of the pauses (0 unless told), which keeps many clients from asking in step: give
    /// each its own.
    pub fn with_jitter_seed(mut self, seed: u64) -> Self {
        self.jitter_seed = seed;
        self
    }

    /// Refuses answers of more bytes (64 MiB unless told).
    pub fn with_max_response_bytes(mut self, max_bytes: u64) -> Self {
        self.max_response_bytes = max_bytes;
        self
    }

    /// Stops between two reads, and in a pause, when this is cancelled. Dropping a stream ends it as well.
    pub fn with_cancel(mut self, cancel: Cancel) -> Self {
        self.cancel = cancel;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_does_not_show() {
        let options = OpenAiOptions::new("https://api.example/v1").with_key("sk-very-secret");
        assert!(!format!("{options:?}").contains("very-secret"));
    }
}
