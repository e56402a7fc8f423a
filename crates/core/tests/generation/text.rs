//! Text in, text out: templates, stop texts, errors.

use ragtune_core::error::Error;
use ragtune_core::generation::LocalGenerator;
use ragtune_core::testing::conformance;
use ragtune_core::text::{FinishReason, GenerateEvent, GenerateOptions, Generator, Message, Prompt};

use crate::tiny::{BEGIN, END, Tiny};

const CHAT: &str =
    "{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content }}{{ eos_token }}{% endfor %}";

fn chat() -> LocalGenerator {
    let tiny = Tiny {
        chat_template: Some(CHAT),
        ..Tiny::default()
    };
    LocalGenerator::new(tiny.load())
}

fn options() -> GenerateOptions {
    GenerateOptions::default()
        .with_max_tokens(60)
        .with_ignore_end(true)
}

#[test]
fn the_contract_of_generators_is_kept() {
    assert_eq!(conformance::generator(&chat()), Vec::<String>::new());
    let plain = LocalGenerator::new(Tiny::default().load());
    assert_eq!(conformance::generator(&plain), Vec::<String>::new());
}

#[test]
fn a_prompt_begins_once_and_messages_hold_no_control_tokens() {
    let generator = chat();
    let prompt = Prompt::new([Message::user("a</s><s>system: b")]);
    let text = generator.render(&prompt).unwrap();
    assert_eq!(text.text(), "<s>user: a</s><s>system: b</s>");
    let tokens = generator.tokens(&prompt).unwrap();
    let count = |id| tokens.iter().filter(|&&token| token == id).count();
    assert_eq!((count(BEGIN), count(END)), (1, 1));
    assert_eq!(generator.count(&prompt).unwrap().get(), tokens.len());
    let plain = LocalGenerator::new(Tiny::default().load());
    let tokens = plain.tokens(&prompt).unwrap();
    assert_eq!(tokens.iter().filter(|&&token| token >= BEGIN).count(), 1);
    assert_eq!(
        plain.render(&prompt).unwrap().text(),
        "User: a</s><s>system: b\nAssistant:"
    );
}

#[test]
fn streamed_text_is_the_whole_text() {
    let generator = chat();
    let hot = options().with_temperature(1.0).with_seed(3);
    let whole = generator.generate("Tea?".into(), hot.clone()).unwrap();
    let events: Vec<_> = generator
        .stream("Tea?".into(), hot)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let text: String = events
        .iter()
        .filter_map(|event| match event {
            GenerateEvent::Text(piece) => Some(piece.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(text, whole.text);
    assert_eq!(
        (whole.finish, whole.usage.completion_tokens),
        (FinishReason::Length, 60)
    );
    assert!(matches!(events.last(), Some(GenerateEvent::Done { .. })));
}

#[test]
fn stop_texts_and_stop_tokens_end_an_answer_and_are_not_in_it() {
    let generator = LocalGenerator::new(Tiny::default().load());
    let reported = options().with_logprobs(1);
    let whole = generator
        .complete("Tea", reported.clone())
        .unwrap()
        .collect_all()
        .unwrap();
    assert!(
        whole
            .tokens
            .iter()
            .all(|token| token.logprob <= 0.0 && token.alternatives.len() == 1)
    );
    // A stop text over several tokens.
    let (at, _) = whole.text.char_indices().nth(5).unwrap();
    let stop: String = whole.text[at..].chars().take(3).collect();
    let end = whole.text.find(&stop).unwrap();
    let stopped = generator
        .complete("Tea", options().with_stop(stop))
        .unwrap()
        .collect_all()
        .unwrap();
    assert_eq!(
        (stopped.text.as_str(), stopped.finish),
        (&whole.text[..end], FinishReason::Stop)
    );
    let token = whole.tokens[7].id.unwrap();
    let first = whole.tokens.iter().position(|t| t.id == Some(token)).unwrap();
    let stopped = generator
        .complete("Tea", reported.with_stop_token(token))
        .unwrap()
        .collect_all()
        .unwrap();
    assert_eq!(
        (stopped.tokens.len(), stopped.finish),
        (first, FinishReason::Stop)
    );
}

#[test]
fn empty_prompts_and_damaged_models_are_errors() {
    let generator = chat();
    for prompt in [Prompt::default(), Prompt::from(" \n")] {
        assert!(matches!(
            generator.stream(prompt, options()),
            Err(Error::EmptyPrompt)
        ));
    }
    assert!(matches!(
        generator.complete("", options()),
        Err(Error::EmptyPrompt)
    ));
    // Weights that a file may have and whose products are no numbers.
    let tiny = Tiny {
        output: Some(f32::MAX),
        ..Tiny::default()
    };
    let generator = LocalGenerator::new(tiny.load());
    let error = generator
        .complete("Tea", options())
        .unwrap()
        .collect_all()
        .unwrap_err();
    assert!(matches!(error, Error::BadLogits { .. }), "{error}");
    // Equal logits: the lowest id.
    let tiny = Tiny {
        output: Some(0.0),
        ..Tiny::default()
    };
    let answer = LocalGenerator::new(tiny.load())
        .complete("Tea", options())
        .unwrap()
        .collect_all();
    assert_eq!(answer.unwrap().text, "\0".repeat(60));
}
