//! Headers of an answer.

use ureq::http::HeaderMap;

/// A header's value where it is text.
pub(crate) fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}
