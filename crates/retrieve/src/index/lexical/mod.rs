//! Words to passages: BM25 over an inverted index that is derived from the store.

#[cfg(test)]
mod after_kill;
mod analyzer;
mod directory;
mod index;
mod language;
mod question;
mod scan;
mod search;
mod snapshot;

pub use index::{LexicalEntry, LexicalIndex, LexicalOptions};
pub use language::Language;
