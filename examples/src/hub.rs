//! `hub:NAME` on a command line: a model folder by repository name, with progress bars.

use std::path::PathBuf;

/// The folder of a repository, downloaded once.
///
/// # Errors
/// Those of downloading, or that the program was built without the feature `hub`.
#[cfg(feature = "hub")]
pub fn folder(name: &str) -> Result<PathBuf, Box<dyn std::error::Error>> {
    use std::sync::Mutex;

    use ragtune::core::hub::{Hub, HubEvent};

    use crate::{output, progress};

    let bar = Mutex::new(None);
    let fetched = Hub::from_env().with_progress(move |event| {
        let Ok(mut bar) = bar.lock() else { return };
        match event {
            HubEvent::Progress {
                file,
                bytes_done,
                bytes_total,
            } => {
                let bar = bar.get_or_insert_with(|| progress::bytes(file));
                bar.set_length(bytes_total);
                bar.set_position(bytes_done);
            }
            HubEvent::Finished { .. } => {
                if let Some(done) = bar.take() {
                    done.finish_and_clear();
                }
            }
            HubEvent::Retry {
                file,
                attempt,
                reason,
            } => output::note!("{file}: retry {attempt}: {reason}"),
            HubEvent::Fallback { repo, commit, reason } => {
                output::note!("{repo}: using the copy in the cache, commit {commit}: {reason}");
            }
            _ => {}
        }
    });
    Ok(fetched.fetch(name)?)
}

/// The folder of a repository.
///
/// # Errors
/// Always: the program was built without the feature `hub`.
#[cfg(not(feature = "hub"))]
pub fn folder(name: &str) -> Result<PathBuf, Box<dyn std::error::Error>> {
    Err(format!("hub:{name} needs the feature `hub`: run the example with --features hub").into())
}
