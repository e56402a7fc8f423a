//! How a base is searched, synced and embedded anew.

use std::sync::Arc;

use ragtune_core::Cancel;
use serde::{Deserialize, Serialize};

use super::report::SyncEvent;
use crate::fusion::Fusion;
use crate::index::{Metric, PlanOptions};

/// What evidence a search goes by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Nearness of vectors.
    Dense,
    /// Words in common, by BM25; needs no embedder.
    Lexical,
    /// Both, fused.
    #[default]
    Hybrid,
}

/// How a base is searched.
///
/// ```
/// use ragtune_retrieve::{Mode, SearchOptions};
/// let options = SearchOptions::default().with_mode(Mode::Dense).with_candidates(50);
/// assert_eq!(options.mode, Mode::Dense);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SearchOptions {
    /// What evidence counts.
    pub mode: Mode,
    /// How the two lists of a hybrid search become one.
    pub fusion: Fusion,
    /// Hits taken from each list before fusion, and before a threshold on a kind that does not order the list.
    pub candidates: usize,
    /// How the way of a search by vectors is chosen.
    pub plan: PlanOptions,
}

impl SearchOptions {
    /// Hits taken from each list when the caller names none.
    pub const DEFAULT_CANDIDATES: usize = 100;

    /// The options with another mode.
    pub fn with_mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// The options with another fusion.
    pub fn with_fusion(mut self, fusion: Fusion) -> Self {
        self.fusion = fusion;
        self
    }

    /// The options with so many candidates from each list; never fewer than a query's `top_k` are taken.
    pub fn with_candidates(mut self, candidates: usize) -> Self {
        self.candidates = candidates;
        self
    }

    /// The options with another choice of ways for searches by vectors.
    pub fn with_plan(mut self, plan: PlanOptions) -> Self {
        self.plan = plan;
        self
    }
}

impl Default for SearchOptions {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            fusion: Fusion::default(),
            candidates: Self::DEFAULT_CANDIDATES,
            plan: PlanOptions::default(),
        }
    }
}

/// Hears of the progress of long work.
pub(super) type OnEvent = Arc<dyn Fn(&SyncEvent<'_>) + Send + Sync>;

/// How a folder is synced.
///
/// ```
/// use ragtune_retrieve::SyncOptions;
/// let options = SyncOptions::default().with_include("*.md").with_exclude("drafts/");
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct SyncOptions {
    /// Patterns in the syntax of `.gitignore`, of which a file must match one; empty for every file.
    pub include: Vec<String>,
    /// Patterns in the syntax of `.gitignore` of files and folders to leave out.
    pub exclude: Vec<String>,
    /// Bytes above which a file is skipped.
    pub max_file_bytes: u64,
    /// Whether files behind symbolic links are read; loops are reported.
    pub follow_links: bool,
    /// Whether files and folders whose name starts with a dot are read.
    pub hidden: bool,
    /// Whether `.gitignore` and `.ignore` files inside the folder are honoured; those above it never are.
    pub gitignore: bool,
    /// The name under which the base knows the folder, so that it may move; the folder's absolute path where absent.
    pub name: Option<String>,
    pub(super) on_event: Option<OnEvent>,
    pub(super) cancel: Cancel,
}

impl SyncOptions {
    /// Bytes above which a file is skipped when the caller sets no limit.
    pub const DEFAULT_MAX_FILE_BYTES: u64 = 64 << 20;

    /// Takes only files that match this pattern, or another one given so.
    pub fn with_include(mut self, pattern: impl Into<String>) -> Self {
        self.include.push(pattern.into());
        self
    }

    /// Leaves out files and folders that match this pattern.
    pub fn with_exclude(mut self, pattern: impl Into<String>) -> Self {
        self.exclude.push(pattern.into());
        self
    }

    /// Skips files of more bytes.
    pub fn with_max_file_bytes(mut self, bytes: u64) -> Self {
        self.max_file_bytes = bytes;
        self
    }

    /// Reads files behind symbolic links, or does not.
    pub fn with_follow_links(mut self, follow: bool) -> Self {
        self.follow_links = follow;
        self
    }

    /// Reads hidden files, or does not.
    pub fn with_hidden(mut self, hidden: bool) -> Self {
        self.hidden = hidden;
        self
    }

    /// Honours `.gitignore` and `.ignore` files, or does not.
    pub fn with_gitignore(mut self, honour: bool) -> Self {
        self.gitignore = honour;
        self
    }

    /// Knows the folder by this name instead of its absolute path.
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Tells of the progress.
    pub fn with_on_event(mut self, on_event: impl Fn(&SyncEvent<'_>) + Send + Sync + 'static) -> Self {
        self.on_event = Some(Arc::new(on_event));
        self
    }

    /// Stops when the flag is set; what was stored until then stays.
    pub fn with_cancel(mut self, cancel: Cancel) -> Self {
        self.cancel = cancel;
        self
    }
}

impl Default for SyncOptions {
    fn default() -> Self {
        Self {
            include: Vec::new(),
            exclude: Vec::new(),
            max_file_bytes: Self::DEFAULT_MAX_FILE_BYTES,
            follow_links: false,
            hidden: false,
            gitignore: true,
            name: None,
            on_event: None,
            cancel: Cancel::new(),
        }
    }
}

/// How a base is embedded anew.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct ReembedOptions {
    /// How the new vectors are compared; the base's metric where absent.
    pub metric: Option<Metric>,
    pub(super) on_event: Option<OnEvent>,
    pub(super) cancel: Cancel,
}

impl ReembedOptions {
    /// Compares the new vectors by this metric.
    pub fn with_metric(mut self, metric: Metric) -> Self {
        self.metric = Some(metric);
        self
    }

    /// Tells of the progress by [`SyncEvent::Embedded`] and [`SyncEvent::ReembedFinished`].
    pub fn with_on_event(mut self, on_event: impl Fn(&SyncEvent<'_>) + Send + Sync + 'static) -> Self {
        self.on_event = Some(Arc::new(on_event));
        self
    }

    /// Stops when the flag is set; the old vectors go on serving, and the next call continues.
    pub fn with_cancel(mut self, cancel: Cancel) -> Self {
        self.cancel = cancel;
        self
    }
}
