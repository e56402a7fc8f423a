//! The OpenAI-compatible clients against a server on this machine: what is sent, and every way an answer can go wrong.

#![cfg(feature = "openai")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test that meets them fails, or says that it was skipped"
)]

mod embeddings;
mod real;
mod retries;
mod server;

use std::sync::mpsc;
use std::time::Duration;

use ragtune_core::openai::{OpenAiError, OpenAiGenerator, OpenAiOptions};
use ragtune_core::testing::conformance;
use ragtune_core::text::{
    Constraint, FinishReason, GenerateEvent, GenerateOptions, Generator, TokenCount, Usage,
};
use ragtune_core::{Cancel, Error};
use serde_json::json;
use server::{LAST_CHUNK, STREAM, Server, Step, chunk, json, stream};

/// A key that must never be seen.
const KEY: &str = "sk-very-secret";

const GOOD: &str = concat!(
    ": the server is thinking\r\n\r\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\r\n\r\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Grün\"},\"finish_reason\":null}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"er 茶\"},\"finish_reason\":null}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":4,\"total_tokens\":13}}\n\n",
    "data: [DONE]\n\n",
);

/// Asks without pauses between retries.
fn options(server: &Server) -> OpenAiOptions {
    OpenAiOptions::new(&server.url).with_key(KEY).with_pauses_ms(0, 0)
}

fn generator(options: OpenAiOptions) -> OpenAiGenerator {
    OpenAiGenerator::new(options, "tea-1").unwrap()
}

fn generate(options: OpenAiOptions) -> Result<ragtune_core::text::Generation, Error> {
    generator(options).generate("Tea?".into(), GenerateOptions::default())
}

/// The error of an answer, which never shows the key.
fn error_of(options: OpenAiOptions) -> OpenAiError {
    match generate(options) {
        Err(Error::OpenAi(error)) => {
            assert!(!format!("{error} {error:?}").contains("very-secret"), "{error:?}");
            error
        }
        other => panic!("expected an error of the server, got {other:?}"),
    }
}

#[test]
fn an_answer_is_streamed_with_its_usage() {
    let server = Server::with_answer(stream(GOOD.as_bytes()));
    let events: Vec<GenerateEvent> = generator(options(&server))
        .stream("Tea?".into(), GenerateOptions::default())
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let done = GenerateEvent::Done {
        finish: FinishReason::Stop,
        usage: Usage {
            prompt_tokens: 9,
            completion_tokens: 4,
        },
    };
    let text = |text: &str| GenerateEvent::Text(text.to_owned());
    assert_eq!(events, [text("Grün"), text("er 茶"), done]);

    let request = &server.requests()[0];
    assert_eq!(request.path, "/v1/chat/completions");
    assert_eq!(request.authorization.as_deref(), Some("Bearer sk-very-secret"));
    assert_eq!(request.body["model"], "tea-1");
    assert_eq!(
        request.body["messages"],
        json!([{"role": "user", "content": "Tea?"}])
    );
    assert_eq!(request.body["stream"], true);
}

#[test]
fn chunks_may_end_anywhere() {
    let bytes: Vec<u8> = GOOD.bytes().flat_map(|byte| chunk(&[byte])).collect();
    let server = Server::with_answer([STREAM, &bytes, LAST_CHUNK].concat());
    assert_eq!(generate(options(&server)).unwrap().text, "Grüner 茶");
}

#[test]
fn a_plain_answer_is_read_whether_it_was_asked_for_or_not() {
    let body = r#"{"choices": [{"index": 0, "message": {"role": "assistant", "content": "Green tea"}, "finish_reason": "length"}]}"#;
    let server = Server::with_answer(json("200 OK", "", body));
    for options in [options(&server), options(&server).without_streaming()] {
        let generation = generate(options).unwrap();
        assert_eq!(generation.text, "Green tea");
        assert_eq!(generation.finish, FinishReason::Length);
        // The server does not count: estimates.
        assert_eq!(generation.usage.completion_tokens, 3);
        assert!(generation.usage.prompt_tokens > 0);
    }
    let streams: Vec<_> = server
        .requests()
        .iter()
        .map(|request| request.body["stream"].clone())
        .collect();
    assert_eq!(streams, [true, false]);
}

#[test]
fn an_end_with_a_reason_is_an_end_without_done() {
    let without_done = GOOD.replace("data: [DONE]\n\n", "");
    let server = Server::with_answer(stream(without_done.as_bytes()));
    assert_eq!(generate(options(&server)).unwrap().text, "Grüner 茶");
}

#[test]
fn a_cut_answer_is_an_error_never_a_short_answer() {
    let piece = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Green\"}}]}\n\n";
    // The connection breaks off; the chunks end well but without a reason; `[DONE]` without a reason.
    let broken = Server::with_answer([STREAM, &chunk(piece.as_bytes())].concat());
    let ended = Server::with_answer(stream(piece.as_bytes()));
    for server in [&broken, &ended] {
        let error = error_of(options(server));
        assert!(
            matches!(error, OpenAiError::Interrupted { received, .. } if received == piece.len() as u64),
            "{error:?}"
        );
        // What was begun is not asked again.
        assert_eq!(server.requests().len(), 1);
    }
    let done = Server::with_answer(stream(format!("{piece}data: [DONE]\n\n").as_bytes()));
    assert!(matches!(error_of(options(&done)), OpenAiError::Protocol { .. }));

    let mut whole = json(
        "200 OK",
        "",
        r#"{"choices": [{"message": {"content": "Green tea"}, "finish_reason": "stop"}]}"#,
    );
    whole.truncate(whole.len() - 9);
    let whole = Server::with_answer(whole);
    assert!(matches!(
        error_of(options(&whole)),
        OpenAiError::Interrupted { .. }
    ));
}

#[test]
fn the_text_before_an_error_is_passed_on() {
    let body = concat!(
        "data: {\"choices\":[{\"delta\":{\"content\":\"Green\"}}]}\n\n",
        "event: error\ndata: {\"error\":{\"message\":\"out of memory, key sk-very-secret\"}}\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\" tea\"},\"finish_reason\":\"stop\"}]}\n\n",
    );
    let server = Server::with_answer(stream(body.as_bytes()));
    let mut stream = generator(options(&server))
        .stream("Tea?".into(), GenerateOptions::default())
        .unwrap();
    assert_eq!(
        stream.next().unwrap().unwrap(),
        GenerateEvent::Text("Green".to_owned())
    );
    let error = stream.next().unwrap().unwrap_err();
    assert!(
        matches!(&error, Error::OpenAi(OpenAiError::Failed { message, .. }) if message == "out of memory, key (secret)"),
        "{error:?}"
    );
    assert!(stream.next().is_none());
}

#[test]
fn what_is_no_chat_completion_is_an_error() {
    for body in [
        "data: {\n\n",
        "data: 7\n\n",
        "data: {}\n\n",
        "data: {\"choices\": 7}\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":[1]}}]}\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"\\ud800\"}}]}\n\n",
        "data: {\"choices\":[{\"finish_reason\":\"tool_calls\"}]}\n\n",
        "data: \u{0}\n\n",
    ] {
        let server = Server::with_answer(stream(body.as_bytes()));
        let error = error_of(options(&server));
        assert!(
            matches!(error, OpenAiError::Protocol { .. }),
            "{body:?}: {error:?}"
        );
    }
    for body in ["{}", "[]", "", "<html>", r#"{"choices": []}"#] {
        let server = Server::with_answer(json("200 OK", "", body));
        let error = error_of(options(&server));
        assert!(
            matches!(error, OpenAiError::Protocol { .. }),
            "{body:?}: {error:?}"
        );
    }
}

#[test]
fn a_stop_text_that_the_server_does_not_heed_ends_the_answer() {
    let server = Server::with_answer(stream(GOOD.as_bytes()));
    let ask = |stop: &str| {
        let asked = GenerateOptions::default().with_stop(stop);
        generator(options(&server))
            .generate("Tea?".into(), asked)
            .unwrap()
    };
    // Across two pieces; never; held back at the end for nothing.
    assert_eq!(ask("üner").text, "Gr");
    assert_eq!(ask("tea").text, "Grüner 茶");
    assert_eq!(ask("茶!").text, "Grüner 茶");
    assert_eq!(ask("üner").finish, FinishReason::Stop);
    assert_eq!(server.requests()[0].body["stop"], json!(["üner"]));
}

#[test]
fn log_probabilities_are_passed_on_and_missed() {
    let body = concat!(
        "data: {\"choices\":[{\"delta\":{\"content\":\"Tea\"},\"logprobs\":{\"content\":[{\"token\":\"Tea\",\"logprob\":-0.5,",
        "\"bytes\":[84,101,97],\"top_logprobs\":[{\"token\":\"Tea\",\"logprob\":-0.5},{\"token\":\"A\",\"logprob\":-1.5}]}]}}]}\n\n",
        "data: {\"choices\":[{\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
    );
    let asked = || GenerateOptions::default().with_logprobs(2);
    let server = Server::with_answer(stream(body.as_bytes()));
    let answer = generator(options(&server))
        .generate("Tea?".into(), asked())
        .unwrap();
    assert_eq!(answer.text, "Tea");
    assert_eq!(answer.tokens.len(), 1);
    assert_eq!(
        (answer.tokens[0].text.as_str(), answer.tokens[0].logprob),
        ("Tea", -0.5)
    );
    let alternatives: Vec<&str> = answer.tokens[0]
        .alternatives
        .iter()
        .map(|token| token.text.as_str())
        .collect();
    assert_eq!(alternatives, ["Tea", "A"]);
    let request = &server.requests()[0].body;
    assert_eq!(
        (&request["logprobs"], &request["top_logprobs"]),
        (&json!(true), &json!(2))
    );

    let without = Server::with_answer(stream(GOOD.as_bytes()));
    let ignored = generator(options(&without)).generate("Tea?".into(), asked());
    assert!(
        matches!(ignored, Err(Error::OpenAi(OpenAiError::Protocol { .. }))),
        "{ignored:?}"
    );
}

#[test]
fn json_that_was_asked_for_is_json_or_an_error() {
    let asked = || GenerateOptions::default().with_constraint(Constraint::Json);
    let answer = |text: &str, finish: &str| {
        let body = json!({"choices": [{"delta": {"content": text}, "finish_reason": finish}]});
        let server = Server::with_answer(stream(format!("data: {body}\n\n").as_bytes()));
        let answer = generator(options(&server)).generate("Tea?".into(), asked());
        assert_eq!(
            server.requests()[0].body["response_format"],
            json!({"type": "json_object"})
        );
        answer
    };
    assert_eq!(answer("{\"tea\": 1}", "stop").unwrap().text, "{\"tea\": 1}");
    // Cut by the token limit, which the finish reason says.
    assert_eq!(answer("{\"tea\":", "length").unwrap().text, "{\"tea\":");
    let ignored = answer("Tea is a drink.", "stop");
    assert!(
        matches!(ignored, Err(Error::OpenAi(OpenAiError::Protocol { .. }))),
        "{ignored:?}"
    );
}

#[test]
fn an_answer_that_is_withheld_is_an_error() {
    for body in [
        "data: {\"choices\":[{\"delta\":{\"refusal\":\"I cannot help with that.\"}}]}\n\n",
        "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"content_filter\"}]}\n\n",
    ] {
        let server = Server::with_answer(stream(body.as_bytes()));
        assert!(matches!(error_of(options(&server)), OpenAiError::Withheld { .. }));
    }
}

#[test]
fn an_answer_without_end_is_stopped() {
    let comment = [STREAM, &chunk(b": x\n\n")].concat();
    let server =
        Server::start(move |_, _| vec![Step::Send(comment.clone()), Step::Repeat(chunk(b": x\n\n"), None)]);
    let error = error_of(options(&server).with_max_response_bytes(10_000));
    assert!(
        matches!(
            error,
            OpenAiError::TooLarge {
                limit_bytes: 10_000,
                ..
            }
        ),
        "{error:?}"
    );
    // By time, where the bytes would be few enough.
    let error = error_of(
        options(&server)
            .with_max_response_bytes(u64::MAX)
            .with_total_timeout_ms(300),
    );
    assert!(
        matches!(
            error,
            OpenAiError::TimedOut {
                limit_ms: 300,
                setter: "with_total_timeout_ms",
                ..
            }
        ),
        "{error:?}"
    );
}

#[test]
fn one_event_without_end_is_stopped() {
    let server = Server::start(|_, _| {
        vec![
            Step::Send([STREAM, &chunk(b"data: ")].concat()),
            Step::Repeat(chunk(&[b'x'; 65_536]), None),
        ]
    });
    assert!(matches!(error_of(options(&server)), OpenAiError::Protocol { .. }));
}

#[test]
fn a_silent_server_is_a_time_out() {
    // Silent before its headers, and in the middle of its answer.
    let silent = Server::start(|_, _| vec![Step::Hold]);
    let stalled = Server::start(|_, _| vec![Step::Send([STREAM, &chunk(b": x\n\n")].concat()), Step::Hold]);
    for server in [&silent, &stalled] {
        let error = error_of(options(server).with_read_timeout_ms(50));
        assert!(
            matches!(
                error,
                OpenAiError::TimedOut {
                    limit_ms: 50,
                    setter: "with_read_timeout_ms",
                    ..
                }
            ),
            "{error:?}"
        );
        assert_eq!(server.requests().len(), 1);
    }
    let error = error_of(options(&silent).without_streaming().with_total_timeout_ms(50));
    assert!(
        matches!(
            error,
            OpenAiError::TimedOut {
                setter: "with_total_timeout_ms",
                ..
            }
        ),
        "{error:?}"
    );
}

#[test]
fn dropping_the_stream_closes_the_connection() {
    let (tell, told) = mpsc::channel();
    let piece = chunk(b"data: {\"choices\":[{\"delta\":{\"content\":\"Green\"}}]}\n\n");
    let first = [STREAM, &piece].concat();
    let server = Server::start(move |_, _| {
        vec![
            Step::Send(first.clone()),
            Step::Repeat(piece.clone(), Some(tell.clone())),
        ]
    });
    let mut stream = generator(options(&server))
        .stream("Tea?".into(), GenerateOptions::default())
        .unwrap();
    assert!(stream.next().unwrap().is_ok());
    drop(stream);
    told.recv_timeout(Duration::from_secs(300)).unwrap();
}

#[test]
fn cancelling_ends_the_stream() {
    let piece = chunk(b"data: {\"choices\":[{\"delta\":{\"content\":\"Green\"}}]}\n\n");
    let first = [STREAM, &piece].concat();
    let server =
        Server::start(move |_, _| vec![Step::Send(first.clone()), Step::Repeat(piece.clone(), None)]);
    let cancel = Cancel::new();
    let mut stream = generator(options(&server).with_cancel(cancel.clone()))
        .stream("Tea?".into(), GenerateOptions::default())
        .unwrap();
    assert!(stream.next().unwrap().is_ok());
    cancel.cancel();
    let end = stream.find(Result::is_err).unwrap();
    assert!(matches!(end, Err(Error::Cancelled)), "{end:?}");
    assert!(stream.next().is_none());
}

#[test]
fn a_key_comes_from_the_variable_that_the_caller_names() {
    let server = Server::with_answer(stream(GOOD.as_bytes()));
    // A variable that cargo sets for every test.
    let options = OpenAiOptions::new(&server.url)
        .with_key_from_env("CARGO_PKG_NAME")
        .unwrap();
    generate(options).unwrap();
    generate(OpenAiOptions::new(&server.url)).unwrap();
    let keys: Vec<_> = server
        .requests()
        .into_iter()
        .map(|request| request.authorization)
        .collect();
    assert_eq!(keys, [Some("Bearer ragtune-core".to_owned()), None]);
}

#[test]
fn the_generator_keeps_its_contract() {
    let server = Server::start(|_, request| {
        let tokens = request.body["max_tokens"].as_u64().unwrap();
        let body = json!({
            "choices": [{"index": 0, "delta": {"content": "Tea"}, "finish_reason": "length"}],
            "usage": {"prompt_tokens": 3, "completion_tokens": tokens},
        });
        vec![Step::Send(stream(
            format!("data: {body}\n\ndata: [DONE]\n\n").as_bytes(),
        ))]
    });
    let generator = generator(options(&server)).with_context_tokens(100);
    assert_eq!(conformance::generator(&generator), Vec::<String>::new());
    assert_eq!(generator.id(), "tea-1");
    assert_eq!(generator.context_tokens(), 100);
    assert!(matches!(
        generator.count(&"Tea?".into()).unwrap(),
        TokenCount::Estimate(_)
    ));
}
