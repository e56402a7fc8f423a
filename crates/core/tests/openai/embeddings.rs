//! Embeddings: batches, their order, and answers that do not fit the question.

use ragtune_core::openai::{OpenAiEmbedder, OpenAiError};
use ragtune_core::testing::conformance;
use ragtune_core::text::{Embedder, Role};
use ragtune_core::{Error, Result};
use serde_json::{Value, json};

use super::options;
use super::server::{Request, Server, Step, json};

/// A vector that tells its text: length in bytes, first byte, 1.
fn vector(text: &str) -> Vec<f32> {
    vec![
        text.len() as f32,
        f32::from(text.bytes().next().unwrap_or(0)),
        1.0,
    ]
}

/// Answers in reverse order.
fn answer(request: &Request) -> Value {
    let texts = request.body["input"].as_array().unwrap();
    let data: Vec<Value> = texts
        .iter()
        .enumerate()
        .rev()
        .map(|(index, text)| json!({"index": index, "embedding": vector(text.as_str().unwrap())}))
        .collect();
    json!({"data": data, "usage": {"prompt_tokens": texts.len(), "total_tokens": texts.len()}})
}

fn server() -> Server {
    Server::start(|_, request| vec![Step::Send(json("200 OK", "", &answer(request).to_string()))])
}

fn embedder(server: &Server) -> OpenAiEmbedder {
    OpenAiEmbedder::new(options(server), "tea-encoder", 3).unwrap()
}

fn embed_with(body: &str) -> Result<ragtune_core::text::Embeddings> {
    let server = Server::with_answer(json("200 OK", "", body));
    embedder(&server).embed(&["a", "b"], Role::Document)
}

#[test]
fn batches_keep_the_order_of_the_texts() {
    let server = server();
    let embedder = embedder(&server)
        .with_batch_texts(2)
        .with_prompts("query: ", "passage: ");
    let texts = ["a", "bb", "ccc", "dddd", "eeeee"];
    let vectors = embedder.embed(&texts, Role::Document).unwrap();
    for (row, text) in vectors.rows().zip(texts) {
        assert_eq!(row, vector(&format!("passage: {text}")));
    }
    let requests = server.requests();
    let sizes: Vec<usize> = requests
        .iter()
        .map(|request| request.body["input"].as_array().unwrap().len())
        .collect();
    assert_eq!(sizes, [2, 2, 1]);
    assert_eq!(requests[0].path, "/v1/embeddings");
    assert_eq!(requests[0].body["encoding_format"], "float");
    assert!(requests[0].body.get("dimensions").is_none());
    assert_eq!(embedder.tokens_used(), 5);

    let shortened = embedder.shortened();
    shortened.embed(&["q"], Role::Query).unwrap();
    let request = server.requests().pop().unwrap();
    assert_eq!(request.body["dimensions"], 3);
    assert_eq!(request.body["input"], json!(["query: q"]));
}

#[test]
fn the_embedder_keeps_its_contract() {
    let server = server();
    assert_eq!(conformance::embedder(&embedder(&server)), Vec::<String>::new());
}

#[test]
fn the_fingerprint_is_of_all_that_changes_vectors() {
    let (here, there) = (server(), server());
    let ids = [
        embedder(&here),
        embedder(&there),
        embedder(&here).with_prompts("query: ", ""),
        embedder(&here).with_prompts("", "query: "),
        embedder(&here).shortened(),
        OpenAiEmbedder::new(options(&here), "tea-encoder", 4).unwrap(),
        OpenAiEmbedder::new(options(&here), "tea-encoder-2", 3).unwrap(),
    ]
    .map(|embedder| embedder.id().to_owned());
    for (i, id) in ids.iter().enumerate() {
        assert!(!ids[..i].contains(id), "{id}");
        assert!(!id.contains("secret"));
    }
    assert_eq!(
        embedder(&here).with_id("tea").id(),
        embedder(&there).with_id("tea").id()
    );
}

#[test]
fn answers_that_do_not_fit_are_errors() {
    let protocol = [
        "{}",
        "[]",
        "",
        "{",
        r#"{"data": []}"#,
        r#"{"data": [{"index": 0, "embedding": [1, 2, 3]}]}"#,
        r#"{"data": [{"index": 0, "embedding": [1, 2, 3]}, {"index": 0, "embedding": [1, 2, 3]}]}"#,
        r#"{"data": [{"index": 0, "embedding": [1, 2, 3]}, {"index": 2, "embedding": [1, 2, 3]}]}"#,
        r#"{"data": [{"index": -1, "embedding": [1, 2, 3]}, {"index": 0, "embedding": [1, 2, 3]}]}"#,
        r#"{"data": [{"embedding": [1, 2, 3]}, {"index": 0, "embedding": [1, 2, 3]}]}"#,
        r#"{"data": [{"index": 1, "embedding": "AAAA"}, {"index": 0, "embedding": [1, 2, 3]}]}"#,
        r#"{"data": [{"index": 1, "embedding": [1, null, 3]}, {"index": 0, "embedding": [1, 2, 3]}]}"#,
    ];
    for body in protocol {
        let error = embed_with(body).unwrap_err();
        assert!(
            matches!(error, Error::OpenAi(OpenAiError::Protocol { .. })),
            "{body}: {error:?}"
        );
    }
    let short = r#"{"data": [{"index": 0, "embedding": [1, 2, 3]}, {"index": 1, "embedding": [1, 2]}]}"#;
    let error = embed_with(short).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Dimension {
                expected: 3,
                found: 2,
                ..
            }
        ),
        "{error:?}"
    );
    let huge =
        r#"{"data": [{"index": 0, "embedding": [1, 2, 3]}, {"index": 1, "embedding": [1, 2, 1e300]}]}"#;
    assert!(embed_with(huge).is_err());
    let failed = embed_with(r#"{"error": {"message": "no such model"}}"#).unwrap_err();
    assert!(
        matches!(failed, Error::OpenAi(OpenAiError::Failed { .. })),
        "{failed:?}"
    );
}

#[test]
fn no_text_is_no_request() {
    let server = server();
    let vectors = embedder(&server).embed(&[], Role::Query).unwrap();
    assert!(vectors.is_empty() && server.requests().is_empty());
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let server = server();
    for (model, dim) in [("", 3), ("tea-encoder", 0)] {
        let refused = OpenAiEmbedder::new(options(&server), model, dim);
        assert!(matches!(refused, Err(Error::InvalidArgument { .. })));
    }
}
