//! What a fuzzer does with the bytes of a document: each target reads them as one format.

use std::path::Path;

use ragtune_retrieve::Loader;
use ragtune_retrieve::load::{
    ArticleLoader, ContentLoader, DelimitedLoader, DocxLoader, EpubLoader, FeedLoader, JsonLoader,
    NotebookLoader, PdfLoader, PptxLoader, SpreadsheetLoader,
};

/// The name of a target and what it does.
pub type Entry = (&'static str, fn(&[u8]));

/// Every target.
pub const ENTRIES: [Entry; 11] = [
    ("load_any", load_any),
    ("load_delimited", load_delimited),
    ("load_docx", load_docx),
    ("load_epub", load_epub),
    ("load_feed", load_feed),
    ("load_html", load_html),
    ("load_json", load_json),
    ("load_notebook", load_notebook),
    ("load_pdf", load_pdf),
    ("load_pptx", load_pptx),
    ("load_spreadsheet", load_spreadsheet),
];

fn load(loader: &dyn Loader, name: &str, data: &[u8]) {
    match loader.load(Path::new(name), data) {
        Ok(loaded) => {
            let is_place = |at: usize| loaded.text.is_char_boundary(at);
            assert!(loaded.markers.iter().all(|marker| is_place(marker.at)), "{name}");
            assert!(loaded.markers.is_sorted_by_key(|marker| marker.at), "{name}");
        }
        Err(error) => assert!(!error.to_string().is_empty(), "{name}"),
    }
}

/// Whatever the content says it is.
pub fn load_any(data: &[u8]) {
    load(&ContentLoader::default(), "a", data);
}

/// Tables as text.
pub fn load_delimited(data: &[u8]) {
    load(&DelimitedLoader::default(), "a.csv", data);
    load(&DelimitedLoader::default(), "a.tsv", data);
}

/// Word.
pub fn load_docx(data: &[u8]) {
    load(&DocxLoader::default(), "a.docx", data);
}

/// Books.
pub fn load_epub(data: &[u8]) {
    load(&EpubLoader::default(), "a.epub", data);
}

/// RSS and Atom.
pub fn load_feed(data: &[u8]) {
    load(&FeedLoader::default(), "a.xml", data);
}

/// Articles of web pages.
pub fn load_html(data: &[u8]) {
    load(&ArticleLoader::default(), "a.html", data);
}

/// JSON and JSON lines.
pub fn load_json(data: &[u8]) {
    load(&JsonLoader::default(), "a.json", data);
    load(&JsonLoader::default(), "a.jsonl", data);
}

/// Notebooks.
pub fn load_notebook(data: &[u8]) {
    load(&NotebookLoader::default(), "a.ipynb", data);
}

/// PDF.
pub fn load_pdf(data: &[u8]) {
    load(&PdfLoader::default(), "a.pdf", data);
}

/// PowerPoint.
pub fn load_pptx(data: &[u8]) {
    load(&PptxLoader::default(), "a.pptx", data);
}

/// Excel, old and new.
pub fn load_spreadsheet(data: &[u8]) {
    load(&SpreadsheetLoader::default(), "a.xls", data);
    load(&SpreadsheetLoader::default(), "a.xlsx", data);
}
