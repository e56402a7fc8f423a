//! The sentence encoder all-MiniLM-L6-v2 with int8 weights, part 1 of 3: its configuration and tokenizer, and the
//! first third of the weights file. `ragtune-core` puts the parts together and checks them.

/// The first bytes of `model.safetensors`.
pub static WEIGHTS: &[u8] = include_bytes!("../weights.part-1");

/// The model's other files, by their names in a sentence-transformers folder.
pub static FILES: [(&str, &[u8]); 8] = [
    (
        "1_Pooling/config.json",
        include_bytes!("../model/1_Pooling/config.json"),
    ),
    ("config.json", include_bytes!("../model/config.json")),
    (
        "config_sentence_transformers.json",
        include_bytes!("../model/config_sentence_transformers.json"),
    ),
    ("modules.json", include_bytes!("../model/modules.json")),
    (
        "sentence_bert_config.json",
        include_bytes!("../model/sentence_bert_config.json"),
    ),
    (
        "special_tokens_map.json",
        include_bytes!("../model/special_tokens_map.json"),
    ),
    ("tokenizer.json", include_bytes!("../model/tokenizer.json")),
    (
        "tokenizer_config.json",
        include_bytes!("../model/tokenizer_config.json"),
    ),
];
