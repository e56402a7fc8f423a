//! Plain text.

use std::path::Path;

use ragtune_core::text::{Locator, Marker, Metadata};

use super::charset::decode;
use super::loader::{Loaded, Loader};
use crate::error::{Error, Result};

/// Extensions of plain text and of tables and markups that read well as such.
const EXTENSIONS: &[&str] = &[
    "adoc", "asc", "asciidoc", "bib", "csv", "log", "nfo", "org", "pod", "rst", "srt", "tex", "text",
    "textile", "tsv", "txt", "vtt", "wiki",
];
/// Files of plain text without an extension.
const NAMES: &[&str] = &[
    "authors",
    "changelog",
    "changes",
    "contributing",
    "copying",
    "install",
    "license",
    "news",
    "notice",
    "readme",
    "todo",
];

/// Loads plain text, in any encoding that can be recognised; UTF-8 verbatim. Metadata: `format` is `text`.
///
/// ```
/// use std::path::Path;
/// use ragtune_retrieve::Loader;
/// use ragtune_retrieve::load::TextLoader;
/// assert_eq!(TextLoader.load(Path::new("tea.txt"), b"Green tea\n")?.text, "Green tea\n");
/// # Ok::<(), ragtune_retrieve::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct TextLoader;

impl Loader for TextLoader {
    fn id(&self) -> String {
        "text-1".to_owned()
    }

    fn accepts(&self, path: &Path) -> bool {
        has_extension(path, EXTENSIONS) || path.extension().is_none() && has_name(path, NAMES)
    }

    fn load(&self, path: &Path, bytes: &[u8]) -> Result<Loaded> {
        Ok(Loaded {
            text: read(path, bytes, None)?,
            metadata: format("text"),
            markers: lines_from_start(),
        })
    }
}

/// The decoded bytes.
pub(super) fn read(path: &Path, bytes: &[u8], declared: Option<&str>) -> Result<String> {
    decode(bytes, declared).map_err(|reason| Error::Unreadable {
        path: path.to_owned(),
        reason: format!("the file {reason}"),
    })
}

/// Says that lines of the text are lines of the file, whatever its encoding was.
pub(super) fn lines_from_start() -> Vec<Marker> {
    let locator = Locator {
        line: Some(1),
        ..Locator::default()
    };
    vec![Marker { at: 0, locator }]
}

/// Metadata with the name of the format.
pub(super) fn format(name: &str) -> Metadata {
    Metadata::from([("format".to_owned(), name.into())])
}

/// Whether the path's extension, in lower case, is among these.
pub(super) fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    extension(path).is_some_and(|extension| extensions.contains(&extension.as_str()))
}

/// The extension in lower case.
pub(super) fn extension(path: &Path) -> Option<String> {
    path.extension()?.to_str().map(str::to_lowercase)
}

fn has_name(path: &Path, names: &[&str]) -> bool {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .map(str::to_lowercase);
    name.is_some_and(|name| names.contains(&name.as_str()))
}
