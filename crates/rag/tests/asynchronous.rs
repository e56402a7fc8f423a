//! The asynchronous edge: the same answers, and work that stops when nobody waits for it.
#![cfg(feature = "tokio")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that meets them fails")]

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use futures_core::Stream;
use ragtune::core::text::{GenerateEvent, TokenCount, TokenStream};
use ragtune::testing::{OneDocument, ScriptedGenerator};
use ragtune::{AsyncRagStream, Error, GenerateOptions, Generator, Prompt, Rag, RagEvent};

const TEA: &str = "Green tea is steeped at 80 degrees.";

async fn next(stream: &mut AsyncRagStream) -> Option<ragtune::Result<RagEvent>> {
    poll_fn(|context| Pin::new(&mut *stream).poll_next(context)).await
}

/// Writes without end, and notes when its stream is dropped. With `silent`, it writes what is never shown.
#[derive(Clone, Default)]
struct Endless {
    silent: bool,
    pieces: Arc<AtomicUsize>,
    dropped: Arc<AtomicBool>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.dropped.store(true, Ordering::SeqCst);
    }
}

struct Running(Endless);

impl Generator for Endless {
    fn id(&self) -> &str {
        "endless"
    }
    fn context_tokens(&self) -> usize {
        10_000
    }
    fn count(&self, prompt: &Prompt) -> ragtune::core::Result<TokenCount> {
        Ok(TokenCount::estimate(&prompt.to_string()))
    }
    fn stream(&self, _: Prompt, _: GenerateOptions) -> ragtune::core::Result<TokenStream> {
        let running = Running(self.clone());
        Ok(TokenStream::new(std::iter::from_fn(move || {
            std::thread::sleep(Duration::from_millis(1));
            let at = running.0.pieces.fetch_add(1, Ordering::SeqCst);
            let first = if running.0.silent {
                "The sources do not answer this question."
            } else {
                "word "
            };
            Some(Ok(GenerateEvent::Text(
                if at == 0 { first } else { "word " }.to_owned(),
            )))
        })))
    }
}

impl Endless {
    /// Waits until the model was stopped; a model that goes on fails the test.
    async fn stopped(&self) {
        for _ in 0..5_000 {
            if self.dropped.load(Ordering::SeqCst) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("the model was not stopped");
    }
}

fn rag(generator: impl Generator + 'static) -> ragtune::AsyncRag {
    let builder = Rag::builder()
        .retriever(OneDocument::new("tea.md", TEA))
        .generator(generator);
    builder.build().unwrap().into_async()
}

#[tokio::test]
async fn the_same_answer_as_the_synchronous_core() {
    let generator = || ScriptedGenerator::new(["At 80 [1].", "At 80 [1]."]);
    let answer = rag(generator()).ask("How hot?").await.unwrap();
    let sync = Rag::builder()
        .retriever(OneDocument::new("tea.md", TEA))
        .generator(generator())
        .build()
        .unwrap();
    assert_eq!(answer.citations, sync.ask("How hot?").unwrap().citations);
    assert_eq!(rag(generator()).retrieve(&"tea".into()).await.unwrap().len(), 1);
    assert!(matches!(
        rag(generator()).ask(" ").await,
        Err(Error::EmptyQuestion)
    ));

    let mut stream = rag(generator()).stream("How hot?").await.unwrap();
    let mut events = Vec::new();
    while let Some(event) = next(&mut stream).await {
        events.push(event.unwrap());
    }
    assert!(matches!(events.first(), Some(RagEvent::Sources(_))));
    assert!(matches!(events.last(), Some(RagEvent::Done(done)) if done.citations == answer.citations));
}

#[tokio::test]
async fn a_dropped_stream_stops_the_model() {
    let model = Endless::default();
    let mut stream = rag(model.clone()).stream("How hot?").await.unwrap();
    for _ in 0..3 {
        next(&mut stream).await.unwrap().unwrap();
    }
    drop(stream);
    model.stopped().await;
}

#[tokio::test]
async fn a_slow_reader_holds_the_model_back() {
    let model = Endless::default();
    let mut stream = rag(model.clone()).stream("How hot?").await.unwrap();
    next(&mut stream).await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(model.pieces.load(Ordering::SeqCst) < 30);
    drop(stream);
    model.stopped().await;
}

#[tokio::test]
async fn a_dropped_question_stops_the_model() {
    for silent in [false, true] {
        let model = Endless {
            silent,
            ..Endless::default()
        };
        let rag = rag(model.clone());
        {
            let mut ask = pin!(rag.ask("How hot?"));
            // Until the model writes, the question must have been asked.
            while model.pieces.load(Ordering::SeqCst) < 3 {
                poll_fn(|context| {
                    assert!(ask.as_mut().poll(context).is_pending());
                    Poll::Ready(())
                })
                .await;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        model.stopped().await;
    }
}

#[tokio::test]
async fn a_panic_in_the_background_is_an_error() {
    struct Panicking;
    impl Generator for Panicking {
        fn id(&self) -> &str {
            "panicking"
        }
        fn context_tokens(&self) -> usize {
            10_000
        }
        fn count(&self, _: &Prompt) -> ragtune::core::Result<TokenCount> {
            Ok(TokenCount::Exact(1))
        }
        fn stream(&self, _: Prompt, _: GenerateOptions) -> ragtune::core::Result<TokenStream> {
            Ok(TokenStream::new(std::iter::from_fn(|| panic!("on purpose"))))
        }
    }
    assert!(matches!(
        rag(Panicking).ask("How hot?").await,
        Err(Error::Task { .. })
    ));
    let mut stream = rag(Panicking).stream("How hot?").await.unwrap();
    assert!(matches!(next(&mut stream).await, Some(Ok(RagEvent::Sources(_)))));
    assert!(matches!(next(&mut stream).await, Some(Err(Error::Task { .. }))));
    assert!(next(&mut stream).await.is_none());
}

#[test]
fn outside_of_a_runtime_is_an_error() {
    let rag = rag(ScriptedGenerator::new(["x"]));
    let mut ask = pin!(rag.ask("How hot?"));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let Poll::Ready(result) = ask.as_mut().poll(&mut context) else {
        panic!("it waits")
    };
    assert!(matches!(result, Err(Error::NoRuntime { .. })));
}

#[tokio::test]
async fn a_folder_becomes_a_cited_answer() {
    use ragtune::testing::HashingEmbedder;
    use ragtune::{KnowledgeBase, SyncOptions};
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("tea.md"),
        format!("# Tea\n\n{TEA} Black tea takes boiling water.\n"),
    )
    .unwrap();
    std::fs::write(
        folder.path().join("coffee.md"),
        "# Coffee\n\nCoffee is roasted.\n",
    )
    .unwrap();
    let base = KnowledgeBase::in_memory()
        .unwrap()
        .with_embedder(HashingEmbedder::new(256))
        .unwrap();
    let report = ragtune::sync_folder(&base, folder.path(), SyncOptions::default())
        .await
        .unwrap();
    assert_eq!(report.added, 2);
    let rag = Rag::builder().retriever(base).build().unwrap().into_async();
    let answer = rag
        .ask("At how many degrees is green tea steeped?")
        .await
        .unwrap();
    assert_eq!(answer.citations[0].text, TEA);
    assert_eq!(answer.citations[0].locator.line, Some(3));
    assert!(answer.trace.rejected_citations.is_empty());
    assert!(answer.to_string().contains("tea.md:3"));
}
