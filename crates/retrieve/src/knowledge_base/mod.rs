//! Documents, stored and searchable: the handle that applications hold, and the work behind it.

mod attached;
mod auto_merge;
mod base;
mod check;
mod derived;
#[cfg(test)]
mod disk_full;
mod handle;
mod ingest;
mod merge;
#[cfg(test)]
mod merge_full;
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
pub use merge::{MergeEvent, MergeOptions, MergeReport};
pub use options::{Mode, ReembedOptions, SearchOptions, SyncOptions};
pub(crate) use prepare::Lines;
pub use report::{AddReport, EmbeddingReport, FileOutcome, PartlyRead, Skipped, SyncEvent, SyncReport};
pub use search::Explained;
