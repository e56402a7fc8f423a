//! A template's text with its expensive places made to pay.
//!
//! The operators of minijinja cannot be intercepted, so the places where values grow or are walked through as a whole
//! get a filter that pays for them ([`super::budget`]) and gives the value back: operands of `+`, `~`, comparisons and
//! `in`, items of literal lists and maps, and what `set` assigns. A filter binds tighter than any operator, so nothing
//! needs to be known of precedences. `a * b` becomes `(a)|__times(b)`, which looks before it repeats. Long raw texts,
//! which a macro can print in a loop, get `{{ __text(bytes) }}` between two of their words. Line breaks stay where they
//! are, so errors name the right line.

use minijinja::{Error, ErrorKind};

use super::tokens::{Kind, Tag, Token, next_tag, raw_end, tokens};

/// The filter that pays for a value and all inside it, as often as its argument says; a lazy sequence becomes a list.
pub(super) const DEEP: &str = "__deep";
/// The filter that pays for a value without what is inside its items.
pub(super) const SHALLOW: &str = "__shallow";
/// The filter of an assignment: as [`SHALLOW`], and a lazy sequence becomes a list.
pub(super) const KEEP: &str = "__keep";
/// The filter that pays for an index or a slice of a text or a lazy sequence, and [`SLICE`] of anything.
pub(super) const INDEX: &str = "__index";
/// The filter that pays for a slice.
pub(super) const SLICE: &str = "__slice";
/// The filter that pays for the characters of a text in a loop.
pub(super) const EACH: &str = "__each";
/// The filter that is the operator `*`.
pub(super) const TIMES: &str = "__times";
/// The function that pays for raw text.
pub(super) const TEXT: &str = "__text";

/// Operators, names and brackets of one expression at most; the parser's stack grows with them.
const MAX_CHAIN: usize = 500;
/// `elif` of one template at most, for the same reason.
const MAX_ELIF: usize = 200;
/// Operators of a chain that pay together for the copies that each makes: copying is cheap beside all else.
const COPIES: usize = 8;
/// Raw text that is printed without paying.
const FREE_TEXT: usize = 256;

/// The text with paying places.
///
/// # Errors
/// An expression that is too long for the parser's stack, with its line.
pub(super) fn instrument(source: &str) -> Result<String, Error> {
    let mut out = String::with_capacity(source.len() * 2);
    let mut rest = source;
    let mut elifs = 0;
    while let Some((at, kind)) = next_tag(rest) {
        let (raw, tag) = rest.split_at(at);
        text(&mut out, raw)?;
        match kind {
            Tag::Comment => {
                let end = tag[2..].find("#}").map_or(tag.len(), |end| end + 4);
                out.push_str(&tag[..end]);
                rest = &tag[end..];
            }
            Tag::Raw => {
                let end = raw_end(tag);
                if end > FREE_TEXT {
                    return Err(too_long("a block of raw text", FREE_TEXT, "bytes"));
                }
                out.push_str(&tag[..end]);
                rest = &tag[end..];
            }
            Tag::Variable | Tag::Block => {
                let (tokens, end) = tokens(tag, kind);
                if tokens[signs(&tokens)..]
                    .first()
                    .is_some_and(|token| token.text == "elif")
                {
                    elifs += 1;
                    if elifs > MAX_ELIF {
                        return Err(too_long("an `if`", MAX_ELIF, "branches"));
                    }
                }
                check_chain(&tokens)?;
                out.push_str(&tag[..2]);
                statement(&mut out, &tokens, kind);
                out.push_str(end);
                rest = &tag[offset(tag, end) + end.len()..];
            }
        }
    }
    text(&mut out, rest)?;
    Ok(out)
}

/// Raw text; a long one pays between two characters that no trimming reaches.
fn text(out: &mut String, raw: &str) -> Result<(), Error> {
    if raw.len() <= FREE_TEXT {
        out.push_str(raw);
        return Ok(());
    }
    let last = raw.trim_end().len();
    let mut places = raw.char_indices().zip(raw.chars().skip(1));
    let place = places.find_map(|((at, c), next)| {
        let after = at + c.len_utf8();
        let free = !c.is_whitespace() && c != '{' && next != '}' && after < last;
        free.then_some(after)
    });
    match place {
        Some(place) => {
            out.push_str(&raw[..place]);
            out.push_str(&format!("{{{{ {TEXT}({}) }}}}", raw.len()));
            out.push_str(&raw[place..]);
            Ok(())
        }
        None => Err(too_long("white space between two tags", FREE_TEXT, "bytes")),
    }
}

/// Refuses an expression whose parts follow each other without end: the parser calls itself for each.
fn check_chain(tokens: &[Token]) -> Result<(), Error> {
    let mut chains = vec![0_usize];
    for token in tokens {
        let Some(chain) = chains.last_mut() else {
            return Ok(());
        };
        match token.text {
            "," | ":" | "=" => *chain = 0,
            text => {
                *chain += 1;
                if *chain > MAX_CHAIN {
                    return Err(too_long("an expression", MAX_CHAIN, "parts"));
                }
                match text {
                    "(" | "[" | "{" => chains.push(0),
                    ")" | "]" | "}" if chains.len() > 1 => {
                        chains.pop();
                    }
                    _ => {}
                }
            }
        }
    }
    Ok(())
}

/// The inside of a tag.
fn statement(out: &mut String, tokens: &[Token], kind: Tag) {
    let signs = signs(tokens);
    let name = tokens.get(signs).map(|token| token.text);
    // What stands before the expression: targets of an assignment or a loop are no operands.
    let head = match (kind, name) {
        (Tag::Block, Some("set")) => until(tokens, "=").map_or(tokens.len(), |at| at + 1),
        (Tag::Block, Some("for")) => until(tokens, "in").map_or(tokens.len(), |at| at + 1),
        // The names that a `call` block takes.
        (Tag::Block, Some("call")) if tokens.get(signs + 1).is_some_and(|token| token.text == "(") => tokens
            .iter()
            .position(|token| token.text == ")")
            .map_or(tokens.len(), |at| at + 1),
        (Tag::Block, _) => (signs + 1).min(tokens.len()),
        _ => signs,
    };
    for token in &tokens[..head] {
        push(out, token);
    }
    let body = &tokens[head..];
    if name == Some("for") && kind == Tag::Block {
        let end = ["if", "recursive"]
            .into_iter()
            .filter_map(|word| until(body, word))
            .min();
        let (looped, rest) = body.split_at(end.unwrap_or(body.len()));
        out.push_str(" (");
        expressions(out, looped);
        out.push_str(")|");
        out.push_str(EACH);
        expressions(out, rest);
    } else if name == Some("set")
        && kind == Tag::Block
        && body.iter().any(|token| token.kind != Kind::Literal)
    {
        out.push_str(" (");
        expressions(out, body);
        out.push(')');
        // Items of a tuple without parentheses.
        if until(body, ",").is_some() {
            out.push_str(&format!("|{DEEP}(1)"));
        }
        out.push('|');
        out.push_str(KEEP);
    } else {
        expressions(out, body);
    }
}

/// How many of the tokens control white space.
fn signs(tokens: &[Token]) -> usize {
    tokens
        .first()
        .is_some_and(|token| matches!(token.text, "-" | "+"))
        .into()
}

/// Where a token stands outside of brackets.
fn until(tokens: &[Token], text: &str) -> Option<usize> {
    let mut open = 0_i64;
    tokens.iter().position(|token| {
        open += i64::from(matches!(token.text, "(" | "[" | "{"))
            - i64::from(matches!(token.text, ")" | "]" | "}"));
        open == 0 && token.text == text
    })
}

/// What a bracket is, or what surrounds them all.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bracket {
    None,
    Call,
    /// A literal list, map or tuple, an index, or an expression in parentheses.
    Items,
}

/// A level of brackets while expressions are written.
struct Level {
    bracket: Bracket,
    /// Where the operands of `*` and its like begin in the output.
    product: usize,
    /// Where the operand begins, without the signs before it.
    operand: usize,
    /// A `|__times(` is open.
    times: bool,
    /// The operand stands behind an operator that pays; whether with all inside it.
    pays: Option<bool>,
}

fn expressions(out: &mut String, tokens: &[Token]) {
    let growing = |token: &&Token| matches!(token.text, "+" | "~");
    let times = tokens.iter().filter(growing).count().div_ceil(COPIES).max(1);
    let level = |bracket, product| Level {
        bracket,
        product,
        operand: product,
        times: false,
        pays: None,
    };
    let mut levels = vec![level(Bracket::None, out.len())];
    for (at, token) in tokens.iter().enumerate() {
        let before = at.checked_sub(1).map(|at| &tokens[at]);
        let binary = before.is_some_and(|before| ends_operand(tokens, at - 1, before));
        let role = role(tokens, at, binary);
        if let Some(top) = levels.last_mut() {
            // The right side of `*` ends before anything that does not belong to an operand; the product pays as one.
            if top.times
                && matches!(
                    role,
                    Role::Close | Role::Pays(_) | Role::Product | Role::Separator
                )
            {
                out.push(')');
                top.times = false;
                let item = top.bracket == Bracket::Items && matches!(token.text, "," | ":" | "]" | "}" | ")");
                let pays = match role {
                    Role::Product => None,
                    Role::Pays(deep) => Some(deep || top.pays == Some(true)),
                    _ if item => Some(true),
                    _ => top.pays,
                };
                if let Some(deep) = pays {
                    pay(out, deep, times);
                }
            }
            match role {
                Role::Product if token.text == "*" => {
                    let left = out.split_off(top.product);
                    out.push_str(" (");
                    out.push_str(&left);
                    out.push_str(")|");
                    out.push_str(TIMES);
                    out.push_str(token.space);
                    out.push('(');
                    top.times = true;
                    continue;
                }
                // What is taken apart or indexed.
                Role::Open if binary && token.text == "[" => {
                    if let Some(name) = taken(&tokens[at..]) {
                        let left = out.split_off(top.operand);
                        out.push_str(&format!("({left}|{name})"));
                    }
                }
                Role::Open | Role::Other if begins(tokens, at, binary) => top.operand = out.len(),
                Role::Pays(deep) => top.pays = Some(deep),
                // `*` and `**` before an argument.
                Role::Other if !binary && matches!(token.text, "*" | "**") => top.pays = Some(false),
                Role::Separator => top.pays = None,
                _ => {}
            }
        }
        if role == Role::Close && levels.len() > 1 {
            levels.pop();
        }
        push(out, token);
        match role {
            Role::Open => {
                let call = token.text == "(" && binary;
                let bracket = if call { Bracket::Call } else { Bracket::Items };
                levels.push(level(bracket, out.len()));
            }
            Role::Pays(_) | Role::Separator => {
                if let Some(top) = levels.last_mut() {
                    top.product = out.len();
                }
            }
            _ => {}
        }
        let Some(top) = levels.last_mut() else { continue };
        if let Some(deep) = payment(tokens, at, top) {
            pay(out, deep, times);
            top.pays = None;
        }
    }
    if let Some(top) = levels.last()
        && top.times
    {
        out.push(')');
        if let Some(deep) = top.pays {
            pay(out, deep, times);
        }
    }
}

fn pay(out: &mut String, deep: bool, times: usize) {
    let name = if deep { DEEP } else { SHALLOW };
    out.push_str(&format!("|{name}({times})"));
}

/// Whether an operand begins with this token.
fn begins(tokens: &[Token], at: usize, binary: bool) -> bool {
    let token = &tokens[at];
    let before = at.checked_sub(1).map_or("", |at| tokens[at].text);
    match token.kind {
        Kind::Sign => !binary && matches!(token.text, "(" | "[" | "{"),
        Kind::Literal => before != ".",
        Kind::Name => !matches!(before, "." | "|") && !is_keyword(token.text),
    }
}

/// What pays for the value before an index or a slice; nothing where the index is the name of a field.
fn taken(tokens: &[Token]) -> Option<&'static str> {
    let mut open = 0_i64;
    for token in tokens {
        open += i64::from(matches!(token.text, "(" | "[" | "{"))
            - i64::from(matches!(token.text, ")" | "]" | "}"));
        match token.text {
            ":" if open == 1 => return Some(SLICE),
            _ if open == 0 => break,
            _ => {}
        }
    }
    match tokens {
        [_, name, close, ..] if name.text.starts_with(['\'', '"']) && close.text == "]" => None,
        _ => Some(INDEX),
    }
}

/// Whether this token ends an operand that pays, and whether with all inside it.
fn payment(tokens: &[Token], at: usize, level: &Level) -> Option<bool> {
    let token = &tokens[at];
    // The operands of `*` are paid for by what stands in its place, and then the product as a whole.
    if level.times || !ends_operand(tokens, at, token) {
        return None;
    }
    let next = tokens.get(at + 1);
    if let Some(next) = next {
        let continues = matches!(next.text, "." | "(" | "[" | "|" | "is" | "{") && next.kind != Kind::Literal
            || next.kind == Kind::Literal
            || (next.kind == Kind::Name && !is_keyword(next.text));
        // A test binds as tightly as a filter: the operand pays before it.
        if continues && !(next.text == "is" && level.pays.is_some()) {
            return None;
        }
    }
    let lone = token.kind == Kind::Literal
        && !at
            .checked_sub(1)
            .is_some_and(|at| matches!(tokens[at].text, "." | "is" | "|"));
    if lone || matches!(token.text, "true" | "false" | "none" | "True" | "False" | "None") {
        return None;
    }
    let next_pays = match next.map(|_| role(tokens, at + 1, true)) {
        Some(Role::Product) => return None,
        Some(Role::Pays(deep)) => Some(deep),
        _ => None,
    };
    let item = level.bracket == Bracket::Items
        && next.is_some_and(|next| matches!(next.text, "," | ":" | "]" | "}" | ")"));
    match (level.pays, next_pays) {
        (None, None) => item.then_some(true),
        (left, right) => Some(left == Some(true) || right == Some(true) || item),
    }
}

/// What a token does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Open,
    Close,
    /// An operator whose operands pay; whether with all inside them.
    Pays(bool),
    /// `*`, `/`, `//` and `%`, which bind alike.
    Product,
    Separator,
    Other,
}

/// `binary`: an operand stands before the token.
fn role(tokens: &[Token], at: usize, binary: bool) -> Role {
    let token = &tokens[at];
    let before = at.checked_sub(1).map_or("", |at| tokens[at].text);
    match (token.kind, token.text) {
        (Kind::Literal, _) => Role::Other,
        (Kind::Name, _) if matches!(before, "." | "|") => Role::Other,
        (_, "(" | "[" | "{") => Role::Open,
        (_, ")" | "]" | "}") => Role::Close,
        (_, "+") if binary => Role::Pays(false),
        (_, "~" | "==" | "!=" | "<" | ">" | "<=" | ">=" | "in") => Role::Pays(true),
        // Part of `is not`.
        (_, "not") if before == "is" => Role::Other,
        (_, "not") if binary && tokens.get(at + 1).is_some_and(|next| next.text == "in") => Role::Pays(true),
        (_, "-") if binary => Role::Separator,
        (_, "*" | "/" | "//" | "%") if binary => Role::Product,
        (_, "," | ":" | "=" | "and" | "or" | "not" | "if" | "else" | "recursive" | "as") => Role::Separator,
        _ => Role::Other,
    }
}

fn is_keyword(name: &str) -> bool {
    matches!(
        name,
        "and" | "or" | "not" | "in" | "is" | "if" | "else" | "recursive" | "as"
    )
}

fn ends_operand(tokens: &[Token], at: usize, token: &Token) -> bool {
    match token.kind {
        Kind::Literal => true,
        Kind::Sign => matches!(token.text, ")" | "]" | "}"),
        Kind::Name => {
            let named = at
                .checked_sub(1)
                .is_some_and(|at| matches!(tokens[at].text, "." | "|"));
            named || !is_keyword(token.text)
        }
    }
}

fn push(out: &mut String, token: &Token) {
    out.push_str(token.space);
    out.push_str(token.text);
}

/// Where a part of a text begins in it.
fn offset(text: &str, part: &str) -> usize {
    (part.as_ptr() as usize)
        .wrapping_sub(text.as_ptr() as usize)
        .min(text.len())
}

fn too_long(what: &str, most: usize, unit: &str) -> Error {
    let detail = format!("{what} of the template has more than {most} {unit}");
    Error::new(ErrorKind::OutOfFuel, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expensive_places_pay() {
        for (source, expected) in [
            ("{{ a }} {{- a.b['c'] -}}", "{{ a }} {{- a.b['c'] -}}"),
            ("{{ a + b.c(d) }}", "{{ a|__shallow(1) + b.c(d)|__shallow(1) }}"),
            (
                "{{ a ~ 'x' + b|trim }}",
                "{{ a|__deep(1) ~ 'x' + b|trim|__shallow(1) }}",
            ),
            (
                "{{ -a + 1 if b == c else d }}",
                "{{ -a|__shallow(1) + 1 if b|__deep(1) == c|__deep(1) else d }}",
            ),
            (
                "{{ a - b * c|f ~ 'x' }}",
                "{{ a - ( b)|__times ( c|f)|__deep(1) ~ 'x' }}",
            ),
            (
                "{{ a ~ b * c }}",
                "{{ a|__deep(1) ~ ( b)|__times ( c)|__deep(1) }}",
            ),
            ("{{ [a * b] }}", "{{ [ (a)|__times ( b)|__deep(1)] }}"),
            ("{{ a / b * c }}", "{{ ( a / b)|__times ( c) }}"),
            ("{{ f(*a, **b) }}", "{{ f(*a|__shallow(1), **b|__shallow(1)) }}"),
            (
                "{% set x = -a.b[1:] %}",
                "{% set x = ( -(a.b|__slice)[1:])|__keep %}",
            ),
            (
                "{{ a[f[0]]['b'] }}",
                "{{( a|__index)[(f|__index)[0]|__deep(1)]['b'] }}",
            ),
            (
                "{{ a + b[1:][c] }}",
                "{{ a|__shallow(1) +(( b|__slice)[1:]|__index)[c|__deep(1)]|__shallow(1) }}",
            ),
            ("{% set x = a, b %}", "{% set x = ( a, b)|__deep(1)|__keep %}"),
            ("{{ (a, f(b, c=d)) }}", "{{ (a|__deep(1), f(b, c=d)|__deep(1)) }}"),
            ("{%- set a.b = 'c' -%}", "{%- set a.b = 'c' -%}"),
            ("{% set x %}y{% endset %}", "{% set x %}y{% endset %}"),
            (
                "{% for a, b in c + d if a in b %}",
                "{% for a, b in ( c|__shallow(1) + d|__shallow(1))|__each if a|__deep(1) in b|__deep(1) %}",
            ),
            (
                "{% if a is not b and c not in d %}",
                "{% if a is not b and c|__deep(1) not in d|__deep(1) %}",
            ),
            ("{{ [a, 'b', c.d] }}", "{{ [a|__deep(1), 'b', c.d|__deep(1)] }}"),
            ("{{ {'a': b}['a'] }}", "{{ {'a': b|__deep(1)}['a'] }}"),
            (
                "{# a + b #}{% raw %}{{ a + b }}{% endraw %}",
                "{# a + b #}{% raw %}{{ a + b }}{% endraw %}",
            ),
            ("{{ 'a}}' + b }}", "{{ 'a}}' + b|__shallow(1) }}"),
        ] {
            assert_eq!(instrument(source).unwrap(), expected, "{source}");
        }
    }

    #[test]
    fn long_texts_pay_between_words() {
        let long = format!("{{% if a -%}}\n  x{}y \n{{%- endif %}}", "é".repeat(200));
        let paid = long.replacen("  x", "  x{{ __text(407) }}", 1);
        assert_eq!(instrument(&long).unwrap(), paid);
        assert!(instrument(&" ".repeat(300)).is_err());
    }

    #[test]
    fn expressions_without_end_are_refused() {
        for part in ["1+", "-", "not ", "a.", "a[0].", "a|f|", "a is b or "] {
            let source = format!("{{{{ {}1 }}}}", part.repeat(100_000));
            assert!(instrument(&source).is_err(), "{part}");
        }
        let branches = format!("{{% if a %}}{}{{% endif %}}", "{% elif a %}".repeat(100_000));
        assert!(instrument(&branches).is_err());
    }
}
