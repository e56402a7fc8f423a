//! How deep the objects of a PDF file nest, found out before its reader recurses into them: that has no limit of its own.
//!
//! What streams unfold to is looked at by `pdf_streams.rs`.

use super::limits::Budget;
use super::pdf_streams::Streams;
use crate::error::Result;

/// Bytes that are looked at for each byte of the file: objects that never end are looked at again and again.
pub(super) const MAX_LOOKS: usize = 64;
/// A longer string is taken for one that does not end.
const LONGEST_STRING: usize = 1 << 16;

/// How a walk over objects goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Walk {
    /// One object of a file, until its end or its stream.
    Object,
    /// One object of those that were unfolded, until it is whole, or until a byte that no object has.
    One,
    /// What a page draws: objects and operators to the end; a byte that no object has ends those that are open.
    Content,
}

/// Checks that no object of the file, or of what its streams unfold to, nests arrays and dictionaries deeper than the limit,
/// or hides its end.
///
/// # Errors
/// One does, or the time is up.
pub(super) fn check_nesting(bytes: &[u8], budget: &Budget) -> Result<()> {
    let streams = Streams::new(bytes);
    let mut looks = bytes.len().saturating_mul(MAX_LOOKS);
    let mut from = 0;
    while let Some(at) = bytes.get(from..).and_then(next_start) {
        from += at;
        budget.look()?;
        let Some(looked) = walk(&bytes[from..], budget.limits().depth, &mut looks, Walk::Object) else {
            return Err(budget.too_deep());
        };
        let end = from + looked;
        if bytes[end..].starts_with(b"stream") && streams.nests_deeper(from, end, budget)? {
            return Err(budget.too_deep());
        }
    }
    Ok(())
}

/// Where an object may begin: behind `obj` or `trailer`.
fn next_start(bytes: &[u8]) -> Option<usize> {
    let mut found = bytes.windows(3);
    let at = found.position(|word| word == b"obj" || word == b"ler")?;
    Some(at + 3)
}

/// Walks over objects; `None` where they nest too deep or there are no looks left. Gives how far it went.
pub(super) fn walk(bytes: &[u8], limit: u64, looks: &mut usize, way: Walk) -> Option<usize> {
    let mut depth = 0u64;
    let (mut at, mut unended) = (0, 0);
    while let Some(&byte) = bytes.get(at) {
        let rest = &bytes[at..];
        let step = match byte {
            b'(' => string(rest).unwrap_or_else(|| {
                // What follows the bracket is looked at as if it were none.
                unended += rest.len().min(LONGEST_STRING);
                1
            }),
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
            // What begins like a string of digits and is none is passed by the reader byte by byte.
            b'<' => match rest[1..].iter().position(|byte| !is_digit(*byte)) {
                Some(end) if rest[1 + end] == b'>' => end + 2,
                _ => 1,
            },
            b'>' if rest.starts_with(b">>") => {
                depth = depth.saturating_sub(1);
                2
            }
            b']' => {
                depth = depth.saturating_sub(1);
                1
            }
            b'e' | b's'
                if way == Walk::Object
                    && depth == 0
                    && (rest.starts_with(b"endobj") || rest.starts_with(b"stream")) =>
            {
                break;
            }
            byte if way != Walk::Object && is_foreign(byte) => {
                if way == Walk::One {
                    break;
                }
                depth = 0;
                1
            }
            _ => 1,
        };
        if depth > limit {
            return None;
        }
        at += step.max(1);
        if at + unended > *looks {
            return None;
        }
        if way == Walk::One && depth == 0 && !byte.is_ascii_whitespace() && byte != b'%' {
            break;
        }
    }
    *looks -= (at + unended).min(*looks);
    Some(at.min(bytes.len()))
}

/// Bytes of a string in brackets, which may hold others and escapes; `None` for one without an end.
fn string(bytes: &[u8]) -> Option<usize> {
    let mut depth = 0usize;
    let mut at = 0;
    let bytes = &bytes[..bytes.len().min(LONGEST_STRING)];
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 1,
            b'(' => depth += 1,
            b')' => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// Whether a string of hexadecimal digits may hold this byte.
fn is_digit(byte: u8) -> bool {
    byte.is_ascii_hexdigit() || byte.is_ascii_whitespace() || byte == 0
}

/// Whether no object may hold this byte outside of strings and names.
fn is_foreign(byte: u8) -> bool {
    !byte.is_ascii() || byte.is_ascii_control() && !byte.is_ascii_whitespace() && byte != 0
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
    use std::path::Path;

    use super::super::limits::LoadLimits;
    use super::*;

    fn nests_deeper(bytes: &[u8], limit: u64) -> bool {
        let limits = LoadLimits::default().with_depth(limit);
        let budget = Budget::new(Path::new("a.pdf"), bytes.len(), &limits).unwrap();
        check_nesting(bytes, &budget).is_err()
    }

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

    #[test]
    fn streams_are_looked_into() {
        let stream = |about: &str, data: &str| {
            format!("1 0 obj <<{about}/Filter/ASCIIHexDecode>>\nstream\n{data}>\nendstream endobj")
                .into_bytes()
        };
        let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
        let deep = "[".repeat(300);
        let objects = "/Type/ObjStm/N 2/First 9";
        assert!(nests_deeper(&stream("", &hex(&deep)), 256));
        assert!(!nests_deeper(&stream("", &hex(&"[1 2] TJ ".repeat(300))), 256));
        assert!(nests_deeper(
            &stream(objects, &hex(&format!("7 0 8 4  <<>>{deep}"))),
            256
        ));
        // One that begins inside the string of another.
        assert!(nests_deeper(
            &stream(objects, &hex(&format!("7 0 8 1  ({deep})"))),
            256
        ));
        assert!(!nests_deeper(&stream(objects, &hex("7 0 8 4  <<>>[[[1]]]")), 256));
        // A picture may look like anything, unless objects are read from it.
        assert!(!nests_deeper(&stream("/Subtype/Image", &hex(&deep)), 256));
        assert!(nests_deeper(
            &stream("/Subtype/Image/N 1/First 4", &hex(&format!("7 0 {deep}"))),
            256
        ));
        // Bytes that no object has end what is open, as they do for the reader.
        assert!(!nests_deeper(&stream("", &"5b5bff".repeat(300)), 256));
        // A length that stands in an object of its own, behind the word that ends a stream.
        let hidden = format!("endstream {deep}");
        let file = format!(
            "1 0 obj <</Length 2 0 R>>\nstream\n{hidden}\nendstream\nendobj 2 0 obj {} endobj",
            hidden.len()
        );
        assert!(nests_deeper(file.as_bytes(), 256));
    }
}
