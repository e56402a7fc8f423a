//! A tokenizer with a token for each byte and any special tokens, made in memory.

use std::fmt::Write as _;
use std::sync::Arc;

use ragtune_core::models::TextTokenizer;
use ragtune_core::weights::ModelFiles;

/// The tokenizer; the special tokens have the ids from 256 on.
pub fn tokenizer(special: &[&str]) -> Arc<TextTokenizer> {
    // `bytes_to_unicode` of GPT-2, `src/encoder.py`.
    let printable = |byte: u32| matches!(byte, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF);
    let mut next = 0x100;
    let mut vocab = String::new();
    for byte in 0..256_u32 {
        let c = match printable(byte) {
            true => byte,
            false => {
                next += 1;
                next - 1
            }
        };
        let c = serde_json::to_string(&char::from_u32(c).unwrap()).unwrap();
        write!(vocab, "{c}:{byte},").unwrap();
    }
    let added: Vec<serde_json::Value> = special
        .iter()
        .enumerate()
        .map(|(number, text)| {
            serde_json::json!({"id": 256 + number, "content": text, "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false, "special": true})
        })
        .collect();
    let json = format!(
        r#"{{"version": "1.0", "truncation": null, "padding": null, "added_tokens": {}, "normalizer": null,
        "pre_tokenizer": {{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false}},
        "post_processor": null, "decoder": {{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false}},
        "model": {{"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
        "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "vocab": {{{}}}, "merges": []}}}}"#,
        serde_json::Value::Array(added),
        vocab.trim_end_matches(',')
    );
    let files = ModelFiles::in_memory("bytes", [("tokenizer.json", json.into_bytes())]);
    Arc::new(TextTokenizer::load(&files).unwrap())
}
