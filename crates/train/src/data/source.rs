//! A file of examples as text, with lines and columns for errors.

use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::dataset::Origin;
use crate::error::{Error, Result};

/// Bytes of a file of examples at most.
const MAX_FILE_BYTES: u64 = 4 << 30;
/// The mark that some programs put before UTF-8.
const BYTE_ORDER_MARK: char = '\u{FEFF}';

/// The text of a file of examples.
///
/// ```
/// use ragtune_train::data::{Source, labelled};
/// let source = Source::from_text("train.csv", "text,label\nHello,greeting\n");
/// let set = labelled::parse(&source, &labelled::Columns::default())?;
/// assert_eq!(set.records[0].origin.line, 2);
/// # Ok::<(), ragtune_train::Error>(())
/// ```
#[derive(Debug)]
pub struct Source {
    path: Arc<Path>,
    text: String,
    lines: OnceLock<Vec<usize>>,
}

/// How a file of examples is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// Fields with commas between them, the first line names the columns.
    Csv,
    /// Fields with tabs between them.
    Tsv,
    /// A JSON object on each line.
    JsonLines,
    /// One JSON document.
    Json,
}

impl Source {
    /// Reads a file. A byte order mark is left out.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::FileTooLarge`], [`Error::NotUtf8`], and [`Error::Malformed`] where a NUL character shows
    /// that it is no text.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        // Asked before opening: to open a pipe waits for somebody who writes.
        let metadata = std::fs::metadata(path).map_err(|source| Error::io(path, source))?;
        if !metadata.is_file() {
            let reason = "it is not a regular file; name the file itself";
            return Err(Error::io(path, std::io::Error::other(reason)));
        }
        if metadata.len() > MAX_FILE_BYTES {
            return Err(Error::FileTooLarge {
                path: path.to_owned(),
                bytes: metadata.len(),
                limit: MAX_FILE_BYTES,
            });
        }
        let mut bytes = Vec::with_capacity(metadata.len() as usize);
        std::fs::File::open(path)
            .and_then(|file| file.take(MAX_FILE_BYTES).read_to_end(&mut bytes))
            .map_err(|source| Error::io(path, source))?;
        Self::from_bytes(path, bytes)
    }

    /// The bytes of a file that is in memory; the path stands for it in messages.
    ///
    /// # Errors
    /// As [`Source::read`], without those of reading.
    pub fn from_bytes(path: impl Into<PathBuf>, bytes: Vec<u8>) -> Result<Self> {
        let path = path.into();
        let text = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            let before = &error.as_bytes()[..at];
            let line_start = before.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
            Error::NotUtf8 {
                path: path.clone(),
                line: before.iter().filter(|&&b| b == b'\n').count() + 1,
                column: at - line_start + 1,
            }
        })?;
        let source = Self::from_text(path, text);
        match source.text.find('\0') {
            Some(at) => Err(source.malformed(at, "a NUL character; is it a text file in UTF-8?")),
            None => Ok(source),
        }
    }

    /// Text in memory; the path stands for a file in messages, and its extension says the format.
    pub fn from_text(path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        let mut text = text.into();
        if text.starts_with(BYTE_ORDER_MARK) {
            text.drain(..BYTE_ORDER_MARK.len_utf8());
        }
        Self {
            path: Arc::from(path.into()),
            text,
            lines: OnceLock::new(),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How it is written, by its extension (`csv`, `tsv`, `tab`, `jsonl`, `ndjson`, `json`), otherwise by its first line.
    pub fn format(&self) -> Format {
        let extension = self.path.extension().and_then(OsStr::to_str);
        match extension.map(str::to_ascii_lowercase).as_deref() {
            Some("csv") => return Format::Csv,
            Some("tsv" | "tab") => return Format::Tsv,
            Some("jsonl" | "ndjson") => return Format::JsonLines,
            Some("json") => return Format::Json,
            _ => {}
        }
        let text = self.text.trim_start();
        match text.chars().next() {
            Some('[') => Format::Json,
            Some('{') => Format::JsonLines,
            _ if text.lines().next().is_some_and(|line| line.contains('\t')) => Format::Tsv,
            _ => Format::Csv,
        }
    }

    /// The line and column of a byte, both counted from 1; columns are characters.
    pub fn position(&self, at: usize) -> (usize, usize) {
        let lines = self.line_starts();
        let line = lines.partition_point(|&start| start <= at);
        let start = line.checked_sub(1).map_or(0, |before| lines[before]);
        let before = &self.text[start..self.text.floor_char_boundary(at.max(start))];
        (line.max(1), before.chars().count() + 1)
    }

    /// The origin of an example that begins at a byte.
    pub fn origin(&self, at: usize) -> Origin {
        let line = self.line_starts().partition_point(|&start| start <= at);
        Origin::new(Arc::clone(&self.path), line.max(1))
    }

    /// What is wrong at a byte.
    pub fn malformed(&self, at: usize, reason: impl Into<String>) -> Error {
        let (line, column) = self.position(at);
        Error::Malformed {
            path: self.path.to_path_buf(),
            line,
            column,
            reason: reason.into(),
        }
    }

    /// The error for a file in which no example was found.
    pub(super) fn empty(&self, hint: &str) -> Error {
        Error::Empty {
            what: self.path.display().to_string(),
            hint: hint.to_owned(),
        }
    }

    fn line_starts(&self) -> &[usize] {
        self.lines.get_or_init(|| {
            let after = self.text.match_indices('\n').map(|(at, _)| at + 1);
            std::iter::once(0).chain(after).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_from_one() {
        let source = Source::from_text("a.txt", "\u{FEFF}äb\r\ncd\n\ne");
        assert_eq!(source.position(0), (1, 1));
        assert_eq!(source.position(2), (1, 2));
        assert_eq!(source.position(5), (2, 1));
        assert_eq!(source.position(8), (3, 1));
        assert_eq!(source.position(9), (4, 1));
        assert_eq!(source.position(99), (4, 2));
        assert_eq!(source.origin(5).line, 2);
    }

    #[test]
    fn other_encodings_are_named() {
        let error = Source::from_bytes("a.csv", b"text\nna\xEFve\n".to_vec()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a.csv, line 2, column 3: not UTF-8; save the file as UTF-8"
        );
        let utf16: Vec<u8> = "ab".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(matches!(
            Source::from_bytes("a", utf16),
            Err(Error::Malformed {
                line: 1,
                column: 2,
                ..
            })
        ));
        let marked = Source::from_bytes("a", b"\xEF\xBB\xBFtext".to_vec()).unwrap();
        assert_eq!(marked.text(), "text");
        assert!(matches!(Source::read("no such file"), Err(Error::Io { .. })));
        assert!(matches!(Source::read("/"), Err(Error::Io { .. })));
    }

    #[test]
    fn formats_without_extension_are_seen() {
        let format = |text: &str| Source::from_text("data", text).format();
        assert_eq!(format("a\tb\n"), Format::Tsv);
        assert_eq!(format("a,b\n"), Format::Csv);
        assert_eq!(format(" {\"a\": 1}"), Format::JsonLines);
        assert_eq!(format("[1]"), Format::Json);
    }
}
