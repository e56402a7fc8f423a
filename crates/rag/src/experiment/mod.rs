//! What a run leaves behind: a folder with `experiment.json`, so that results can be looked up and compared later.

mod fingerprint;
mod folder;
mod record;
mod versions;

pub use fingerprint::Fingerprint;
pub use folder::{BadRun, Run, Runs, list};
pub use record::{Experiment, Metric};
pub use versions::versions;
