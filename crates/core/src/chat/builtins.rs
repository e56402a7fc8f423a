//! The filters, tests and functions of minijinja, made to pay for what they handle ([`super::budget`]).
//!
//! A filter pays before it runs: for its arguments as a whole where it walks through them, for the number of items where
//! it only lists them, and for the text that it will write where it repeats something.

use minijinja::value::{Kwargs, Rest, Tuple, Value, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State, filters, functions, tests};

use super::budget::{VALUE_BYTES, charge, charge_deep, charge_shallow, shallow};
use super::instrument::{DEEP, EACH, INDEX, KEEP, SHALLOW, SLICE, TEXT, TIMES};
use super::methods;

/// A width or precision of a format at most.
const MAX_WIDTH: usize = 10_000;

/// Replaces what grows or walks.
pub(super) fn add(environment: &mut Environment) {
    macro_rules! paying {
        ($pay:ident: $($name:literal => $native:expr),* $(,)?) => {
            $({
                let native = Value::from_function($native);
                environment.add_filter(
                    $name,
                    move |state: &mut State, arguments: Rest<ValueOrKwargs>| -> Result<Value, Error> {
                        let arguments = arguments.into_values();
                        $pay(state, &arguments)?;
                        native.call(state, &arguments)
                    },
                );
            })*
        };
    }
    paying!(whole:
        "escape" => filters::escape, "e" => filters::escape, "forceescape" => filters::escape,
        "lower" => filters::lower, "upper" => filters::upper, "title" => filters::title,
        "capitalize" => filters::capitalize, "trim" => filters::trim, "dictsort" => filters::dictsort,
        "min" => filters::min, "max" => filters::max, "sort" => filters::sort, "groupby" => filters::groupby,
        "safe" => filters::safe, "int" => filters::int, "float" => filters::float, "round" => filters::round,
        "unique" => filters::unique, "zip" => filters::zip, "pprint" => filters::pprint,
    );
    paying!(items:
        "items" => filters::items,
        "reverse" => filters::reverse, "split" => filters::split, "lines" => filters::lines,
        "last" => filters::last, "list" => filters::list, "select" => filters::select,
        "reject" => filters::reject, "selectattr" => filters::selectattr, "rejectattr" => filters::rejectattr,
        "map" => filters::map, "chain" => filters::chain,
    );
    paying!(counted: "length" => filters::length, "count" => filters::length);
    paying!(replaced: "replace" => filters::replace);
    paying!(joined: "join" => filters::join);
    paying!(indented: "indent" => filters::indent);
    paying!(formatted: "format" => filters::format);
    paying!(grouped: "batch" => filters::batch, "slice" => filters::slice);
    paying!(added: "sum" => filters::sum);

    macro_rules! comparing {
        ($($name:literal => $native:expr),* $(,)?) => {
            $({
                let native = Value::from_function($native);
                environment.add_test($name, move |state: &mut State, arguments: Rest<ValueOrKwargs>| -> Result<bool, Error> {
                    let arguments = arguments.into_values();
                    whole(state, &arguments)?;
                    native.call(state, &arguments).map(|found| found.is_true())
                });
            })*
        };
    }
    comparing!(
        "eq" => tests::is_eq, "equalto" => tests::is_eq, "==" => tests::is_eq, "ne" => tests::is_ne,
        "!=" => tests::is_ne, "lt" => tests::is_lt, "lessthan" => tests::is_lt, "<" => tests::is_lt,
        "le" => tests::is_le, "<=" => tests::is_le, "gt" => tests::is_gt, "greaterthan" => tests::is_gt,
        ">" => tests::is_gt, "ge" => tests::is_ge, ">=" => tests::is_ge, "in" => tests::is_in, "lower" => tests::is_lower, "upper" => tests::is_upper,
        "startingwith" => tests::is_startingwith, "endingwith" => tests::is_endingwith, "sameas" => tests::is_sameas,
    );

    for (name, native) in [
        ("dict", Value::from_function(functions::dict)),
        ("namespace", Value::from_function(functions::namespace)),
    ] {
        environment.add_function(
            name,
            move |state: &mut State, arguments: Rest<ValueOrKwargs>| -> Result<Value, Error> {
                let arguments = arguments.into_values();
                whole(state, &arguments)?;
                let arguments: Result<Vec<Value>, Error> = arguments
                    .into_iter()
                    .map(|argument| listed_inside(state, argument))
                    .collect();
                native.call(state, &arguments?)
            },
        );
    }
    // It prints all that there is, and Jinja2 has it as an extension only.
    environment.remove_global("debug");

    environment.add_filter(DEEP, |state: &mut State, value: Value, times: usize| {
        charge_deep(state, &value, times)?;
        listed(state, value)
    });
    environment.add_filter(SHALLOW, |state: &mut State, value: Value, times: usize| {
        charge_shallow(state, &value, times).map(|()| value)
    });
    environment.add_filter(INDEX, |state: &mut State, value: Value| -> Result<Value, Error> {
        if value.as_str().is_some() || value.kind() == ValueKind::Iterable {
            charge_shallow(state, &value, 1)?;
        }
        Ok(value)
    });
    environment.add_filter(SLICE, |state: &mut State, value: Value| {
        charge_shallow(state, &value, 1).map(|()| value)
    });
    environment.add_filter(EACH, |state: &mut State, value: Value| -> Result<Value, Error> {
        if value.as_str().is_some() {
            charge_shallow(state, &value, VALUE_BYTES)?;
        }
        Ok(value)
    });
    environment.add_filter(KEEP, keep);
    environment.add_filter(TIMES, times);
    environment.add_function(TEXT, |state: &mut State, bytes: usize| {
        charge(state, bytes).map(|()| Value::UNDEFINED)
    });
    environment.add_filter(
        "center",
        |state: &mut State, value: Value, width: Option<usize>| {
            let text = super::python::text(&value)?;
            methods::center_filter(state, &text, width.unwrap_or(80))
        },
    );
    environment.add_filter("truncate", methods::truncate);
    environment.add_filter(
        "wordcount",
        |state: &mut State, value: Value| -> Result<usize, Error> {
            let text = super::python::text(&value)?;
            charge(state, text.len())?;
            let word = |c: char| c == '_' || c.is_alphanumeric();
            Ok(text.split(|c| !word(c)).filter(|part| !part.is_empty()).count())
        },
    );
}

/// An assignment; what is computed anew at each use becomes a list, so that lazy views do not pile up.
fn keep(state: &mut State, value: Value) -> Result<Value, Error> {
    charge_shallow(state, &value, 1)?;
    listed(state, value)
}

/// A lazy sequence as a list.
fn listed(state: &mut State, value: Value) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::Iterable if !value.is_tuple() => {
            let items: Vec<Value> = value.try_iter()?.collect();
            charge(state, items.len().saturating_mul(VALUE_BYTES))?;
            Ok(Value::from(items))
        }
        _ => Ok(value),
    }
}

/// Named arguments whose lazy sequences are lists.
fn listed_inside(state: &mut State, argument: Value) -> Result<Value, Error> {
    if !argument.is_kwargs() {
        return Ok(argument);
    }
    let named: Kwargs = argument.try_into()?;
    let names: Vec<String> = named.args().map(str::to_owned).collect();
    let values: Result<Vec<(String, Value)>, Error> = names
        .into_iter()
        .map(|name| {
            let value = listed(state, named.get(&name)?)?;
            Ok((name, value))
        })
        .collect();
    Ok(Kwargs::from_iter(values?).into())
}

/// The operator `*`: of numbers, or a text or list repeated, as in Python.
fn times(state: &mut State, left: Value, right: Value) -> Result<Value, Error> {
    let repeats = |value: &Value| {
        let list = matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable);
        value.as_str().is_some() || list
    };
    let (value, count) = match (repeats(&left), repeats(&right)) {
        (true, false) => (&left, &right),
        (false, true) => (&right, &left),
        _ => return product(&left, &right),
    };
    let whole = matches!(count.kind(), ValueKind::Number | ValueKind::Bool);
    let count = i128::try_from(count.clone())
        .ok()
        .filter(|_| whole)
        .ok_or_else(|| {
            let detail = format!("a {} is repeated a whole number of times", value.kind());
            Error::new(ErrorKind::InvalidOperation, detail)
        })?;
    let count = usize::try_from(count.max(0)).unwrap_or(usize::MAX);
    charge(state, shallow(value).saturating_mul(count))?;
    if let Some(text) = value.as_str() {
        return Ok(Value::from(text.repeat(if text.is_empty() { 0 } else { count })));
    }
    let items: Vec<Value> = value.try_iter()?.collect();
    let count = if items.is_empty() { 0 } else { count };
    charge(
        state,
        items.len().saturating_mul(count).saturating_mul(VALUE_BYTES),
    )?;
    let repeated: Vec<Value> = std::iter::repeat_n(&items, count).flatten().cloned().collect();
    Ok(match value.is_tuple() {
        true => Value::from(Tuple::from(repeated)),
        false => Value::from(repeated),
    })
}

fn product(left: &Value, right: &Value) -> Result<Value, Error> {
    let number = |value: &Value| matches!(value.kind(), ValueKind::Number | ValueKind::Bool);
    let failed = || {
        let detail = format!("{} and {} cannot be multiplied", left.kind(), right.kind());
        Error::new(ErrorKind::InvalidOperation, detail)
    };
    if !number(left) || !number(right) {
        return Err(failed());
    }
    let whole = |value: &Value| value.kind() == ValueKind::Bool || value.is_integer();
    if whole(left) && whole(right) {
        let product = i128::try_from(left.clone())?.checked_mul(i128::try_from(right.clone())?);
        let product = product.ok_or_else(failed)?;
        return Ok(i64::try_from(product).map_or_else(|_| Value::from(product), Value::from));
    }
    Ok(Value::from(
        f64::try_from(left.clone())? * f64::try_from(right.clone())?,
    ))
}

fn whole(state: &mut State, arguments: &[Value]) -> Result<(), Error> {
    arguments
        .iter()
        .try_for_each(|value| charge_deep(state, value, 1))
}

/// The items of the first argument; a text has its characters.
fn items(state: &mut State, arguments: &[Value]) -> Result<(), Error> {
    let Some((first, rest)) = arguments.split_first() else {
        return Ok(());
    };
    let characters = if first.as_str().is_some() { VALUE_BYTES } else { 1 };
    charge_shallow(state, first, characters)?;
    rest.iter().try_for_each(|value| charge_shallow(state, value, 1))
}

/// The characters of a text are counted; a list knows how many items it has.
fn counted(state: &mut State, arguments: &[Value]) -> Result<(), Error> {
    let text = arguments.first().and_then(Value::as_str);
    charge(state, text.map_or(0, str::len))
}

fn replaced(state: &mut State, arguments: &[Value]) -> Result<(), Error> {
    whole(state, arguments)?;
    if let [text, from, to, ..] = arguments {
        let (text, from, to) = (
            super::python::text(text)?,
            super::python::text(from)?,
            super::python::text(to)?,
        );
        charge_replaced(state, &text, &from, &to)?;
    }
    Ok(())
}

/// Pays for the text that a replacement makes.
pub(super) fn charge_replaced(state: &mut State, text: &str, from: &str, to: &str) -> Result<(), Error> {
    let count = match from {
        "" => text.chars().count() + 1,
        from => text.matches(from).count(),
    };
    charge(state, text.len().saturating_add(count.saturating_mul(to.len())))
}

fn joined(state: &mut State, arguments: &[Value]) -> Result<(), Error> {
    whole(state, arguments)?;
    let between = arguments.get(1).and_then(Value::as_str).map_or(0, str::len);
    let count = arguments.first().and_then(Value::len).unwrap_or(0);
    charge(state, between.saturating_mul(count))
}

fn indented(state: &mut State, arguments: &[Value]) -> Result<(), Error> {
    whole(state, arguments)?;
    let text = arguments.first().and_then(Value::as_str).unwrap_or_default();
    let width = argument(arguments, 1, "width").and_then(|width| width.as_usize());
    charge(
        state,
        text.lines()
            .count()
            .saturating_add(1)
            .saturating_mul(width.unwrap_or(4)),
    )
}

fn grouped(state: &mut State, arguments: &[Value]) -> Result<(), Error> {
    whole(state, arguments)?;
    let count = arguments.get(1).and_then(Value::as_usize).unwrap_or(0);
    charge(state, count.saturating_mul(VALUE_BYTES))
}

/// Lists are added up by copying what there is.
fn added(state: &mut State, arguments: &[Value]) -> Result<(), Error> {
    whole(state, arguments)?;
    let start = argument(arguments, 2, "start");
    match (arguments.first(), start) {
        (Some(values), Some(start)) if start.kind() != ValueKind::Number => {
            let count = values.len().unwrap_or(0);
            charge_deep(state, values, count)
        }
        _ => Ok(()),
    }
}

fn formatted(state: &mut State, arguments: &[Value]) -> Result<(), Error> {
    let (format, values) = match arguments.split_first() {
        Some((format, values)) => (format.as_str().unwrap_or_default(), values),
        None => return Ok(()),
    };
    charge_formatted(state, format, '%', values)
}

/// Pays for the text that a format makes: widths that are written in it, and each value in each of its fields.
pub(super) fn charge_formatted(
    state: &mut State,
    format: &str,
    sign: char,
    values: &[Value],
) -> Result<(), Error> {
    let fields = format.matches(sign).count();
    let mut widths = format.len();
    for digits in format
        .split(|c: char| !c.is_ascii_digit())
        .filter(|digits| !digits.is_empty())
    {
        match digits.parse::<usize>() {
            Ok(width) if width <= MAX_WIDTH => widths += width,
            _ => return Err(too_wide()),
        }
    }
    // A width that is itself an argument.
    let variable = format.contains('*') || format.contains(":{") || format.contains(".{");
    let wide = |value: &Value| value.is_integer() && value.as_usize().is_none_or(|width| width > MAX_WIDTH);
    if variable && values.iter().any(wide) {
        return Err(too_wide());
    }
    if variable {
        widths = widths.saturating_add(fields.saturating_mul(MAX_WIDTH));
    }
    charge(state, widths)?;
    values
        .iter()
        .try_for_each(|value| charge_deep(state, value, fields))
}

fn too_wide() -> Error {
    let detail = format!("a format of the template has a width of more than {MAX_WIDTH} characters");
    Error::new(ErrorKind::OutOfFuel, detail)
}

/// An argument by its place or its name.
pub(super) fn argument(arguments: &[Value], at: usize, name: &str) -> Option<Value> {
    let named = || {
        let named: Kwargs = arguments.last()?.clone().try_into().ok()?;
        named.get::<Option<Value>>(name).ok().flatten()
    };
    match arguments.get(at) {
        Some(value) if !value.is_kwargs() => Some(value.clone()),
        _ => named(),
    }
}
