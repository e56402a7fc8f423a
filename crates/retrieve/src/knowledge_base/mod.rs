//! Documents, stored and searchable: the handle that applications hold, and the work behind it.

mod base;
mod check;
mod derived;
#[cfg(test)]
mod disk_full;
mod handle;
mod ingest;
mod options;
mod prepare;
mod reembed;
mod report;
mod search;
mod surroundings;
mod sync;
mod view;
mod walk;

pub use check::CheckReport;
pub use handle::KnowledgeBase;
pub use options::{Mode, ReembedOptions, SearchOptions, SyncOptions};
pub(crate) use prepare::Lines;
pub use report::{AddReport, EmbeddingReport, FileOutcome, Skipped, SyncEvent, SyncReport};
