//! How sacreBLEU 2.5 cuts a segment into tokens.

use serde::Serialize;

use crate::metrics::characters::{is_punctuation, is_space, is_symbol, words};

/// How a segment is cut into tokens. F1Scores of different tokenizers cannot be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub enum Tokenizer {
    /// sacreBLEU's default: that of `mteval-v13a.pl`, for languages written with spaces.
    #[default]
    V13a,
    /// `intl`: that of `mteval-v14.pl`, which cuts at the punctuation and symbols of every language.
    International,
    /// `char`: every character is a token.
    Characters,
    /// `none`: the text is in tokens already, with spaces between.
    None,
}

impl Tokenizer {
    /// The tokens of a segment.
    ///
    /// ```
    /// use ragtune_train::metrics::bleu::Tokenizer;
    ///
    /// assert_eq!(Tokenizer::V13a.tokens("It cost 1,000 dollars."), ["It", "cost", "1,000", "dollars", "."]);
    /// ```
    pub fn tokens(self, segment: &str) -> Vec<String> {
        let segment = segment.trim_end_matches(is_space);
        let line = match self {
            Self::V13a => v13a(segment),
            Self::International => international(segment),
            Self::Characters => {
                return segment
                    .chars()
                    .filter(|c| !is_space(*c))
                    .map(String::from)
                    .collect();
            }
            Self::None => segment.to_owned(),
        };
        words(&line).map(str::to_owned).collect()
    }
}

fn v13a(segment: &str) -> String {
    let mut line = segment
        .replace("<skipped>", "")
        .replace("-\n", "")
        .replace('\n', " ");
    if line.contains('&') {
        line = line
            .replace("&quot;", "\"")
            .replace("&amp;", "&")
            .replace("&lt;", "<")
            .replace("&gt;", ">");
    }
    let spaced = spaces_around(
        &format!(" {line} "),
        |c| matches!(c, '{'..='~' | '['..='`' | ' '..='&' | '('..='+' | ':'..='@' | '/'),
    );
    let mark = |c: char| matches!(c, '.' | ',');
    let digit = |c: char| c.is_ascii_digit();
    let line = pairs(&spaced, |c| !digit(c), mark, |a, b| format!("{a} {b} "));
    let line = pairs(&line, mark, |c| !digit(c), |a, b| format!(" {a} {b}"));
    pairs(&line, digit, |c| c == '-', |a, b| format!("{a} {b} "))
}

fn international(segment: &str) -> String {
    let number = char::is_numeric;
    let line = pairs(
        segment,
        |c| !number(c),
        is_punctuation,
        |a, b| format!("{a} {b} "),
    );
    let line = pairs(&line, is_punctuation, |c| !number(c), |a, b| format!(" {a} {b}"));
    spaces_around(&line, is_symbol)
}

/// Puts spaces around each character of a class.
fn spaces_around(line: &str, class: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(line.len() * 2);
    for c in line.chars() {
        if class(c) {
            out.extend([' ', c, ' ']);
        } else {
            out.push(c);
        }
    }
    out
}

/// Rewrites two neighbouring characters, from left to right; those of a rewritten pair are in no other.
fn pairs(
    line: &str,
    first: impl Fn(char) -> bool,
    second: impl Fn(char) -> bool,
    rewrite: impl Fn(char, char) -> String,
) -> String {
    let mut out = String::with_capacity(line.len() * 2);
    let mut characters = line.chars().peekable();
    while let Some(c) = characters.next() {
        match characters.peek() {
            Some(&next) if first(c) && second(next) => {
                out.push_str(&rewrite(c, next));
                characters.next();
            }
            _ => out.push(c),
        }
    }
    out
}
