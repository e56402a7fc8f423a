//! The body of an answer: read as it comes, within limits, and never mistaken for whole when it is not.

use std::io::Read;

use ureq::BodyReader;

use super::client::too_slow;
use super::error::OpenAiError;
use super::options::OpenAiOptions;
use crate::error::Result;

const BUFFER_BYTES: usize = 16 << 10;

/// The body of a good answer.
pub(super) struct Answer {
    options: OpenAiOptions,
    reader: BodyReader<'static>,
    received: u64,
    is_json: bool,
}

impl Answer {
    pub(super) fn new(options: &OpenAiOptions, body: ureq::Body) -> Self {
        Self {
            options: options.clone(),
            is_json: body
                .mime_type()
                .is_some_and(|mime| mime.eq_ignore_ascii_case("application/json")),
            reader: body.into_reader(),
            received: 0,
        }
    }

    /// Whether the server says that the body is one JSON value.
    pub(super) fn is_json(&self) -> bool {
        self.is_json
    }

    pub(super) fn options(&self) -> &OpenAiOptions {
        &self.options
    }

    /// Adds the next bytes to `bytes`; `false` at the end of the body.
    pub(super) fn read_more(&mut self, bytes: &mut Vec<u8>) -> Result<bool> {
        self.options.cancel.check()?;
        let mut buffer = [0; BUFFER_BYTES];
        let count = match self.reader.read(&mut buffer) {
            Ok(count) => count,
            Err(source) => {
                return Err(match ureq::Error::from(source) {
                    ureq::Error::Timeout(timeout) => too_slow(timeout, &self.options),
                    source => self.interrupted(Some(source.into())),
                }
                .into());
            }
        };
        self.received += count as u64;
        if self.received > self.options.max_response_bytes {
            return Err(OpenAiError::TooLarge {
                base_url: self.options.base_url.clone(),
                limit_bytes: self.options.max_response_bytes,
            }
            .into());
        }
        bytes.extend_from_slice(&buffer[..count]);
        Ok(count > 0)
    }

    /// The whole body.
    pub(super) fn read_all(&mut self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while self.read_more(&mut bytes)? {}
        Ok(bytes)
    }

    /// The error for an answer that ends too early.
    pub(super) fn interrupted(&self, source: Option<crate::error::BoxError>) -> OpenAiError {
        OpenAiError::Interrupted {
            base_url: self.options.base_url.clone(),
            received: self.received,
            source,
        }
    }

    /// The error for an answer that is not what the protocol says.
    pub(super) fn protocol(&self, reason: impl Into<String>) -> OpenAiError {
        OpenAiError::Protocol {
            base_url: self.options.base_url.clone(),
            reason: reason.into(),
        }
    }
}
