//! One self-contained page for people: headings, paragraphs, tables, plots. No script, nothing from elsewhere.

mod page;
mod table;

pub use page::Page;
pub use table::Table;

pub use ragtune_train::report::{Bar, Bars, Chart, Mark, Series, escape};
