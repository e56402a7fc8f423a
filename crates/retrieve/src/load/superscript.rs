//! Raised digits: without their height 10 to the power of 11 would read 1011.

/// Raised text in Unicode's superscripts where it is a number, an exponent or the mark of a note; other text, as in 1st, as it
/// is.
pub(super) fn raised(text: &str) -> String {
    let has_number = text.contains(|c: char| c.is_ascii_digit()) || matches!(text.trim(), "n" | "i");
    let marks: Option<String> = text.chars().map(mark).collect();
    marks.filter(|_| has_number).unwrap_or_else(|| text.to_owned())
}

fn mark(c: char) -> Option<char> {
    Some(match c {
        '0' => '⁰',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        '4' => '⁴',
        '5' => '⁵',
        '6' => '⁶',
        '7' => '⁷',
        '8' => '⁸',
        '9' => '⁹',
        '+' => '⁺',
        '-' | '\u{2212}' | '\u{2013}' => '⁻',
        '=' => '⁼',
        '(' => '⁽',
        ')' => '⁾',
        'n' => 'ⁿ',
        'i' => 'ⁱ',
        ' ' | '\n' | '\t' | '\r' => c,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_raised_and_words_are_not() {
        for (plain, expected) in [
            ("11", "¹¹"),
            ("-1", "⁻¹"),
            ("\u{2212}3", "⁻³"),
            ("n+1", "ⁿ⁺¹"),
            ("n", "ⁿ"),
            ("2 ", "² "),
            ("st", "st"),
            ("in", "in"),
            ("[1]", "[1]"),
            ("-", "-"),
            ("", ""),
        ] {
            assert_eq!(raised(plain), expected);
        }
    }
}
