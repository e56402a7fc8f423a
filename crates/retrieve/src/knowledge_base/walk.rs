//! Which files a folder holds, and what of it could not be seen.

use std::collections::BTreeSet;
use std::fs::{File, Metadata};
use std::io::Read;
use std::path::{Path, PathBuf};

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use ignore::{DirEntry, WalkBuilder};

use super::options::SyncOptions;
use crate::error::{Error, Result};

/// How often a file that changes while it is read is read again.
const READ_ATTEMPTS: usize = 3;

/// What a walk found.
#[derive(Debug, Default)]
pub(super) struct Walked {
    /// Regular files that are wanted, in the order of their names folder by folder.
    pub(super) files: Vec<FoundFile>,
    pub(super) problems: Vec<Problem>,
}

/// A file to read.
#[derive(Debug)]
pub(super) struct FoundFile {
    /// Path below the folder, `/` between its parts.
    pub(super) path: String,
    pub(super) location: PathBuf,
    pub(super) bytes: u64,
}

/// Something that could not be read.
#[derive(Debug)]
pub(super) struct Problem {
    /// Path below the folder, for people.
    pub(super) path: String,
    pub(super) reason: String,
    /// Whether files below this path may exist that were not seen; nothing stored of them may be removed.
    pub(super) hides: bool,
}

/// Finds the files of a folder; of a file, that file. `own` is the base's folder, which is never part of what it stores.
pub(super) fn walk(root: &Path, own: Option<&Path>, options: &SyncOptions) -> Result<Walked> {
    let patterns = Patterns::new(options)?;
    if root.is_file() {
        return Ok(single(root, &patterns));
    }
    let own = own.map(Path::to_owned);
    let mut builder = WalkBuilder::new(root);
    builder
        .hidden(!options.hidden)
        .parents(false)
        .ignore(options.gitignore)
        .git_ignore(options.gitignore)
        .git_global(false)
        .git_exclude(false)
        .require_git(false)
        .follow_links(options.follow_links)
        .sort_by_file_name(|a, b| a.cmp(b))
        .filter_entry(move |entry| own.as_deref().is_none_or(|own| !is_at(entry, own)));
    let mut walked = Walked::default();
    for entry in builder.build() {
        match entry {
            Ok(entry) => take(root, &patterns, &entry, &mut walked),
            Err(error) => walked.problems.push(problem(root, &error)),
        }
    }
    Ok(walked)
}

/// A file that was named itself, which what is hidden or ignored in a folder does not concern.
fn single(file: &Path, patterns: &Patterns) -> Walked {
    let mut walked = Walked::default();
    let name = Path::new(file.file_name().unwrap_or_default());
    match portable(name) {
        Some(_) if !patterns.want(name) => {}
        Some(path) => walked.files.push(FoundFile {
            path,
            location: file.to_owned(),
            bytes: file.metadata().map_or(0, |about| about.len()),
        }),
        None => walked.problems.push(unnameable(name)),
    }
    walked
}

/// Whether the entry is this folder, by its own name or through a link.
fn is_at(entry: &DirEntry, folder: &Path) -> bool {
    entry.path() == folder
        || entry.path_is_symlink() && std::fs::canonicalize(entry.path()).is_ok_and(|target| target == folder)
}

fn take(root: &Path, patterns: &Patterns, entry: &DirEntry, walked: &mut Walked) {
    let Some(kind) = entry.file_type() else {
        return;
    };
    let Ok(below) = entry.path().strip_prefix(root) else {
        return;
    };
    if kind.is_dir() || below.as_os_str().is_empty() || !patterns.want(below) {
        return;
    }
    let skip = |reason: &str| Problem {
        path: below.to_string_lossy().into_owned(),
        reason: reason.to_owned(),
        hides: false,
    };
    if kind.is_symlink() {
        let reason =
            "it is a symbolic link, which is not followed; set follow_links to read what it points to";
        walked.problems.push(skip(reason));
        return;
    }
    if !kind.is_file() {
        walked.problems.push(skip("it is no regular file"));
        return;
    }
    let Some(path) = portable(below) else {
        walked.problems.push(unnameable(below));
        return;
    };
    walked.files.push(FoundFile {
        path,
        location: entry.path().to_owned(),
        bytes: entry.metadata().map_or(0, |about| about.len()),
    });
}

fn unnameable(below: &Path) -> Problem {
    Problem {
        path: below.to_string_lossy().into_owned(),
        reason: "its name is not valid Unicode; rename it".to_owned(),
        hides: false,
    }
}

/// The path with `/` between its parts; `None` where a part is no Unicode.
fn portable(below: &Path) -> Option<String> {
    let parts: Option<Vec<&str>> = below.iter().map(|part| part.to_str()).collect();
    parts.map(|parts| parts.join("/"))
}

fn problem(root: &Path, error: &ignore::Error) -> Problem {
    let path = path_of(error).unwrap_or(root);
    let below = path.strip_prefix(root).unwrap_or(path);
    // A broken line of an ignore file hides nothing; a loop hides only what is reached on another way too.
    let hides = !is_partial(error) && !is_loop(error);
    Problem {
        path: below.to_string_lossy().into_owned(),
        reason: error.to_string(),
        hides,
    }
}

fn path_of(error: &ignore::Error) -> Option<&Path> {
    match error {
        ignore::Error::WithPath { path, .. } => Some(path),
        ignore::Error::Loop { child, .. } => Some(child),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => path_of(err),
        ignore::Error::Partial(errors) => errors.iter().find_map(path_of),
        _ => None,
    }
}

fn is_partial(error: &ignore::Error) -> bool {
    matches!(error, ignore::Error::Partial(_))
}

fn is_loop(error: &ignore::Error) -> bool {
    match error {
        ignore::Error::Loop { .. } => true,
        ignore::Error::WithPath { err, .. }
        | ignore::Error::WithDepth { err, .. }
        | ignore::Error::WithLineNumber { err, .. } => is_loop(err),
        _ => false,
    }
}

/// The patterns that the caller gave.
struct Patterns {
    include: Option<Gitignore>,
    exclude: Gitignore,
}

impl Patterns {
    fn new(options: &SyncOptions) -> Result<Self> {
        let build = |argument: &'static str, patterns: &[String]| {
            let invalid = |error: ignore::Error| {
                Error::Core(ragtune_core::Error::InvalidArgument {
                    argument,
                    reason: error.to_string(),
                })
            };
            let mut builder = GitignoreBuilder::new("");
            builder.allow_unclosed_class(false);
            for pattern in patterns {
                builder.add_line(None, pattern).map_err(invalid)?;
            }
            builder.build().map_err(invalid)
        };
        Ok(Self {
            include: match options.include.as_slice() {
                [] => None,
                patterns => Some(build("include", patterns)?),
            },
            exclude: build("exclude", &options.exclude)?,
        })
    }

    /// Whether a file is wanted, by its own name and those of the folders that it is in.
    fn want(&self, below: &Path) -> bool {
        let matches = |patterns: &Gitignore| {
            let mut levels = below.ancestors().filter(|level| !level.as_os_str().is_empty());
            levels.any(|level| patterns.matched(level, level != below).is_ignore())
        };
        self.include.as_ref().is_none_or(matches) && !matches(&self.exclude)
    }
}

/// The bytes of a file in one state of it. The error says why there are none.
pub(super) fn read_file(location: &Path, limit: u64) -> std::result::Result<Vec<u8>, String> {
    let too_large =
        |bytes: u64| format!("it has {bytes} bytes, and the limit is {limit}; raise max_file_bytes");
    for _ in 0..READ_ATTEMPTS {
        let read = || -> std::io::Result<_> {
            let mut file = File::open(location)?;
            let before = file.metadata()?;
            let mut bytes = Vec::new();
            file.by_ref()
                .take(limit.saturating_add(1))
                .read_to_end(&mut bytes)?;
            let after = std::fs::metadata(location)?;
            Ok((before, bytes, after))
        };
        let (before, bytes, after) = read().map_err(|error| error.to_string())?;
        if bytes.len() as u64 > limit {
            return Err(too_large(before.len().max(bytes.len() as u64)));
        }
        if is_same_state(&before, &after) && bytes.len() as u64 == after.len() {
            return Ok(bytes);
        }
    }
    Err("it changes while it is read; sync again when it is at rest".to_owned())
}

fn is_same_state(before: &Metadata, after: &Metadata) -> bool {
    before.len() == after.len() && before.modified().ok() == after.modified().ok()
}

/// Whether a stored path lies at or below one of these.
pub(super) fn is_hidden(path: &str, hiding: &BTreeSet<String>) -> bool {
    hiding.contains("")
        || hiding.contains(path)
        || path
            .match_indices('/')
            .any(|(end, _)| hiding.contains(&path[..end]))
}
