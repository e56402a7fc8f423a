//! A document: a stored text with its id and metadata.

use serde::{Deserialize, Serialize};

use super::metadata::{Metadata, Value};

/// A text under a stable id; spans of chunks and citations count the bytes of [`Document::text`].
///
/// ```
/// use ragtune_core::text::Document;
/// let document = Document::new("notes/tea.md", "Green tea is steeped at 80 °C.").with_metadata("lang", "en");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// What the caller calls it; adding another document under the same id replaces it.
    pub id: String,
    /// The stored text.
    pub text: String,
    /// Named values that filters and answers can use.
    pub metadata: Metadata,
    /// Where parts of the text were in the original, in ascending order of [`Marker::at`].
    #[serde(default)]
    pub markers: Vec<Marker>,
}

impl Document {
    /// A document without metadata.
    pub fn new(id: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            text: text.into(),
            metadata: Metadata::new(),
            markers: Vec::new(),
        }
    }

    /// The document with one more metadata value.
    pub fn with_metadata(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.metadata.insert(name.into(), value.into());
        self
    }
}

/// From this byte of the text on, the original's place is the locator's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// Byte of the stored text.
    pub at: usize,
    /// Place in the original.
    pub locator: Locator,
}

/// A place in an original, for people: what they need to open it and find the passage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Locator {
    /// Line, counted from 1, where the stored text is the original's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Page, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<u32>,
    /// Name of the sheet, slide or part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    /// Headings above the passage, outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headings: Vec<String>,
}
