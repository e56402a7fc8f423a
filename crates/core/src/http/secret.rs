//! A token or key that must not be seen.

use std::fmt;

/// A secret that no log and no `Debug` shows.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The header that shows the secret to its server; `None` where it has characters that no header can carry.
    pub(crate) fn bearer(&self) -> Option<ureq::http::HeaderValue> {
        let mut value = ureq::http::HeaderValue::try_from(format!("Bearer {}", self.0)).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// A server's text without the secret, should it repeat it.
    #[cfg(feature = "openai")]
    pub(crate) fn hidden_in(&self, text: &str) -> String {
        if self.0.is_empty() {
            text.to_owned()
        } else {
            text.replace(&self.0, "(secret)")
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_itself_to_its_server_only() {
        let secret = Secret::new("hf_very_secret");
        assert_eq!(format!("{secret:?}"), "(secret)");
        let header = secret.bearer().unwrap();
        assert_eq!(header.as_bytes(), b"Bearer hf_very_secret");
        assert!(!format!("{header:?}").contains("very_secret"));
        assert!(Secret::new("two\nlines").bearer().is_none());
    }
}
