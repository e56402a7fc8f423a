//! Checkpoints and tokenizers of decoders that are damaged, or do not fit their configuration: errors that name what is
//! wrong, never a panic.
#![cfg(all(feature = "cpu", feature = "testing"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that meets them fails")]

mod decoders;

use decoders::{files, fixture, message, with};
use ragtune_core::models::CausalLm;
use ragtune_core::{Error, device};
use serde_json::{Value, json};

/// The header of a safetensors file, and its data.
fn split(bytes: &[u8]) -> (Value, Vec<u8>) {
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    (header, bytes[8 + length..].to_vec())
}

fn join(header: &Value, data: &[u8]) -> Vec<u8> {
    let header = header.to_string().into_bytes();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    bytes.extend(data);
    bytes
}

#[test]
fn damaged_checkpoints_are_errors() {
    const NAME: &str = "model.safetensors";
    const Q: &str = "model.layers.0.self_attn.q_proj.weight";
    let files = files(&fixture("llama").folder);
    let whole = &files.iter().find(|(name, _)| name == NAME).unwrap().1;
    let (header, data) = split(whole);
    let edited = |edit: &dyn Fn(&mut Value)| {
        let mut header = header.clone();
        edit(&mut header);
        join(&header, &data)
    };
    let mut lying = whole.clone();
    lying[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    let mut longer = whole.clone();
    longer[..8].copy_from_slice(&(whole.len() as u64).to_le_bytes());
    let damaged = [
        ("empty", Vec::new()),
        ("shorter than its length", whole[..5].to_vec()),
        ("cut in the header", whole[..60].to_vec()),
        ("cut in the data", whole[..whole.len() - 40].to_vec()),
        (
            "longer than its header says",
            [whole.as_slice(), &[0; 40]].concat(),
        ),
        ("a header of 2^64 bytes", lying),
        ("a header that covers the data", longer),
        (
            "tensors that overlap",
            edited(&|header| {
                header[Q]["data_offsets"] = header["lm_head.weight"]["data_offsets"].clone();
            }),
        ),
        (
            "a tensor of 2^64 elements",
            edited(&|header| {
                header[Q]["shape"] = json!([1u64 << 32, 1u64 << 32]);
            }),
        ),
        (
            "a tensor of another shape",
            edited(&|header| header[Q]["shape"] = json!([16, 64])),
        ),
        (
            "a tensor beyond the end",
            edited(&|header| {
                header[Q]["data_offsets"] = json!([0, 1u64 << 40]);
            }),
        ),
        (
            "a tensor of integers",
            edited(&|header| header[Q]["dtype"] = json!("I32")),
        ),
    ];
    for (what, bytes) in damaged {
        let error = CausalLm::from_files(&with(&files, NAME, &bytes), &device::cpu()).expect_err(what);
        assert!(matches!(error, Error::Checkpoint { .. }), "{what}: {error:?}");
        assert!(
            message(&error).contains("m/model.safetensors"),
            "{what}: {}",
            message(&error)
        );
    }
    // A tensor under another name is missing, with the name that it has in the file as a suggestion.
    let renamed = edited(&|header| {
        let tensor = header.as_object_mut().unwrap().remove(Q).unwrap();
        header["model.layers.0.self_attn.q_prj.weight"] = tensor;
    });
    let error = CausalLm::from_files(&with(&files, NAME, &renamed), &device::cpu()).unwrap_err();
    let message = message(&error);
    assert!(message.contains(Q) && message.contains("q_prj"), "{message}");
}

#[test]
fn tokenizers_must_fit_the_table_of_words() {
    const NAME: &str = "tokenizer.json";
    let files = files(&fixture("llama").folder);
    let whole: Value =
        serde_json::from_slice(&files.iter().find(|(name, _)| name == NAME).unwrap().1).unwrap();
    let added = |id: usize| {
        let mut tokenizer = whole.clone();
        let token = json!({
            "id": id, "content": "<more>", "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true,
        });
        tokenizer["added_tokens"].as_array_mut().unwrap().push(token);
        CausalLm::from_files(
            &with(&files, NAME, tokenizer.to_string().as_bytes()),
            &device::cpu(),
        )
    };
    let error = added(64).unwrap_err();
    assert!(
        matches!(error, Error::UnknownId { id: 64, rows: 64, .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("embed_tokens"), "{error}");
    // Fewer tokens than rows are fine: tables are often padded.
    let mut smaller = whole.clone();
    let vocab = smaller["model"]["vocab"].as_object_mut().unwrap();
    let merges = vocab.len();
    vocab.retain(|_, id| id.as_u64().unwrap() < 40);
    assert!(vocab.len() < merges);
    let kept = vocab.clone();
    let part = |merge: &Value| match merge {
        Value::Array(parts) => parts
            .iter()
            .map(|part| part.as_str().unwrap())
            .collect::<String>(),
        merge => merge.as_str().unwrap().replace(' ', ""),
    };
    let merges = smaller["model"]["merges"].as_array_mut().unwrap();
    merges.retain(|merge| kept.contains_key(&part(merge)));
    let smaller = smaller.to_string();
    CausalLm::from_files(&with(&files, NAME, smaller.as_bytes()), &device::cpu()).unwrap();
}
