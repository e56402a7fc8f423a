//! `--embedder DIR|builtin|hub:NAME` on a command line.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use ragtune::Encoder;
use ragtune::core::device;

use crate::hub;

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
            Self::Hub(name) => Ok(Encoder::load(hub::folder(name)?, &device::cpu())?),
        }
    }
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
