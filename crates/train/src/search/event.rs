//! What a search tells those who watch it.

use super::trial::Trial;

/// Something that happened in a search.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SearchEvent<'a> {
    /// The search begins, or goes on.
    Started {
        /// Points that are tried.
        trials: usize,
        /// Parts of trials that were done before.
        done: usize,
        /// Parts of trials in all, if none fails.
        legs: usize,
    },
    /// A trial begins, or goes on.
    Advancing {
        /// What is known of it so far.
        trial: &'a Trial,
        /// The share of its course that it runs to.
        share: f64,
    },
    /// A trial came to the share, or failed on the way.
    Advanced {
        /// What is known of it now.
        trial: &'a Trial,
    },
    /// All trials of a rung are done.
    Compared {
        /// The rung, from 0.
        rung: usize,
        /// The numbers of the trials that go on, the best first.
        kept: &'a [usize],
        /// The numbers of those that do not.
        given_up: &'a [usize],
    },
}
