//! Every trait of the crate as a trait object, through every pointer; the doubles against their contracts.

use std::sync::Arc;

use ragtune_core::testing::{HashingEmbedder, OverlapReranker, ScriptedGenerator, conformance};
use ragtune_core::text::{Embedder, Generator, Reranker};

fn is_embedder<T: Embedder + 'static>(_: &T) {}
fn is_reranker<T: Reranker + 'static>(_: &T) {}
fn is_generator<T: Generator + 'static>(_: &T) {}

#[test]
fn every_trait_is_boxed_and_forwarded() {
    let embedder: Box<dyn Embedder> = Box::new(HashingEmbedder::new(8));
    is_embedder(&embedder);
    let embedder: Arc<dyn Embedder> = Arc::from(embedder);
    is_embedder(&embedder);
    assert_eq!((&&*embedder as &dyn Embedder).dim(), 8);

    let reranker: Box<dyn Reranker> = Box::new(OverlapReranker);
    is_reranker(&reranker);
    let reranker: Arc<dyn Reranker> = Arc::from(reranker);
    is_reranker(&reranker);
    assert_eq!((&&*reranker as &dyn Reranker).score("a", &["a"]).unwrap(), [1.0]);

    let generator: Box<dyn Generator> = Box::new(ScriptedGenerator::new(["x"]));
    is_generator(&generator);
    let generator: Arc<dyn Generator> = Arc::from(generator);
    is_generator(&generator);
    assert_eq!((&&*generator as &dyn Generator).id(), "scripted");
}

#[test]
fn doubles_keep_their_contracts() {
    assert_eq!(
        conformance::embedder(&HashingEmbedder::new(64)),
        Vec::<String>::new()
    );
    assert_eq!(conformance::reranker(&OverlapReranker), Vec::<String>::new());
    assert_eq!(
        conformance::generator(&ScriptedGenerator::new(["one two three"])),
        Vec::<String>::new()
    );
}
