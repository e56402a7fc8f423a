//! What the program made is what `Rag` takes: a tuned encoder, a tuned reranker, a language model with its adapter.

use ragtune::core::adapters::{AdapterSet, AdapterStack};
use ragtune::core::device;
use ragtune::core::generation::LocalGenerator;
use ragtune::core::models::CrossEncoder;
use ragtune::core::text::ScoreKind;
use ragtune::{Encoder, KnowledgeBase, Query, Rag};

use crate::data;
use crate::line;
use crate::program::{finetune, model_of};

#[test]
fn rag_takes_tuned_models_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    for (task, method) in [("embed", "lora"), ("rerank", "full"), ("sft", "lora")] {
        let files = data::write(task, folder.path());
        let line = line![
            "--model",
            model_of(task).display(),
            "--task",
            task,
            "--data",
            files.train.display(),
            "--method",
            method,
            "--out",
            folder.path().join(task).display(),
            "--steps 2 --batch 4 --max-tokens 48 --force --json",
        ];
        finetune(&line).ok();
    }
    let device = device::cpu();
    let notes = folder.path().join("notes");
    std::fs::create_dir(&notes).unwrap();
    std::fs::write(
        notes.join("tea.txt"),
        "The vector is near the texts.\n\nDrink the tea.\n",
    )
    .unwrap();

    let encoder = Encoder::load(folder.path().join("embed/model"), &device).unwrap();
    let base = KnowledgeBase::in_memory()
        .unwrap()
        .with_embedder(encoder)
        .unwrap();
    base.sync_folder(&notes).unwrap();
    let reranker = CrossEncoder::load(folder.path().join("rerank/model"), &device).unwrap();
    let rag = Rag::builder()
        .retriever(base.clone())
        .reranker(reranker)
        .build()
        .unwrap();
    let answer = rag.ask(Query::new("is the vector near the texts")).unwrap();
    assert!(!answer.sources.is_empty());
    assert!(answer.sources[0].chunk.scores.contains_key(&ScoreKind::Rerank));

    let generator = LocalGenerator::load(model_of("sft"), &device).unwrap();
    let adapter = AdapterSet::load(folder.path().join("sft/adapter"), generator.lm()).unwrap();
    let adapters = AdapterStack::base().with(adapter.into(), 1.0);
    Rag::builder()
        .retriever(base)
        .generator(generator.with_adapters(adapters))
        .build()
        .unwrap();
}
