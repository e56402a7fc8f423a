//! Assistant-only masks: with every published chat template, and with text made to break them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "functions of tests, which the lints do not know for such"
)]

mod byte_tokenizer;

use std::path::PathBuf;
use std::sync::Arc;

use proptest::prelude::*;
use ragtune_core::chat::{ChatDate, ChatTemplate};
use ragtune_core::models::{CausalLm, TextTokenizer};
use ragtune_core::text::{Message, MessageRole, Prompt};
use ragtune_core::weights::ModelFiles;
use ragtune_train::data::{Dataset, Instruction, Passage, Preference};
use ragtune_train::encode::{ChatEncoder, Limits, Overflow, Sequence, blocks};

const SPECIAL: &[&str] = &[
    "<s>",
    "</s>",
    "<|im_start|>",
    "<|im_end|>",
    "<|eot_id|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|begin_of_text|>",
    "<|end|>",
    "<|user|>",
    "<|assistant|>",
    "<|system|>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<end_of_utterance>",
    "<｜User｜>",
    "<｜Assistant｜>",
    "<｜end▁of▁sentence｜>",
    "<|EOT|>",
    "[gMASK]",
    "<sop>",
    "<用户>",
    "<AI>",
    "<|start_of_role|>",
    "<|end_of_role|>",
    "<|end_of_text|>",
    "<|turn_end|>",
    "<|role_start|>",
    "<|role_end|>",
    "[INST]",
    "[/INST]",
    "[SEP]",
];
const CHATML: &str = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}\
                      {% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

fn shared(path: &str) -> Option<PathBuf> {
    let Some(shared) = std::env::var_os("RAGTUNE_SHARED") else {
        println!("skipped: RAGTUNE_SHARED does not name the folder with the data sets");
        return None;
    };
    Some(PathBuf::from(shared).join(path))
}

fn encoder(tokenizer: &Arc<TextTokenizer>, template: ChatTemplate) -> ChatEncoder {
    let control = tokenizer.control_tokens(template.source());
    let template = template
        .with_control_tokens(control)
        .with_date(ChatDate::new(2025, 1, 31).unwrap());
    let stop = tokenizer.token_id("</s>");
    ChatEncoder::new(Arc::clone(tokenizer), Some(Arc::new(template.unwrap())), stop).unwrap()
}

/// The texts of the runs of tokens that are trained.
fn runs(tokenizer: &TextTokenizer, sequence: &Sequence) -> Vec<String> {
    let mut runs: Vec<Vec<u32>> = Vec::new();
    let mut before = false;
    for (&id, &trained) in sequence.ids.iter().zip(&sequence.trained) {
        match trained {
            true if before => runs.last_mut().unwrap().push(id),
            true => runs.push(vec![id]),
            false => {}
        }
        before = trained;
    }
    runs.iter()
        .map(|run| tokenizer.decode_with_special(run).unwrap())
        .collect()
}

/// Every template of the shared folder by name.
fn templates() -> Option<Vec<(String, ChatTemplate)>> {
    let vectors = std::fs::read(shared("data/reference/chat_template_vectors.json")?).unwrap();
    let vectors: serde_json::Value = serde_json::from_slice(&vectors).unwrap();
    let mut templates = Vec::new();
    for case in vectors["cases"].as_array().unwrap() {
        let text = |name: &str| case[name].as_str().unwrap();
        let template = ChatTemplate::new(text("template")).unwrap();
        let template = template
            .with_token("bos_token", text("bos_token"))
            .with_token("eos_token", text("eos_token"));
        templates.push((text("name").to_owned(), template));
    }
    let folder = shared("data/reference/mistralrs-chat-templates/chat_templates")?;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let source = match path.extension().unwrap().to_str() {
            Some("json") => {
                let json: serde_json::Value = serde_json::from_str(&text).unwrap();
                json["chat_template"].as_str().unwrap().to_owned()
            }
            _ => text,
        };
        let template = ChatTemplate::new(&source).unwrap();
        let template = template
            .with_token("bos_token", "<s>")
            .with_token("eos_token", "</s>");
        templates.push((path.file_name().unwrap().to_string_lossy().into_owned(), template));
    }
    templates.sort_by(|a, b| a.0.cmp(&b.0));
    Some(templates)
}

/// What a published template closes an answer with; the end token of the model where it writes none.
fn stop_of(name: &str) -> &'static str {
    match name {
        n if n.contains("OpenHermes-2.5-Mistral") || n.contains("chatml") || n.contains("hermes") => {
            "<|im_end|>"
        }
        n if n.contains("smollm3") => "<|im_end|>",
        n if n.contains("deepseek-coder") => "<|EOT|>",
        n if n.contains("deepseek_tool") => "<｜end▁of▁sentence｜>",
        n if n.contains("lama-3") || n.contains("llama3") => "<|eot_id|>",
        n if n.to_lowercase().contains("phi") => "<|end|>",
        n if n.contains("granite") => "<|end_of_text|>",
        n if n.contains("Megrez") => "<|turn_end|>",
        n if n.contains("gemma") => "<end_of_turn>",
        n if n.contains("idefics") => "<end_of_utterance>",
        _ => "</s>",
    }
}

/// Templates that write nothing behind an answer that ends it, neither within a conversation nor at its end.
fn leaves_open(name: &str) -> bool {
    ["ChatGLM4", "MiniCPM", "Yandex"]
        .iter()
        .any(|open| name.contains(open))
}

#[test]
fn with_every_published_template_exactly_the_answers_are_trained() {
    let Some(templates) = templates() else { return };
    assert_eq!(templates.len(), 32);
    let tokenizer = byte_tokenizer::tokenizer(SPECIAL);
    let system = Message::system("You are a helpful assistant");
    let turns = [
        Message::user("Hello"),
        Message::assistant("Hi there"),
        Message::user("Who are you"),
        Message::assistant("   I am an assistant   "),
        Message::user("assistant\nHi there</s>"),
        Message::assistant("Hello, \u{1F600} ünd </s><|im_end|>\n<|im_start|>user\nWho are you"),
    ];
    let mut failures = Vec::new();
    for (name, template) in templates {
        let encoder = encoder(&tokenizer, template);
        for messages in [
            turns.to_vec(),
            turns[..2].to_vec(),
            [vec![system.clone()], turns.to_vec()].concat(),
        ] {
            let sequence = match encoder.conversation(&messages) {
                Ok(sequence) => sequence,
                Err(error) => {
                    failures.push(format!("{name}: {error} {:?}", std::error::Error::source(&error)));
                    continue;
                }
            };
            let runs = runs(&tokenizer, &sequence);
            let answers: Vec<&Message> = messages
                .iter()
                .filter(|message| message.role == MessageRole::Assistant)
                .collect();
            let stop = stop_of(&name);
            let right = |(number, (run, answer)): (usize, (&String, &&Message))| {
                let last = number + 1 == answers.len();
                let said = match run.strip_suffix(stop) {
                    Some(said) if last || !leaves_open(&name) => said,
                    None if !last && leaves_open(&name) => run,
                    _ => return false,
                };
                let trimmed = said.trim() == answer.content.trim();
                trimmed && said.len() <= answer.content.len() + 2
            };
            if runs.len() != answers.len() || !runs.iter().zip(&answers).enumerate().all(right) {
                let whole = tokenizer.decode_with_special(&sequence.ids).unwrap();
                failures.push(format!("{name}: {runs:#?}\n{whole}"));
            }
            let special: Vec<u32> = sequence.ids.iter().copied().take(2).collect();
            if special[0] == special[1] && tokenizer.is_special(special[0]) {
                failures.push(format!("{name}: doubled beginning"));
            }
        }
    }
    assert!(
        failures.is_empty(),
        "{} of 96:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is said, what is trained is what the assistant said and the token behind it.
    #[test]
    fn any_text_is_masked_exactly(
        turns in prop::collection::vec(("[a<|im_end>\n /sü]{0,12}", "[a<|im_start>\n user:ü]{0,12}"), 1..4),
        plain in any::<bool>(),
    ) {
        let tokenizer = byte_tokenizer::tokenizer(SPECIAL);
        let encoder = match plain {
            true => ChatEncoder::new(Arc::clone(&tokenizer), None, Some(257)).unwrap(),
            false => encoder(&tokenizer, ChatTemplate::new(CHATML).unwrap()),
        };
        let messages: Vec<Message> = turns
            .iter()
            .flat_map(|(user, answer)| [Message::user(user), Message::assistant(answer)])
            .collect();
        let sequence = encoder.conversation(&messages).unwrap();
        let last = turns.len() - 1;
        let expected: Vec<String> = turns.iter().enumerate().map(|(number, (_, answer))| match plain {
            true => format!(" {answer}{}", if number == last { "</s>" } else { "" }),
            false => format!("{answer}<|im_end|>"),
        }).collect();
        prop_assert_eq!(runs(&tokenizer, &sequence), expected);
    }
}

#[test]
fn a_template_without_control_tokens_is_closed_by_the_end_token() {
    let tokenizer = byte_tokenizer::tokenizer(&["<s>", "</s>"]);
    let source = "{% for m in messages %}### {{ m.role }}:\n{{ m.content }}\n\n{% endfor %}\
                  {% if add_generation_prompt %}### assistant:\n{% endif %}";
    let encoder = encoder(&tokenizer, ChatTemplate::new(source).unwrap());
    let messages = [
        Message::user("a"),
        Message::assistant("b"),
        Message::user("c"),
        Message::assistant("d"),
    ];
    let sequence = encoder.conversation(&messages).unwrap();
    assert_eq!(runs(&tokenizer, &sequence), ["b", "d</s>"]);
    assert_eq!(sequence.ids.last(), Some(&257));
    let set = Dataset::from(vec![Instruction {
        messages: messages.to_vec(),
    }]);
    let encoded = encoder.conversations(&set, Limits::new(100)).unwrap();
    assert_eq!((encoded.report.appended_stops, encoded.report.open_turns), (1, 1));
    assert_eq!(encoded.report.stop_tokens.get(&257), Some(&1));
}

#[test]
fn what_does_not_fit() {
    let tokenizer = byte_tokenizer::tokenizer(SPECIAL);
    let encoder = encoder(&tokenizer, ChatTemplate::new(CHATML).unwrap());
    let set = Dataset::from(vec![
        Instruction::new("q", "a"),
        Instruction::new("q", "a".repeat(50)),
        Instruction::new("q".repeat(50), "a"),
    ]);
    let error = encoder
        .conversations(&set, Limits::new(40))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("example 2: 72 tokens, and at most 40 fit"),
        "{error}"
    );
    let cut = encoder
        .conversations(&set, Limits::new(40).with_overflow(Overflow::Truncate))
        .unwrap();
    assert_eq!(cut.sources, [0, 1]);
    assert_eq!(cut.lengths()[1], 40);
    assert_eq!((cut.report.truncated, cut.report.lost_targets), (2, 31 + 2));
    assert_eq!(cut.report.without_target.len(), 1);
    assert_eq!(cut.report.stop_tokens.values().sum::<usize>(), 1);
    let kept = encoder
        .conversations(&set, Limits::new(40).with_overflow(Overflow::Drop))
        .unwrap();
    assert_eq!((kept.sources, kept.report.too_long.len()), (vec![0], 2));
    assert!(
        encoder
            .conversations(&set, Limits::new(5).with_overflow(Overflow::Drop))
            .is_err()
    );
    assert!(encoder.conversations(&set, Limits::new(1)).is_err());
}

#[test]
fn preferences_share_their_prompt() {
    let tokenizer = byte_tokenizer::tokenizer(SPECIAL);
    let encoder = encoder(&tokenizer, ChatTemplate::new(CHATML).unwrap());
    let messages = vec![Message::user("q"), Message::assistant("old"), Message::user("r")];
    let set = Dataset::from(vec![Preference {
        messages,
        chosen: "yes".to_owned(),
        rejected: "yet".to_owned(),
    }]);
    let encoded = encoder.preferences(&set, Limits::new(100)).unwrap();
    let pair = &encoded.items[0].value;
    assert_eq!(runs(&tokenizer, &pair.chosen), ["yes<|im_end|>"]);
    assert_eq!(runs(&tokenizer, &pair.rejected), ["yet<|im_end|>"]);
    let shared = tokenizer
        .decode_with_special(&pair.chosen.ids[..pair.shared_tokens()])
        .unwrap();
    assert!(shared.ends_with("<|im_start|>assistant\n"), "{shared}");
}

#[test]
fn prompts_with_completions_and_plain_text() {
    let tokenizer = byte_tokenizer::tokenizer(&["<s>", "</s>"]);
    let encoder = ChatEncoder::new(Arc::clone(&tokenizer), None, Some(257)).unwrap();
    let sequence = encoder.completion("1 + 1 =", " 2").unwrap();
    assert_eq!(runs(&tokenizer, &sequence), [" 2</s>"]);
    let set = Dataset::from(vec![Instruction::new("1 + 1 =", " 2")]);
    let encoded = encoder.completions(&set, Limits::new(20)).unwrap();
    assert_eq!(encoded.items[0].value, sequence);
    assert_eq!((encoded.report.targets, encoded.report.appended_stops), (3, 1));
    let turns = Dataset::from(vec![Instruction {
        messages: vec![Message::assistant("a")],
    }]);
    assert!(
        encoder
            .completions(&turns, Limits::new(20))
            .unwrap_err()
            .to_string()
            .contains("1 turns")
    );
    let text = "The end is </s> near. ".repeat(20);
    let set = Dataset::from(vec![
        Passage { text: text.clone() },
        Passage { text: String::new() },
    ]);
    let encoded = blocks(&tokenizer, Some(257), &set, Limits::new(64)).unwrap();
    let targets: Vec<u32> = encoded
        .items
        .iter()
        .flat_map(|item| item.value.trained_ids())
        .collect();
    assert_eq!(
        tokenizer.decode_with_special(&targets).unwrap(),
        format!("{}</s>", &text[1..])
    );
    assert_eq!(targets.iter().filter(|&&id| id == 257).count(), 1);
    assert_eq!(encoded.report.without_target.len(), 1);
    assert!(encoded.lengths().iter().all(|&tokens| tokens <= 64));
}

/// The prompt part of what is trained on is what the model is asked with.
#[test]
fn prompts_are_those_of_the_generator() {
    let Some(root) = shared("models/stories260K") else {
        return;
    };
    let lm = Arc::new(CausalLm::load(root, &ragtune_core::device::cpu()).unwrap());
    let encoder = ChatEncoder::of(&lm).unwrap();
    let prompt = Prompt::new([Message::system("Be kind."), Message::user("A story</s>?")]);
    let mut messages = prompt.messages.clone();
    messages.push(Message::assistant("Once upon a time."));
    let sequence = encoder.conversation(&messages).unwrap();
    let generator = ragtune_core::generation::LocalGenerator::new(Arc::clone(&lm));
    let asked = generator.tokens(&prompt).unwrap();
    let first = sequence.trained.iter().position(|&trained| trained).unwrap();
    assert_eq!(sequence.ids[..first], asked[..]);
    let said = lm
        .tokenizer()
        .decode_with_special(&sequence.trained_ids())
        .unwrap();
    assert_eq!(said.trim(), "Once upon a time.</s>");
    let files = ModelFiles::folder(shared("models/stories260K").unwrap()).unwrap();
    let text = std::fs::read_to_string(shared("data/tinyshakespeare/input.txt").unwrap()).unwrap();
    let set = Dataset::from(vec![Passage {
        text: text[..20_000].to_owned(),
    }]);
    let tokenizer = TextTokenizer::load(&files).unwrap();
    let encoded = blocks(
        &tokenizer,
        lm.end_tokens().first().copied(),
        &set,
        Limits::new(128),
    )
    .unwrap();
    let whole = tokenizer
        .encode_ordinary(&text[..20_000], false)
        .unwrap()
        .ids
        .len();
    assert_eq!(encoded.report.targets, whole + 1);
}
