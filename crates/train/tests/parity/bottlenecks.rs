//! Bottleneck adapters against AdapterHub's library.

use std::sync::Arc;

use ragtune_core::adapters::{AdapterBase, AdapterSet, AdapterStack};
use ragtune_core::models::{CausalLm, LoadOptions};
use ragtune_core::nn::Activation;
use ragtune_core::weights::Precision;
use ragtune_core::{device, nn};
use ragtune_train::objective::{LanguageModelling, Objective};
use ragtune_train::trainer::{Duration, Trainer};
use ragtune_train::tuning::{Adapter, Part, Trainable, Tuning};
use serde::Deserialize;

use crate::heads::{Classified, classification, classified};
use crate::language::{Text, decoder, records};
use crate::reference::{File, check, content, models, options, trainable};

#[derive(Deserialize)]
struct Content {
    language: File<Text>,
    classification: File<Classified>,
}

fn tuning(name: &str) -> Tuning {
    let mut adapter = Adapter::default().with_reduction(8.0);
    match name {
        "both" => {
            adapter = adapter
                .with_reduction(4.0)
                .behind_attention()
                .with_activation(Activation::Gelu);
        }
        "gpt2" => adapter = adapter.behind_attention().with_activation(Activation::Silu),
        "stream" => adapter.config.original_ln_before = true,
        _ => {}
    }
    Tuning::Bottleneck(adapter)
}

#[test]
fn of_language_models() {
    let Content { language, .. } = content("bottlenecks");
    let examples = records(language.examples.into_iter().map(Text::sequence));
    for case in &language.cases {
        println!("{}", case.name);
        let objective = LanguageModelling::new(decoder(case.more["base"].as_str().unwrap()));
        check(&objective, &tuning(&case.name), &examples, case);
    }
}

#[test]
fn of_classifiers() {
    let Content {
        classification: file, ..
    } = content("bottlenecks");
    let examples = classified(&file.examples, false);
    for case in &file.cases {
        println!("{}", case.name);
        let mut tuning = tuning(&case.name);
        if let (Tuning::Bottleneck(adapter), "stream") = (&mut tuning, case.name.as_str()) {
            adapter.config.mh_adapter = true;
        }
        check(&classification(case), &tuning, &examples, case);
    }
}

#[test]
fn a_model_begins_unchanged_and_trains_on_rounded_weights() {
    let Content { language, .. } = content("bottlenecks");
    let case = &language.cases[0];
    let examples = records(language.examples.into_iter().map(Text::sequence));
    let options = options(case).with_duration(Duration::Steps(8));
    for precision in [Precision::F32, Precision::Int8, Precision::Int4] {
        let load = LoadOptions::default().with_precision(precision);
        let folder = models().join("decoder/llama");
        let lm = Arc::new(CausalLm::load_with(folder, &device::cpu(), &load).unwrap());
        let objective = LanguageModelling::new(Arc::clone(&lm));
        for adapter in [
            Adapter::default().with_width(3),
            Adapter::default().behind_attention().with_dropout(0.2),
        ] {
            let tuning = Tuning::Bottleneck(adapter);
            let mut trained = Trainable::new(objective.base(), &tuning, &[], 7).unwrap();
            let scores = |trained: &Trainable| {
                let set = trained.adapters(objective.base()).unwrap();
                objective
                    .evaluate(&examples, &AdapterStack::base().with(Arc::new(set), 1.0))
                    .unwrap()
            };
            let plain = objective.evaluate(&examples, &AdapterStack::base()).unwrap();
            assert_eq!(plain.get("loss"), scores(&trained).get("loss"));
            Trainer::new(&objective, &examples, options.clone())
                .run(&tuning, &mut trained)
                .unwrap();
            assert!(scores(&trained).get("loss") < plain.get("loss"), "{precision}");
            // What is saved is read again.
            let set = trained.adapters(objective.base()).unwrap();
            let out = tempfile::tempdir().unwrap();
            set.save(out.path()).unwrap();
            let again = AdapterSet::load(out.path(), &lm).unwrap();
            assert_eq!(again.parameters(), set.parameters());
            let again = AdapterStack::base().with(Arc::new(again), 1.0);
            let context = |stack: &AdapterStack| {
                nn::Context::new(nn::Segments::from_lengths([3])).with_adapters(vec![stack.clone()])
            };
            let logits = |stack: &AdapterStack| lm.logits(&[2, 9, 5], &context(stack)).unwrap().into_data();
            assert_eq!(
                logits(&again),
                logits(&AdapterStack::base().with(Arc::new(set), 1.0))
            );
        }
    }
}

#[test]
fn what_trains_is_reported_and_what_cannot_is_refused() {
    let lm = decoder("llama");
    let trained = |adapter: Adapter| Trainable::new(&*lm, &Tuning::Bottleneck(adapter), &[], 1);
    let two = trained(Adapter::default().with_width(4)).unwrap();
    // Two layers, 32 wide.
    assert_eq!(two.count(), 2 * (2 * 4 * 32 + 4 + 32));
    assert!(two.to_string().starts_with("adapter: 584 of"), "{two}");
    let decays = |part| {
        two.parameters()
            .iter()
            .filter(|p| p.part() == part)
            .all(|p| p.decays())
    };
    assert!(decays(Part::DownWeight) && decays(Part::UpWeight) && !decays(Part::DownBias));
    let four = trained(Adapter::default().behind_attention()).unwrap();
    assert_eq!(four.parameters().len(), 4 * 4);
    let width = |factor: f64| {
        trained(Adapter::default().with_reduction(factor))
            .unwrap()
            .parameters()[0]
            .dims()[0]
    };
    assert_eq!((width(16.0), width(3.0), width(1000.0)), (2, 10, 1));
    for (adapter, says) in [
        (Adapter::default().with_width(0), "width"),
        (Adapter::default().with_width(33), "hidden width of 32"),
        (Adapter::default().with_reduction(0.0), "reduction"),
        (Adapter::default().with_dropout(1.0), "dropout"),
    ] {
        let error = trained(adapter).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
    let mut nowhere = Adapter::default();
    nowhere.config.output_adapter = false;
    let error = trained(nowhere).unwrap_err();
    assert!(error.to_string().contains("mh_adapter"), "{error}");
    let set = trainable(&LanguageModelling::new(Arc::clone(&lm)), &tuning("both"));
    assert_eq!(
        set.adapters(&*lm).unwrap().bottlenecks().len(),
        lm.module_shapes().sublayers().len()
    );
}
