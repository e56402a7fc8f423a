//! Where models are written for Python.

use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;

/// Where models are written: a folder that check.py looks into, or one that goes away.
pub struct Out {
    folder: PathBuf,
    _temporary: Option<TempDir>,
}

impl Out {
    pub fn new() -> Self {
        match std::env::var_os("RAGTUNE_HEADS_OUT") {
            Some(folder) => {
                std::fs::create_dir_all(&folder).unwrap();
                Self {
                    folder: folder.into(),
                    _temporary: None,
                }
            }
            None => {
                let temporary = tempfile::tempdir().unwrap();
                Self {
                    folder: temporary.path().to_owned(),
                    _temporary: Some(temporary),
                }
            }
        }
    }

    /// The folder of a model that is about to be written.
    pub fn folder(&self, name: &str) -> PathBuf {
        let folder = self.folder.join(name);
        if folder.exists() {
            std::fs::remove_dir_all(&folder).unwrap();
        }
        folder
    }

    /// What Python is to find.
    pub fn expect(&self, name: &str, expected: &Value) {
        std::fs::write(self.folder.join(format!("{name}.json")), expected.to_string()).unwrap();
    }
}
