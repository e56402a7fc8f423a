//! The wire format of chat completions: a prompt and its options into a request, JSON into the pieces of an answer.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::error::OpenAiError;
use super::options::{OpenAiOptions, TokenLimit};
use crate::error::{Error, Result};
use crate::text::{Constraint, GenerateOptions, Prompt, TokenLogprob, Usage};

/// Options beyond the token limit, temperature and seed that the protocol, or its usual extension, carries.
const CARRIED: [&str; 9] = [
    "top_k",
    "top_p",
    "min_p",
    "stop",
    "frequency_penalty",
    "presence_penalty",
    "logit_bias",
    "logprobs",
    "constraint",
];
/// The bias with which a token does not occur, as the protocol's reference says.
const FORBIDDEN: f32 = -100.0;

/// The body of a request. An option that the protocol does not have is an error, never left out.
pub(super) fn request(
    model: &str,
    prompt: &Prompt,
    options: &GenerateOptions,
    server: &OpenAiOptions,
) -> Result<Map<String, Value>> {
    options.check()?;
    if prompt.messages.is_empty() {
        return Err(Error::EmptyPrompt);
    }
    if let Some(option) = options.first_beyond(&CARRIED) {
        return Err(unsupported(option, "the protocol of chat completions does not carry it").into());
    }
    if i64::try_from(options.seed).is_err() {
        return Err(unsupported("seed", "the protocol has seeds below 2^63 only").into());
    }
    let mut body = Map::new();
    let messages = prompt
        .messages
        .iter()
        .map(|message| json!({"role": message.role.to_string(), "content": message.content}))
        .collect();
    body.insert("model".to_owned(), model.into());
    body.insert("messages".to_owned(), Value::Array(messages));
    body.insert("stream".to_owned(), server.streaming.into());
    if server.streaming {
        body.insert("stream_options".to_owned(), json!({"include_usage": true}));
    }
    let limit = match server.token_limit {
        TokenLimit::MaxTokens => "max_tokens",
        TokenLimit::MaxCompletionTokens => "max_completion_tokens",
    };
    body.insert(limit.to_owned(), options.max_tokens.into());
    body.insert("seed".to_owned(), options.seed.into());
    body.insert(
        "temperature".to_owned(),
        decimal("temperature", options.temperature)?,
    );
    if let Some(top_p) = options.top_p {
        body.insert("top_p".to_owned(), decimal("top_p", top_p)?);
    }
    if !options.stop.is_empty() {
        body.insert("stop".to_owned(), json!(options.stop));
    }
    for (name, penalty) in [
        ("frequency_penalty", options.frequency_penalty),
        ("presence_penalty", options.presence_penalty),
    ] {
        if penalty != 0.0 {
            body.insert(name.to_owned(), decimal(name, penalty)?);
        }
    }
    if !options.logit_bias.is_empty() {
        let bias = options.logit_bias.iter();
        let bias: Result<Map<String, Value>> = bias
            .map(|(token, &bias)| Ok((token.to_string(), decimal("logit_bias", bias.max(FORBIDDEN))?)))
            .collect();
        body.insert("logit_bias".to_owned(), Value::Object(bias?));
    }
    if let Some(top_k) = options.top_k {
        extension("top_k", server)?;
        body.insert("top_k".to_owned(), top_k.into());
    }
    if let Some(min_p) = options.min_p {
        extension("min_p", server)?;
        body.insert("min_p".to_owned(), decimal("min_p", min_p)?);
    }
    if let Some(alternatives) = options.logprobs {
        body.insert("logprobs".to_owned(), true.into());
        body.insert("top_logprobs".to_owned(), alternatives.into());
    }
    if let Some(constraint) = &options.constraint {
        body.insert("response_format".to_owned(), response_format(constraint)?);
    }
    for (name, value) in &server.extra {
        body.insert(name.clone(), value.clone());
    }
    Ok(body)
}

/// What one event of a stream, or a whole answer, says.
#[derive(Debug, Deserialize)]
pub(super) struct Reply {
    pub(super) choices: Option<Vec<Choice>>,
    pub(super) usage: Option<ReplyUsage>,
    pub(super) error: Option<Value>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Choice {
    #[serde(default)]
    pub(super) index: usize,
    /// The next piece of an answer that is streamed.
    pub(super) delta: Option<Piece>,
    /// An answer that is not streamed.
    pub(super) message: Option<Piece>,
    pub(super) finish_reason: Option<String>,
    pub(super) logprobs: Option<Logprobs>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Logprobs {
    pub(super) content: Option<Vec<Logprob>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Logprob {
    token: String,
    logprob: f32,
    #[serde(default)]
    top_logprobs: Vec<Logprob>,
}

impl From<Logprob> for TokenLogprob {
    fn from(token: Logprob) -> Self {
        Self {
            id: None,
            text: token.token,
            logprob: token.logprob,
            alternatives: token.top_logprobs.into_iter().map(Self::from).collect(),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Piece {
    pub(super) content: Option<String>,
    pub(super) refusal: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct ReplyUsage {
    #[serde(default)]
    prompt_tokens: usize,
    #[serde(default)]
    completion_tokens: usize,
}

impl From<ReplyUsage> for Usage {
    fn from(usage: ReplyUsage) -> Self {
        Self {
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
        }
    }
}

pub(super) fn unsupported(option: &'static str, reason: impl Into<String>) -> OpenAiError {
    OpenAiError::UnsupportedOption {
        option,
        reason: reason.into(),
    }
}

fn response_format(constraint: &Constraint) -> Result<Value, OpenAiError> {
    match constraint {
        Constraint::Json => Ok(json!({"type": "json_object"})),
        Constraint::JsonSchema(schema) => Ok(json!({
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": true, "schema": schema},
        })),
        Constraint::Regex(_) => Err(unsupported(
            "constraint",
            "the protocol knows JSON and JSON schemas, no regular expressions",
        )),
    }
}

fn extension(option: &'static str, server: &OpenAiOptions) -> Result<(), OpenAiError> {
    if server.sampling_extensions {
        return Ok(());
    }
    Err(unsupported(
        option,
        "it is not of the protocol; if the server has it, say so with `OpenAiOptions::with_sampling_extensions`",
    ))
}

/// A number as it was written: 0.7, and not the 0.699999988… that is nearest to it in 32 bits.
fn decimal(what: &str, number: f32) -> Result<Value> {
    let not_finite = || Error::NotFinite {
        what: what.to_owned(),
        value: number,
    };
    if !number.is_finite() {
        return Err(not_finite());
    }
    let written: f64 = number.to_string().parse().map_err(|_| not_finite())?;
    Ok(written.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{Message, Overflow};

    fn server() -> OpenAiOptions {
        OpenAiOptions::new("http://localhost/v1")
    }

    fn body(options: &GenerateOptions, server: &OpenAiOptions) -> Result<Value> {
        let prompt = Prompt::new([Message::system("Be brief."), Message::user("Tea?")]);
        request("m", &prompt, options, server).map(Value::Object)
    }

    #[test]
    fn every_option_of_the_protocol_travels() {
        let options = GenerateOptions::default()
            .with_max_tokens(7)
            .with_temperature(0.7)
            .with_seed(3)
            .with_stop("\n")
            .with_top_p(0.9)
            .with_frequency_penalty(0.5)
            .with_presence_penalty(-0.25)
            .with_logit_bias(7, f32::NEG_INFINITY)
            .with_logit_bias(8, 1.5)
            .with_logprobs(2)
            .with_constraint(Constraint::JsonSchema(json!({"type": "integer"})));
        assert_eq!(
            body(&options, &server()).unwrap(),
            json!({
                "model": "m",
                "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Tea?"}],
                "stream": true,
                "stream_options": {"include_usage": true},
                "max_tokens": 7,
                "seed": 3,
                "temperature": 0.7,
                "top_p": 0.9,
                "stop": ["\n"],
                "frequency_penalty": 0.5,
                "presence_penalty": -0.25,
                "logit_bias": {"7": -100.0, "8": 1.5},
                "logprobs": true,
                "top_logprobs": 2,
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "answer", "strict": true, "schema": {"type": "integer"}},
                },
            })
        );
    }

    #[test]
    fn a_server_may_have_names_and_fields_of_its_own() {
        let options = GenerateOptions::default().with_top_k(5).with_min_p(0.05);
        let server = server()
            .without_streaming()
            .with_sampling_extensions()
            .with_token_limit(TokenLimit::MaxCompletionTokens)
            .with_extra_field("repeat_penalty", 1.1)
            .with_extra_field("seed", Value::Null);
        let body = body(&options, &server).unwrap();
        assert_eq!(body["top_k"], 5);
        assert_eq!(body["min_p"], 0.05);
        assert_eq!(body["max_completion_tokens"], 512);
        assert_eq!(body["repeat_penalty"], 1.1);
        assert_eq!(body["seed"], Value::Null);
        assert_eq!(body["stream"], false);
        assert!(body.get("stream_options").is_none() && body.get("max_tokens").is_none());
    }

    #[test]
    fn what_the_protocol_does_not_have_is_an_error_that_names_it() {
        let option_of = |options: GenerateOptions| match body(&options, &server()) {
            Err(Error::OpenAi(OpenAiError::UnsupportedOption { option, .. })) => option,
            other => panic!("{other:?}"),
        };
        let default = GenerateOptions::default;
        assert_eq!(option_of(default().with_top_k(5)), "top_k");
        assert_eq!(option_of(default().with_min_p(0.1)), "min_p");
        let regex = Constraint::Regex("a+".to_owned());
        assert_eq!(option_of(default().with_constraint(regex)), "constraint");
        assert_eq!(
            option_of(default().with_repetition_penalty(1.1)),
            "repetition_penalty"
        );
        assert_eq!(option_of(default().with_stop_token(3)), "stop_tokens");
        assert_eq!(option_of(default().with_ignore_end(true)), "ignore_end");
        assert_eq!(
            option_of(default().with_overflow(Overflow::DropOldest)),
            "overflow"
        );
        assert_eq!(option_of(default().with_seed(u64::MAX)), "seed");
        for wrong in [default().with_temperature(f32::NAN), default().with_max_tokens(0)] {
            assert!(matches!(
                body(&wrong, &server()),
                Err(Error::InvalidArgument { .. })
            ));
        }
        let empty = request("m", &Prompt::default(), &default(), &server());
        assert!(matches!(empty, Err(Error::EmptyPrompt)));
    }
}
