//! The Jinja of chat templates: minijinja made to behave as transformers sets up Jinja2 (5.23,
//! `utils/chat_template_utils.py`, `_compile_jinja_template`).

use std::borrow::Cow;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Rest, Value};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, State};

use super::budget::charge;
use super::date::ChatDate;
use super::{builtins, instrument, methods, python};

/// The name under which the one template is known; there is no loader, so it can include nothing else.
pub(super) const NAME: &str = "chat";
/// Steps of the template's program; a template of a real model takes some hundreds for each message.
pub(super) const FUEL: u64 = 5_000_000;

/// An environment with this one template.
pub(super) fn environment(source: &str, date: Option<ChatDate>) -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .build()?;
    environment.set_syntax(syntax);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_fuel(Some(FUEL));
    environment.set_unknown_method_callback(methods::call);
    builtins::add(&mut environment);
    environment.set_formatter(|out, state, value| {
        if value.is_undefined() {
            return Ok(());
        }
        let text = match value.as_str() {
            Some(text) => Cow::Borrowed(text),
            None => Cow::Owned(python::text(value)?),
        };
        charge(state, text.len())?;
        out.write_str(&text)
            .map_err(|_| Error::new(ErrorKind::WriteFailure, "the prompt is too long"))
    });
    environment.add_filter(
        "tojson",
        |state: &mut State, value: &Value, positional: Rest<Value>, named: Kwargs| -> Result<Value, Error> {
            let json = python::tojson(value, positional, named)?;
            charge(state, json.as_str().map_or(0, str::len)).map(|()| json)
        },
    );
    environment.add_filter(
        "string",
        |state: &mut State, value: &Value| -> Result<String, Error> {
            let text = python::text(value)?;
            charge(state, text.len()).map(|()| text)
        },
    );
    environment.add_test("iterable", |value: &Value| {
        value.as_str().is_some() || (!value.is_none() && value.try_iter().is_ok())
    });
    environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message))
    });
    if let Some(date) = date {
        environment.add_function("strftime_now", move |state: &mut State, format: &str| {
            charge(state, format.len())?;
            date.format(format).map_err(|directive| {
                let detail = format!("strftime_now: the directive {directive} is not known");
                Error::new(ErrorKind::InvalidOperation, detail)
            })
        });
    }
    environment.add_template_owned(NAME, instrument::instrument(&generation_blocks(source))?)?;
    Ok(environment)
}

/// `{% generation %}` marks what the model says, for training; its block is an ordinary scope here.
fn generation_blocks(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find("{%") {
        let (before, tag) = rest.split_at(at);
        out.push_str(before);
        let inside = &tag[2..];
        let trimmed = inside.strip_prefix(['-', '+']).unwrap_or(inside).trim_start();
        let replaced = [("endgeneration", "endwith"), ("generation", "with")]
            .into_iter()
            .find_map(|(name, block)| Some((trimmed.strip_prefix(name)?, block)))
            .filter(|(after, _)| {
                let after = after.trim_start();
                after.strip_prefix(['-', '+']).unwrap_or(after).starts_with("%}")
            });
        match replaced {
            Some((after, block)) => {
                out.push_str(&tag[..tag.len() - trimmed.len()]);
                out.push_str(block);
                rest = after;
            }
            None => {
                out.push_str("{%");
                rest = inside;
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(source: &str) -> Result<String, Error> {
        let date = ChatDate::new(2024, 7, 26).ok();
        environment(source, date)?.get_template(NAME)?.render(())
    }

    #[test]
    fn the_generation_tag_is_a_scope() {
        assert_eq!(
            generation_blocks("{%- generation -%}a{% endgeneration %}{% generations %}{%+generation%}"),
            "{%- with -%}a{% endwith %}{% generations %}{%+with%}"
        );
        assert_eq!(render("x {%- generation %} y{% endgeneration %}").unwrap(), "x y");
    }

    #[test]
    fn values_print_as_in_python() {
        let source = "{{ true }} {{ none }} {{ [1, 'a', none] }} {{ {'a': 1.0} }}{{ missing }}";
        assert_eq!(render(source).unwrap(), "True None [1, 'a', None] {'a': 1.0}");
        assert_eq!(
            render("{{ none is iterable }}{{ 'a' is iterable }}").unwrap(),
            "FalseTrue"
        );
        assert_eq!(render("{{ strftime_now('%d %b %Y') }}").unwrap(), "26 Jul 2024");
        assert_eq!(
            render("{% for i in [1, 2, 3] %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}")
                .unwrap(),
            "1"
        );
        assert_eq!(
            render("{% if true %}\n  a\n  {% endif %}\nb\n").unwrap(),
            "  a\nb"
        );
        assert_eq!(
            render("{{ ' a '.strip() + 'b c'.split(' ')[-1] }}").unwrap(),
            "ac"
        );
    }

    #[test]
    fn nothing_outside_is_reached_and_nothing_runs_for_ever() {
        for source in [
            "{% include '/etc/passwd' %}",
            "{% include 'chat' %}",
            "{% extends 'other' %}",
            "{% import 'os' as os %}{{ os }}",
            "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
            "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
            "{{ ''.__class__.__mro__ }}",
            "{{ 'a' * 9999999999 }}",
            "{{ raise_exception('no') }}",
            "{% for %}",
        ] {
            assert!(render(source).is_err(), "{source}");
        }
    }
}
