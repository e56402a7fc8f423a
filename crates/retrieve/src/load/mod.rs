//! Files to documents.

#[cfg(feature = "office")]
mod archive;
mod article;
#[cfg_attr(
    not(all(feature = "pdf", feature = "office")),
    allow(dead_code, reason = "the loaders that are left out use the rest")
)]
mod by_content;
mod charset;
mod code;
#[cfg(feature = "office")]
mod compound;
mod delimited;
#[cfg(feature = "office")]
mod docx;
#[cfg(feature = "office")]
mod docx_body;
#[cfg(feature = "office")]
mod docx_styles;
#[cfg_attr(
    not(all(feature = "pdf", feature = "office")),
    allow(dead_code, reason = "the loaders that are left out use the rest")
)]
mod draft;
#[cfg(feature = "office")]
mod epub;
#[cfg(feature = "office")]
mod feed;
mod guard;
mod html;
mod html_text;
mod json;
#[cfg_attr(
    not(all(feature = "pdf", feature = "office")),
    allow(dead_code, reason = "the loaders that are left out use the rest")
)]
mod limits;
mod loader;
mod markdown;
#[cfg(feature = "office")]
mod math;
mod notebook;
#[cfg(feature = "office")]
mod number_format;
#[cfg(feature = "office")]
mod package;
#[cfg(feature = "pdf")]
mod pdf;
#[cfg(feature = "pdf")]
mod pdf_contents;
#[cfg(feature = "pdf")]
mod pdf_info;
#[cfg(feature = "pdf")]
mod pdf_nesting;
#[cfg(feature = "pdf")]
mod pdf_pages;
#[cfg(feature = "pdf")]
mod pdf_streams;
#[cfg(feature = "pdf")]
mod pdf_unfold;
#[cfg(feature = "office")]
mod pptx;
mod process;
mod rows;
mod sniff;
#[cfg(feature = "office")]
mod spreadsheet;
mod superscript;
mod text;
#[cfg(feature = "office")]
mod xls;
#[cfg(feature = "office")]
mod xls_record;
#[cfg(feature = "office")]
mod xlsx;
#[cfg(feature = "office")]
mod xml;

use std::sync::Arc;

pub use article::ArticleLoader;
pub use by_content::ContentLoader;
pub use charset::decode;
pub use code::SourceCodeLoader;
pub use delimited::DelimitedLoader;
#[cfg(feature = "office")]
pub use docx::DocxLoader;
#[cfg(feature = "office")]
pub use epub::EpubLoader;
#[cfg(feature = "office")]
pub use feed::FeedLoader;
pub use guard::threads_left_behind;
pub use html::HtmlLoader;
pub use json::JsonLoader;
pub use limits::LoadLimits;
pub use loader::{Loaded, Loader};
pub use markdown::MarkdownLoader;
pub use notebook::NotebookLoader;
#[cfg(feature = "pdf")]
pub use pdf::PdfLoader;
#[cfg(feature = "office")]
pub use pptx::PptxLoader;
pub use process::{ProcessLoader, serve};
pub use rows::Header;
#[cfg(feature = "office")]
pub use spreadsheet::SpreadsheetLoader;
pub use text::TextLoader;

/// The loaders of every format that this crate reads, the first that accepts a file's name is the one to use.
pub fn defaults() -> Vec<Arc<dyn Loader>> {
    vec![
        Arc::new(MarkdownLoader),
        Arc::new(HtmlLoader::default()),
        #[cfg(feature = "pdf")]
        Arc::new(PdfLoader::default()),
        #[cfg(feature = "office")]
        Arc::new(DocxLoader::default()),
        #[cfg(feature = "office")]
        Arc::new(PptxLoader::default()),
        #[cfg(feature = "office")]
        Arc::new(SpreadsheetLoader::default()),
        #[cfg(feature = "office")]
        Arc::new(EpubLoader::default()),
        #[cfg(feature = "office")]
        Arc::new(FeedLoader::default()),
        #[cfg(not(all(feature = "pdf", feature = "office")))]
        Arc::new(by_content::LeftOut),
        Arc::new(NotebookLoader::default()),
        Arc::new(JsonLoader::default()),
        Arc::new(DelimitedLoader::default()),
        Arc::new(SourceCodeLoader),
        Arc::new(TextLoader),
        Arc::new(ContentLoader::default()),
    ]
}
