//! Every trait of a pipeline as a trait object, through every pointer; the answerers against their contract.

use std::sync::Arc;

use ragtune::testing::{HashingEmbedder, OneDocument, OverlapReranker, ScriptedGenerator, conformance};
use ragtune::{
    Answerer, Embedder, ExtractiveAnswerer, GenerativeAnswerer, Generator, PromptTemplate, Query, Rag,
    Reranker, Retriever,
};

fn is_answerer<T: Answerer + 'static>(_: &T) {}

#[test]
fn a_pipeline_of_boxed_parts() {
    let retriever: Box<dyn Retriever> = Box::new(OneDocument::new("a.md", "Green tea.\n\nBlack coffee."));
    let reranker: Box<dyn Reranker> = Box::new(OverlapReranker);
    let generator: Box<dyn Generator> = Box::new(ScriptedGenerator::new(["Tea [1]."]));
    let rag = Rag::builder()
        .retriever(retriever)
        .reranker(reranker)
        .generator(generator)
        .build()
        .unwrap();
    let answer = rag.ask("green?").unwrap();
    assert_eq!(answer.citations[0].text, "Green tea.");

    let embedder: Box<dyn Embedder> = Box::new(HashingEmbedder::new(256));
    let answerer: Box<dyn Answerer> = Box::new(ExtractiveAnswerer::new(embedder));
    is_answerer(&answerer);
    let answerer: Arc<dyn Answerer> = Arc::from(answerer);
    is_answerer(&answerer);
    let nothing = (&&*answerer as &dyn Answerer)
        .answer(&Query::new("x"), Vec::new())
        .unwrap();
    assert_eq!(nothing.count(), 1);
}

#[test]
fn answerers_keep_their_contract() {
    let extractive = ExtractiveAnswerer::new(HashingEmbedder::new(256));
    assert_eq!(conformance::answerer(&extractive), Vec::<String>::new());
    let script = ["It is steeped at 80 degrees [1].", "x", "x", "x"];
    let generative = GenerativeAnswerer::new(ScriptedGenerator::new(script), PromptTemplate::default());
    assert_eq!(conformance::answerer(&generative), Vec::<String>::new());
}

#[test]
fn the_suite_finds_violations() {
    use ragtune::{AnswerEvent, AnswerStream, CitationClaim, ScoredChunk, Span};
    struct Wrong;
    impl Answerer for Wrong {
        fn answer(&self, _: &Query, _: Vec<ScoredChunk>) -> ragtune::Result<AnswerStream> {
            let claim = CitationClaim {
                source: 9,
                span: Span::new(0, 1),
                answer_span: Span::new(0, 99),
            };
            let events = [AnswerEvent::Text("Tea".into()), AnswerEvent::Citation(claim)];
            Ok(AnswerStream::new(events.map(Ok).into_iter()))
        }
    }
    assert_eq!(conformance::answerer(&Wrong).len(), 4);
}
