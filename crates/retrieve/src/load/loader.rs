//! The trait of everything that takes the text out of a file format.

use std::path::Path;
use std::sync::Arc;

use ragtune_core::forward_trait;
use ragtune_core::text::{Marker, Metadata};

use crate::error::Result;

/// The text of a file, as it is stored.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loaded {
    /// The decoded text; a UTF-8 text file verbatim.
    pub text: String,
    /// What the format says of the document (title, language, ...).
    pub metadata: Metadata,
    /// Where parts of the text were in the original.
    pub markers: Vec<Marker>,
}

/// Takes the text out of one file format.
pub trait Loader: Send + Sync {
    /// A fingerprint of the method and all its settings; a store notices when it changes.
    fn id(&self) -> String;

    /// Whether files of this name are its format.
    fn accepts(&self, path: &Path) -> bool;

    /// The text of a file with this content.
    ///
    /// # Errors
    /// [`crate::Error::Unreadable`] with the reason and the remedy; damaged or hostile content never panics.
    fn load(&self, path: &Path, bytes: &[u8]) -> Result<Loaded>;
}

forward_trait!(Loader {
    fn id(&self) -> String;
    fn accepts(&self, path: &Path) -> bool;
    fn load(&self, path: &Path, bytes: &[u8]) -> Result<Loaded>;
});
