//! `Rag::builder()`: answers with citations over the user's own documents.
