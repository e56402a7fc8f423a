//! What can go wrong between a request and a server's answer.

use crate::error::BoxError;

/// What can go wrong with an OpenAI-compatible server; no message ever has the key in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenAiError {
    /// The base URL is none that requests can be sent to.
    #[error("the base URL `{base_url}` cannot be used: {reason}")]
    InvalidBaseUrl {
        /// What was given, without a password.
        base_url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The environment variable that the caller named has no key.
    #[error("the environment variable `{variable}` that should have the key {reason}")]
    MissingKey {
        /// Its name.
        variable: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The key has characters that a request cannot carry.
    #[error("the key has characters that no header can carry; was a line break copied with it?")]
    InvalidKey,
    /// The protocol or the server has no such option, so the answer would not be the one that was asked for.
    #[error("the option `{option}` cannot be honoured: {reason}")]
    UnsupportedOption {
        /// The option's name in `GenerateOptions`.
        option: &'static str,
        /// Why, and what to do.
        reason: String,
    },
    /// The server does not accept the key, or wants one.
    #[error(
        "{base_url} refused access (HTTP {status}): {message}; give a key that it knows with `OpenAiOptions::with_key`"
    )]
    Unauthorized {
        /// The server.
        base_url: String,
        /// The answer's status, 401 or 403.
        status: u16,
        /// What the server said.
        message: String,
    },
    /// The server does not take the request.
    #[error("{base_url} refused the request (HTTP {status}): {message}")]
    Refused {
        /// The server.
        base_url: String,
        /// The answer's status.
        status: u16,
        /// What the server said.
        message: String,
    },
    /// The server has too much to do, also after all retries.
    #[error(
        "{base_url} has too many requests (HTTP 429) after {attempts} attempts: {message}{}",
        match retry_after_ms {
            Some(ms) => format!("; it asks to wait {ms} ms"),
            None => String::new(),
        }
    )]
    RateLimited {
        /// The server.
        base_url: String,
        /// Requests that were made.
        attempts: u32,
        /// What the server said.
        message: String,
        /// How long the server asks to wait, in milliseconds.
        retry_after_ms: Option<u64>,
    },
    /// The server failed on its side, also after all retries.
    #[error("{base_url} failed (HTTP {status}) after {attempts} attempts: {message}")]
    Unavailable {
        /// The server.
        base_url: String,
        /// The last answer's status.
        status: u16,
        /// Requests that were made.
        attempts: u32,
        /// What the server said.
        message: String,
    },
    /// The server answers with the address of another one, where neither text nor key are sent.
    #[error(
        "{base_url} points to {location}: redirects are not followed; name the final address as the base URL"
    )]
    Redirected {
        /// The server.
        base_url: String,
        /// Where it points to.
        location: String,
    },
    /// The server could not be reached, or broke off before it answered.
    #[error("{base_url} could not be reached in {attempts} attempts; is the server running there?")]
    Network {
        /// The server.
        base_url: String,
        /// Requests that were made.
        attempts: u32,
        /// What the connection said.
        #[source]
        source: BoxError,
    },
    /// The server was too slow.
    #[error(
        "{base_url} was too slow: {what} took more than {limit_ms} ms; raise it with `OpenAiOptions::{setter}`"
    )]
    TimedOut {
        /// The server.
        base_url: String,
        /// What was waited for.
        what: &'static str,
        /// The limit, in milliseconds.
        limit_ms: u64,
        /// The setter of the limit.
        setter: &'static str,
    },
    /// The connection ended before the answer did; the text so far is not the whole answer.
    #[error("{base_url} broke off after {received} bytes of its answer")]
    Interrupted {
        /// The server.
        base_url: String,
        /// Bytes of the answer's body that came.
        received: u64,
        /// What the connection said, where it said something.
        #[source]
        source: Option<BoxError>,
    },
    /// The server reports an error in the middle of its answer.
    #[error("{base_url} failed while it answered: {message}")]
    Failed {
        /// The server.
        base_url: String,
        /// What the server said.
        message: String,
    },
    /// The server withholds its answer, or part of it.
    #[error("{base_url} withholds the answer: {message}")]
    Withheld {
        /// The server.
        base_url: String,
        /// What the server said.
        message: String,
    },
    /// The answer is longer than the caller allows.
    #[error(
        "the answer of {base_url} has more than {limit_bytes} bytes; raise the limit with \
         `OpenAiOptions::with_max_response_bytes`"
    )]
    TooLarge {
        /// The server.
        base_url: String,
        /// The limit, in bytes.
        limit_bytes: u64,
    },
    /// The answer is not what the protocol says.
    #[error("the answer of {base_url} cannot be used: {reason}")]
    Protocol {
        /// The server.
        base_url: String,
        /// What is wrong with it.
        reason: String,
    },
}
