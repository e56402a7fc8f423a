//! The library's words as the command line's: its messages name arguments and types, and people at a terminal have options.

use std::borrow::Cow;
use std::error::Error;

use ragtune::train;

use crate::output;

/// Arguments of the library and the options that set them.
const OPTIONS: &[(&str, &str)] = &[
    ("accumulation", "--accumulate"),
    ("b_rate", "--lora-plus"),
    ("batch", "--batch"),
    ("class_weights", "--class-weights"),
    ("dims", "--dims"),
    ("dropout", "--dropout"),
    ("epochs", "--epochs"),
    ("evaluate_every", "--evaluate-every"),
    ("folder", "--out"),
    ("head rate", "--head-lr"),
    ("k", "--folds"),
    ("last_layers", "--method last:N"),
    ("learning_rate", "--lr"),
    ("max_gradient_norm", "--clip"),
    ("max_tokens", "--max-tokens"),
    ("method", "--method"),
    ("num_negatives", "--hard-negatives"),
    ("overlap_tokens", "--overlap-tokens"),
    ("patience", "--patience"),
    ("prompt", "--method prompt"),
    ("rank", "--rank"),
    ("reduction", "--reduction"),
    ("resume", "--resume"),
    ("save_every", "--save-every"),
    ("search", "--search"),
    ("space", "--search-space"),
    ("steps", "--steps"),
    ("virtual_tokens", "--virtual-tokens"),
    ("warmup", "--warmup"),
    ("weight_decay", "--weight-decay"),
    ("width", "--reduction"),
];

/// Phrases that name what only a program has.
const PHRASES: &[(&str, &str)] = &[
    ("`Overflow::Truncate`", "--overflow truncate"),
    ("`Overflow::Drop`", "--overflow drop"),
    ("`Tuning::Full`", "--method full"),
    ("`with_text`", "--text-column"),
    ("`with_label`", "--label-column"),
    ("`split_by`", "--split-by"),
    ("(`with_resume(true)`)", "(--resume)"),
    ("`read_repairing`", "its repair"),
    ("raise the limit of tokens", "raise --max-tokens"),
    ("set the limit of tokens", "set --max-tokens"),
    ("raise the limit, or", "raise --max-tokens, or"),
    (
        "encode with `ChatEncoder`, which trains what the assistant says; for plain text say `Learns::Everything`",
        "take --task pretrain if that is meant",
    ),
    (
        "remove such examples by cleaning",
        "leave such examples out (--clean)",
    ),
    ("remove duplicates by cleaning", "remove duplicates (--clean)"),
    ("remove both by cleaning", "remove both (--clean)"),
    (
        "raise the overlap or the tokens of a window above",
        "raise --overlap-tokens or --max-tokens above",
    ),
    ("load the base in int8", "load the base with --precision int8"),
    ("load the model in f32", "load the model with --precision f32"),
];

/// A message of the library in the command line's words.
#[must_use]
pub fn of_the_command_line(text: &str) -> String {
    let mut text = Cow::Borrowed(text);
    for (theirs, ours) in PHRASES {
        if text.contains(theirs) {
            text = Cow::Owned(text.replace(theirs, ours));
        }
    }
    text.into_owned()
}

/// An error and its causes in one line, in the command line's words.
#[must_use]
pub fn of_error(error: &(dyn Error + 'static)) -> String {
    let text = of_the_command_line(&output::chain(error));
    let Some(train::Error::InvalidArgument { argument, .. }) = error.downcast_ref() else {
        return text;
    };
    let option = OPTIONS.iter().find(|(name, _)| name == argument);
    match (option, text.strip_prefix(argument)) {
        (Some((_, option)), Some(rest)) => format!("{option}{rest}"),
        _ => text,
    }
}

/// A number of things, in the singular where it is one.
#[must_use]
pub fn count(number: usize, one: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {one}{s}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_become_options() {
        let error = train::Error::invalid("learning_rate", "-1; it is from 0 to 10");
        assert_eq!(of_error(&error), "--lr: -1; it is from 0 to 10");
        let other = train::Error::invalid("set", "too small");
        assert_eq!(of_error(&other), "set: too small");
        assert_eq!(
            of_the_command_line("shorten the prompt, or choose `Overflow::Drop`"),
            "shorten the prompt, or choose --overflow drop"
        );
        assert_eq!(
            (count(1, "error"), count(2, "error")),
            ("1 error".into(), "2 errors".into())
        );
    }
}
