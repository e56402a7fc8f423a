//! The files that a run learns from: collections in the layout of BEIR, and a hash by which others tell that theirs are the
//! same.

use std::error::Error;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::args::Args;

/// The files of a BEIR folder.
const CORPUS: &str = "corpus.jsonl";
const QUERIES: &str = "queries.jsonl";
const QRELS: &str = "qrels";

/// The command line with the files of BEIR folders in the place of the folders: of `--data` its judgements for training, and
/// where nothing else is said those for validation and test.
///
/// # Errors
/// A folder whose judgements are not named as the set that they would be.
pub fn of_beir(args: &Args) -> Result<Args, Box<dyn Error>> {
    let mut args = args.clone();
    if is_beir(&args.data) {
        let folder = args.data.clone();
        args.data = judgements(&folder, &["train"])?;
        let other = |names: &[&str]| judgements(&folder, names).ok().filter(|file| *file != args.data);
        if args.valid.is_none() && !args.no_valid {
            args.valid = other(&["dev", "valid", "validation"]);
        }
        if args.test.is_none() && args.folds.is_none() {
            args.test = other(&["test"]);
        }
    }
    for (set, names) in [
        (&mut args.valid, &["dev", "valid", "validation"] as &[&str]),
        (&mut args.test, &["test"]),
    ] {
        if let Some(folder) = set.as_ref().filter(|path| is_beir(path)) {
            *set = Some(judgements(folder, names)?);
        }
    }
    Ok(args)
}

/// The collection and the name of its judgements, where a file is such.
#[must_use]
pub fn beir(file: &Path) -> Option<(&Path, &str)> {
    let qrels = file.parent().filter(|folder| folder.ends_with(QRELS))?;
    let folder = qrels.parent()?;
    (file.extension()? == "tsv" && folder.join(CORPUS).is_file())
        .then_some((folder, file.file_stem()?.to_str()?))
}

fn is_beir(path: &Path) -> bool {
    path.join(CORPUS).is_file() && path.join(QRELS).is_dir()
}

/// The judgements with one of these names; the only ones where there are no others.
fn judgements(folder: &Path, names: &[&str]) -> Result<PathBuf, Box<dyn Error>> {
    let qrels = folder.join(QRELS);
    let mut there: Vec<PathBuf> = listed(&qrels)?;
    there.retain(|file| file.extension().is_some_and(|extension| extension == "tsv"));
    let found = names
        .iter()
        .map(|name| qrels.join(format!("{name}.tsv")))
        .find(|file| there.contains(file));
    match (found, there.as_slice()) {
        (Some(file), _) => Ok(file),
        (None, [only]) => Ok(only.clone()),
        (None, there) => {
            let there: Vec<String> = there.iter().map(|file| file.display().to_string()).collect();
            Err(format!(
                "{} has no {}.tsv; there are {}; name the one that is meant",
                qrels.display(),
                names.join(".tsv or "),
                there.join(", ")
            )
            .into())
        }
    }
}

/// The BLAKE3 sum of a file's bytes, as the program `b3sum` prints it; of a folder that of the names and sums of all its
/// files, and of BEIR's judgements that of them and their texts.
///
/// # Errors
/// Files that cannot be read.
pub fn fingerprint(path: &Path) -> Result<String, Box<dyn Error>> {
    let mut files = Vec::new();
    match beir(path) {
        Some((folder, _)) => {
            files.extend([folder.join(CORPUS), folder.join(QUERIES), path.to_owned()]);
        }
        None if path.is_dir() => collect(path, &mut files)?,
        None => return Ok(sum(path)?.to_hex().to_string()),
    }
    let mut whole = blake3::Hasher::new();
    for file in files {
        let name = file.strip_prefix(path).unwrap_or(&file);
        whole.update(name.as_os_str().as_encoded_bytes());
        whole.update(sum(&file)?.as_bytes());
    }
    Ok(whole.finalize().to_hex().to_string())
}

fn sum(file: &Path) -> Result<blake3::Hash, Box<dyn Error>> {
    let mut hasher = blake3::Hasher::new();
    let read = File::open(file).and_then(|bytes| hasher.update_reader(bytes).map(|_| ()));
    read.map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    Ok(hasher.finalize())
}

/// All files of a folder and the folders in it, in the order of their paths.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for path in listed(folder)? {
        // Links to folders are not followed, as the readers do not.
        match path.is_dir() && !path.is_symlink() {
            true => collect(&path, files)?,
            false if path.is_file() => files.push(path),
            false => {}
        }
    }
    Ok(())
}

fn listed(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let entries = fs::read_dir(folder).and_then(|entries| {
        entries
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<Vec<_>, std::io::Error>>()
    });
    let mut paths = entries.map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    paths.sort();
    Ok(paths)
}

/// Gives the files of a result the mode that the user's umask gives to new ones: what was staged under another name may have
/// been readable to its owner only.
#[cfg(unix)]
pub fn follow_umask(folder: &Path, model_of_all: &Path) -> Result<(), Box<dyn Error>> {
    let mode = fs::metadata(model_of_all)?.permissions();
    let mut files = Vec::new();
    collect(folder, &mut files)?;
    for file in files {
        fs::set_permissions(&file, mode.clone())?;
    }
    Ok(())
}

/// Elsewhere files have no such modes.
#[cfg(not(unix))]
pub fn follow_umask(_: &Path, _: &Path) -> Result<(), Box<dyn Error>> {
    Ok(())
}
