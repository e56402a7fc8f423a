//! Language modelling with every method, and all of the weights of every kind of decoder.

use std::sync::Arc;

use ragtune_core::adapters::{AdapterBase, Module, Targets};
use ragtune_core::device;
use ragtune_core::models::{CausalLm, EncoderModel};
use ragtune_core::weights::{Loader, ModelFiles};
use ragtune_train::data::{Origin, Record};
use ragtune_train::encode::Sequence;
use ragtune_train::objective::LanguageModelling;
use ragtune_train::tuning::{Lora, Prompt, Trainable, Tuning};
use serde::Deserialize;

use crate::reference::{Case, check, file, models};

#[derive(Deserialize)]
pub struct Text {
    pub ids: Vec<u32>,
    pub trained: Vec<bool>,
}

impl Text {
    pub fn sequence(self) -> Sequence {
        Sequence {
            ids: self.ids,
            trained: self.trained,
        }
    }
}

pub fn records<T>(values: impl IntoIterator<Item = T>) -> Vec<Record<T>> {
    let record = |(index, value)| Record {
        value,
        origin: Origin::in_memory(index),
    };
    values.into_iter().enumerate().map(record).collect()
}

pub fn decoder(name: &str) -> Arc<CausalLm> {
    let folder = models().join("decoder").join(name);
    Arc::new(CausalLm::load(folder, &device::cpu()).unwrap())
}

pub fn names(names: &[&str]) -> Targets {
    Targets::Names(names.iter().map(|name| (*name).to_owned()).collect())
}

pub fn lora() -> Lora {
    Lora::default().with_rank(4, 8.0)
}

fn tuning(case: &Case) -> Tuning {
    if case.name.starts_with("prompt") {
        return Tuning::Prompt(Prompt::default().with_virtual_tokens(4));
    }
    let all = names(&[
        "q_proj",
        "k_proj",
        "v_proj",
        "o_proj",
        "gate_proj",
        "up_proj",
        "down_proj",
    ]);
    let lora = match case.name.as_str() {
        // Also what PEFT calls by this name: every linear layer but the one that gives the logits.
        "lora-all" => lora().with_targets(Targets::AllLinear),
        "lora-tied" => lora().with_targets(all),
        "lora-embedding" => lora().with_targets(names(&["embed_tokens", "q_proj"])),
        "dora" => lora().with_targets(all).with_dora(),
        "rslora" => lora().with_rslora(),
        "loraplus" => lora().with_b_rate(case.b_rate),
        "loraplus-dora" => lora().with_b_rate(case.b_rate).with_dora(),
        "lora" => lora(),
        "ia3" => return Tuning::Ia3 { targets: None },
        _ => return Tuning::Full,
    };
    Tuning::Lora(lora)
}

#[test]
fn every_method_and_every_kind_of_decoder() {
    let file = file::<Text>("language");
    let examples = records(file.examples.into_iter().map(Text::sequence));
    for case in &file.cases {
        println!("{}", case.name);
        let objective = LanguageModelling::new(decoder(case.more["base"].as_str().unwrap()));
        check(&objective, &tuning(case), &examples, case);
    }
}

#[test]
fn a_prompt_begins_as_words_and_fits_language_models_only() {
    let lm = decoder("gemma3");
    let trained = |prompt: Prompt| Trainable::new(&*lm, &Tuning::Prompt(prompt), &[], 3);
    // As PEFT, rows are what the model makes of words: here their embeddings times the square root of the width.
    let Some((slot, scale)) = lm.module_shapes().words() else {
        panic!("no table of words")
    };
    let table = lm.modules().into_iter().find_map(|module| match module {
        Module::Embedding(table) if table.slot() == slot => Some(table),
        _ => None,
    });
    let words: Vec<f32> = (table.unwrap().forward(&[7, 9, 7]).unwrap() * scale)
        .into_data()
        .iter::<f32>()
        .collect();
    let text = trained(
        Prompt::default()
            .with_virtual_tokens(3)
            .from_text("tea", vec![7, 9]),
    )
    .unwrap();
    assert_eq!(text.parameters()[0].values(), words);
    assert_eq!(
        text.config()
            .prompt
            .as_ref()
            .unwrap()
            .prompt_tuning_init_text
            .as_deref(),
        Some("tea")
    );
    let random = trained(Prompt::default()).unwrap();
    assert_eq!(
        (random.parameters()[0].name(), random.parameters()[0].slot()),
        ("prompt_embeddings".to_owned(), slot)
    );
    assert_eq!(
        random.parameters()[0].values(),
        trained(Prompt::default()).unwrap().parameters()[0].values()
    );
    assert!(random.to_string().starts_with("prompt: "), "{random}");
    assert_eq!(random.virtual_tokens(), 20);
    for prompt in [
        Prompt::default().with_virtual_tokens(0),
        Prompt::default().from_text("", Vec::new()),
    ] {
        assert!(trained(prompt).is_err());
    }
    let files = ModelFiles::folder(models().join("encoders/models/bert")).unwrap();
    let config = EncoderModel::config(&files).unwrap();
    let load = |loader: &Loader<'_>| EncoderModel::load(&config, loader);
    let (encoder, _) = files.checkpoint().unwrap().load(&device::cpu(), load).unwrap();
    let error = Trainable::new(&encoder, &Tuning::Prompt(Prompt::default()), &[], 1).unwrap_err();
    assert!(error.to_string().contains("language models"), "{error}");
}
