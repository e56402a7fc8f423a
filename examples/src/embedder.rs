//! `--embedder DIR|builtin|hub:NAME` on a command line.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use ragtune::Encoder;
use ragtune::core::device;

/// Which sentence encoder an example uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EmbedderChoice {
    /// The encoder inside the library.
    Builtin,
    /// A folder in sentence-transformers or Hugging Face layout.
    Folder(PathBuf),
    /// A repository on the model hub, `owner/name` or `owner/name@revision`.
    Hub(String),
}

impl FromStr for EmbedderChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            _ if text == "builtin" => Ok(Self::Builtin),
            Some(("hub", "")) => Err("name a repository: hub:owner/name".to_owned()),
            Some(("hub", name)) => Ok(Self::Hub(name.to_owned())),
            _ => Ok(Self::Folder(text.into())),
        }
    }
}

impl fmt::Display for EmbedderChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Builtin => f.write_str("builtin"),
            Self::Folder(folder) => folder.display().fmt(f),
            Self::Hub(name) => write!(f, "hub:{name}"),
        }
    }
}

impl EmbedderChoice {
    /// Loads the encoder, with a progress bar where it is downloaded.
    ///
    /// # Errors
    /// Those of loading and downloading.
    pub fn load(&self) -> Result<Encoder, Box<dyn std::error::Error>> {
        match self {
            Self::Builtin => Ok(Encoder::builtin()?),
            Self::Folder(folder) => Ok(Encoder::load(folder, &device::cpu())?),
            Self::Hub(name) => hub(name),
        }
    }
}

#[cfg(feature = "hub")]
fn hub(name: &str) -> Result<Encoder, Box<dyn std::error::Error>> {
    use std::sync::Mutex;

    use ragtune::core::hub::{Hub, HubEvent};

    use crate::progress;

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
            } => eprintln!("{file}: retry {attempt}: {reason}"),
            HubEvent::Fallback { repo, commit, reason } => {
                eprintln!("{repo}: using the copy in the cache, commit {commit}: {reason}");
            }
            _ => {}
        }
    });
    Ok(Encoder::load(fetched.fetch(name)?, &device::cpu())?)
}

#[cfg(not(feature = "hub"))]
fn hub(name: &str) -> Result<Encoder, Box<dyn std::error::Error>> {
    Err(format!("hub:{name} needs the feature `hub`: run the example with --features hub").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        assert_eq!("builtin".parse(), Ok(EmbedderChoice::Builtin));
        assert_eq!("hub:a/b@v1".parse(), Ok(EmbedderChoice::Hub("a/b@v1".into())));
        assert_eq!("models/x".parse(), Ok(EmbedderChoice::Folder("models/x".into())));
        assert!("hub:".parse::<EmbedderChoice>().is_err());
    }
}
