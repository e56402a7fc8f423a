//! Templates that want all memory or all time end with an error that says which limit they met; templates that use
//! Python's methods get what Python gives.

#![cfg(all(feature = "cpu", feature = "models"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "functions of tests, which the lints do not know for such"
)]

use std::path::Path;

use ragtune_core::Error;
use ragtune_core::chat::{ChatOptions, ChatTemplate};
use ragtune_core::text::Message;
use serde_json::Value;

fn render(source: &str) -> Result<String, Error> {
    let template = ChatTemplate::new(source)?;
    let prompt = template.render(&[Message::user("Hi")], &ChatOptions::default())?;
    Ok(prompt.text().to_owned())
}

/// The limit that a template meets.
fn limit(source: &str) -> String {
    let shown: String = source.chars().take(200).collect();
    match render(source) {
        Err(Error::ChatTemplate { remedy, source, .. }) => {
            assert!(
                remedy.contains("published with the model"),
                "{shown}: {remedy}: {source}"
            );
            source.to_string()
        }
        other => panic!("{shown}: {other:?}"),
    }
}

#[test]
fn templates_that_grow_values_meet_the_budget() {
    let grow = |set: &str| {
        format!(
            "{{% set n = namespace(a='x' * 1000, l=[1, 2, 3], t='') %}}{{% for i in range(60) %}}{set}{{% endfor %}}{{{{ n.a|length }}}}"
        )
    };
    for source in [
        grow("{% set n.a = n.a + n.a %}"),
        grow("{% set n.a = n.a ~ n.a %}"),
        grow("{% set n.a = n.a * 2 %}"),
        grow("{% set n.a = [n.a, n.a]|join %}"),
        grow("{% set n.a = n.a|replace('x', 'xx') %}"),
        grow("{% set n.a = n.a.replace('x', 'xx') %}"),
        grow("{% set n.a = n.a|e|e ~ n.a %}"),
        grow("{% set n.a = '%s%s'|format(n.a, n.a) %}"),
        grow("{% set n.a = '{}{}'.format(n.a, n.a) %}"),
        grow("{% set n.a %}{{ n.a }}{{ n.a }}{% endset %}"),
        grow("{% set n.a = n.a.join(['', '', '']) %}"),
        grow("{% set n.a = n.a.ljust(1000000000000) %}"),
        grow("{% set n.l = n.l + n.l %}"),
        grow("{% set n.l = n.l * 2 %}"),
        grow("{% set n.l = n.l|chain(n.l) %}"),
        grow("{% set n.l = [n.l, n.l] %}"),
        grow("{% set n.l = {'a': n.l, 'b': n.l} %}"),
        grow("{% set n.l = dict(a=n.l, b=n.l) %}"),
        grow("{% set n.l = (n.l, n.l) %}"),
        grow("{% set n.l = [n.l, n.l] %}{% set n.t = n.l ~ '' %}"),
        "{% macro f(s, n) %}{% if n %}{{ f(s + s, n - 1) }}{% endif %}{% endmacro %}{{ f('xxxxxxxx', 60) }}".to_owned(),
        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% else %}xxxxxxxxxxxxxxxx{% endif %}{% endmacro %}\
         {{ f(60) }}".to_owned(),
    ] {
        let met = limit(&source);
        assert!(met.contains("512 MiB") || met.contains("fuel"), "{source}: {met}");
    }
}

#[test]
fn templates_that_ask_for_absurd_sizes_meet_a_limit() {
    for source in [
        "{{ 'x' * 10**9 }}",
        "{{ 1000000000 * 'x' }}",
        "{{ ([1] * 10**9)|length }}",
        "{{ (1, 2) * 10**9 }}",
        "{{ 'x'.center(10**9) }}",
        "{{ 'x'.rjust(10**9) }}",
        "{{ '1'.zfill(10**9) }}",
        "{{ '\t'.expandtabs(10**9) }}",
        "{{ 'x'|center(10**9) }}",
        "{{ 'x\ny'|indent(10**9) }}",
        "{{ 'x\ny'|indent(width=10**9) }}",
        "{{ '%1000000000d'|format(1) }}",
        "{{ '%.1000000000f'|format(1.5) }}",
        "{{ '%*d'|format(1000000000, 1) }}",
        "{{ '{:>1000000000}'.format(1) }}",
        "{{ '{:{}}'.format(1, 1000000000) }}",
        "{{ [1]|batch(10**9, 'x') }}",
        "{{ [1]|slice(10**9) }}",
        "{{ [1]|tojson(indent='x' * 1000) }}",
        "{{ [1]|tojson(separators=('x' * 1000, ':')) }}",
        "{% set n = namespace(a=0) %}{% set n.a = n %}{{ n }}",
        "{% set n = namespace(a=0) %}{% set n.a = [n] %}{{ n.a == n.a }}",
        "{% set n = namespace(a=[]) %}{% for i in range(99999) %}{% set n.a = [n.a] %}{% endfor %}",
        "{% set n = namespace(a=0) %}{% for i in range(99999) %}{% set n.a = namespace(b=n.a) %}{% endfor %}",
        "{% set n = namespace(a=[1]) %}{% for i in range(99999) %}{% set n.a = n.a|batch(1) %}{% endfor %}",
        "{% set n = namespace(a=[1]) %}{% for i in range(99999) %}{% set n.a = n.a|zip|list %}{% endfor %}",
        "{% set n = namespace(a=[1]) %}{% for i in range(99999) %}{% set n.a = (1, n.a) %}{% endfor %}",
        "{% set n = namespace(a=[1]) %}{% for i in range(99999) %}{% set n.a = 1, n.a %}{% endfor %}",
        "{% set n = namespace(a=[[1]]) %}{% for i in range(99999) %}{% set n.a = n.a|map('batch', 1) %}{% endfor %}",
        "{% set a = [1] * 5000000 %}{% for i in range(99999) %}{% if a == a + [1] %}{% endif %}{% endfor %}",
        "{% set a = 'x' * 9999999 %}{% for i in range(99999) %}{% if 'y' in a %}{% endif %}{% endfor %}",
        "{% set a = 'x' * 9999999 %}{% for i in range(99999) %}{{ a is eq 'x' }}{% endfor %}",
        "{% set a = 'x' * 9999999 %}{% for i in range(99999) %}{% if a[1:] %}{% endif %}{% endfor %}",
        "{% set a = 'x' * 9999999 %}{% for i in range(99999) %}{% if a[9999998] %}{% endif %}{% endfor %}",
        "{% set a = 'x' * 9999999 %}{% for i in range(99999) %}{% for c in a %}{% break %}{% endfor %}{% endfor %}",
        "{% set a = 'x' * 9999999 %}{% for i in range(99999) %}{{ a is upper }}{% endfor %}",
        "{% set a = [1] * 999999 %}{% for i in range(99999) %}{{ 'x'.format(*a) }}{% endfor %}",
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    ] {
        limit(source);
    }
    for source in [
        "{{ range(10**9)|list }}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}",
        "{{ debug() }}",
    ] {
        assert!(
            matches!(render(source), Err(Error::ChatTemplate { .. })),
            "{source}"
        );
    }
}

#[test]
fn raw_text_in_loops_is_paid_for() {
    let text = "word ".repeat(20_000);
    let source = format!(
        "{{% set a %}}{{% for i in range(99999) %}}{text}{{% endfor %}}{{% endset %}}{{{{ a|length }}}}"
    );
    assert!(limit(&source).contains("512 MiB"));
}

#[test]
fn lazy_views_do_not_pile_up() {
    let source = "{% set n = namespace(a=[1, 2]) %}{% for i in range(50000) %}{% set n.a = n.a[0:] %}{% endfor %}\
                  {{ n.a|length }}{{ n.a[0] }}";
    assert_eq!(render(source).unwrap(), "21");
    let source = "{% set n = namespace(x={'a': [1, 2]}) %}{% for i in range(50000) %}{% set n.x = {'a': n.x.a[0:]} %}\
                  {% endfor %}{% for i in range(50000) %}{% set n.x = namespace(a=n.x.a[0:]) %}{% endfor %}{{ n.x.a }}";
    assert_eq!(render(source).unwrap(), "[1, 2]");
    let source = "{% set n = namespace(a=[1, 2]) %}{% for i in range(50000) %}{% set n.a = n.a|reverse %}{% endfor %}\
                  {{ n.a|list }}";
    assert_eq!(render(source).unwrap(), "[1, 2]");
}

#[test]
fn expressions_as_long_as_allowed_do_not_end_the_stack() {
    let long = |part: &str| format!("{{{{ {}1 }}}}", part.repeat(450 / part.matches(' ').count()));
    assert_eq!(render(&long("1 + ")).unwrap(), "226");
    assert!(render(&long("not ")).is_ok());
    assert!(render(&long("- ")).is_ok());
    let deep = format!("{{{{ 1{} }}}}", "|int".repeat(220));
    assert_eq!(render(&deep).unwrap(), "1");
    let branches = format!(
        "{{% if false %}}{}{{% else %}}{}{{% endif %}}",
        "{% elif false %}".repeat(200),
        long("1 + ")
    );
    assert_eq!(render(&branches).unwrap(), "226");
}

#[test]
fn long_conversations_fit_the_budget() {
    // Every message is copied into one text that grows, as templates do that build their text in a namespace.
    let source = "{% set n = namespace(text='') %}{% for m in messages %}\
                  {% set n.text = n.text + '<' + m.role + '>' + m.content|trim + '\n' %}{% endfor %}{{ n.text }}";
    let content = "word ".repeat(100);
    let messages: Vec<Message> = (0..500).map(|_| Message::user(content.as_str())).collect();
    let template = ChatTemplate::new(source).unwrap();
    let prompt = template.render(&messages, &ChatOptions::default()).unwrap();
    assert_eq!(prompt.text().lines().count(), 500);
    // A document of 20 MB in one message.
    let simple = ChatTemplate::new(
        "{% for m in messages %}{{ '<' + m['role'] + '>' + m['content'] | trim }}{% endfor %}",
    );
    let document = Message::user("word ".repeat(4_000_000));
    assert!(
        simple
            .unwrap()
            .render(&[document], &ChatOptions::default())
            .is_ok()
    );
}

#[test]
fn methods_and_filters_are_those_of_jinja2() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/chat/methods.json");
    let cases: Vec<Value> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut failures = Vec::new();
    for case in &cases {
        let source = case["source"].as_str().unwrap();
        let found = render(source);
        match (case["text"].as_str(), &found) {
            (Some(expected), Ok(text)) if text == expected => {}
            (None, Err(Error::ChatTemplate { .. })) => {}
            (expected, _) => failures.push(format!("{source}\n  {expected:?}\n  {found:?}")),
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {}:\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n")
    );
}
