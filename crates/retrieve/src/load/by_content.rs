//! Files whose name says nothing of their content, or something else than what it is.

use std::path::Path;

use super::limits::LoadLimits;
use super::loader::{Loaded, Loader};
use super::sniff::{Kind, sniff};
use super::text::{TextLoader, extension, has_extension};
use crate::error::{Error, Result};

/// Loads files by their content: those without an extension, which may be plain text in UTF-8, and those with an extension of old office formats, under
/// which one finds new ones and others. What is found is loaded as its format; a content that no loader knows is refused
/// with its name.
///
/// ```
/// use std::path::Path;
/// use ragtune_retrieve::Loader;
/// use ragtune_retrieve::load::ContentLoader;
/// let refused = ContentLoader::default().load(Path::new("letter.doc"), b"{\\rtf1 Dear}").unwrap_err();
/// assert!(refused.to_string().contains("an RTF document"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContentLoader {
    limits: LoadLimits,
}

impl ContentLoader {
    /// With other limits.
    pub fn with_limits(mut self, limits: LoadLimits) -> Self {
        self.limits = limits;
        self
    }
}

impl Loader for ContentLoader {
    fn id(&self) -> String {
        "content-2".to_owned()
    }

    fn accepts(&self, path: &Path) -> bool {
        extension(path).is_none() && path.file_name().is_some()
            || has_extension(path, &["doc", "dot", "pot", "pps", "ppt", "rtf", "wps"])
    }

    fn load(&self, path: &Path, bytes: &[u8]) -> Result<Loaded> {
        load(sniff(bytes), path, bytes, &self.limits)
    }
}

/// The answer of the loader that the content belongs to, where that is not the expected one.
pub(super) fn elsewhere(
    expected: Kind,
    path: &Path,
    bytes: &[u8],
    limits: &LoadLimits,
) -> Option<Result<Loaded>> {
    let found = sniff(bytes);
    if found == expected {
        return None;
    }
    // A password hides which of them it is; the archive's reader says so.
    if found == Kind::EncryptedOffice && matches!(expected, Kind::Docx | Kind::Pptx | Kind::Xlsx | Kind::Xls)
    {
        return None;
    }
    if matches!(found, Kind::Other | Kind::Zip) {
        return Some(Err(Error::Unreadable {
            path: path.to_owned(),
            reason: format!(
                "it is not {}, as its name says: it is damaged, or misnamed",
                expected.name()
            ),
        }));
    }
    Some(load(found, path, bytes, limits))
}

fn load(kind: Kind, path: &Path, bytes: &[u8], limits: &LoadLimits) -> Result<Loaded> {
    let remedy = match kind {
        #[cfg(feature = "pdf")]
        Kind::Pdf => {
            return super::pdf::PdfLoader::default()
                .with_limits(limits.clone())
                .load(path, bytes);
        }
        #[cfg(feature = "office")]
        Kind::Docx => {
            return super::docx::DocxLoader::default()
                .with_limits(limits.clone())
                .load(path, bytes);
        }
        #[cfg(feature = "office")]
        Kind::Pptx => {
            return super::pptx::PptxLoader::default()
                .with_limits(limits.clone())
                .load(path, bytes);
        }
        #[cfg(feature = "office")]
        Kind::Epub => {
            return super::epub::EpubLoader::default()
                .with_limits(limits.clone())
                .load(path, bytes);
        }
        #[cfg(feature = "office")]
        Kind::Xlsx | Kind::Xls => {
            return super::spreadsheet::SpreadsheetLoader::default()
                .with_limits(limits.clone())
                .load(path, bytes);
        }
        Kind::EncryptedOffice => {
            return Err(Error::Encrypted {
                path: path.to_owned(),
                remedy: "open it in its program and save it without a password",
            });
        }
        #[cfg(not(feature = "pdf"))]
        Kind::Pdf => return Err(needs(path, kind, "pdf")),
        #[cfg(not(feature = "office"))]
        Kind::Docx | Kind::Pptx | Kind::Epub | Kind::Xlsx | Kind::Xls => {
            return Err(needs(path, kind, "office"));
        }
        Kind::OldOffice => "save it in a newer format (.docx, .pptx), or as text",
        Kind::Rtf => "save it as .docx or text",
        Kind::Zip => "unpack it",
        Kind::Other if extension(path).is_none() && is_text(bytes) => return TextLoader.load(path, bytes),
        Kind::Other => {
            return Err(Error::Unreadable {
                path: path.to_owned(),
                reason: "neither its name nor its content tells a format that is read; if it is text, give it the extension .txt".to_owned(),
            });
        }
    };
    // Without any of the readers above nothing is read.
    let _ = (bytes, limits);
    Err(Error::Unreadable {
        path: path.to_owned(),
        reason: format!("it is {}: {remedy}", kind.name()),
    })
}

/// Whether bytes are UTF-8 without controls, as hardly any other format is.
fn is_text(bytes: &[u8]) -> bool {
    let is_layout = |c: char| matches!(c, '\n' | '\r' | '\t' | '\u{c}');
    std::str::from_utf8(bytes).is_ok_and(|text| text.chars().all(|c| !c.is_control() || is_layout(c)))
}

#[cfg(not(all(feature = "pdf", feature = "office")))]
fn needs(path: &Path, kind: Kind, feature: &'static str) -> Error {
    Error::NeedsFeature {
        path: path.to_owned(),
        format: kind.name(),
        feature,
    }
}

/// Stands for the loaders that were left out when the library was compiled, and says so.
#[cfg(not(all(feature = "pdf", feature = "office")))]
#[derive(Clone, Copy, Debug)]
pub(super) struct LeftOut;

#[cfg(not(all(feature = "pdf", feature = "office")))]
impl LeftOut {
    fn format(path: &Path) -> Option<(Kind, &'static str)> {
        let kind = match extension(path)?.as_str() {
            "pdf" if cfg!(not(feature = "pdf")) => return Some((Kind::Pdf, "pdf")),
            _ if cfg!(feature = "office") => return None,
            "docm" | "docx" | "dotm" | "dotx" => Kind::Docx,
            "potm" | "potx" | "ppsm" | "ppsx" | "pptm" | "pptx" => Kind::Pptx,
            "xls" | "xlsm" | "xlsx" | "xltm" | "xltx" => Kind::Xlsx,
            "epub" => Kind::Epub,
            _ => return None,
        };
        Some((kind, "office"))
    }
}

#[cfg(not(all(feature = "pdf", feature = "office")))]
impl Loader for LeftOut {
    fn id(&self) -> String {
        "left-out-1".to_owned()
    }

    fn accepts(&self, path: &Path) -> bool {
        Self::format(path).is_some()
    }

    fn load(&self, path: &Path, _: &[u8]) -> Result<Loaded> {
        let (kind, feature) = Self::format(path).unwrap_or((Kind::Other, "office"));
        Err(needs(path, kind, feature))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_needs_no_extension() {
        let load = |name: &str, bytes: &[u8]| ContentLoader::default().load(Path::new(name), bytes);
        let loaded = load("NOTES", "Grün\n\tund gut.\r\n".as_bytes()).unwrap();
        assert_eq!(loaded.text, "Grün\n\tund gut.\r\n");
        assert_eq!(loaded.metadata["format"], "text".into());
        for other in [&b"a\0b"[..], b"\xff\xfe\xfa", b"\x1b[31m"] {
            let error = load("data", other).unwrap_err().to_string();
            assert!(error.contains("neither its name nor its content"), "{error}");
        }
        assert!(
            load("text.doc", b"text").is_err(),
            "a name that says something else"
        );
    }
}
