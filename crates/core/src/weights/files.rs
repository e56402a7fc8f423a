//! The files of a model by name, from a folder or from memory.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::Checkpoint;
use super::mapped::Bytes;
use crate::error::{Error, Result};

/// The largest file that is read whole (configurations, tokenizers); weights are mapped instead.
const MAX_FILE_BYTES: u64 = 512 << 20;

/// The files of a model by their names inside its folder, such as `1_Pooling/config.json`.
///
/// ```
/// use ragtune_core::weights::ModelFiles;
/// let files = ModelFiles::in_memory("inside", [("config.json", br#"{"model_type": "bert"}"#.as_slice())]);
/// assert!(files.contains("config.json"));
/// assert!(files.read("tokenizer.json")?.is_none());
/// # Ok::<(), ragtune_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ModelFiles {
    root: PathBuf,
    memory: Option<BTreeMap<String, Bytes>>,
}

impl ModelFiles {
    /// The files of a folder.
    ///
    /// # Errors
    /// [`Error::Io`] when the folder does not exist or is no folder.
    pub fn folder(path: impl Into<PathBuf>) -> Result<Self> {
        let root = path.into();
        let metadata = std::fs::metadata(&root).map_err(|source| Error::io(&root, source))?;
        if !metadata.is_dir() {
            let source = std::io::Error::other("it is a file; name the model's folder");
            return Err(Error::io(root, source));
        }
        Ok(Self { root, memory: None })
    }

    /// Files held in memory; `label` stands for the folder in messages.
    pub fn in_memory<N, B>(label: &str, files: impl IntoIterator<Item = (N, B)>) -> Self
    where
        N: Into<String>,
        B: Into<Cow<'static, [u8]>>,
    {
        let files = files
            .into_iter()
            .map(|(name, bytes)| (name.into(), Bytes::from(bytes.into())))
            .collect();
        Self {
            root: PathBuf::from(label),
            memory: Some(files),
        }
    }

    /// The files of a sub-folder; an empty name is this folder.
    pub fn sub(&self, folder: &str) -> Self {
        if folder.is_empty() {
            return self.clone();
        }
        let memory = self.memory.as_ref().map(|files| {
            let inside = files.iter().filter_map(|(name, bytes)| {
                let name = name.strip_prefix(folder)?.strip_prefix('/')?;
                Some((name.to_owned(), bytes.clone()))
            });
            inside.collect()
        });
        let root = self.root.join(folder);
        Self { root, memory }
    }

    /// The same files without weights that are held in memory, for what only copies the others.
    pub(crate) fn without_weights(&self) -> Self {
        let memory = self.memory.as_ref().map(|files| {
            let others = files.iter().filter(|(name, _)| !name.ends_with(".safetensors"));
            others
                .map(|(name, bytes)| (name.clone(), bytes.clone()))
                .collect()
        });
        Self {
            root: self.root.clone(),
            memory,
        }
    }

    /// The folder, as messages name it.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The path of a file, as messages name it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Whether there is a file of this name.
    pub fn contains(&self, name: &str) -> bool {
        match &self.memory {
            Some(files) => files.contains_key(name),
            None => self.path(name).exists(),
        }
    }

    /// The content of a file, or `None` where it does not exist.
    ///
    /// # Errors
    /// [`Error::Io`] when it exists and cannot be read, is a folder, or is larger than any configuration or tokenizer.
    pub fn read(&self, name: &str) -> Result<Option<Cow<'_, [u8]>>> {
        if let Some(files) = &self.memory {
            return Ok(files.get(name).map(|bytes| Cow::Borrowed(bytes.as_slice())));
        }
        let path = self.path(name);
        // Asked before opening: to open a pipe waits for somebody who writes.
        let metadata = match std::fs::metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::io(path, source)),
        };
        if !metadata.is_file() || metadata.len() > MAX_FILE_BYTES {
            let reason = format!("it is not a regular file of at most {MAX_FILE_BYTES} bytes");
            return Err(Error::io(path, std::io::Error::other(reason)));
        }
        let file = std::fs::File::open(&path).map_err(|source| Error::io(&path, source))?;
        let mut bytes = Vec::with_capacity(metadata.len() as usize);
        file.take(MAX_FILE_BYTES)
            .read_to_end(&mut bytes)
            .map_err(|source| Error::io(path, source))?;
        Ok(Some(Cow::Owned(bytes)))
    }

    /// The content of a file that must exist.
    ///
    /// # Errors
    /// [`Error::MissingFile`] with the remedy, or as [`ModelFiles::read`].
    pub fn require(&self, name: &str, remedy: &'static str) -> Result<Cow<'_, [u8]>> {
        self.read(name)?.ok_or_else(|| Error::MissingFile {
            path: self.path(name),
            remedy,
        })
    }

    /// A JSON file, or `None` where it does not exist.
    ///
    /// # Errors
    /// [`Error::Json`] when it is not the JSON that is expected, or as [`ModelFiles::read`].
    pub fn json<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        let Some(bytes) = self.read(name)? else {
            return Ok(None);
        };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| Error::Json {
                path: self.path(name),
                source,
            })
    }

    /// A safetensors file, or `None` where it does not exist.
    ///
    /// # Errors
    /// As [`Checkpoint::open`] and [`Checkpoint::from_bytes`].
    pub fn safetensors(&self, name: &str) -> Result<Option<Checkpoint>> {
        let path = self.path(name);
        match &self.memory {
            None if path.exists() => Checkpoint::open(&path).map(Some),
            None => Ok(None),
            Some(files) => match files.get(name) {
                Some(bytes) => Checkpoint::whole(path, bytes.clone()).map(Some),
                None => Ok(None),
            },
        }
    }

    /// The weights: `model.safetensors`, or the shards of `model.safetensors.index.json`.
    ///
    /// # Errors
    /// [`Error::MissingFile`] when there is neither, or as [`Checkpoint::open`] and [`Checkpoint::from_bytes`].
    pub fn checkpoint(&self) -> Result<Checkpoint> {
        match &self.memory {
            None => Checkpoint::open(&self.root),
            Some(files) => match files.get(Checkpoint::FILE) {
                Some(bytes) => Checkpoint::whole(self.path(Checkpoint::FILE), bytes.clone()),
                None => Err(Error::MissingFile {
                    path: self.path(Checkpoint::FILE),
                    remedy: Checkpoint::REMEDY,
                }),
            },
        }
    }
}
