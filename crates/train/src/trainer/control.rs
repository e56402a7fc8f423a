//! Pausing and ending a run from another thread.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// A handle on a run; clones are handles on the same run.
///
/// A run looks at it between steps. A paused run waits without using the processor; a cancelled one saves its state, so
/// that it can go on later, and returns.
///
/// ```
/// use ragtune_train::trainer::Control;
/// let control = Control::new();
/// let elsewhere = control.clone();
/// elsewhere.cancel();
/// assert!(control.is_cancelled());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Control(Arc<(Mutex<State>, Condvar)>);

#[derive(Debug, Default)]
struct State {
    paused: bool,
    cancelled: bool,
}

impl Control {
    /// A handle that lets the run go on.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the run wait before its next step.
    pub fn pause(&self) {
        self.change(|state| state.paused = true);
    }

    /// Lets a paused run go on.
    pub fn resume(&self) {
        self.change(|state| state.paused = false);
    }

    /// Ends the run before its next step, also a paused one.
    pub fn cancel(&self) {
        self.change(|state| state.cancelled = true);
    }

    /// Whether the run was asked to end.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        let (state, _) = &*self.0;
        state.lock().unwrap_or_else(PoisonError::into_inner).cancelled
    }

    /// Waits while the run is paused; whether it is to go on.
    pub(crate) fn proceeds(&self) -> bool {
        let (state, changed) = &*self.0;
        let state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = |state: &mut State| state.paused && !state.cancelled;
        let state = changed
            .wait_while(state, waits)
            .unwrap_or_else(PoisonError::into_inner);
        !state.cancelled
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let (state, changed) = &*self.0;
        change(&mut state.lock().unwrap_or_else(PoisonError::into_inner));
        changed.notify_all();
    }
}
