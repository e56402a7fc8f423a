//! Python's methods on texts, lists and maps, as Jinja2 gives them to templates.
//!
//! What minijinja-contrib has is taken from there, after it is paid for ([`super::budget`]); the rest is here.

use minijinja::value::{Rest, Tuple, Value, ValueKind, ValueOrKwargs, from_args};
use minijinja::{Error, ErrorKind, State};
use minijinja_contrib::pycompat::unknown_method_callback;

use super::budget::{VALUE_BYTES, charge, charge_deep};
use super::builtins::{argument, charge_formatted, charge_replaced};

/// A method of a value.
///
/// # Errors
/// A method that Python has not, or wrong arguments.
pub(super) fn call(
    state: &mut State,
    value: &Value,
    method: &str,
    arguments: &[Value],
) -> Result<Value, Error> {
    for argument in arguments {
        charge_deep(state, argument, 1)?;
    }
    match value.as_str() {
        Some(text) => {
            charge(state, text.len())?;
            match text_method(state, text, method, arguments)? {
                Some(found) => Ok(found),
                None => {
                    pay_text_method(state, text, method, arguments)?;
                    unknown_method_callback(state, value, method, arguments)
                }
            }
        }
        None => match (value.kind(), method) {
            (ValueKind::Seq, "count") => {
                charge_deep(state, value, 1)?;
                unknown_method_callback(state, value, method, arguments)
            }
            (ValueKind::Seq, "index") => {
                charge_deep(state, value, 1)?;
                let (wanted,): (&Value,) = from_args(arguments)?;
                let at = value.try_iter()?.position(|item| item == *wanted);
                at.map(Value::from).ok_or_else(|| not_found("list.index"))
            }
            // A template changes nothing, so a copy is the value itself.
            (ValueKind::Seq | ValueKind::Map, "copy") if value.get_attr("copy")?.is_undefined() => {
                let () = from_args(arguments)?;
                Ok(value.clone())
            }
            _ => unknown_method_callback(state, value, method, arguments),
        },
    }
}

/// What the methods of minijinja-contrib write.
fn pay_text_method(state: &mut State, text: &str, method: &str, arguments: &[Value]) -> Result<(), Error> {
    match method {
        "replace" => {
            if let [from, to, ..] = arguments {
                let (from, to) = (from.as_str().unwrap_or_default(), to.as_str().unwrap_or_default());
                charge_replaced(state, text, from, to)?;
            }
            Ok(())
        }
        "join" => {
            let count = arguments.first().and_then(Value::len).unwrap_or(0);
            charge(state, text.len().saturating_mul(count))
        }
        "format" => charge_formatted(state, text, '{', arguments),
        "split" | "splitlines" => charge(state, text.len().saturating_mul(VALUE_BYTES)),
        _ => Ok(()),
    }
}

/// The methods that minijinja-contrib has not, or has without their optional arguments.
fn text_method(
    state: &mut State,
    text: &str,
    method: &str,
    arguments: &[Value],
) -> Result<Option<Value>, Error> {
    let found = match method {
        "ljust" | "rjust" | "center" => {
            let (width, fill): (i64, Option<&str>) = from_args(arguments)?;
            let pad = padding(state, text, width)?;
            let fill = one_char(fill.unwrap_or(" "))?;
            charge(state, pad.saturating_mul(fill.len_utf8()))?;
            let before = match method {
                "ljust" => 0,
                "rjust" => pad,
                // CPython puts the odd one to the left where the width is odd (`str.center`).
                _ => pad / 2 + (pad & usize::try_from(width).unwrap_or(0) & 1),
            };
            Value::from(padded(text, fill, before, pad - before))
        }
        "zfill" => {
            let (width,): (i64,) = from_args(arguments)?;
            let pad = padding(state, text, width)?;
            let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
            let sign = &text[..text.len() - digits.len()];
            Value::from(format!("{sign}{}", padded(digits, '0', pad, 0)))
        }
        "partition" | "rpartition" => {
            let (separator,): (&str,) = from_args(arguments)?;
            if separator.is_empty() {
                return Err(invalid("the separator is empty"));
            }
            let parts = match (method, text.split_once(separator), text.rsplit_once(separator)) {
                ("partition", Some((left, right)), _) | ("rpartition", _, Some((left, right))) => {
                    [left, separator, right]
                }
                ("partition", ..) => [text, "", ""],
                _ => ["", "", text],
            };
            Value::from(Tuple::from(parts.map(Value::from)))
        }
        "removeprefix" => {
            let (prefix,): (&str,) = from_args(arguments)?;
            Value::from(text.strip_prefix(prefix).unwrap_or(text))
        }
        "removesuffix" => {
            let (suffix,): (&str,) = from_args(arguments)?;
            Value::from(text.strip_suffix(suffix).unwrap_or(text))
        }
        "swapcase" => {
            let () = from_args(arguments)?;
            let mut out = String::with_capacity(text.len());
            for c in text.chars() {
                if c.is_uppercase() {
                    out.extend(c.to_lowercase());
                } else {
                    out.extend(c.to_uppercase());
                }
            }
            Value::from(out)
        }
        "casefold" => {
            let () = from_args(arguments)?;
            // The full folding of Unicode differs from lower case in few letters, of which `ß` is the common one.
            Value::from(text.to_lowercase().replace('ß', "ss"))
        }
        "expandtabs" => {
            let (size,): (Option<usize>,) = from_args(arguments)?;
            Value::from(expand_tabs(state, text, size.unwrap_or(8))?)
        }
        "find" | "rfind" | "index" | "rindex" | "count" => {
            let (wanted, start, end): (&str, Option<i64>, Option<i64>) = from_args(arguments)?;
            search(text, method, wanted, start, end)?
        }
        "rsplit" => {
            let (separator, most): (Option<&str>, Option<i64>) = from_args(arguments)?;
            charge(state, text.len().saturating_mul(VALUE_BYTES))?;
            let most = most
                .and_then(|most| usize::try_from(most).ok())
                .unwrap_or(usize::MAX - 1);
            let mut parts: Vec<Value> = match separator {
                Some("") => return Err(invalid("the separator is empty")),
                Some(separator) => text.rsplitn(most + 1, separator).map(Value::from).collect(),
                None => words_from_the_right(text, most)
                    .into_iter()
                    .map(Value::from)
                    .collect(),
            };
            parts.reverse();
            Value::from(parts)
        }
        "isdecimal" => {
            let () = from_args(arguments)?;
            // Digits of other scripts, which Python counts too, are not told apart from other numbers here.
            Value::from(!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
        }
        "istitle" => {
            let () = from_args(arguments)?;
            Value::from(is_title(text))
        }
        "isidentifier" => {
            let () = from_args(arguments)?;
            let start = |c: char| c == '_' || c.is_alphabetic();
            let first = text.chars().next().is_some_and(start);
            Value::from(first && text.chars().all(|c| c == '_' || c.is_alphanumeric()))
        }
        _ => return Ok(None),
    };
    Ok(Some(found))
}

/// The filter `center` of Jinja2.
pub(super) fn center_filter(state: &mut State, text: &str, width: usize) -> Result<Value, Error> {
    let width = i64::try_from(width).unwrap_or(i64::MAX);
    call(state, &Value::from(text), "center", &[Value::from(width)])
}

/// The filter `truncate` of Jinja2: text, length, whether words are cut, the end, and how much longer a text may be.
pub(super) fn truncate(state: &mut State, arguments: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let arguments = arguments.into_values();
    let text = super::python::text(arguments.first().unwrap_or(&Value::UNDEFINED))?;
    charge(state, text.len())?;
    let number = |at: usize, name: &str| argument(&arguments, at, name).and_then(|value| value.as_usize());
    let length = number(1, "length").unwrap_or(255);
    let kill_words = argument(&arguments, 2, "killwords").is_some_and(|value| value.is_true());
    let end = argument(&arguments, 3, "end");
    let end = end.as_ref().and_then(Value::as_str).unwrap_or("...");
    let leeway = number(4, "leeway").unwrap_or(5);
    let room = length
        .checked_sub(end.chars().count())
        .ok_or_else(|| invalid("truncate: the length is less than that of the end"))?;
    if text.chars().count() <= length.saturating_add(leeway) {
        return Ok(text);
    }
    let cut: String = text.chars().take(room).collect();
    let kept = match kill_words {
        true => cut.as_str(),
        false => cut.rsplit_once(' ').map_or(cut.as_str(), |(left, _)| left),
    };
    Ok(format!("{kept}{end}"))
}

/// Characters that are missing to a width, paid for.
fn padding(state: &mut State, text: &str, width: i64) -> Result<usize, Error> {
    let pad = usize::try_from(width)
        .unwrap_or(0)
        .saturating_sub(text.chars().count());
    charge(state, pad)?;
    Ok(pad)
}

fn padded(text: &str, fill: char, before: usize, after: usize) -> String {
    let fill = |count| std::iter::repeat_n(fill, count);
    fill(before).chain(text.chars()).chain(fill(after)).collect()
}

fn one_char(text: &str) -> Result<char, Error> {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(c), None) => Ok(c),
        _ => Err(invalid("the fill character is one character")),
    }
}

fn expand_tabs(state: &mut State, text: &str, size: usize) -> Result<String, Error> {
    charge(state, text.matches('\t').count().saturating_mul(size))?;
    let mut out = String::with_capacity(text.len());
    let mut column = 0;
    for c in text.chars() {
        match c {
            '\t' if size > 0 => {
                let fill = size - column % size;
                out.extend(std::iter::repeat_n(' ', fill));
                column += fill;
            }
            '\t' => {}
            c => {
                out.push(c);
                column = if matches!(c, '\n' | '\r') { 0 } else { column + 1 };
            }
        }
    }
    Ok(out)
}

/// `find` and its like between two places that are counted in characters, from the end where negative.
fn search(
    text: &str,
    method: &str,
    wanted: &str,
    start: Option<i64>,
    end: Option<i64>,
) -> Result<Value, Error> {
    let length = text.chars().count();
    let place = |at: i64| {
        let back = usize::try_from(at.unsigned_abs()).unwrap_or(usize::MAX);
        if at < 0 { length.saturating_sub(back) } else { back }
    };
    let (start, end) = (start.map_or(0, place), end.map_or(length, place).min(length));
    let missing = Value::from(if method == "count" { 0 } else { -1 });
    let byte = |at: usize| text.char_indices().nth(at).map_or(text.len(), |(byte, _)| byte);
    let found = if start > end {
        None
    } else {
        let part = &text[byte(start)..byte(end)];
        match method {
            "count" if wanted.is_empty() => return Ok(Value::from(end - start + 1)),
            "count" => return Ok(Value::from(part.matches(wanted).count())),
            "find" | "index" => part.find(wanted),
            _ => part.rfind(wanted),
        }
        .map(|at| start + part[..at].chars().count())
    };
    match found {
        Some(at) => Ok(Value::from(at)),
        None if method.ends_with("index") => Err(not_found("str.index")),
        None => Ok(missing),
    }
}

fn words_from_the_right(text: &str, most: usize) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = text.trim_end();
    while !rest.is_empty() {
        match rest.char_indices().rev().find(|(_, c)| c.is_whitespace()) {
            Some((at, c)) if words.len() < most => {
                words.push(&rest[at + c.len_utf8()..]);
                rest = rest[..at].trim_end();
            }
            _ => {
                words.push(if words.len() < most {
                    rest.trim_start()
                } else {
                    rest
                });
                break;
            }
        }
    }
    words
}

fn is_title(text: &str) -> bool {
    let mut cased = false;
    let mut inside = false;
    for c in text.chars() {
        if c.is_uppercase() {
            if inside {
                return false;
            }
            (cased, inside) = (true, true);
        } else if c.is_lowercase() {
            if !inside {
                return false;
            }
        } else {
            inside = false;
        }
    }
    cased
}

fn not_found(method: &str) -> Error {
    invalid(format!("{method}: it is not there"))
}

fn invalid(detail: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, detail)
}
