//! The run: steps, evaluation, checkpoints, and going on exactly where it stopped.

mod control;
mod event;
mod fingerprint;
mod history;
mod lock;
mod named;
mod options;
mod run;
mod state;
mod store;
mod watch;

pub use control::Control;
pub use event::TrainEvent;
pub use fingerprint::{fingerprint, weights_fingerprint};
pub use history::{Evaluation, History, Step};
pub use lock::FolderLock;
pub use options::{Duration, TrainOptions};
pub use run::{Outcome, TrainReport, Trainer};
pub(crate) use store::{differences, reread};
pub(crate) use watch::{Told, Watch};
