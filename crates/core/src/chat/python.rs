//! Values of a template as Python writes them: `json.dumps` and `str()`.

use std::fmt::Write as _;

use minijinja::value::{Kwargs, Rest, Value, ValueKind};
use minijinja::{Error, ErrorKind};

use super::budget::{MAX_DEPTH, exhausted, too_deep};

/// Bytes of one text at most.
const MAX_TEXT: usize = 64 << 20;
/// Bytes of an indent or a separator of JSON at most.
const MAX_STYLE: usize = 64;

/// The filter `tojson` of transformers: `json.dumps(x, ensure_ascii=False, indent=None, separators=None,
/// sort_keys=False)` (transformers 5.23, `utils/chat_template_utils.py`).
pub(super) fn tojson(value: &Value, positional: Rest<Value>, named: Kwargs) -> Result<Value, Error> {
    let mut style = JsonStyle::default();
    let argument = |at: usize, name: &str| -> Result<Option<Value>, Error> {
        let found = match positional.get(at) {
            Some(value) => Some(value.clone()),
            None => named.get::<Option<Value>>(name)?,
        };
        Ok(found.filter(|value| !value.is_none()))
    };
    if let Some(ascii) = argument(0, "ensure_ascii")? {
        style.ensure_ascii = ascii.is_true();
    }
    style.indent = match argument(1, "indent")? {
        None => None,
        Some(indent) => match (indent.as_str(), indent.as_usize()) {
            (Some(text), _) => Some(text.to_owned()),
            (None, Some(spaces)) if spaces <= 64 => Some(" ".repeat(spaces)),
            _ => return Err(invalid("tojson: indent is a text or a number from 0 to 64")),
        },
    };
    if style.indent.is_some() {
        style.item = ",".to_owned();
    }
    if let Some(separators) = argument(2, "separators")? {
        let parts: Vec<Value> = separators.try_iter()?.collect();
        match parts.iter().map(Value::as_str).collect::<Vec<_>>()[..] {
            [Some(item), Some(key)] => (style.item, style.key) = (item.to_owned(), key.to_owned()),
            _ => return Err(invalid("tojson: separators are two texts")),
        }
    }
    if let Some(sort) = argument(3, "sort_keys")? {
        style.sort_keys = sort.is_true();
    }
    named.assert_all_used()?;
    let long = |text: &String| text.len() > MAX_STYLE;
    if style.indent.as_ref().is_some_and(long) || long(&style.item) || long(&style.key) {
        let detail = format!("tojson: an indent or separator has more than {MAX_STYLE} bytes");
        return Err(Error::new(ErrorKind::OutOfFuel, detail));
    }
    let mut out = String::new();
    style.write(&mut out, value, 0)?;
    Ok(Value::from(out))
}

/// `str(value)`.
pub(super) fn text(value: &Value) -> Result<String, Error> {
    match value.as_str() {
        Some(text) => Ok(text.to_owned()),
        None => {
            let mut out = String::new();
            repr(&mut out, value, 0)?;
            Ok(out)
        }
    }
}

/// Stops before a text fills the memory: a list that holds another twice, which does so too, is small and prints long.
fn check(out: &str) -> Result<(), Error> {
    match out.len() > MAX_TEXT {
        true => Err(exhausted()),
        false => Ok(()),
    }
}

/// How JSON is written.
struct JsonStyle {
    ensure_ascii: bool,
    indent: Option<String>,
    item: String,
    key: String,
    sort_keys: bool,
}

impl Default for JsonStyle {
    fn default() -> Self {
        Self {
            ensure_ascii: false,
            indent: None,
            item: ", ".to_owned(),
            key: ": ".to_owned(),
            sort_keys: false,
        }
    }
}

impl JsonStyle {
    fn write(&self, out: &mut String, value: &Value, depth: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(too_deep());
        }
        check(out)?;
        match value.kind() {
            ValueKind::None => out.push_str("null"),
            ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => number(out, value, ("NaN", "Infinity", "-Infinity")),
            ValueKind::String => self.string(out, value.as_str().unwrap_or_default()),
            ValueKind::Map => {
                let mut keys: Vec<Value> = value.try_iter()?.collect();
                if self.sort_keys {
                    keys.sort();
                }
                self.block(out, ('{', '}'), keys.len(), depth, |out, at| {
                    let key = &keys[at];
                    match key.kind() {
                        ValueKind::String => self.string(out, key.as_str().unwrap_or_default()),
                        ValueKind::Number | ValueKind::Bool | ValueKind::None => {
                            out.push('"');
                            self.write(out, key, depth + 1)?;
                            out.push('"');
                        }
                        _ => return Err(invalid("tojson: a key is neither a text nor a number")),
                    }
                    out.push_str(&self.key);
                    self.write(out, &value.get_item(key)?, depth + 1)
                })?;
            }
            ValueKind::Seq | ValueKind::Iterable => {
                let items: Vec<Value> = value.try_iter()?.collect();
                self.block(out, ('[', ']'), items.len(), depth, |out, at| {
                    self.write(out, &items[at], depth + 1)
                })?;
            }
            kind => return Err(invalid(format!("tojson: {kind} is not JSON"))),
        }
        Ok(())
    }

    fn block(
        &self,
        out: &mut String,
        (open, close): (char, char),
        len: usize,
        depth: usize,
        mut write: impl FnMut(&mut String, usize) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let line = |out: &mut String, depth: usize| {
            if let Some(indent) = &self.indent {
                out.push('\n');
                out.push_str(&indent.repeat(depth));
            }
        };
        out.push(open);
        for at in 0..len {
            if at > 0 {
                out.push_str(&self.item);
            }
            line(out, depth + 1);
            write(out, at)?;
        }
        if len > 0 {
            line(out, depth);
        }
        out.push(close);
        Ok(())
    }

    fn string(&self, out: &mut String, text: &str) {
        out.push('"');
        for c in text.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                // Writing to a string cannot fail.
                c if c < ' ' => {
                    let _ = write!(out, "\\u{:04x}", u32::from(c));
                }
                c if self.ensure_ascii && (c > '~') => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        let _ = write!(out, "\\u{unit:04x}");
                    }
                }
                c => out.push(c),
            }
        }
        out.push('"');
    }
}

/// `repr(value)`.
fn repr(out: &mut String, value: &Value, depth: usize) -> Result<(), Error> {
    if depth > MAX_DEPTH {
        return Err(too_deep());
    }
    check(out)?;
    match value.kind() {
        ValueKind::None => out.push_str("None"),
        ValueKind::Bool => out.push_str(if value.is_true() { "True" } else { "False" }),
        ValueKind::Number => number(out, value, ("nan", "inf", "-inf")),
        ValueKind::String => repr_string(out, value.as_str().unwrap_or_default()),
        ValueKind::Map => {
            out.push('{');
            for (at, key) in value.try_iter()?.enumerate() {
                if at > 0 {
                    out.push_str(", ");
                }
                repr(out, &key, depth + 1)?;
                out.push_str(": ");
                repr(out, &value.get_item(&key)?, depth + 1)?;
            }
            out.push('}');
        }
        ValueKind::Seq | ValueKind::Iterable if value.as_object().is_some() => {
            let tuple = value.is_tuple();
            out.push(if tuple { '(' } else { '[' });
            let items: Vec<Value> = value.try_iter()?.collect();
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push_str(", ");
                }
                repr(out, item, depth + 1)?;
            }
            if tuple && items.len() == 1 {
                out.push(',');
            }
            out.push(if tuple { ')' } else { ']' });
        }
        // Writing to a string cannot fail.
        _ => {
            let _ = write!(out, "{value}");
        }
    }
    Ok(())
}

/// Python prefers single quotes, and double ones where the text has single ones only.
fn repr_string(out: &mut String, text: &str) {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if c < ' ' || c == '\u{7f}' => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push(quote);
}

fn number(out: &mut String, value: &Value, (nan, infinity, negative): (&str, &str, &str)) {
    if value.is_integer() {
        let _ = write!(out, "{value}");
        return;
    }
    let Ok(number) = f64::try_from(value.clone()) else {
        let _ = write!(out, "{value}");
        return;
    };
    if number.is_nan() {
        out.push_str(nan);
    } else if number.is_infinite() {
        out.push_str(if number > 0.0 { infinity } else { negative });
    } else {
        out.push_str(&float(number));
    }
}

/// `float.__repr__`: the shortest digits that give the number back, an exponent from 1e16 and below 1e-4.
fn float(number: f64) -> String {
    let size = number.abs();
    if size != 0.0 && !(1e-4..1e16).contains(&size) {
        let text = format!("{number:e}");
        return match text.split_once('e') {
            Some((digits, exponent)) => {
                let (sign, exponent) = match exponent.strip_prefix('-') {
                    Some(exponent) => ('-', exponent),
                    None => ('+', exponent),
                };
                format!("{digits}e{sign}{exponent:0>2}")
            }
            None => text,
        };
    }
    format!("{number:?}")
}

fn invalid(detail: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(template: &str) -> String {
        let mut environment = minijinja::Environment::new();
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.add_filter("tojson", tojson);
        environment.add_filter("str", |value: &Value| text(value));
        environment.render_str(template, ()).unwrap()
    }

    // The expected texts were made by CPython 3.11.
    #[test]
    fn json_is_that_of_python() {
        let value = r#"{"b": [1, 2.0, 1e22, none, true], "a": "<ü\n\"'>", "c": {}}"#;
        let json = |arguments: &str| render(&format!("{{{{ {value}|tojson{arguments} }}}}"));
        assert_eq!(
            json(""),
            r#"{"b": [1, 2.0, 1e+22, null, true], "a": "<ü\n\"'>", "c": {}}"#
        );
        assert_eq!(
            json("(sort_keys=true, ensure_ascii=true)"),
            r#"{"a": "<\u00fc\n\"'>", "b": [1, 2.0, 1e+22, null, true], "c": {}}"#
        );
        assert_eq!(
            json("(separators=(',', ':'))"),
            r#"{"b":[1,2.0,1e+22,null,true],"a":"<ü\n\"'>","c":{}}"#
        );
        assert_eq!(
            render("{{ {'a': [1, {}], 'b': []}|tojson(indent=2) }}"),
            "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": []\n}"
        );
    }

    #[test]
    fn texts_are_those_of_python() {
        assert_eq!(
            render("{{ {'a': [none, true, 1.5], 'it\\'s': \"say 'x'\"}|str }}"),
            r#"{'a': [None, True, 1.5], "it's": "say 'x'"}"#
        );
        assert_eq!(render("{{ 'x'|str }}{{ none|str }}{{ 1e-5|str }}"), "xNone1e-05");
    }
}
