//! How deep the objects of a PDF file nest, found out before its reader recurses into them: that has no limit of its own.
//!
//! What streams unfold to is looked at by `pdf_streams.rs`.

use std::ops::Range;

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
///
/// It follows the grammar of the reader, which lets go of all that is open at the first word that an object cannot hold.
/// Without that, the bytes of a font or of a colour profile, which are looked at like anything else, would seem to nest.
pub(super) fn walk(bytes: &[u8], limit: u64, looks: &mut usize, way: Walk) -> Option<usize> {
    let mut hidden = Vec::new();
    let end = walk_range(bytes, 0..bytes.len(), limit, looks, way, &mut hidden)?;
    // Behind an error in what a page draws the reader begins anew one byte on, also inside of a string or a comment.
    while let Some(range) = hidden.pop() {
        walk_range(bytes, range, limit, looks, way, &mut hidden)?;
    }
    Some(end)
}

/// What is open.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    Array,
    Dictionary,
}

fn walk_range(
    bytes: &[u8],
    range: Range<usize>,
    limit: u64,
    looks: &mut usize,
    way: Walk,
    hidden: &mut Vec<Range<usize>>,
) -> Option<usize> {
    let mut open: Vec<Open> = Vec::new();
    let (start, bytes) = (range.start, &bytes[..range.end]);
    let (mut at, mut again) = (start, 0);
    // Behind a stream inside of an object nothing is sure: then nothing is let go of either.
    let mut is_sure = true;
    let mut closed_dictionary = false;
    let mut strings = Strings::default();
    while let Some(&byte) = bytes.get(at) {
        let rest = &bytes[at..];
        let mut is_error = false;
        let mut closes_dictionary = false;
        let step = match byte {
            b'(' => match strings.length(bytes, at, &mut again) {
                Some(length) => {
                    again += hide(rest, 1..length, at, limit, way, hidden);
                    length
                }
                // What follows the bracket is looked at as if it were none.
                None => 1,
            },
            b'%' => {
                let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
                let length = end.unwrap_or(rest.len());
                again += hide(rest, 1..length, at, limit, way, hidden);
                length
            }
            b'/' => 1 + rest[1..].iter().take_while(|byte| is_regular(**byte)).count(),
            b'[' => {
                open.push(Open::Array);
                1
            }
            b'<' if rest.starts_with(b"<<") => {
                open.push(Open::Dictionary);
                2
            }
            // What begins like a string of digits and is none is passed by the reader byte by byte.
            b'<' => match rest[1..].iter().position(|byte| !is_digit(*byte)) {
                Some(end) if rest[1 + end] == b'>' => end + 2,
                _ => 1,
            },
            b'>' if rest.starts_with(b">>") => {
                is_error = is_sure && open.last() == Some(&Open::Array);
                closes_dictionary = open.pop().is_some();
                2
            }
            b']' => {
                is_error = is_sure && open.last() == Some(&Open::Dictionary);
                open.pop();
                1
            }
            b'e' | b's'
                if way == Walk::Object
                    && open.is_empty()
                    && (rest.starts_with(b"endobj") || rest.starts_with(b"stream")) =>
            {
                break;
            }
            b'a'..=b'z' | b'A'..=b'Z' => {
                let word = word(rest);
                if closed_dictionary && !open.is_empty() && rest.starts_with(b"stream") {
                    is_sure = false;
                }
                is_error = is_sure && open.last() == Some(&Open::Array) && !is_value(word);
                word.len()
            }
            byte if is_foreign(byte) => {
                is_error = is_sure;
                1
            }
            _ => 1,
        };
        if open.len() as u64 > limit {
            return None;
        }
        if is_error {
            match way {
                Walk::Content => open.clear(),
                Walk::Object if open.is_empty() => {}
                Walk::Object | Walk::One => break,
            }
        }
        at += step.max(1);
        if at - start + again > *looks {
            return None;
        }
        if way == Walk::One && open.is_empty() && !byte.is_ascii_whitespace() && byte != b'%' {
            break;
        }
        closed_dictionary =
            closes_dictionary || closed_dictionary && (byte.is_ascii_whitespace() || byte == b'%');
    }
    *looks -= (at - start + again).min(*looks);
    Some(at.min(bytes.len()))
}

/// Remembers what a string or a comment hides, where that could nest. Gives how many bytes were looked at.
fn hide(
    rest: &[u8],
    inside: Range<usize>,
    at: usize,
    limit: u64,
    way: Walk,
    hidden: &mut Vec<Range<usize>>,
) -> usize {
    let range = at + inside.start..at + inside.end;
    if way != Walk::Content || inside.is_empty() {
        return 0;
    }
    let opening = |byte: &&u8| matches!(byte, b'[' | b'<');
    if rest[inside].iter().filter(opening).count() as u64 > limit {
        hidden.push(range.clone());
    }
    range.len()
}

/// The letters and digits that begin here, up to the end of the first word that is a value.
fn word(bytes: &[u8]) -> &[u8] {
    for value in [b"true".as_slice(), b"false", b"null"] {
        if let Some(word) = bytes.get(..value.len()).filter(|word| *word == value) {
            return word;
        }
    }
    let length = bytes
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric())
        .count();
    &bytes[..length]
}

/// Whether an array may hold this word; `R` ends a reference.
fn is_value(word: &[u8]) -> bool {
    matches!(word, b"true" | b"false" | b"null")
        || word
            .strip_prefix(b"R")
            .is_some_and(|rest| !rest.first().is_some_and(u8::is_ascii_alphabetic))
}

/// Ends of strings in brackets, which may hold others and escapes.
///
/// Binary data has many brackets without an end. So that not each of them costs a look at all that follows, those are
/// remembered that a search has left open.
#[derive(Default)]
struct Strings {
    /// Places of the brackets that were open where the last search gave up.
    left_open: Vec<usize>,
    /// Where that was.
    until: usize,
    searched: Vec<usize>,
}

impl Strings {
    /// Bytes of the string that begins here; `None` for one without an end. Bytes looked at in vain are added to `again`.
    fn length(&mut self, bytes: &[u8], start: usize, again: &mut usize) -> Option<usize> {
        let was_seen = self.until == bytes.len() || start + LONGEST_STRING / 2 < self.until;
        if was_seen && self.left_open.binary_search(&start).is_ok() {
            return None;
        }
        let end = bytes.len().min(start + LONGEST_STRING);
        self.searched.clear();
        let mut at = start;
        while at < end {
            match bytes[at] {
                b'\\' => at += 1,
                b'(' => self.searched.push(at),
                b')' => {
                    self.searched.pop();
                    if self.searched.is_empty() {
                        return Some(at + 1 - start);
                    }
                }
                _ => {}
            }
            at += 1;
        }
        *again += end - start;
        std::mem::swap(&mut self.left_open, &mut self.searched);
        self.until = end;
        None
    }
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
        assert!(nests_deeper(&b"obj << ".repeat(10_000), 256));
        // A word that no array holds ends those that are open, for the reader too; in a dictionary it may be a value.
        assert!(!nests_deeper(&b"obj [ ".repeat(10_000), 256));
        assert!(nests_deeper(&deep("<</A odd/B"), 256));
        assert!(nests_deeper(&deep("[true null 5 0 R"), 256));
        // Behind a stream where none may be the reader goes on.
        assert!(nests_deeper(&deep("[<<>>stream\nodd\nendstream"), 256));
        assert!(nests_deeper(b"trailer <<<<", 1));
    }

    #[test]
    fn fonts_and_colour_profiles_full_of_brackets_do_not_nest() {
        let mut state = 7u32;
        let mut font = Vec::new();
        while font.len() < 300_000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // Every third byte opens something, as it may be in binary data, and few close it.
            font.push(match (state >> 16) % 12 {
                0..=2 => b'[',
                3 => b'<',
                4 => b'(',
                5 => b']',
                _ => (state >> 24) as u8,
            });
        }
        for about in [
            "/Length1 300000",
            "/Subtype/Type1C",
            "/N 3/Alternate/DeviceRGB",
            "/Type/EmbeddedFile",
        ] {
            let head = format!("1 0 obj <<{about}/Length {}>>\nstream\n", font.len());
            let file = [head.as_bytes(), &font, b"\nendstream endobj"].concat();
            assert!(!nests_deeper(&file, 256), "{about}");
        }
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
        // What a string or a comment hides is read where the reader cannot go on behind it.
        let hidden = "[(tea)".repeat(300);
        assert!(nests_deeper(&stream("", &hex(&format!("({hidden})}}"))), 256));
        assert!(nests_deeper(&stream("", &hex(&format!("%{deep}\n}}"))), 256));
        // Words between brackets are operators, and strings of them text.
        assert!(!nests_deeper(&stream("", &hex(&"[ a ".repeat(1000))), 256));
        assert!(!nests_deeper(&stream("", &hex(&"([) Tj [1".repeat(200))), 256));
        // A length that stands in an object of its own, behind the word that ends a stream.
        let hidden = format!("endstream {deep}");
        let file = format!(
            "1 0 obj <</Length 2 0 R>>\nstream\n{hidden}\nendstream\nendobj 2 0 obj {} endobj",
            hidden.len()
        );
        assert!(nests_deeper(file.as_bytes(), 256));
    }
}
