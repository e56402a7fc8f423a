//! A server's events as the events of a generator.

use std::collections::VecDeque;

use super::answer::Answer;
use super::chat::{Piece, Reply};
use super::error::OpenAiError;
use super::refusal::{message_of_error, presentable};
use super::sse::{SseEvent, SseParser};
use crate::error::Result;
use crate::text::{FinishReason, GenerateEvent, TokenCount, Usage};

/// No event of a stream is longer, in bytes.
const MAX_EVENT_BYTES: usize = 4 << 20;

/// An answer in the making. Dropping it closes the connection, which tells the server to stop.
pub(super) struct ChatStream {
    /// `None` once the answer has ended, well or not.
    answer: Option<Answer>,
    streaming: bool,
    parser: SseParser,
    events: VecDeque<SseEvent>,
    text_bytes: usize,
    finish: Option<FinishReason>,
    usage: Option<Usage>,
    prompt_tokens: TokenCount,
}

impl ChatStream {
    /// The stream of an answer; `prompt_tokens` counts where the server does not.
    pub(super) fn new(answer: Answer, prompt_tokens: TokenCount) -> Self {
        Self {
            // A server that cannot stream answers as if it had not been asked to.
            streaming: answer.options().streaming && !answer.is_json(),
            answer: Some(answer),
            parser: SseParser::new(MAX_EVENT_BYTES),
            events: VecDeque::new(),
            text_bytes: 0,
            finish: None,
            usage: None,
            prompt_tokens,
        }
    }

    fn step(&mut self, answer: &mut Answer) -> Result<GenerateEvent> {
        if !self.streaming {
            return self.whole(answer);
        }
        loop {
            while let Some(event) = self.events.pop_front() {
                if event.data == b"[DONE]" {
                    return self.done(answer);
                }
                if let Some(text) = self.take(&event.data, answer)? {
                    return Ok(GenerateEvent::Text(text));
                }
            }
            let mut bytes = Vec::new();
            if !answer.read_more(&mut bytes)? {
                // Without a reason for its end the answer was cut; `[DONE]` alone may be missing.
                return match self.finish {
                    Some(_) => self.done(answer),
                    None => Err(answer.interrupted(None).into()),
                };
            }
            let mut events = Vec::new();
            self.parser
                .push(&bytes, &mut events)
                .map_err(|error| answer.protocol(error.to_string()))?;
            self.events.extend(events);
        }
    }

    /// An answer that came at once: its text first, its end on the next call.
    fn whole(&mut self, answer: &mut Answer) -> Result<GenerateEvent> {
        if self.finish.is_some() {
            return self.done(answer);
        }
        let body = answer.read_all()?;
        let text = self.take(&body, answer)?;
        match text {
            Some(text) => Ok(GenerateEvent::Text(text)),
            None => self.done(answer),
        }
    }

    /// Takes one JSON value in; the text that it adds.
    fn take(&mut self, json: &[u8], answer: &Answer) -> Result<Option<String>, OpenAiError> {
        let base_url = || answer.options().base_url.clone();
        let key = answer.options().key.as_ref();
        let reply: Reply = serde_json::from_slice(json)
            .map_err(|error| answer.protocol(format!("it is no chat completion: {error}")))?;
        if let Some(error) = &reply.error {
            return Err(OpenAiError::Failed {
                base_url: base_url(),
                message: message_of_error(error, key),
            });
        }
        if reply.choices.is_none() && reply.usage.is_none() {
            return Err(answer.protocol("it is no chat completion: it has neither `choices` nor `usage`"));
        }
        if let Some(usage) = reply.usage {
            self.usage = Some(usage.into());
        }
        let mut choices = reply.choices.unwrap_or_default().into_iter();
        let Some(choice) = choices.find(|choice| choice.index == 0) else {
            return Ok(None);
        };
        let Piece { content, refusal } = choice.delta.or(choice.message).unwrap_or_default();
        if let Some(refusal) = refusal.filter(|refusal| !refusal.is_empty()) {
            return Err(OpenAiError::Withheld {
                base_url: base_url(),
                message: presentable(&refusal, key),
            });
        }
        match choice.finish_reason.as_deref() {
            None | Some("") => {}
            Some("stop" | "eos" | "eos_token" | "stop_sequence") => self.finish = Some(FinishReason::Stop),
            Some("length") => self.finish = Some(FinishReason::Length),
            Some("content_filter") => {
                return Err(OpenAiError::Withheld {
                    base_url: base_url(),
                    message: "its content filter stopped it".to_owned(),
                });
            }
            Some(other) => {
                let other = presentable(other, key);
                return Err(answer.protocol(format!("it ended for the unknown reason {other:?}")));
            }
        }
        let text = content.filter(|text| !text.is_empty());
        self.text_bytes += text.as_ref().map_or(0, String::len);
        Ok(text)
    }

    /// The closing event.
    fn done(&self, answer: &Answer) -> Result<GenerateEvent> {
        let finish = self
            .finish
            .ok_or_else(|| answer.protocol("it ended without saying why (`finish_reason`)"))?;
        let estimate = Usage {
            prompt_tokens: self.prompt_tokens.get(),
            completion_tokens: self.text_bytes.div_ceil(4),
        };
        Ok(GenerateEvent::Done {
            finish,
            usage: self.usage.unwrap_or(estimate),
        })
    }
}

impl Iterator for ChatStream {
    type Item = Result<GenerateEvent>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut answer = self.answer.take()?;
        let event = self.step(&mut answer);
        if matches!(event, Ok(GenerateEvent::Text(_))) {
            self.answer = Some(answer);
        }
        Some(event)
    }
}
