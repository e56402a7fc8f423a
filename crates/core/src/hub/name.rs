//! Repository names, revisions and paths, checked before they become addresses or files.

use super::error::HubError;

/// A repository at a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) repo: String,
    pub(super) revision: String,
}

impl Name {
    /// Reads `owner/name` or `name`, with `@revision` for another one than `main`.
    pub(super) fn parse(text: &str) -> Result<Self, HubError> {
        let invalid = |reason| HubError::InvalidName {
            name: text.to_owned(),
            reason,
        };
        let (repo, revision) = text.split_once('@').unwrap_or((text, "main"));
        if repo.split('/').count() > 2 {
            return Err(invalid("it has more than one `/`"));
        }
        // The hub's own rule: letters, digits, `-`, `_`, `.`, no `--` and `..`, at most 96 bytes.
        let part_is_fine = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
                && !part.starts_with(['-', '.'])
                && !part.ends_with(['-', '.'])
        };
        if !repo.split('/').all(part_is_fine) || repo.contains("--") || repo.contains("..") || repo.len() > 96
        {
            return Err(invalid(
                "its parts are letters, digits, `-`, `_` and `.`, and neither begin nor end with `-` or `.`",
            ));
        }
        let revision_is_fine = revision.len() <= 256
            && is_safe_path(revision)
            && revision
                .bytes()
                .all(|b| b.is_ascii_graphic() && !b"?*[~^:".contains(&b));
        if !revision_is_fine {
            return Err(invalid("the revision after `@` is no branch, tag or commit"));
        }
        Ok(Self {
            repo: repo.to_owned(),
            revision: revision.to_owned(),
        })
    }

    /// Whether the revision is a whole commit hash, which never changes its meaning.
    pub(super) fn is_commit(&self) -> bool {
        self.revision.len() == 40 && self.revision.bytes().all(|b| b.is_ascii_hexdigit())
    }

    /// The repository's folder in the cache.
    pub(super) fn folder_name(&self) -> String {
        format!("models--{}", self.repo.replace('/', "--"))
    }
}

/// Whether a path of a repository stays inside the folder that it is joined to, on every system.
pub(super) fn is_safe_path(path: &str) -> bool {
    !path.contains(['\\', ':', '\0'])
        && path
            .split('/')
            .all(|part| !part.is_empty() && part != "." && part != "..")
}

/// Whether a commit or an entity tag can be a file name of the cache.
pub(super) fn is_safe_tag(tag: &str) -> bool {
    (1..=128).contains(&tag.len())
        && tag
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        && !tag.starts_with('.')
        && !tag.ends_with(".incomplete")
}

/// A path as part of an address: everything but unreserved characters is percent-encoded (RFC 3986, 2.3).
pub(super) fn percent_encode(path: &str, keep_slash: bool) -> String {
    let mut out = String::with_capacity(path.len());
    for b in path.bytes() {
        if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) || (keep_slash && b == b'/') {
            out.push(char::from(b));
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_read_with_and_without_a_revision() {
        let name = Name::parse("sentence-transformers/all-MiniLM-L6-v2").unwrap();
        assert_eq!(
            (name.repo.as_str(), name.revision.as_str()),
            ("sentence-transformers/all-MiniLM-L6-v2", "main")
        );
        assert_eq!(
            name.folder_name(),
            "models--sentence-transformers--all-MiniLM-L6-v2"
        );
        let name = Name::parse("gpt2@refs/pr/7").unwrap();
        assert_eq!(
            (name.repo.as_str(), name.revision.as_str()),
            ("gpt2", "refs/pr/7")
        );
        assert!(!name.is_commit());
    }

    #[test]
    fn hostile_names_are_refused() {
        for name in [
            "",
            "/",
            "a/",
            "/a",
            "a/b/c",
            "../a",
            "a/..",
            "a/b@",
            "a/b@../x",
            "a/b@/x",
            "a/b@x y",
            "a--b/c",
            ".a/b",
            "a b/c",
            "a/b?x",
            "a\\b",
            "a/b@x\\..\\y",
            "a/b@x:y",
        ] {
            assert!(Name::parse(name).is_err(), "{name:?} was accepted");
        }
    }

    proptest! {
        #[test]
        fn a_safe_path_never_leaves_its_folder(path in "[a./\\\\:]{1,12}") {
            if is_safe_path(&path) {
                let normal = std::path::Path::new(&path)
                    .components()
                    .all(|part| matches!(part, std::path::Component::Normal(_)));
                prop_assert!(normal, "{path:?}");
            }
        }
    }

    #[test]
    fn addresses_are_encoded() {
        assert_eq!(percent_encode("a b/c%?#é", true), "a%20b/c%25%3F%23%C3%A9");
        assert_eq!(percent_encode("refs/pr/7", false), "refs%2Fpr%2F7");
    }
}
