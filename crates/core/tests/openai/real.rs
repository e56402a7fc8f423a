//! A real server, where `RAGTUNE_OPENAI_URL` and `RAGTUNE_OPENAI_MODEL` name one (`try_real_server` starts one).

use ragtune_core::openai::{OpenAiEmbedder, OpenAiError, OpenAiGenerator, OpenAiOptions, TokenLimit};
use ragtune_core::text::{Embedder, FinishReason, GenerateEvent, GenerateOptions, Generator, Role};
use ragtune_core::{Error, text::Prompt};

fn server() -> Option<(OpenAiOptions, String)> {
    let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    match (set("RAGTUNE_OPENAI_URL"), set("RAGTUNE_OPENAI_MODEL")) {
        (Some(url), Some(model)) => {
            let mut options = OpenAiOptions::new(url);
            if set("RAGTUNE_OPENAI_NEW_NAMES").is_some() {
                options = options.with_token_limit(TokenLimit::MaxCompletionTokens);
            }
            Some((options, model))
        }
        _ => {
            eprintln!("skipped: RAGTUNE_OPENAI_URL and RAGTUNE_OPENAI_MODEL do not name a server");
            None
        }
    }
}

#[test]
fn a_real_server_answers_streamed_and_whole() {
    let Some((options, model)) = server() else { return };
    let ask = |options: OpenAiOptions, tokens: usize| {
        let generator = OpenAiGenerator::new(options, &model).unwrap();
        let asked = GenerateOptions::default().with_max_tokens(tokens);
        let events: Result<Vec<_>, Error> = generator
            .stream(Prompt::from("What is tea?"), asked)
            .and_then(|stream| stream.collect());
        events.unwrap()
    };
    for options in [options.clone(), options.clone().without_streaming()] {
        let events = ask(options, 12);
        let text: String = events
            .iter()
            .filter_map(|event| match event {
                GenerateEvent::Text(text) => Some(text.as_str()),
                _ => None,
            })
            .collect();
        eprintln!("{} events, {text:?}, {:?}", events.len(), events.last());
        let Some(GenerateEvent::Done { finish, usage }) = events.last() else {
            panic!("{events:?}")
        };
        assert!(
            usage.prompt_tokens > 0 && usage.completion_tokens <= 12,
            "{usage:?}"
        );
        assert!(matches!(finish, FinishReason::Stop | FinishReason::Length));
    }
    // The same seed gives the same text.
    assert_eq!(ask(options.clone(), 8), ask(options, 8));
}

#[test]
fn a_real_server_refuses_an_unknown_model() {
    let Some((options, _)) = server() else { return };
    let generator = OpenAiGenerator::new(options, "no-such-model-anywhere").unwrap();
    let refused = generator.generate("Tea?".into(), GenerateOptions::default().with_max_tokens(1));
    match refused {
        Err(Error::OpenAi(error)) => eprintln!("{error}"),
        // Servers with one model ignore its name.
        other => eprintln!("it answers under any name: {other:?}"),
    }
}

#[test]
fn a_real_server_embeds_where_it_can() {
    let Some((options, model)) = server() else { return };
    let dim = std::env::var("RAGTUNE_OPENAI_DIM").map_or(32, |dim| dim.parse().unwrap());
    let embedder = OpenAiEmbedder::new(options, model, dim).unwrap();
    match embedder.embed(&["What is tea?", "Tea is a drink."], Role::Document) {
        Ok(vectors) => assert_eq!(vectors.len(), 2),
        Err(Error::OpenAi(error @ OpenAiError::Refused { .. })) => eprintln!("it has no embeddings: {error}"),
        Err(error) => panic!("{error:?}"),
    }
}
