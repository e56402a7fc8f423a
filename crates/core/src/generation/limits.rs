//! How many tokens of prompt and answer there is room for.

use crate::error::{Error, Result};
use crate::text::{GenerateOptions, Overflow};

/// A prompt's tokens as the model reads them, and the tokens that the answer may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// The tokens to read.
    pub prompt: Vec<u32>,
    /// Tokens of the answer at most.
    pub max_tokens: usize,
    /// Tokens at the prompt's beginning that were left out.
    pub dropped: usize,
}

/// Fits a prompt and its answer into a context, by the policy of the options. The first token stays where oldest tokens
/// are dropped and `keep_first` says so: it is the one that begins a text.
///
/// # Errors
/// [`Error::EmptyPrompt`], and [`Error::ContextOverflow`] where the policy does not help.
pub fn fit(
    prompt: Vec<u32>,
    options: &GenerateOptions,
    context_tokens: usize,
    keep_first: bool,
) -> Result<Room> {
    if prompt.is_empty() {
        return Err(Error::EmptyPrompt);
    }
    let max_tokens = options.max_tokens;
    let excess = (prompt.len().saturating_add(max_tokens)).saturating_sub(context_tokens);
    let overflow = Error::ContextOverflow {
        prompt_tokens: prompt.len(),
        max_tokens,
        context_tokens,
        excess,
        overflow: options.overflow,
    };
    let whole = |prompt, max_tokens| Room {
        prompt,
        max_tokens,
        dropped: 0,
    };
    match options.overflow {
        _ if excess == 0 => Ok(whole(prompt, max_tokens)),
        Overflow::ShortenAnswer if prompt.len() < context_tokens => {
            let left = context_tokens - prompt.len();
            Ok(whole(prompt, left))
        }
        Overflow::DropOldest => {
            let kept_first = usize::from(keep_first);
            // At least one token of the prompt besides the first has to stay.
            if excess + kept_first >= prompt.len() {
                return Err(overflow);
            }
            let mut kept = prompt[..kept_first].to_vec();
            kept.extend_from_slice(&prompt[kept_first + excess..]);
            Ok(Room {
                prompt: kept,
                max_tokens,
                dropped: excess,
            })
        }
        _ => Err(overflow),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fitted(tokens: u32, max_tokens: usize, overflow: Overflow) -> Result<Room> {
        let options = GenerateOptions::default()
            .with_max_tokens(max_tokens)
            .with_overflow(overflow);
        fit((0..tokens).collect(), &options, 10, true)
    }

    #[test]
    fn an_overflow_says_by_how_much_or_follows_the_policy() {
        assert_eq!(fitted(6, 4, Overflow::Error).unwrap().max_tokens, 4);
        match fitted(8, 5, Overflow::Error) {
            Err(Error::ContextOverflow { excess, .. }) => assert_eq!(excess, 3),
            other => panic!("{other:?}"),
        }
        assert_eq!(fitted(8, 5, Overflow::ShortenAnswer).unwrap().max_tokens, 2);
        assert!(fitted(10, 5, Overflow::ShortenAnswer).is_err());
        let room = fitted(8, 5, Overflow::DropOldest).unwrap();
        assert_eq!((room.prompt, room.dropped), (vec![0, 4, 5, 6, 7], 3));
        assert!(fitted(8, 10, Overflow::DropOldest).is_err());
        for (overflow, remedy) in [
            (Overflow::Error, "set an overflow policy"),
            (Overflow::ShortenAnswer, "no room for an answer"),
            (Overflow::DropOldest, "lower max_tokens"),
        ] {
            let error = fitted(11, 10, overflow).unwrap_err().to_string();
            assert!(error.contains(remedy), "{error}");
            assert_eq!(
                error.contains("policy"),
                matches!(overflow, Overflow::Error),
                "{error}"
            );
        }
        assert!(matches!(fitted(0, 1, Overflow::Error), Err(Error::EmptyPrompt)));
    }
}
