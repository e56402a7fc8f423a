//! What a trial tells while it works.

use std::fmt;
use std::sync::Arc;

/// How far a trial is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PromotionEvent {
    /// Documents were embedded, for the candidate or, on a benchmark, for both encoders.
    Embedded {
        /// Documents that are done.
        done: usize,
        /// Documents in all.
        total: usize,
    },
    /// All questions are asked of one more way to search.
    Asking {
        /// Its number, counted from 1.
        number: usize,
        /// How many there are: by vectors alone and fused with words, before and after.
        total: usize,
        /// Questions that it is asked.
        questions: usize,
    },
}

type OnEvent = Arc<dyn Fn(&PromotionEvent) + Send + Sync>;

/// Who hears of it.
#[derive(Clone, Default)]
pub(super) struct Listener(pub(super) Option<OnEvent>);

impl Listener {
    pub(super) fn tell(&self, event: PromotionEvent) {
        if let Some(on_event) = &self.0 {
            on_event(&event);
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "a listener" } else { "nobody" })
    }
}
