//! The form in which texts are compared.

/// A text in lower case, with single spaces and none around it.
pub(in crate::data) fn normal(text: &str) -> String {
    let lower = text.to_lowercase();
    let mut out = String::with_capacity(lower.len());
    for word in lower.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}
