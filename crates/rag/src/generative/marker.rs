//! Citation marks such as `[1]`, `[1, 2]` or `[1-3]` in text that is still being written.
//!
//! `[ 2 ]` is none: so numbers in brackets of a source stand in the prompt (see [`super::neutral`]).

use ragtune_core::text::Span;

use super::neutral::{bracketed_numbers, is_separator};

/// Bytes between brackets at most; longer ones are no citation.
const MAX_MARK_BYTES: usize = 40;

/// Numbers of a range such as `[1-40]` at most.
const MAX_RANGE: usize = 64;

/// A citation mark in an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Its bytes, brackets included.
    pub span: Span,
    /// Its numbers in order; a number too great to be one is `usize::MAX`.
    pub numbers: Vec<usize>,
}

/// Finds marks in growing text, outside of code.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    scanned: usize,
    /// Number of backticks that opened the code in which the scan is.
    code: Option<usize>,
}

impl Marks {
    /// The marks that are whole by now and were not found before; `ended` says that no text follows.
    pub fn scan(&mut self, text: &str, ended: bool) -> Vec<Mark> {
        let mut marks = Vec::new();
        while let Some(c) = text[self.scanned..].chars().next() {
            let rest = &text[self.scanned..];
            match c {
                '`' => {
                    let run = rest.len() - rest.trim_start_matches('`').len();
                    if run == rest.len() && !ended {
                        break;
                    }
                    match self.code {
                        None => self.code = Some(run),
                        Some(open) if open == run => self.code = None,
                        Some(_) => {}
                    }
                    self.scanned += run;
                }
                // Code between single backticks ends with its paragraph; a lone backtick must not hide what follows.
                '\n' if self.code.is_some_and(|run| run < 3) => {
                    if rest.len() == 1 && !ended {
                        break;
                    }
                    if rest[1..].starts_with('\n') {
                        self.code = None;
                    }
                    self.scanned += 1;
                }
                '[' if self.code.is_none() => {
                    if let Some(inside) = bracketed_numbers(rest).filter(|inside| !inside.starts_with(' ')) {
                        let span = Span::new(self.scanned, self.scanned + inside.len() + 2);
                        marks.push(Mark {
                            span,
                            numbers: numbers(inside),
                        });
                        self.scanned = span.end;
                    } else if may_become_mark(rest) && !ended {
                        break;
                    } else {
                        self.scanned += 1;
                    }
                }
                c => self.scanned += c.len_utf8(),
            }
        }
        marks
    }
}

/// Whether more text could make a mark of this opening bracket.
fn may_become_mark(rest: &str) -> bool {
    rest.len() <= MAX_MARK_BYTES
        && !rest[1..].starts_with(' ')
        && rest[1..].chars().all(|c| c.is_ascii_digit() || is_separator(c))
}

/// `1, 3-5` is 1, 3, 4, 5.
fn numbers(inside: &str) -> Vec<usize> {
    let mut numbers: Vec<usize> = Vec::new();
    let mut range = false;
    for (at, part) in inside.split_inclusive(is_separator).enumerate() {
        let digits = part.trim_end_matches(is_separator);
        if !digits.is_empty() {
            let number = digits.parse().unwrap_or(usize::MAX);
            match numbers.last() {
                Some(&first) if range && first < number && number - first <= MAX_RANGE && at > 0 => {
                    numbers.extend(first + 1..=number);
                }
                _ => numbers.push(number),
            }
            range = false;
        }
        range |= part.ends_with(['-', '–']);
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(text: &str) -> Vec<Vec<usize>> {
        let marks = Marks::default().scan(text, true);
        marks.into_iter().map(|mark| mark.numbers).collect()
    }

    #[test]
    fn every_form_of_a_mark() {
        assert_eq!(
            found("a [1]. b [1, 2] c [1][3] d [2-4]"),
            [vec![1], vec![1, 2], vec![1], vec![3], vec![2, 3, 4]]
        );
        assert_eq!(found("[2 ]; [1;2]; [3 – 4]"), [vec![2], vec![1, 2], vec![3, 4]]);
    }

    #[test]
    fn what_is_no_mark() {
        for text in [
            "[]",
            "[a]",
            "[1a]",
            "`v[1]`",
            "```\nv[1]\n```",
            "[1",
            "1]",
            "[-]",
            "``a`[1]``",
            "[ 2 ]",
        ] {
            assert_eq!(found(text), Vec::<Vec<usize>>::new(), "{text}");
        }
        assert_eq!(found("a ` b\n\nc [1]"), [[1]]);
        assert_eq!(found("[99999999999999999999999]"), [[usize::MAX]]);
        assert_eq!(found("[1-18446744073709551615]"), [[1, usize::MAX]]);
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(text in "[\\[\\]0-3, a`é\n-]{0,60}", cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6)) {
            let whole = Marks::default().scan(&text, true);
            let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
            ends.sort_unstable();
            let mut scanner = Marks::default();
            let mut marks = Vec::new();
            for end in ends.into_iter().filter(|end| text.is_char_boundary(*end)) {
                marks.extend(scanner.scan(&text[..end], false));
            }
            marks.extend(scanner.scan(&text, true));
            prop_assert_eq!(&marks, &whole);
            for mark in whole {
                prop_assert!(mark.span.of(&text).is_some_and(|m| m.starts_with('[') && m.ends_with(']')));
            }
        }
    }
}
