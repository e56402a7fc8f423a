//! Checking a file against the entity tag that the hub gives it.
//!
//! The hub's tag of a large file is its SHA-256, that of a small file its git object name, which is the SHA-1 of
//! `blob <length>\0` and the bytes (git-hash-object). Other servers may use other tags; then the length alone is checked.

use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};

/// A running digest of the kind that an entity tag has.
pub(super) struct TagDigest(Option<Context>);

impl TagDigest {
    /// The digest for a file of `bytes_total` bytes with this tag.
    pub(super) fn for_tag(tag: &str, bytes_total: u64) -> Self {
        let is_hex = tag
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        Self(match tag.len() {
            64 if is_hex => Some(Context::new(&SHA256)),
            40 if is_hex => {
                let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
                context.update(format!("blob {bytes_total}\0").as_bytes());
                Some(context)
            }
            _ => None,
        })
    }

    /// Takes the next bytes of the file.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        if let Some(context) = &mut self.0 {
            context.update(bytes);
        }
    }

    /// The digest in hexadecimal, unless the tag is of no known kind.
    pub(super) fn finish(self) -> Option<String> {
        let digest = self.0?.finish();
        Some(digest.as_ref().iter().map(|b| format!("{b:02x}")).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(tag_len: usize, bytes: &[u8]) -> Option<String> {
        let mut digest = TagDigest::for_tag(&"0".repeat(tag_len), bytes.len() as u64);
        bytes.chunks(2).for_each(|piece| digest.update(piece));
        digest.finish()
    }

    #[test]
    fn digests_are_those_of_sha256sum_and_git() {
        // `printf hello | sha256sum` and `printf hello | git hash-object --stdin`.
        assert_eq!(
            digest(64, b"hello").unwrap(),
            "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
        );
        assert_eq!(
            digest(40, b"hello").unwrap(),
            "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0"
        );
        assert_eq!(digest(32, b"hello"), None);
    }
}
