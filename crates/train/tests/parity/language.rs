//! Language modelling with every method, and all of the weights of every kind of decoder.

use std::sync::Arc;

use ragtune_core::adapters::Targets;
use ragtune_core::device;
use ragtune_core::models::CausalLm;
use ragtune_train::data::{Origin, Record};
use ragtune_train::encode::Sequence;
use ragtune_train::objective::LanguageModelling;
use ragtune_train::tuning::{Lora, Tuning};
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
