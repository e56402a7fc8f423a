//! The tags of a template and their tokens, cut as minijinja cuts them.

/// What a tag is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tag {
    Variable,
    Block,
    Comment,
    Raw,
}

/// A token of an expression with the white space before it.
pub(super) struct Token<'a> {
    pub space: &'a str,
    pub text: &'a str,
    pub kind: Kind,
}

/// What a token is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Name,
    Literal,
    Sign,
}

/// The next tag of a text: where it begins, and what it is.
pub(super) fn next_tag(text: &str) -> Option<(usize, Tag)> {
    let bytes = text.as_bytes();
    let at = bytes
        .windows(2)
        .position(|pair| pair[0] == b'{' && matches!(pair[1], b'{' | b'%' | b'#'))?;
    let kind = match bytes[at + 1] {
        b'{' => Tag::Variable,
        b'#' => Tag::Comment,
        _ if is_tag(&text[at + 2..], "raw") => Tag::Raw,
        _ => Tag::Block,
    };
    Some((at, kind))
}

/// Whether the inside of a tag is this name alone.
fn is_tag(inside: &str, name: &str) -> bool {
    let inside = inside.strip_prefix(['-', '+']).unwrap_or(inside).trim_start();
    let after = inside.strip_prefix(name).map(str::trim_start);
    after.is_some_and(|after| after.strip_prefix(['-', '+']).unwrap_or(after).starts_with("%}"))
}

/// Bytes up to the end of the tag `endraw`.
pub(super) fn raw_end(tag: &str) -> usize {
    let mut from = 2;
    while let Some(at) = tag[from..].find("{%") {
        from += at + 2;
        if is_tag(&tag[from..], "endraw") {
            return tag[from..].find("%}").map_or(tag.len(), |end| from + end + 2);
        }
    }
    tag.len()
}

/// The tokens of a tag and its end, such as `-%}`; an end that is missing is empty, and minijinja says so.
pub(super) fn tokens(tag: &str, kind: Tag) -> (Vec<Token<'_>>, &str) {
    let close = if kind == Tag::Variable { "}}" } else { "%}" };
    let mut tokens = Vec::new();
    let mut open = 0_i64;
    let mut at = 2;
    if let Some(b'-' | b'+') = tag.as_bytes().get(at) {
        tokens.push(Token {
            space: "",
            text: &tag[at..=at],
            kind: Kind::Sign,
        });
        at += 1;
    }
    loop {
        let start = at + tag[at..].len() - tag[at..].trim_start().len();
        let (space, rest) = (&tag[at..start], &tag[start..]);
        let Some(first) = rest.chars().next() else {
            return (tokens, &tag[at..]);
        };
        let signed = rest.strip_prefix(['-', '+']).unwrap_or(rest);
        if open == 0 && (rest.starts_with(close) || signed.starts_with(close)) {
            let end = rest.len() - signed.len();
            let end = if rest.starts_with(close) { 0 } else { end };
            return (tokens, &tag[at..start + end + close.len()]);
        }
        let (len, kind) = match first {
            '\'' | '"' => (string(rest, first), Kind::Literal),
            c if c.is_ascii_digit() => (number(rest), Kind::Literal),
            c if c == '_' || c.is_alphabetic() => {
                let len = rest
                    .find(|c: char| c != '_' && !c.is_alphanumeric())
                    .unwrap_or(rest.len());
                (len, Kind::Name)
            }
            c => {
                open += i64::from(matches!(c, '(' | '[' | '{')) - i64::from(matches!(c, ')' | ']' | '}'));
                let two = ["//", "**", "==", "!=", ">=", "<="]
                    .iter()
                    .any(|sign| rest.starts_with(sign));
                (if two { 2 } else { c.len_utf8() }, Kind::Sign)
            }
        };
        let text = &rest[..len];
        tokens.push(Token { space, text, kind });
        at = start + len;
    }
}

fn string(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Digits, a fraction only where a digit follows the point.
fn number(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let next_is_digit = bytes.get(at + 1).is_some_and(u8::is_ascii_digit);
        let exponent = matches!(bytes.get(at.wrapping_sub(1)), Some(b'e' | b'E')) && !text.starts_with("0x");
        match byte {
            byte if byte.is_ascii_alphanumeric() || *byte == b'_' => at += 1,
            b'.' if next_is_digit => at += 1,
            b'+' | b'-' if exponent && next_is_digit => at += 1,
            _ => break,
        }
    }
    at
}
