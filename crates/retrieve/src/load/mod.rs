//! Files to documents.

mod charset;
mod code;
mod html;
mod html_text;
mod loader;
mod markdown;
mod text;

use std::sync::Arc;

pub use charset::decode;
pub use code::SourceCodeLoader;
pub use html::HtmlLoader;
pub use loader::{Loaded, Loader};
pub use markdown::MarkdownLoader;
pub use text::TextLoader;

/// The loaders of every format that this crate reads, the first that accepts a file's name is the one to use.
pub fn defaults() -> Vec<Arc<dyn Loader>> {
    vec![
        Arc::new(MarkdownLoader),
        Arc::new(HtmlLoader),
        Arc::new(SourceCodeLoader),
        Arc::new(TextLoader),
    ]
}
