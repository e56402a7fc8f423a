//! A server's events as the events of a generator.

use std::collections::VecDeque;

use super::answer::Answer;
use super::chat::{Piece, Reply};
use super::error::OpenAiError;
use super::refusal::{message_of_error, presentable};
use super::sse::{SseEvent, SseParser};
use crate::error::{Error, Result};
use crate::text::{FinishReason, GenerateEvent, GenerateOptions, StopTexts, TokenCount, Usage};

/// No event of a stream is longer, in bytes.
const MAX_EVENT_BYTES: usize = 4 << 20;

/// An answer in the making. Dropping it closes the connection, which tells the server to stop.
pub(super) struct ChatStream {
    /// `None` once the answer has ended, well or not.
    answer: Option<Answer>,
    streaming: bool,
    parser: SseParser,
    /// What was understood and not yet passed on.
    ready: VecDeque<GenerateEvent>,
    /// Not every server heeds `stop`.
    stop: StopTexts,
    wants_logprobs: bool,
    /// The whole text, where it is to be checked at its end.
    json: Option<String>,
    text_bytes: usize,
    tokens: usize,
    finish: Option<FinishReason>,
    usage: Option<Usage>,
    prompt_tokens: TokenCount,
    /// The error that ends the stream once what came before it is passed on.
    failed: Option<Error>,
}

/// Whether more is to come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Done,
}

impl ChatStream {
    /// The stream of an answer; `prompt_tokens` counts where the server does not.
    pub(super) fn new(answer: Answer, options: &GenerateOptions, prompt_tokens: TokenCount) -> Self {
        Self {
            // A server that cannot stream answers as if it had not been asked to.
            streaming: answer.options().streaming && !answer.is_json(),
            answer: Some(answer),
            parser: SseParser::new(MAX_EVENT_BYTES),
            ready: VecDeque::new(),
            stop: StopTexts::new(options.stop.iter().cloned()),
            wants_logprobs: options.logprobs.is_some(),
            json: options.constraint.is_some().then(String::new),
            text_bytes: 0,
            tokens: 0,
            finish: None,
            usage: None,
            prompt_tokens,
            failed: None,
        }
    }

    /// Reads once and takes in what came.
    fn read(&mut self, answer: &mut Answer) -> Result<State> {
        let mut bytes = Vec::new();
        if !self.streaming {
            let body = answer.read_all()?;
            self.take(&body, answer)?;
            return self.done(answer);
        }
        if !answer.read_more(&mut bytes)? {
            // Without a reason for its end the answer was cut; `[DONE]` alone may be missing.
            return match self.finish {
                Some(_) => self.done(answer),
                None => Err(answer.interrupted(None).into()),
            };
        }
        let mut events = Vec::new();
        let parsed = self.parser.push(&bytes, &mut events);
        for SseEvent { data, .. } in events {
            let is_last = data == b"[DONE]";
            if !is_last {
                self.take(&data, answer)?;
            }
            if is_last || self.stop.is_stopped() {
                return self.done(answer);
            }
        }
        parsed.map_err(|error| answer.protocol(error.to_string()))?;
        Ok(State::Open)
    }

    /// Takes one JSON value in.
    fn take(&mut self, json: &[u8], answer: &Answer) -> Result<(), OpenAiError> {
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
            return Ok(());
        };
        let Piece { content, refusal } = choice.delta.or(choice.message).unwrap_or_default();
        if let Some(refusal) = refusal.filter(|refusal| !refusal.is_empty()) {
            return Err(OpenAiError::Withheld {
                base_url: base_url(),
                message: presentable(&refusal, key),
            });
        }
        if self.wants_logprobs {
            let tokens = choice.logprobs.and_then(|logprobs| logprobs.content);
            for token in tokens.unwrap_or_default() {
                self.tokens += 1;
                self.ready.push_back(GenerateEvent::Token(token.into()));
            }
        }
        if let Some(text) = content {
            self.text_bytes += text.len();
            let text = self.stop.push(&text);
            self.give(text);
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
        Ok(())
    }

    /// Makes the last text and the closing event ready, when the answer is what was asked for.
    fn done(&mut self, answer: &Answer) -> Result<State> {
        if self.stop.is_stopped() {
            self.finish = Some(FinishReason::Stop);
        }
        let finish = self
            .finish
            .ok_or_else(|| answer.protocol("it ended without saying why (`finish_reason`)"))?;
        let held = self.stop.finish();
        self.give(held);
        if self.wants_logprobs && self.tokens == 0 && self.text_bytes > 0 {
            let reason = "it has no log-probabilities, though `logprobs` asked for them; leave the option out for this server";
            return Err(answer.protocol(reason).into());
        }
        let is_json = |text: &String| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
        if finish == FinishReason::Stop && self.json.as_ref().is_some_and(|text| !is_json(text)) {
            let reason =
                "it is no JSON, though `response_format` asked for it; does this server know that option?";
            return Err(answer.protocol(reason).into());
        }
        let estimate = Usage {
            prompt_tokens: self.prompt_tokens.get(),
            completion_tokens: self.text_bytes.div_ceil(4),
        };
        self.ready.push_back(GenerateEvent::Done {
            finish,
            usage: self.usage.unwrap_or(estimate),
        });
        Ok(State::Done)
    }

    fn give(&mut self, text: String) {
        if let Some(json) = &mut self.json {
            json.push_str(&text);
        }
        if !text.is_empty() {
            self.ready.push_back(GenerateEvent::Text(text));
        }
    }
}

impl Iterator for ChatStream {
    type Item = Result<GenerateEvent>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(Ok(event));
            }
            if let Some(error) = self.failed.take() {
                return Some(Err(error));
            }
            let mut answer = self.answer.take()?;
            match self.read(&mut answer) {
                Ok(State::Open) => self.answer = Some(answer),
                Ok(State::Done) => {}
                Err(error) => self.failed = Some(error),
            }
        }
    }
}
