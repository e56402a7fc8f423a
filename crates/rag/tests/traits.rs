//! Every trait of the whole library as a trait object, through every pointer; the answerers against their contract.
#![allow(clippy::unwrap_used, reason = "a test that meets it fails")]

use std::path::Path;
use std::sync::Arc;

use ragtune::core::text::{GenerateOptions, Prompt};
use ragtune::retrieve::chunk::ParagraphChunker;
use ragtune::retrieve::load::MarkdownLoader;
use ragtune::retrieve::{Chunker, ExactIndex, Loader, Metric, VectorIndex};
use ragtune::testing::{HashingEmbedder, OneDocument, OverlapReranker, ScriptedGenerator, conformance};
use ragtune::{
    Answerer, Document, Embedder, ExtractiveAnswerer, GenerativeAnswerer, Generator, Message, PromptTemplate,
    Query, Rag, Reranker, Retriever, Role, Span,
};

/// Asserts that a part does the same through `Box`, `Arc`, `&` and pointers to pointers, and may go to other threads.
macro_rules! through_every_pointer {
    ($kind:ident, $part:expr, $look:expr) => {{
        fn look<P: $kind + Send + Sync, R>(part: P, look: impl Fn(&dyn $kind) -> R) -> R {
            look(&part)
        }
        let expected = look($part, $look);
        let boxed: Box<dyn $kind> = Box::new($part);
        assert_eq!(look(&boxed, $look), expected, "&Box<dyn {}>", stringify!($kind));
        assert_eq!(look(&*boxed, $look), expected, "&dyn {}", stringify!($kind));
        assert_eq!(look(boxed, $look), expected, "Box<dyn {}>", stringify!($kind));
        let shared: Arc<dyn $kind> = Arc::new($part);
        assert_eq!(
            look(Arc::clone(&shared), $look),
            expected,
            "Arc<dyn {}>",
            stringify!($kind)
        );
        let nested: Box<dyn $kind> = Box::new(shared);
        assert_eq!(
            look(nested, $look),
            expected,
            "Box<Arc<dyn {}>>",
            stringify!($kind)
        );
    }};
}

#[test]
fn every_trait_is_an_object_behind_every_pointer() {
    let embedder = || HashingEmbedder::new(16);
    through_every_pointer!(Embedder, embedder(), |part: &dyn Embedder| {
        let vectors = part
            .embed(&["green tea"], Role::Query)
            .unwrap()
            .as_slice()
            .to_vec();
        (
            part.id().to_owned(),
            part.dim(),
            part.max_tokens(),
            vectors,
            part.count_tokens("a b"),
        )
    });
    through_every_pointer!(Reranker, OverlapReranker, |part: &dyn Reranker| {
        part.score("green tea", &["tea", "coffee"]).unwrap()
    });
    through_every_pointer!(
        Generator,
        ScriptedGenerator::new(["a"; 20]),
        |part: &dyn Generator| {
            let (prompt, options) = (|| Prompt::new([Message::user("x")]), GenerateOptions::default);
            let streamed = part.stream(prompt(), options()).unwrap().count();
            let whole = part.generate(prompt(), options()).unwrap().text;
            let batch = part.generate_batch(vec![prompt()], options()).unwrap().len();
            (
                part.id().to_owned(),
                part.context_tokens(),
                part.count(&prompt()).unwrap(),
                streamed,
                whole,
                batch,
            )
        }
    );
    through_every_pointer!(
        Chunker,
        ParagraphChunker::new(Arc::new(embedder())),
        |part: &dyn Chunker| {
            (
                part.id(),
                part.chunk(&Document::new("a", "Green tea.\n\nBlack coffee."))
                    .unwrap(),
            )
        }
    );
    through_every_pointer!(Loader, MarkdownLoader, |part: &dyn Loader| {
        let path = Path::new("a.md");
        (part.id(), part.accepts(path), part.load(path, b"# Tea").unwrap())
    });
    let index = || ExactIndex::new(Metric::Cosine, 2, [[1.0, 0.0].as_slice(), &[0.0, 1.0]]).unwrap();
    through_every_pointer!(VectorIndex, index(), |part: &dyn VectorIndex| {
        let found = part.search(&[1.0, 0.5], 2, None).unwrap();
        let scores = part.scores(&[1.0, 0.5], &[1]).unwrap();
        (part.metric(), part.len(), part.is_empty(), found, scores)
    });
    through_every_pointer!(
        Retriever,
        OneDocument::new("a", "Green tea."),
        |part: &dyn Retriever| {
            let hits = part.retrieve(&"tea".into()).unwrap();
            (
                hits,
                part.embedder().is_some(),
                part.stored_text("a", Span::new(0, 5)).unwrap(),
            )
        }
    );
    through_every_pointer!(
        Answerer,
        ExtractiveAnswerer::new(embedder()),
        |part: &dyn Answerer| {
            let events = part.answer(&Query::new("x"), Vec::new()).unwrap();
            events.map(Result::unwrap).collect::<Vec<_>>()
        }
    );
}

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
