//! Numbers of a command line, each checked for its range before any work.

use std::str::FromStr;

/// A share from 0 to 1.
///
/// # Errors
/// What is no such number.
pub fn share(text: &str) -> Result<f64, String> {
    within(
        text,
        |share: &f64| (0.0..=1.0).contains(share),
        "a number from 0 to 1",
    )
}

/// A share from 0 to below 1: something must be left.
///
/// # Errors
/// What is no such number.
pub fn share_below_one(text: &str) -> Result<f64, String> {
    within(
        text,
        |share: &f64| (0.0..1.0).contains(share),
        "a number from 0 to below 1",
    )
}

/// A finite number above 0.
///
/// # Errors
/// What is no such number.
pub fn positive(text: &str) -> Result<f64, String> {
    within(
        text,
        |number: &f64| *number > 0.0 && number.is_finite(),
        "a number above 0",
    )
}

/// A whole number of 1 or more.
///
/// # Errors
/// What is no such number.
pub fn at_least_one(text: &str) -> Result<usize, String> {
    within(text, |number: &usize| *number > 0, "a whole number of 1 or more")
}

fn within<T: FromStr>(text: &str, is_good: impl Fn(&T) -> bool, what: &str) -> Result<T, String> {
    let number = text.trim().parse().ok().filter(is_good);
    number.ok_or_else(|| format!("it is {what}"))
}

/// A number with its noun, which is singular for one: "1 question", "2 questions".
#[must_use]
pub fn count(number: usize, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}

/// A p-value with four places; smaller ones are said to be smaller, never to be 0.
#[must_use]
pub fn p_value(p: f64) -> String {
    match p < 0.0001 {
        true => "< 0.0001".to_owned(),
        false => format!("{p:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_out_of_range_are_none() {
        assert_eq!((share("1"), share_below_one("0.2")), (Ok(1.0), Ok(0.2)));
        for text in ["1.1", "-0.1", "NaN", "inf", "half"] {
            assert!(share(text).is_err() && share_below_one(text).is_err(), "{text}");
        }
        assert!(share_below_one("1").is_err());
        assert!(positive("0").is_err() && positive("inf").is_err() && positive("1e-5").is_ok());
        assert!(at_least_one("0").is_err() && at_least_one("-1").is_err() && at_least_one("1").is_ok());
    }

    #[test]
    fn what_is_printed_is_what_it_is() {
        assert_eq!(
            (count(1, "question"), count(0, "step")),
            ("1 question".to_owned(), "0 steps".to_owned())
        );
        assert_eq!(
            (p_value(1e-5), p_value(0.0123)),
            ("< 0.0001".to_owned(), "0.0123".to_owned())
        );
    }
}
