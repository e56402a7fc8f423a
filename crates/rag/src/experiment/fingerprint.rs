//! Which data a run read.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Folders inside of folders that are looked into.
const MAX_DEPTH: usize = 64;

/// A file, or all files of a folder, by content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Fingerprint {
    /// Where it was, as it was named.
    pub path: String,
    /// How many files it is made of.
    pub files: usize,
    /// Bytes of all of them.
    pub bytes: u64,
    /// The BLAKE3 hash of the content in hexadecimal; of a folder, of the names below it and the hashes of their
    /// files, in the order of the names.
    pub blake3: String,
}

impl Fingerprint {
    /// Reads a file or a folder whole. Links inside a folder are not followed.
    ///
    /// ```
    /// use ragtune::experiment::Fingerprint;
    ///
    /// let path = std::env::temp_dir().join("ragtune-doc-fingerprint.txt");
    /// std::fs::write(&path, "tea").expect("writes");
    /// let print = Fingerprint::of(&path)?;
    /// assert_eq!((print.files, print.bytes, print.blake3.len()), (1, 3, 64));
    /// # std::fs::remove_file(&path).ok();
    /// # Ok::<(), ragtune::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Io`] with the file or folder that cannot be read.
    pub fn of(path: &Path) -> Result<Self> {
        let shown = path.display().to_string();
        let metadata = fs::metadata(path).map_err(|source| Error::io(path, source))?;
        if !metadata.is_dir() {
            let (bytes, hash) = hash(path)?;
            return Ok(Self {
                path: shown,
                files: 1,
                bytes,
                blake3: hash.to_hex().to_string(),
            });
        }
        let mut files = Vec::new();
        walk(path, PathBuf::new(), &mut files)?;
        files.sort();
        let mut all = blake3::Hasher::new();
        let mut bytes = 0;
        for file in &files {
            let (length, hash) = hash(&path.join(file))?;
            bytes += length;
            // A name and its length, so that no two folders look alike.
            let name = file.to_string_lossy().replace('\\', "/");
            all.update(&(name.len() as u64).to_le_bytes());
            all.update(name.as_bytes());
            all.update(hash.as_bytes());
        }
        Ok(Self {
            path: shown,
            files: files.len(),
            bytes,
            blake3: all.finalize().to_hex().to_string(),
        })
    }
}

fn hash(path: &Path) -> Result<(u64, blake3::Hash)> {
    let failed = |source| Error::io(path, source);
    let mut hasher = blake3::Hasher::new();
    hasher
        .update_reader(File::open(path).map_err(failed)?)
        .map_err(failed)?;
    Ok((hasher.count(), hasher.finalize()))
}

/// The files below `root`/`folder`, by their names below `root`.
fn walk(root: &Path, folder: PathBuf, files: &mut Vec<PathBuf>) -> Result<()> {
    let whole = root.join(&folder);
    let failed = |source| Error::io(&whole, source);
    if folder.components().count() > MAX_DEPTH {
        return Err(failed(std::io::Error::other(format!(
            "more than {MAX_DEPTH} folders inside each other"
        ))));
    }
    for entry in fs::read_dir(&whole).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let kind = entry.file_type().map_err(failed)?;
        let name = folder.join(entry.file_name());
        if kind.is_dir() {
            walk(root, name, files)?;
        } else if kind.is_file() {
            files.push(name);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_its_names_and_contents() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("a.txt", "tea");
        write("b/c.txt", "cup");
        let first = Fingerprint::of(folder.path()).unwrap();
        assert_eq!((first.files, first.bytes), (2, 6));
        assert_eq!(Fingerprint::of(folder.path()).unwrap(), first);
        write("b/c.txt", "pot");
        let changed = Fingerprint::of(folder.path()).unwrap();
        write("b/c.txt", "cup");
        fs::rename(folder.path().join("a.txt"), folder.path().join("d.txt")).unwrap();
        let renamed = Fingerprint::of(folder.path()).unwrap();
        assert_ne!(changed.blake3, first.blake3);
        assert_ne!(renamed.blake3, first.blake3);
        assert!(matches!(
            Fingerprint::of(&folder.path().join("none")),
            Err(Error::Io { .. })
        ));
    }
}
