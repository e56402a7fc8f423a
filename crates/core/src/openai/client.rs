//! One request and its retries: who gets the key, what a status means, when to ask again.

use std::time::{Duration, Instant};

use ureq::http::{HeaderValue, Response, StatusCode, header};
use ureq::{Agent, Body, Timeout};

use super::answer::Answer;
use super::backoff::{Backoff, retry_after_ms};
use super::error::OpenAiError;
use super::options::OpenAiOptions;
use super::refusal::{REFUSAL_BYTES, message_of_body, presentable};
use crate::error::Result;
use crate::http::{Secret, header_text, is_local, server_address};

/// A pause ends so soon after it is cancelled.
const CANCEL_POLL: Duration = Duration::from_millis(50);

/// Whether the server may be silent for as long as the whole request may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// No longer than the read time-out.
    Short,
    /// Until the total time-out: it computes a whole answer before it sends a byte.
    Long,
}

/// The connection to one server.
#[derive(Debug)]
pub(super) struct Client {
    agent: Agent,
    options: OpenAiOptions,
    authorization: Option<HeaderValue>,
}

/// A request that got no good answer.
struct Failure {
    error: OpenAiError,
    /// Whether the same request may do better.
    again: bool,
    /// How long the server asks to wait.
    asked_ms: Option<u64>,
}

impl Client {
    /// A connection; nothing is sent yet.
    pub(super) fn new(mut options: OpenAiOptions) -> Result<Self, OpenAiError> {
        let invalid = |base_url: &str, reason| OpenAiError::InvalidBaseUrl {
            base_url: base_url.to_owned(),
            reason,
        };
        if options.base_url.contains('@') {
            let shown = options.base_url.rsplit('@').next().unwrap_or_default();
            return Err(invalid(
                shown,
                "it has a name or password before `@`; give a key with `OpenAiOptions::with_key`",
            ));
        }
        if options.base_url.contains(['?', '#']) {
            let shown = options.base_url.split(['?', '#']).next().unwrap_or_default();
            return Err(invalid(shown, "nothing may stand behind its path"));
        }
        let must_hide = options.key.is_some() && !options.key_over_http;
        let server = server_address(&options.base_url, must_hide)
            .map_err(|reason| invalid(&options.base_url, reason))?;
        let authorization = match options.key.as_ref().map(Secret::bearer) {
            Some(None) => return Err(OpenAiError::InvalidKey),
            other => other.flatten(),
        };
        options
            .base_url
            .truncate(options.base_url.trim_end_matches('/').len());
        let connect = Duration::from_millis(options.connect_timeout_ms);
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            // A server on this machine is not behind a proxy.
            .proxy(options.proxy.clone().filter(|_| !is_local(&server)))
            .user_agent(concat!("ragtune/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            .timeout_resolve(Some(connect))
            .timeout_connect(Some(connect))
            .build()
            .into();
        Ok(Self {
            agent,
            options,
            authorization,
        })
    }

    pub(super) fn options(&self) -> &OpenAiOptions {
        &self.options
    }

    /// Posts JSON to a path below the base URL, again and again within the limits of the options.
    pub(super) fn post(&self, path: &str, json: &[u8], silence: Silence) -> Result<Answer> {
        let started = Instant::now();
        let backoff = Backoff {
            first_ms: self.options.first_pause_ms,
            max_ms: self.options.max_pause_ms,
            seed: self.options.jitter_seed,
        };
        let total = Duration::from_millis(self.options.total_timeout_ms);
        let mut attempts = 0;
        loop {
            self.options.cancel.check()?;
            attempts += 1;
            let left = total.saturating_sub(started.elapsed());
            if left.is_zero() {
                return Err(self.too_slow(Timeout::Global).into());
            }
            let failure = match self.once(path, json, silence, left, attempts) {
                Ok(body) => return Ok(Answer::new(&self.options, body)),
                Err(failure) => failure,
            };
            let pause_ms = failure.asked_ms.unwrap_or_else(|| backoff.pause_ms(attempts));
            let left = total.saturating_sub(started.elapsed());
            if !failure.again
                || attempts > self.options.retries
                || pause_ms > self.options.max_pause_ms
                || Duration::from_millis(pause_ms) >= left
            {
                return Err(failure.error.into());
            }
            tracing::debug!(attempts, pause_ms, error = %failure.error, "asking again");
            self.pause(Duration::from_millis(pause_ms))?;
        }
    }

    fn pause(&self, pause: Duration) -> Result<()> {
        let started = Instant::now();
        loop {
            self.options.cancel.check()?;
            match pause.saturating_sub(started.elapsed()) {
                Duration::ZERO => return Ok(()),
                left => std::thread::sleep(left.min(CANCEL_POLL)),
            }
        }
    }

    fn once(
        &self,
        path: &str,
        json: &[u8],
        silence: Silence,
        left: Duration,
        attempts: u32,
    ) -> Result<Body, Failure> {
        let read = Duration::from_millis(self.options.read_timeout_ms);
        let silent = (silence == Silence::Short).then_some(read);
        let mut request = self
            .agent
            .post(format!("{}{path}", self.options.base_url))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json, text/event-stream")
            .config()
            .timeout_global(Some(left))
            .timeout_recv_response(silent)
            .timeout_per_read(silent)
            .build();
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let response = request
            .send(json)
            .map_err(|source| self.unreachable(source, attempts))?;
        if response.status().is_success() {
            return Ok(response.into_body());
        }
        Err(self.refused(response, attempts))
    }

    fn unreachable(&self, source: ureq::Error, attempts: u32) -> Failure {
        use std::io::ErrorKind::{
            BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, UnexpectedEof,
        };
        if let ureq::Error::Timeout(timeout) = source {
            return Failure {
                error: self.too_slow(timeout),
                again: false,
                asked_ms: None,
            };
        }
        let again = match &source {
            ureq::Error::Io(source) => matches!(
                source.kind(),
                BrokenPipe | ConnectionAborted | ConnectionRefused | ConnectionReset | UnexpectedEof
            ),
            ureq::Error::ConnectionFailed => true,
            _ => false,
        };
        Failure {
            error: OpenAiError::Network {
                base_url: self.options.base_url.clone(),
                attempts,
                source: source.into(),
            },
            again,
            asked_ms: None,
        }
    }

    fn too_slow(&self, timeout: Timeout) -> OpenAiError {
        too_slow(timeout, &self.options)
    }

    fn refused(&self, response: Response<Body>, attempts: u32) -> Failure {
        let status = response.status();
        let asked_ms = retry_after_ms(response.headers());
        let location = header_text(response.headers(), "location").map(str::to_owned);
        let key = self.options.key.as_ref();
        let base_url = self.options.base_url.clone();
        if status.is_redirection() {
            let location = presentable(&location.unwrap_or_else(|| "no address".to_owned()), key);
            return Failure {
                error: OpenAiError::Redirected { base_url, location },
                again: false,
                asked_ms: None,
            };
        }
        let body = response
            .into_body()
            .into_with_config()
            .limit(REFUSAL_BYTES)
            .read_to_vec();
        // The status is the error; a message that cannot be read, or is too long, is left out.
        let message = message_of_body(&body.unwrap_or_default(), key);
        let status_number = status.as_u16();
        let again = match status {
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => true,
            StatusCode::NOT_IMPLEMENTED | StatusCode::HTTP_VERSION_NOT_SUPPORTED => false,
            status => status.is_server_error(),
        };
        let error = match status_number {
            401 | 403 => OpenAiError::Unauthorized {
                base_url,
                status: status_number,
                message,
            },
            429 => OpenAiError::RateLimited {
                base_url,
                attempts,
                message,
                retry_after_ms: asked_ms,
            },
            408 | 500.. => OpenAiError::Unavailable {
                base_url,
                status: status_number,
                attempts,
                message,
            },
            _ => OpenAiError::Refused {
                base_url,
                status: status_number,
                message,
            },
        };
        Failure {
            error,
            again,
            asked_ms,
        }
    }
}

/// The error for a time-out, with the option that set it.
pub(super) fn too_slow(timeout: Timeout, options: &OpenAiOptions) -> OpenAiError {
    let (what, limit_ms, setter) = match timeout {
        Timeout::Resolve | Timeout::Connect => (
            "connecting",
            options.connect_timeout_ms,
            "with_connect_timeout_ms",
        ),
        Timeout::PerRead | Timeout::RecvResponse => (
            "waiting for more",
            options.read_timeout_ms,
            "with_read_timeout_ms",
        ),
        _ => (
            "the whole answer",
            options.total_timeout_ms,
            "with_total_timeout_ms",
        ),
    };
    OpenAiError::TimedOut {
        base_url: options.base_url.clone(),
        what,
        limit_ms,
        setter,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_would_leak_are_refused() {
        let refused = |base_url: &str| {
            let options = OpenAiOptions::new(base_url).with_key("sk-very-secret");
            Client::new(options).unwrap_err().to_string()
        };
        assert!(refused("http://api.example/v1").contains("https only"));
        let with_password = refused("https://me:pass-word@api.example/v1");
        assert!(with_password.contains("`@`") && !with_password.contains("pass-word"));
        assert!(!refused("https://api.example/v1?key=pass-word").contains("pass-word"));
        assert!(refused("api.example").contains("no host") || refused("api.example").contains("http"));

        let trusted = OpenAiOptions::new("http://10.0.0.1:8000/v1/")
            .with_key("sk-very-secret")
            .with_key_over_http();
        let client = Client::new(trusted).unwrap();
        assert_eq!(client.options().base_url, "http://10.0.0.1:8000/v1");
        assert!(!format!("{client:?}").contains("very-secret"));
    }

    #[test]
    fn a_key_that_no_header_carries_is_refused() {
        let options = OpenAiOptions::new("https://api.example/v1").with_key("sk-very\nsecret");
        let error = Client::new(options).unwrap_err();
        assert!(matches!(error, OpenAiError::InvalidKey));
    }
}
