//! Plain text to blocks that fill the context.

use ragtune_core::models::TextTokenizer;

use super::chat::beginning;
use super::report::{EncodeReport, EncodedSet, Limits, Outcome, at, encode_all};
use super::sequence::Sequence;
use crate::data::{Dataset, Passage, Record};
use crate::error::Result;

/// Divides passages into sequences of at most `limits.max_tokens` tokens, of which all are learned.
///
/// A passage begins with the tokenizer's own beginning and ends with `stop` where there is one. No token is lost and none
/// is a target twice: a further block of a passage begins with the last token of the block before it, as context. Blocks
/// of several passages are never joined here; batches by tokens pack them without attention across them.
///
/// # Errors
/// [`Error::InvalidArgument`](crate::Error::InvalidArgument) for a limit below 2, [`Error::Core`](crate::Error::Core)
/// when the tokenizer fails, [`Error::Empty`](crate::Error::Empty) when no passage has two tokens.
pub fn blocks(
    tokenizer: &TextTokenizer,
    stop: Option<u32>,
    set: &Dataset<Passage>,
    limits: Limits,
) -> Result<EncodedSet<Sequence>> {
    limits.check()?;
    let beginning = beginning(tokenizer)?;
    encode_all(set, |record: &Record<Passage>| {
        let tokens = tokenizer
            .encode_ordinary(&record.value.text, false)
            .map_err(|error| at(&record.origin, error.into()))?;
        let mut report = EncodeReport::default();
        if tokens.ids.is_empty() {
            return Ok(Outcome::without_target(&record.origin, report));
        }
        let ids: Vec<u32> = beginning.iter().copied().chain(tokens.ids).chain(stop).collect();
        let blocks = divided(&ids, limits.max_tokens);
        report.targets = blocks.iter().map(Sequence::targets).sum();
        if let Some(stop) = stop {
            report.stop_tokens.insert(stop, 1);
        }
        Ok(match blocks.is_empty() {
            true => Outcome::without_target(&record.origin, EncodeReport::default()),
            false => Outcome::new(blocks, report),
        })
    })
}

fn divided(ids: &[u32], max_tokens: usize) -> Vec<Sequence> {
    let mut blocks = Vec::new();
    let mut start = 0;
    while start + 1 < ids.len() {
        let end = ids.len().min(start + max_tokens);
        let block = ids[start..end].to_vec();
        let trained = vec![true; block.len()];
        blocks.push(Sequence::new(block, trained));
        start = end - 1;
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_token_is_a_target_once(length in 0_u32..50, max_tokens in 2_usize..20) {
            let ids: Vec<u32> = (0..length).collect();
            let blocks = divided(&ids, max_tokens);
            let targets: Vec<u32> = blocks.iter().flat_map(Sequence::trained_ids).collect();
            prop_assert_eq!(targets, (1..length).collect::<Vec<_>>());
            prop_assert!(blocks.iter().all(|block| (2..=max_tokens).contains(&block.len())));
            for pair in blocks.windows(2) {
                prop_assert_eq!(pair[0].ids.last(), pair[1].ids.first());
            }
        }
    }
}
