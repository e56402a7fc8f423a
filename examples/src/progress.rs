//! Progress on standard error: a bar on a terminal, and elsewhere lines.

use std::io::{IsTerminal, stderr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::output;

/// Time between two lines where there is no bar.
const BETWEEN_LINES: Duration = Duration::from_secs(5);

/// A bar that counts items of unknown number until [`ProgressBar::set_length`] tells it.
pub fn bar(what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(0).with_message(what);
    if let Ok(style) = ProgressStyle::with_template("{msg} [{bar:30}] {human_pos}/{human_len} {eta}") {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// A bar that counts bytes.
pub fn bytes(what: String) -> ProgressBar {
    let bar = ProgressBar::new(0).with_message(what);
    if let Ok(style) = ProgressStyle::with_template("{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec}")
    {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}

/// Counts items of work: a bar on a terminal; elsewhere a line at the beginning, every few seconds, and at the end. Its clones
/// count the same work.
#[derive(Clone)]
pub struct Counter {
    shown: Arc<Shown>,
}

enum Shown {
    Bar(ProgressBar),
    Lines { what: &'static str, last: Mutex<Last> },
}

#[derive(Default)]
struct Last {
    at: Option<Instant>,
    done: Option<usize>,
}

impl Counter {
    /// Nothing is done yet.
    #[must_use]
    pub fn new(what: &'static str) -> Self {
        let shown = match stderr().is_terminal() {
            true => Shown::Bar(bar(what)),
            false => Shown::Lines {
                what,
                last: Mutex::default(),
            },
        };
        Self {
            shown: Arc::new(shown),
        }
    }

    /// So many of so many are done.
    pub fn set(&self, done: usize, total: usize) {
        match &*self.shown {
            Shown::Bar(bar) => {
                bar.set_length(total as u64);
                bar.set_position(done as u64);
            }
            Shown::Lines { what, last } => {
                let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
                let is_due = last.at.is_none_or(|at| at.elapsed() >= BETWEEN_LINES);
                if last.done != Some(done) && (is_due || done == total) {
                    *last = Last {
                        at: Some(Instant::now()),
                        done: Some(done),
                    };
                    output::note!("{what}: {done} of {total}");
                }
            }
        }
    }

    /// Says something beside it.
    pub fn say(&self, text: &str) {
        match &*self.shown {
            Shown::Bar(bar) => bar.suspend(|| output::note!("{text}")),
            Shown::Lines { .. } => output::note!("{text}"),
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Shown::Bar(bar) = &*self.shown {
            bar.finish_and_clear();
        }
    }
}
