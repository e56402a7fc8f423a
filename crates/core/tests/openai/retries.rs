//! What is asked again, how often, and what never is.

use ragtune_core::openai::{OpenAiError, OpenAiOptions};
use ragtune_core::{Cancel, Error};

use super::server::{Server, Step, json, stream};
use super::{GOOD, error_of, generate, options};

/// Refuses so many times, then answers.
fn refusing(times: usize, status: &'static str, headers: &'static str) -> Server {
    Server::start(move |number, _| {
        vec![Step::Send(if number < times {
            json(status, headers, r#"{"error": {"message": "later, please"}}"#)
        } else {
            stream(GOOD.as_bytes())
        })]
    })
}

#[test]
fn a_busy_or_failing_server_is_asked_again() {
    for status in [
        "429 Too Many Requests",
        "500 Oops",
        "503 Service Unavailable",
        "408 Request Timeout",
    ] {
        let server = refusing(2, status, "");
        assert_eq!(generate(options(&server)).unwrap().text, "Grüner 茶", "{status}");
        assert_eq!(server.requests().len(), 3);
    }
    // A server that drops the connection instead of answering.
    let server = Server::start(|number, _| match number {
        0 => Vec::new(),
        _ => vec![Step::Send(stream(GOOD.as_bytes()))],
    });
    assert_eq!(generate(options(&server)).unwrap().text, "Grüner 茶");
}

#[test]
fn retries_come_to_an_end() {
    let server = refusing(usize::MAX, "429 Too Many Requests", "");
    let error = error_of(options(&server).with_retries(2));
    assert!(
        matches!(&error, OpenAiError::RateLimited { attempts: 3, message, .. } if message == "later, please"),
        "{error:?}"
    );
    assert_eq!(server.requests().len(), 3);

    let server = refusing(usize::MAX, "502 Bad Gateway", "");
    let error = error_of(options(&server).with_retries(0));
    assert!(
        matches!(
            error,
            OpenAiError::Unavailable {
                status: 502,
                attempts: 1,
                ..
            }
        ),
        "{error:?}"
    );

    // Nobody listens on the port of a service that no machine has any more.
    let url = "http://127.0.0.1:1/v1";
    let error = error_of(OpenAiOptions::new(url).with_pauses_ms(0, 0).with_retries(4));
    assert!(
        matches!(error, OpenAiError::Network { attempts: 5, .. }),
        "{error:?}"
    );
}

#[test]
fn a_server_that_says_how_long_is_obeyed_up_to_the_cap() {
    let server = refusing(1, "429 Too Many Requests", "retry-after-ms: 1\r\n");
    let patient = options(&server).with_pauses_ms(86_400_000, 86_400_000);
    assert_eq!(generate(patient).unwrap().text, "Grüner 茶");

    let server = refusing(1, "503 Service Unavailable", "retry-after: 3600\r\n");
    let error = error_of(options(&server).with_pauses_ms(0, 3_599_999));
    assert!(
        matches!(error, OpenAiError::Unavailable { attempts: 1, .. }),
        "{error:?}"
    );
    let server = refusing(1, "429 Too Many Requests", "retry-after: 3600\r\n");
    // Longer than the whole request may take.
    let error = error_of(options(&server).with_pauses_ms(0, u64::MAX));
    assert!(
        matches!(
            error,
            OpenAiError::RateLimited {
                attempts: 1,
                retry_after_ms: Some(3_600_000),
                ..
            }
        ),
        "{error:?}"
    );
}

#[test]
fn a_pause_can_be_cancelled() {
    let cancel = Cancel::new();
    let when_asked = cancel.clone();
    let server = Server::start(move |_, _| {
        when_asked.cancel();
        vec![Step::Send(json("503 Service Unavailable", "", "{}"))]
    });
    let options = options(&server)
        .with_pauses_ms(500_000, 500_000)
        .with_cancel(cancel);
    assert!(matches!(generate(options), Err(Error::Cancelled)));
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_refused_request_is_not_asked_again() {
    let server = refusing(1, "400 Bad Request", "");
    let error = error_of(options(&server));
    assert!(
        matches!(&error, OpenAiError::Refused { status: 400, message, .. } if message == "later, please"),
        "{error:?}"
    );
    assert_eq!(server.requests().len(), 1);

    let server = Server::with_answer(json(
        "401 Unauthorized",
        "",
        r#"{"error": {"message": "unknown key sk-very-secret"}}"#,
    ));
    let error = error_of(options(&server));
    assert!(
        matches!(&error, OpenAiError::Unauthorized { status: 401, message, .. } if message == "unknown key (secret)"),
        "{error:?}"
    );
}

#[test]
fn a_redirect_takes_neither_text_nor_key_elsewhere() {
    let elsewhere = Server::with_answer(stream(GOOD.as_bytes()));
    for status in [
        "301 Moved",
        "302 Found",
        "303 See Other",
        "307 Temporary",
        "308 Permanent",
    ] {
        let head = format!(
            "HTTP/1.1 {status}\r\nlocation: {}/chat/completions\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            elsewhere.url
        );
        let server = Server::with_answer(head.into_bytes());
        let error = error_of(options(&server));
        assert!(
            matches!(&error, OpenAiError::Redirected { location, .. } if location.starts_with(&elsewhere.url)),
            "{status}: {error:?}"
        );
        assert_eq!(server.requests().len(), 1);
    }
    assert!(elsewhere.requests().is_empty());
}

#[test]
fn a_huge_refusal_is_a_refusal() {
    let server = Server::with_answer(json("400 Bad Request", "", &"x".repeat(1 << 20)));
    let error = error_of(options(&server));
    assert!(
        matches!(error, OpenAiError::Refused { status: 400, .. }),
        "{error:?}"
    );
}
