//! Files to documents.

mod loader;

pub use loader::{Loaded, Loader};
