//! What a run and a search have in common: where they keep their states, who ends them, who hears of them.

use std::path::{Path, PathBuf};

use super::control::Control;
use crate::error::{Error, Result};

/// A kind of work that tells what happens in it.
pub(crate) trait Told {
    /// What it tells.
    type Event<'e>;
    /// What it is called in messages, with its article.
    const NAME: &'static str;
    /// What a folder has that it kept its states in.
    const TRACE: &'static str;
}

/// Hears of events.
type Observer<'a, T> = Box<dyn for<'e, 'x> FnMut(&'x <T as Told>::Event<'e>) + 'a>;

/// Where work keeps its states, whether it goes on from them, and the handles on it.
pub(crate) struct Watch<'a, T: Told> {
    pub(crate) folder: Option<PathBuf>,
    pub(crate) resume: bool,
    pub(crate) control: Control,
    pub(crate) observer: Observer<'a, T>,
}

impl<T: Told> Watch<'_, T> {
    /// Work that keeps nothing, and that nobody watches.
    pub(crate) fn new() -> Self {
        Self {
            folder: None,
            resume: false,
            control: Control::new(),
            observer: Box::new(|_| {}),
        }
    }

    /// The folder, which work that goes on must have.
    pub(crate) fn folder(&self) -> Result<Option<&Path>> {
        match (&self.folder, self.resume) {
            (None, true) => Err(Error::invalid(
                "resume",
                format!("{} has no folder to go on from; name it", T::NAME),
            )),
            (folder, _) => Ok(folder.as_deref()),
        }
    }

    /// The error of a folder in which other work has kept its states.
    pub(crate) fn used() -> Error {
        Error::invalid(
            "folder",
            format!(
                "it has {}; go on with it (`with_resume(true)`), or name another folder",
                T::TRACE
            ),
        )
    }

    pub(crate) fn tell(&mut self, event: &T::Event<'_>) {
        (self.observer)(event);
    }
}
