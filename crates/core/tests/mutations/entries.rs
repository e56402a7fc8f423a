//! The parsers of outside bytes, one function each: it may refuse its input, and may neither panic nor hang.
//!
//! Shared by the test beside it and by the targets of `fuzz/`.

use std::borrow::Cow;

use ragtune_core::adapters::AdapterConfig;
use ragtune_core::chat::{ChatOptions, ChatTemplate};
use ragtune_core::models::{Decoder, EncoderModel, SentenceModule, TextTokenizer};
use ragtune_core::openai::SseParser;
use ragtune_core::text::Message;
use ragtune_core::weights::{Checkpoint, ModelFiles};

/// A tokenizer that every `tokenizer_config.json` is put beside.
const TOKENIZER: &[u8] = include_bytes!("../fixtures/encoders/models/bert/tokenizer.json");
/// The longest event of the streams.
const EVENT_BYTES: usize = 1_000;

fn folder(name: &'static str, data: &[u8]) -> ModelFiles {
    ModelFiles::in_memory("fuzz", [(name, Cow::Owned(data.to_vec()))])
}

/// `config.json` of a model.
pub fn config(data: &[u8]) {
    let files = folder("config.json", data);
    if let Ok(config) = Decoder::config(&files) {
        assert!(config.num_hidden_layers() > 0 && config.kv_width() > 0);
        let _ = config.cache_bytes(usize::MAX);
    }
    if let Ok(config) = EncoderModel::config(&files) {
        assert!(config.hidden_size > 0);
        let _ = config.max_tokens();
    }
}

/// `adapter_config.json` of PEFT.
pub fn adapter_config(data: &[u8]) {
    if let Ok(config) = AdapterConfig::read(&folder(AdapterConfig::FILE, data)) {
        assert!(config.r > 0 && config.lora_alpha.is_finite());
    }
}

/// `modules.json` of a sentence-transformers folder.
pub fn modules(data: &[u8]) {
    if let Ok(Some(modules)) = SentenceModule::list(&folder("modules.json", data)) {
        for module in modules {
            assert!(!module.path.split('/').any(|part| part == ".."));
            let _ = module.class();
        }
    }
}

/// A chat template.
pub fn chat_template(data: &[u8]) {
    let Ok(source) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(template) = ChatTemplate::new(source) {
        render(&template);
    }
}

fn render(template: &ChatTemplate) {
    let conversation = [
        Message::system("Be brief."),
        Message::user("Tea?"),
        Message::assistant("Green <|im_end|>"),
        Message::user("Why?"),
    ];
    for messages in [&conversation[..], &conversation[1..2]] {
        let _ = template.render(messages, &ChatOptions::default());
    }
}

/// The header of a safetensors file, and the tensors that it tells of.
pub fn checkpoint(data: &[u8]) {
    let Ok(checkpoint) = Checkpoint::from_bytes("fuzz", data.to_vec()) else {
        return;
    };
    let names: Vec<String> = checkpoint.names().map(str::to_owned).collect();
    for name in names {
        let Some(shape) = checkpoint.shape(&name).map(<[usize]>::to_vec) else {
            panic!("a listed tensor has a shape");
        };
        // What the header tells lies inside the file, so that no tensor is larger than it.
        let elements: usize = shape.iter().product();
        assert!(elements <= data.len() * 8, "{name} {shape:?}");
        let _ = checkpoint.dtype(&name);
        let _ = checkpoint.read(&name, &shape);
    }
}

/// Server-sent events; the first byte says into how long pieces the rest is cut.
pub fn sse(data: &[u8]) {
    let Some((first, stream)) = data.split_first() else {
        return;
    };
    let parse = |size: usize| {
        let mut parser = SseParser::new(EVENT_BYTES);
        let mut events = Vec::new();
        let parsed = stream
            .chunks(size)
            .try_for_each(|piece| parser.push(piece, &mut events));
        (parsed.is_ok(), events)
    };
    let (whole, events) = parse(stream.len().max(1));
    let (in_pieces, events_of_pieces) = parse(usize::from(*first) % 16 + 1);
    assert_eq!(whole, in_pieces);
    assert_eq!(events, events_of_pieces);
    assert!(events.iter().all(|event| event.data.len() <= EVENT_BYTES + 1));
}

/// `tokenizer_config.json` beside a tokenizer.
pub fn tokenizer_config(data: &[u8]) {
    let files = ModelFiles::in_memory(
        "fuzz",
        [
            ("tokenizer.json", Cow::Borrowed(TOKENIZER)),
            ("tokenizer_config.json", Cow::Owned(data.to_vec())),
        ],
    );
    if let Ok(tokenizer) = TextTokenizer::load(&files) {
        let _ = tokenizer.encode(&["tea is a drink"], 8);
    }
    if let Ok(Some(template)) = ChatTemplate::load(&files) {
        render(&template);
    }
}
