//! How deep objects nest in what the streams of a PDF file unfold to, found out before its reader recurses into them.
//!
//! Streams are unfolded by the reader's own filters. Not seen is what an encrypted file holds: its streams unfold only
//! with its key, which the reader keeps to itself.

use std::collections::HashMap;

use pdf_oxide::object::Object;
use pdf_oxide::parser::parse_object;

use super::limits::Budget;
use super::pdf_nesting::{MAX_LOOKS, Walk, walk};
use super::pdf_unfold::{Unfolded, check_size, unfold};
use crate::error::Result;

/// The streams of a file.
pub(super) struct Streams<'f> {
    file: &'f [u8],
    /// The numbers that are objects of their own, as lengths of streams may be.
    numbers: HashMap<i64, usize>,
}

impl<'f> Streams<'f> {
    pub(super) fn new(file: &'f [u8]) -> Self {
        Self {
            file,
            numbers: numbers(file),
        }
    }

    /// Whether the stream whose dictionary begins and ends here unfolds to something that nests deeper than the limit.
    ///
    /// # Errors
    /// It unfolds to too much, or the time is up.
    pub(super) fn nests_deeper(&self, start: usize, end: usize, budget: &Budget) -> Result<bool> {
        budget.look()?;
        let Some(Ok((_, Object::Dictionary(dict)))) = self.file.get(start..end).map(parse_object) else {
            return Ok(false);
        };
        let whole = |name: &str| dict.get(name).and_then(Object::as_integer);
        let holds_objects = whole("N").zip(whole("First"));
        let is_picture = dict.get("Subtype").and_then(Object::as_name) == Some("Image");
        let Some(data) = self.data(end, dict.get("Length")) else {
            return Ok(false);
        };
        let stream = Object::Stream {
            data: data.to_vec().into(),
            dict,
        };
        if is_picture && holds_objects.is_none() {
            // A picture may consist of brackets; what a page draws is looked at as a page.
            return check_size(&stream, budget).map(|()| false);
        }
        // What cannot be unfolded here cannot be there either.
        let Unfolded::Data(unfolded) = unfold(&stream, budget)? else {
            return Ok(false);
        };
        let limit = budget.limits().depth;
        Ok(match holds_objects {
            Some((count, first)) => objects_nest_deeper(&unfolded, count, first, limit),
            None => content_nests_deeper(&unfolded, limit),
        })
    }

    /// The bytes of a stream behind the dictionary that ends here.
    fn data(&self, end: usize, length: Option<&Object>) -> Option<&'f [u8]> {
        let rest = self.file.get(end..)?.strip_prefix(b"stream")?;
        let rest = match rest {
            [b'\r', b'\n', rest @ ..] | [b'\n' | b'\r', rest @ ..] => rest,
            rest => rest,
        };
        let length = match length {
            Some(Object::Integer(length)) => usize::try_from(*length).ok(),
            Some(Object::Reference(object)) => self.numbers.get(&i64::from(object.id)).copied(),
            _ => None,
        };
        // A length that is wrong is as good as none: then the reader looks for the end, and a filter for its own.
        match length.and_then(|length| rest.split_at_checked(length)) {
            Some((data, behind)) if behind.trim_ascii_start().starts_with(b"endstream") => Some(data),
            _ => {
                let end = rest.windows(9).position(|word| word == b"endstream");
                Some(end.map_or(rest, |end| rest[..end].trim_ascii_end()))
            }
        }
    }
}

/// Whether what a page draws nests deeper than this.
pub(super) fn content_nests_deeper(content: &[u8], limit: u64) -> bool {
    let mut looks = content.len().saturating_mul(MAX_LOOKS);
    walk(content, limit, &mut looks, Walk::Content).is_none()
}

/// Whether one of the objects of an object stream nests deeper than this: pairs of numbers, the second of which are places
/// behind `first`, where objects begin.
fn objects_nest_deeper(data: &[u8], count: i64, first: i64, limit: u64) -> bool {
    let Some((pairs, objects)) = usize::try_from(first)
        .ok()
        .and_then(|first| data.split_at_checked(first))
    else {
        return false;
    };
    let mut looks = data.len().saturating_mul(MAX_LOOKS);
    let pairs = pairs
        .split(|byte| !byte.is_ascii_digit())
        .filter(|word| !word.is_empty());
    let places = pairs.skip(1).step_by(2).take(usize::try_from(count).unwrap_or(0));
    for place in places {
        let place = str::from_utf8(place).ok().and_then(|digits| digits.parse().ok());
        let Some(object) = place.and_then(|place: usize| objects.get(place..)) else {
            continue;
        };
        if walk(object, limit, &mut looks, Walk::One).is_none() {
            return true;
        }
    }
    false
}

/// Objects that are nothing but a number, by their own.
fn numbers(file: &[u8]) -> HashMap<i64, usize> {
    let mut numbers = HashMap::new();
    let mut from = 0;
    while let Some(at) = file[from..].windows(4).position(|word| word == b" obj") {
        let at = from + at;
        from = at + 4;
        // Before it the number of the object and of its generation.
        let before = file[at.saturating_sub(24)..at].rsplit(|byte| !byte.is_ascii_digit());
        let Some(id) = before.filter(|word| !word.is_empty()).nth(1) else {
            continue;
        };
        let value = file[from..].trim_ascii_start();
        let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let is_alone = value[digits..].trim_ascii_start().starts_with(b"endobj");
        let parse = |digits: &[u8]| str::from_utf8(digits).ok()?.parse::<i64>().ok();
        if let (Some(id), Some(value), true) = (parse(id), parse(&value[..digits]), is_alone) {
            numbers.insert(id, usize::try_from(value).unwrap_or(usize::MAX));
        }
    }
    numbers
}
