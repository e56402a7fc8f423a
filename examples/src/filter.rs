//! Filters on a command line: `name=value`, `name!=value`, `name^=prefix`, `name>=value`, `name<=value`, `name=a|b`.

use ragtune::{Filter, Value};

/// Parses one condition.
///
/// # Errors
/// A sentence that shows the forms.
pub fn parse(text: &str) -> Result<Filter, String> {
    let forms = "write name=value, name!=value, name=a|b, name^=prefix, name>=value or name<=value";
    let at = text
        .find('=')
        .ok_or_else(|| format!("`{text}` has no `=`: {forms}"))?;
    let (left, right) = (&text[..at], &text[at + 1..]);
    let (name, operator) = match left.chars().last() {
        Some(sign @ ('!' | '^' | '>' | '<')) => (&left[..left.len() - 1], Some(sign)),
        _ => (left, None),
    };
    let name = name.trim();
    if name.is_empty() {
        return Err(format!("`{text}` has no name before the `=`: {forms}"));
    }
    Ok(match operator {
        Some('^') => Filter::prefix(name, right.trim()),
        Some('>') => Filter::at_least(name, value(right)),
        Some('<') => Filter::at_most(name, value(right)),
        Some(_) => one_of(name, right).not(),
        None => one_of(name, right),
    })
}

/// All conditions in one; `None` without any.
pub fn all(filters: &[Filter]) -> Option<Filter> {
    match filters {
        [] => None,
        [one] => Some(one.clone()),
        many => Some(Filter::And(many.to_vec())),
    }
}

fn one_of(name: &str, values: &str) -> Filter {
    if values.contains('|') {
        Filter::any_of(name, values.split('|').map(value))
    } else {
        Filter::eq(name, value(values))
    }
}

fn value(text: &str) -> Value {
    let text = text.trim();
    match text {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => text
            .parse()
            .map(Value::Int)
            .or_else(|_| text.parse().map(Value::Float))
            .unwrap_or_else(|_| Value::Text(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        assert_eq!(parse("format=markdown"), Ok(Filter::eq("format", "markdown")));
        assert_eq!(parse("path ^= guide/"), Ok(Filter::prefix("path", "guide/")));
        assert_eq!(parse("year>=2020"), Ok(Filter::at_least("year", 2020)));
        assert_eq!(parse("price<=9.5"), Ok(Filter::at_most("price", 9.5)));
        assert_eq!(parse("draft!=true"), Ok(Filter::eq("draft", true).not()));
        assert_eq!(parse("lang=en|de"), Ok(Filter::any_of("lang", ["en", "de"])));
        assert!(parse("nothing").is_err() && parse("=x").is_err());
    }
}
