//! Ctrl-C: the first finishes the step and saves the state, the second ends at once.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use ragtune::train::trainer::Control;
use signal_hook::consts::SIGINT;
use signal_hook::flag;

use crate::output;

/// The status of a program that Ctrl-C ended, as shells have it: 128 and the number of the signal.
pub const STATUS: u8 = 130;

/// Whether a Ctrl-C ends the program at once: before and behind a run, and in one that was told to end.
static ENDS: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// A run that Ctrl-C ended, with its state saved.
#[derive(Debug)]
pub struct Interrupted {
    /// What was done.
    pub done: String,
    /// Where the state is.
    pub state: PathBuf,
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "stopped behind {}; the state is in {}; go on with the same command line and --resume",
            self.done,
            self.state.display()
        )
    }
}

impl Error for Interrupted {}

/// Does some work of a run that a first Ctrl-C asks to end; [`heed`] hears of it. Before it and behind it Ctrl-C ends the
/// program at once.
pub fn while_training<T>(work: impl FnOnce() -> T) -> T {
    let ends = ENDS.get_or_init(|| {
        let ends = Arc::new(AtomicBool::new(true));
        // In this order: a signal first looks whether it is the second, and only then makes the next one that. A system
        // without such signals leaves the program as it is without them.
        let _ = flag::register_conditional_shutdown(SIGINT, i32::from(STATUS), Arc::clone(&ends))
            .and_then(|_| flag::register(SIGINT, Arc::clone(&ends)));
        ends
    });
    ends.store(false, Ordering::SeqCst);
    let done = work();
    ends.store(true, Ordering::SeqCst);
    done
}

/// Asks a run to end where Ctrl-C was pressed; to be called behind each of its steps.
pub fn heed(control: &Control) {
    let asked = ENDS.get().is_some_and(|ends| ends.load(Ordering::SeqCst));
    if asked && !control.is_cancelled() {
        output::note!("saving the state; Ctrl-C once more ends at once");
        control.cancel();
    }
}
