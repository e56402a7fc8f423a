//! How deep the objects of a PDF file nest, found out before its reader recurses into them: that has no limit of its own.
//!
//! What is compressed is not seen here.

/// Bytes that are looked at for each byte of the file: objects that never end are looked at again and again.
const MAX_LOOKS: usize = 16;

/// Whether an object nests arrays and dictionaries deeper than this, or hides its end.
pub(super) fn nests_deeper(bytes: &[u8], limit: u64) -> bool {
    let mut looks = bytes.len().saturating_mul(MAX_LOOKS);
    let mut from = 0;
    while let Some(at) = bytes.get(from..).and_then(next_start) {
        from += at;
        let Some(looked) = object(&bytes[from..], limit, looks) else {
            return true;
        };
        looks -= looked;
    }
    false
}

/// Where an object may begin: behind `obj` or `trailer`.
fn next_start(bytes: &[u8]) -> Option<usize> {
    let mut found = bytes.windows(3);
    let at = found.position(|word| word == b"obj" || word == b"ler")?;
    Some(at + 3)
}

/// Walks one object to its end; `None` where it nests too deep or there are no looks left. Gives how far it went.
fn object(bytes: &[u8], limit: u64, looks: usize) -> Option<usize> {
    let mut depth = 0u64;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if at >= looks {
            return None;
        }
        let rest = &bytes[at..];
        let step = match byte {
            b'(' => string(rest),
            b'%' => rest
                .iter()
                .position(|byte| matches!(byte, b'\n' | b'\r'))
                .unwrap_or(rest.len()),
            b'/' => 1 + rest[1..].iter().take_while(|byte| is_regular(**byte)).count(),
            b'[' => {
                depth += 1;
                1
            }
            b'<' if rest.starts_with(b"<<") => {
                depth += 1;
                2
            }
            b'<' => rest
                .iter()
                .position(|byte| *byte == b'>')
                .map_or(1, |end| end + 1),
            b'>' if rest.starts_with(b">>") => {
                depth = depth.saturating_sub(1);
                2
            }
            b']' => {
                depth = depth.saturating_sub(1);
                1
            }
            b'e' | b's' if depth == 0 && (rest.starts_with(b"endobj") || rest.starts_with(b"stream")) => {
                break;
            }
            _ => 1,
        };
        if depth > limit {
            return None;
        }
        at += step.max(1);
    }
    Some(at.min(bytes.len()).min(looks))
}

/// Bytes of a string in brackets, which may hold others and escapes.
fn string(bytes: &[u8]) -> usize {
    let mut depth = 0usize;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 1,
            b'(' => depth += 1,
            b')' => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return at;
        }
    }
    // A string that does not end: what follows its bracket is looked at as if it were none.
    1
}

fn is_regular(byte: u8) -> bool {
    !byte.is_ascii_whitespace()
        && !matches!(
            byte,
            0 | b'(' | b')' | b'<' | b'>' | b'[' | b']' | b'/' | b'%' | b'{' | b'}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nesting_is_seen_through_strings_and_names() {
        let deep = |inside: &str| format!("1 0 obj {}", inside.repeat(300)).into_bytes();
        for inside in ["[", "<<", "[(]) ", "<</A ", "[/]", "[% ]\n", "[<5d>"] {
            assert_eq!(nests_deeper(&deep(inside), 256), inside != "[/]", "{inside}");
        }
        for flat in ["[]", "<</A[1 2]>>", "[(unclosed \\( text)]", "([)", "<</A(])>>"] {
            let many = format!("1 0 obj <<{}>> endobj", flat.repeat(10_000));
            assert!(!nests_deeper(many.as_bytes(), 256), "{flat}");
        }
        assert!(!nests_deeper(b"", 0));
        assert!(nests_deeper(&b"obj [ ".repeat(10_000), 256));
        assert!(nests_deeper(b"trailer <<<<", 1));
    }
}
