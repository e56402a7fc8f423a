//! Merging by itself: once enough vectors came or went since the last merge, a thread of its own links them, while
//! searches and writes go on.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use ragtune_core::Cancel;

use super::base::Base;
use super::merge::{self, MergeEvent, MergeOptions, MergeReport};
use crate::error::{Error, Result};
use crate::index::PlanOptions;

/// The merge that runs beside all handles of a base. It ends with the last of them.
#[derive(Default)]
pub(super) struct Background {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    running: Option<Running>,
    /// Vectors that had come when a merge found nothing to do, because most of them were known.
    idle_at: usize,
}

struct Running {
    cancel: Cancel,
    thread: JoinHandle<Result<MergeReport>>,
}

impl Background {
    /// Starts a merge if enough vectors came or went since the last one and none runs. What keeps it from that is
    /// logged: it must not make a write fail that succeeded.
    pub(super) fn start_if_due(&self, base: &Arc<Base>, options: &MergeOptions, plan: &PlanOptions) {
        if let Err(error) = self.start(base, options, plan) {
            tracing::warn!(%error, "vectors are not merged by themselves");
        }
    }

    fn start(&self, base: &Arc<Base>, options: &MergeOptions, plan: &PlanOptions) -> Result<()> {
        let mut state = self.lock();
        match state.running.take() {
            Some(running) if !running.thread.is_finished() => {
                state.running = Some(running);
                return Ok(());
            }
            // A report that nobody asked for was told by its event, and a failure logged.
            Some(ended) => state.ended(&join(ended)),
            None => {}
        }
        let Some(new) = merge::due(base, options)? else {
            state.idle_at = 0;
            return Ok(());
        };
        if state.idle_at > 0 && new < state.idle_at + options.least {
            return Ok(());
        }
        state.idle_at = new;
        let cancel = Cancel::new();
        let mut options = options.clone();
        options.graph.cancel = cancel.clone();
        let (base, plan) = (Arc::clone(base), *plan);
        let thread = std::thread::Builder::new()
            .name("ragtune-merge".to_owned())
            .spawn(move || run(&base, &options, &plan))
            .map_err(|source| Error::Core(ragtune_core::Error::external("starting a thread", source)))?;
        state.running = Some(Running { cancel, thread });
        Ok(())
    }

    /// Waits for the merge that runs; `None` where none does.
    pub(super) fn finish(&self) -> Option<Result<MergeReport>> {
        let running = self.lock().running.take()?;
        let result = join(running);
        self.lock().ended(&result);
        Some(result)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// After a merge, what is new counts from the beginning, unless it found nothing to do.
    fn ended(&mut self, result: &Result<MergeReport>) {
        match result {
            Ok(report) if report.added + report.removed == 0 => {}
            _ => self.idle_at = 0,
        }
    }
}

impl Drop for Background {
    /// Stops the merge, which leaves the base as it was, and waits for that: nothing of a base goes on after its last
    /// handle.
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = state.running.take() {
            running.cancel.cancel();
            // The last handle may be one that a hearer of the merge's events held, on the merge's own thread.
            if running.thread.thread().id() != std::thread::current().id() {
                let _ = join(running);
            }
        }
    }
}

fn run(base: &Base, options: &MergeOptions, plan: &PlanOptions) -> Result<MergeReport> {
    let result = merge::merge(base, options, plan);
    match &result {
        Ok(_) => {}
        Err(Error::Core(ragtune_core::Error::Cancelled)) => {}
        Err(error) => {
            tracing::warn!(%error, "merging vectors by itself failed");
            options.tell(MergeEvent::Failed {
                reason: error.to_string(),
            });
        }
    }
    result
}

fn join(running: Running) -> Result<MergeReport> {
    match running.thread.join() {
        Ok(result) => result,
        Err(_) => Err(Error::Core(ragtune_core::Error::external(
            "the thread that merges vectors",
            "it panicked",
        ))),
    }
}
