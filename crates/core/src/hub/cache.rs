//! The cache folder in the layout that Hugging Face's own tools use, so that a model is stored once for all of them.
//!
//! ```text
//! models--owner--name/refs/main                    the commit that `main` was when it was last fetched
//! models--owner--name/snapshots/<commit>/<file>    a link to the blob
//! models--owner--name/blobs/<tag>                  a file's bytes, whole and checked
//! models--owner--name/blobs/<tag>.incomplete       what has come of them so far
//! models--owner--name/ragtune/<commit>.json        the files of a whole snapshot; written last
//! .locks/models--owner--name/<tag>.lock            held by the process that fetches the blob
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::name::{Name, is_safe_path, is_safe_tag};
use super::select::{self, Weights};
use crate::error::{Error, Result};

/// A repository's part of the cache.
#[derive(Debug)]
pub(super) struct Cache {
    folder: PathBuf,
    locks: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Manifest {
    version: u32,
    files: Vec<ManifestFile>,
}

#[derive(Serialize, Deserialize)]
struct ManifestFile {
    path: String,
    bytes: u64,
}

const MANIFEST_VERSION: u32 = 1;

impl Cache {
    pub(super) fn new(cache_folder: &Path, name: &Name) -> Self {
        Self {
            folder: cache_folder.join(name.folder_name()),
            locks: cache_folder.join(".locks").join(name.folder_name()),
        }
    }

    pub(super) fn blob(&self, tag: &str) -> PathBuf {
        self.folder.join("blobs").join(tag)
    }

    pub(super) fn incomplete(&self, tag: &str) -> PathBuf {
        self.folder.join("blobs").join(format!("{tag}.incomplete"))
    }

    pub(super) fn lock(&self, tag: &str) -> PathBuf {
        self.locks.join(format!("{tag}.lock"))
    }

    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    /// The commit that a revision was when it was last fetched.
    pub(super) fn commit_of(&self, name: &Name) -> Option<String> {
        if name.is_commit() {
            return Some(name.revision.clone());
        }
        let commit = fs::read_to_string(self.folder.join("refs").join(&name.revision)).ok()?;
        let commit = commit.trim();
        is_safe_tag(commit).then(|| commit.to_owned())
    }

    /// The commit of a revision whose snapshot is whole.
    pub(super) fn whole_commit_of(&self, name: &Name) -> Option<String> {
        self.commit_of(name).filter(|commit| self.is_whole(commit))
    }

    /// Puts a checked blob into a snapshot.
    pub(super) fn link(&self, commit: &str, file: &str, tag: &str) -> Result<()> {
        let target = self.snapshot(commit).join(file);
        let blob = self.blob(tag);
        if let (Ok(there), Ok(wanted)) = (fs::canonicalize(&target), fs::canonicalize(&blob))
            && there == wanted
        {
            return Ok(());
        }
        create_parent(&target)?;
        // A link is made beside its place and renamed, so that a reader never meets a half-made one.
        let temporary = sibling(&target);
        let _ = fs::remove_file(&temporary);
        let up = "../".repeat(2 + file.matches('/').count());
        link_or_copy(&PathBuf::from(format!("{up}blobs/{tag}")), &blob, &temporary)
            .and_then(|()| fs::rename(&temporary, &target))
            .map_err(|source| Error::io(target, source))
    }

    /// Records that a snapshot is whole, and that the revision means it.
    pub(super) fn complete(&self, name: &Name, commit: &str, files: &[(String, u64)]) -> Result<()> {
        let manifest = Manifest {
            version: MANIFEST_VERSION,
            files: files
                .iter()
                .map(|(path, bytes)| ManifestFile {
                    path: path.clone(),
                    bytes: *bytes,
                })
                .collect(),
        };
        let path = self.manifest(commit);
        let json = serde_json::to_vec(&manifest).map_err(|error| Error::io(&path, error.into()))?;
        write_atomically(&path, &json)?;
        if name.revision == commit {
            return Ok(());
        }
        write_atomically(&self.folder.join("refs").join(&name.revision), commit.as_bytes())
    }

    /// Whether a snapshot has all its files. One that another tool fetched has no manifest; it is whole when what its
    /// own files name (module folders, shards) is there, with a configuration and a tokenizer.
    fn is_whole(&self, commit: &str) -> bool {
        let snapshot = self.snapshot(commit);
        let manifest = fs::read(self.manifest(commit))
            .ok()
            .and_then(|json| serde_json::from_slice::<Manifest>(&json).ok())
            .filter(|manifest| manifest.version == MANIFEST_VERSION);
        match manifest {
            Some(manifest) => manifest.files.iter().all(|file| {
                is_safe_path(&file.path)
                    && fs::metadata(snapshot.join(&file.path)).is_ok_and(|found| found.len() == file.bytes)
            }),
            None => is_whole_by_itself(&snapshot),
        }
    }

    fn manifest(&self, commit: &str) -> PathBuf {
        self.folder.join("ragtune").join(format!("{commit}.json"))
    }
}

/// Makes the folder that a file is to lie in.
pub(super) fn create_parent(path: &Path) -> Result<()> {
    match path.parent() {
        Some(parent) => fs::create_dir_all(parent).map_err(|source| Error::io(parent, source)),
        None => Ok(()),
    }
}

fn is_whole_by_itself(snapshot: &Path) -> bool {
    let mut files = BTreeSet::new();
    list_folder(snapshot, "", &mut files);
    let folders = match fs::read(snapshot.join(select::MODULES)) {
        Ok(json) => match select::module_folders(&json) {
            Ok(folders) => folders,
            Err(_) => return false,
        },
        Err(_) => vec![String::new()],
    };
    for folder in folders.iter().filter(|folder| !folder.is_empty()) {
        list_folder(&snapshot.join(folder), folder, &mut files);
    }
    let mut has_weights = false;
    for folder in &folders {
        match select::weights(&files, folder) {
            Weights::Files(_) => has_weights = true,
            Weights::Index(index) => {
                let Ok(json) = fs::read(snapshot.join(&index)) else {
                    return false;
                };
                let shards = select::shards(&json, folder);
                if !shards.is_ok_and(|shards| shards.iter().all(|shard| files.contains(shard))) {
                    return false;
                }
                has_weights = true;
            }
            Weights::Missing(others) if !others.is_empty() => return false,
            Weights::Missing(_) => {}
        }
    }
    let somewhere = |name: &str| {
        folders
            .iter()
            .any(|folder| files.contains(&select::join(folder, name)))
    };
    let has_configuration = somewhere("adapter_config.json")
        || somewhere("config.json")
            && (somewhere("tokenizer.json") || somewhere("vocab.txt") || somewhere("vocab.json"));
    has_weights && has_configuration && folders.iter().all(|folder| snapshot.join(folder).is_dir())
}

/// Adds the files directly in a folder, links to files included and dangling ones left out.
fn list_folder(folder: &Path, prefix: &str, files: &mut BTreeSet<String>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        if let (Some(name), true) = (entry.file_name().to_str(), entry.path().is_file()) {
            files.insert(select::join(prefix, name));
        }
    }
}

/// Writes a small file so that it is there whole or not at all.
fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    create_parent(path)?;
    let temporary = sibling(path);
    let write = || -> io::Result<()> {
        let mut file = fs::File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(|source| Error::io(path, source))
}

/// A temporary name in the same folder, unlike that of any other thread or process.
fn sibling(path: &Path) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let unlike = NEXT.fetch_add(1, Ordering::Relaxed);
    path.with_file_name(format!(".{name}.{}-{unlike}.tmp", std::process::id()))
}

/// Links to a blob; a system or a file system without symbolic links gets a hard link, or else a copy.
fn link_or_copy(relative: &Path, blob: &Path, target: &Path) -> io::Result<()> {
    #[cfg(unix)]
    let linked = std::os::unix::fs::symlink(relative, target);
    #[cfg(windows)]
    let linked = std::os::windows::fs::symlink_file(relative.to_string_lossy().replace('/', "\\"), target);
    #[cfg(not(any(unix, windows)))]
    let linked: io::Result<()> = Err(io::Error::from(io::ErrorKind::Unsupported));
    linked
        .or_else(|_| fs::hard_link(blob, target))
        .or_else(|_| fs::copy(blob, target).map(|_| ()))
}
