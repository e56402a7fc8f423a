//! The pipeline for asynchronous callers: the same core on threads that may block.
//!
//! Dropping a future or stream cancels its work: what runs stops at its next step, a model's stream is dropped.

use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use ragtune_core::Cancel;
use ragtune_core::text::{Query, ScoredChunk};
use ragtune_retrieve::{KnowledgeBase, SyncOptions, SyncReport};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::answer::Answer;
use crate::error::{Error, Result};
use crate::rag::{Rag, RagEvent};

/// Events that wait for a slow reader; the model pauses when there are more.
const BUFFERED_EVENTS: usize = 16;

/// A [`Rag`] for asynchronous callers; cloning it is cheap.
///
/// Needs a running tokio runtime, of either kind.
///
/// ```
/// # use ragtune::testing::OneDocument;
/// use ragtune::Rag;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let tea = OneDocument::new("tea.md", "Green tea is steeped at 80 degrees.");
/// let rag = Rag::builder().retriever(tea).build()?.into_async();
/// let answer = rag.ask("At how many degrees is green tea steeped?").await?;
/// assert!(!answer.is_abstention());
/// # Ok::<(), ragtune::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct AsyncRag {
    rag: Rag,
}

impl Rag {
    /// The same pipeline for asynchronous callers.
    pub fn into_async(self) -> AsyncRag {
        AsyncRag { rag: self }
    }
}

impl AsyncRag {
    /// The answer to a question, or an abstention with its reason.
    ///
    /// # Errors
    /// Those of [`Rag::ask`], and [`Error::NoRuntime`] outside of a tokio runtime.
    pub async fn ask(&self, question: impl Into<Query> + Send) -> Result<Answer> {
        let (rag, question) = (self.rag.clone(), question.into());
        blocking(move |cancel| {
            let stream = rag.stream(question)?;
            stream.cancelled_by(cancel).collect_all()
        })
        .await
    }

    /// The answer while it is made, as [`Rag::stream`] gives it; returns once the passages are found.
    ///
    /// # Errors
    /// Those of [`AsyncRag::ask`], here or in the stream.
    pub async fn stream(&self, question: impl Into<Query> + Send) -> Result<AsyncRagStream> {
        let (rag, question) = (self.rag.clone(), question.into());
        let stream = blocking(move |_| rag.stream(question)).await?;
        let cancel = Cancel::new();
        let (sender, events) = mpsc::channel(BUFFERED_EVENTS);
        let stream = stream.cancelled_by(cancel.clone());
        let task = runtime()?.spawn_blocking(move || {
            for event in stream {
                // Nobody reads any more: the model's stream is dropped with the loop.
                if sender.blocking_send(event).is_err() {
                    break;
                }
            }
        });
        Ok(AsyncRagStream {
            events,
            task: Some(task),
            _cancel: CancelOnDrop(cancel),
        })
    }

    /// The passages that an answer would be made from.
    ///
    /// # Errors
    /// Those of [`AsyncRag::ask`].
    pub async fn retrieve(&self, query: &Query) -> Result<Vec<ScoredChunk>> {
        let (rag, query) = (self.rag.clone(), query.clone());
        blocking(move |_| rag.retrieve(&query)).await
    }
}

/// Brings a knowledge base up to date with a folder, as [`KnowledgeBase::sync_folder_with`] does.
///
/// Dropping the future cancels the work, in place of a flag that the options may carry; every document is stored whole
/// or not at all, and the next run goes on.
///
/// # Errors
/// Those of [`KnowledgeBase::sync_folder_with`], and [`Error::NoRuntime`] outside of a tokio runtime.
pub async fn sync_folder(
    base: &KnowledgeBase,
    folder: impl Into<PathBuf> + Send,
    options: SyncOptions,
) -> Result<SyncReport> {
    let (base, folder) = (base.clone(), folder.into());
    blocking(move |cancel| Ok(base.sync_folder_with(folder, &options.with_cancel(cancel))?)).await
}

/// An answer in the making; drop it to stop the model.
#[derive(Debug)]
pub struct AsyncRagStream {
    events: mpsc::Receiver<Result<RagEvent>>,
    task: Option<JoinHandle<()>>,
    _cancel: CancelOnDrop,
}

impl Stream for AsyncRagStream {
    type Item = Result<RagEvent>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(event) = ready!(self.events.poll_recv(context)) {
            return Poll::Ready(Some(event));
        }
        // The channel has closed: a task that broke down must not look like a finished answer.
        let Some(task) = self.task.as_mut() else {
            return Poll::Ready(None);
        };
        let ended = ready!(Pin::new(task).poll(context));
        self.task = None;
        Poll::Ready(ended.err().map(|source| Err(Error::Task { source })))
    }
}

/// Runs work that blocks; it is told to stop when the future is dropped, and never starts when that comes first.
async fn blocking<T, F>(work: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce(Cancel) -> Result<T> + Send + 'static,
{
    let cancel = Cancel::new();
    let guard = CancelOnDrop(cancel.clone());
    let task = runtime()?.spawn_blocking(move || {
        cancel.check()?;
        work(cancel)
    });
    let result = task.await.map_err(|source| Error::Task { source })?;
    drop(guard);
    result
}

fn runtime() -> Result<Handle> {
    Handle::try_current().map_err(|source| Error::NoRuntime { source })
}

#[derive(Debug)]
struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}
