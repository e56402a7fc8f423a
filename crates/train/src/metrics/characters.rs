//! Classes of characters as Python sees them, so that texts are cut where the reference implementations cut them.

use std::sync::LazyLock;

use fancy_regex::Regex;

static PUNCTUATION: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^\p{P}$").ok());
static SYMBOL: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^\p{S}$").ok());
static LETTER: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^\p{L}$").ok());

/// `str.isspace` and `\s`: Unicode's white space and the four separators of ASCII.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\x1c'..='\x1f')
}

/// The words of `str.split()`.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_space).filter(|word| !word.is_empty())
}

/// `\w`: letters, numbers and the underscore. Rust's `is_alphanumeric` has combining vowels too, Python has not.
pub(super) fn is_word(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphanumeric() || c == '_';
    }
    c.is_numeric() || has(&LETTER, c)
}

/// Unicode's general category P.
pub(super) fn is_punctuation(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_punctuation() && !is_symbol(c);
    }
    has(&PUNCTUATION, c)
}

/// Unicode's general category S.
pub(super) fn is_symbol(c: char) -> bool {
    if c.is_ascii() {
        return matches!(c, '$' | '+' | '<' | '=' | '>' | '^' | '`' | '|' | '~');
    }
    has(&SYMBOL, c)
}

fn has(class: &LazyLock<Option<Regex>>, c: char) -> bool {
    let mut bytes = [0; 4];
    class
        .as_ref()
        .is_some_and(|regex| regex.is_match(c.encode_utf8(&mut bytes)).unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_patterns_compile_and_know_their_classes() {
        assert!([&PUNCTUATION, &SYMBOL, &LETTER].iter().all(|p| p.is_some()));
        assert!(is_punctuation('—') && is_punctuation('%') && !is_punctuation('€'));
        assert!(is_symbol('€') && is_symbol('+') && !is_symbol('%'));
        assert!(is_word('é') && is_word('_') && is_word('५') && !is_word('\u{0301}'));
        assert!(!is_word('\u{093f}') && is_space('\x1c') && is_space('\u{a0}'));
    }

    #[test]
    fn the_fast_path_of_ascii_agrees_with_the_patterns() {
        for c in (0..128u8).map(char::from) {
            assert_eq!(is_punctuation(c), has(&PUNCTUATION, c), "{c:?}");
            assert_eq!(is_symbol(c), has(&SYMBOL, c), "{c:?}");
            assert_eq!(is_word(c), c == '_' || c.is_numeric() || has(&LETTER, c), "{c:?}");
        }
    }
}
