//! Plain text to read on: files, folders of files, and JSON lines with a text each.

use std::path::{Path, PathBuf};

use super::dataset::{Dataset, Record};
use super::record::Passage;
use super::source::{Format, Source};
use super::table::{Dialect, Table, Wanted};
use crate::error::{Error, Result};

const TEXT: &[&str] = &["text", "content", "body"];
/// Folders inside folders at most.
const MAX_DEPTH: usize = 64;

/// Which files of a folder are read, and which field of JSON is the text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TextFiles {
    /// Extensions of the files of a folder that are read.
    pub extensions: Vec<String>,
    /// The field of the text in JSON; `text`, `content` or `body` by default.
    pub text: Option<String>,
}

impl Default for TextFiles {
    fn default() -> Self {
        Self {
            extensions: ["txt", "text", "md", "rst"].map(str::to_owned).to_vec(),
            text: None,
        }
    }
}

impl TextFiles {
    /// Extensions of the files of a folder that are read, without their dots.
    #[must_use]
    pub fn with_extensions<S: Into<String>>(mut self, extensions: impl IntoIterator<Item = S>) -> Self {
        self.extensions = extensions.into_iter().map(Into::into).collect();
        self
    }

    /// The field of the text in JSON.
    #[must_use]
    pub fn with_text(mut self, field: impl Into<String>) -> Self {
        self.text = Some(field.into());
        self
    }
}

/// Reads text: a file is one passage, JSON lines are one each, and of a folder every file of the right extension in the
/// order of their paths, folders in it too. Links to folders are not followed.
///
/// # Errors
/// Those of [`Source::read`] and [`parse`]; [`Error::Empty`] for a folder with no such file.
pub fn read(path: impl AsRef<Path>, files: &TextFiles) -> Result<Dataset<Passage>> {
    let path = path.as_ref();
    if !path.is_dir() {
        return parse(&Source::read(path)?, files);
    }
    let mut found = Vec::new();
    walk(path, files, &mut found, 0)?;
    if found.is_empty() {
        return Err(Error::Empty {
            what: path.display().to_string(),
            hint: format!("no file in it ends with .{}", files.extensions.join(", .")),
        });
    }
    let mut set = Dataset::default();
    for file in found {
        set = set.and(parse(&Source::read(file)?, files)?);
    }
    Ok(set)
}

/// Reads text from a text; see [`read`].
///
/// ```
/// use ragtune_train::data::{Source, TextFiles, passages};
/// let source = Source::from_text("a.jsonl", "{\"text\": \"One.\"}\n{\"text\": \"Two.\"}\n");
/// assert_eq!(passages::parse(&source, &TextFiles::default())?.len(), 2);
/// # Ok::<(), ragtune_train::Error>(())
/// ```
///
/// # Errors
/// [`Error::Malformed`], [`Error::MissingColumn`] and [`Error::Empty`].
pub fn parse(source: &Source, files: &TextFiles) -> Result<Dataset<Passage>> {
    let extension = source.path().extension().and_then(|extension| extension.to_str());
    let is_json = extension.is_some_and(|extension| {
        ["json", "jsonl", "ndjson"]
            .iter()
            .any(|json| extension.eq_ignore_ascii_case(json))
    });
    if !is_json || !matches!(source.format(), Format::Json | Format::JsonLines) {
        let value = Passage {
            text: source.text().to_owned(),
        };
        let origin = source.origin(0);
        return Ok(std::iter::once(Record { value, origin }).collect());
    }
    let table = Table::read(source, &Dialect::default())?;
    let column = table.require(&Wanted {
        field: "text",
        option: "with_text",
        name: files.text.as_deref(),
        usual: TEXT,
    })?;
    let records = table.rows().iter().map(|row| {
        let text = row.text(&table, &column)?;
        Ok(Record {
            value: Passage { text },
            origin: table.origin(row),
        })
    });
    records.collect()
}

fn walk(folder: &Path, files: &TextFiles, found: &mut Vec<PathBuf>, depth: usize) -> Result<()> {
    if depth > MAX_DEPTH {
        let reason = format!("folders are nested more than {MAX_DEPTH} deep");
        return Err(Error::io(folder, std::io::Error::other(reason)));
    }
    let entries = std::fs::read_dir(folder).map_err(|source| Error::io(folder, source))?;
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|source| Error::io(folder, source))?;
        paths.push((entry.path(), entry));
    }
    paths.sort_by(|a, b| a.0.cmp(&b.0));
    for (path, entry) in paths {
        let kind = entry.file_type().map_err(|source| Error::io(&path, source))?;
        if kind.is_dir() {
            walk(&path, files, found, depth + 1)?;
            continue;
        }
        let extension = path.extension().and_then(|extension| extension.to_str());
        let wanted = |extension: &str| files.extensions.iter().any(|e| e.eq_ignore_ascii_case(extension));
        if extension.is_some_and(wanted) && path.is_file() {
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_read_in_the_order_of_its_paths() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("b")).unwrap();
        for (name, text) in [("c.md", "3"), ("a.TXT", "1"), ("b/x.txt", "2"), ("b/x.rs", "no")] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let set = read(folder.path(), &TextFiles::default()).unwrap();
        let texts: Vec<&str> = set.values().map(|passage| passage.text.as_str()).collect();
        assert_eq!(texts, ["1", "2", "3"]);
        let none = read(folder.path(), &TextFiles::default().with_extensions(["tex"])).unwrap_err();
        assert!(none.to_string().contains("no file in it ends with .tex"));
        std::fs::write(folder.path().join("bad.txt"), b"ok\n\xFF").unwrap();
        assert!(matches!(
            read(folder.path(), &TextFiles::default()),
            Err(Error::NotUtf8 { line: 2, .. })
        ));
    }
}
