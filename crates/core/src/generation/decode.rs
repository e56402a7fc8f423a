//! The token loop: passes of the model over the sequences of a batch.
//!
//! Letters: `b` sequences, `v` vocabulary.

use super::sequence::Sequence;
use crate::error::{Error, Result};
use crate::models::CausalLm;
use crate::nn::{Context, KvCache, Segments};
use crate::text::GenerateEvent;

/// Tokens of all sequences in one pass at most, so that a long prompt needs little memory beside its cache.
pub const PREFILL_TOKENS: usize = 512;

/// One pass of the model: reads a block of what is pending, or chooses one token for each sequence that is not at its
/// end. Returns the events of each sequence.
///
/// Sequences of different lengths are packed one behind the other; each has its own cache, so none waits for another,
/// and none is padded.
pub(super) fn step(lm: &CausalLm, sequences: &mut [&mut Sequence]) -> Result<Vec<Vec<GenerateEvent>>> {
    let mut active: Vec<usize> = (0..sequences.len())
        .filter(|&i| !sequences[i].is_finished())
        .collect();
    let pending: usize = active.iter().map(|&i| sequences[i].pending.len()).sum();
    let mut events: Vec<Vec<GenerateEvent>> = sequences.iter().map(|_| Vec::new()).collect();
    if pending > PREFILL_TOKENS.max(active.len()) {
        prefill(lm, sequences, &active)?;
        return Ok(events);
    }
    active.retain(|&i| !sequences[i].pending.is_empty());
    if active.is_empty() {
        return Ok(events);
    }
    let mut chosen: Vec<&mut Sequence> = select(sequences, &active);
    let (ids, context) = packed(&chosen, |sequence| sequence.pending.len());
    let logits = {
        let mut caches: Vec<&mut KvCache> = chosen.iter_mut().map(|sequence| &mut sequence.cache).collect();
        lm.next_logits(&ids, &mut caches, &context)? // [b, v]
    };
    let [_, v] = logits.dims();
    let mut logits = logits
        .into_data()
        .convert::<f32>()
        .try_into_vec::<f32>()
        .map_err(|source| Error::external("the device", format!("{source:?}")))?;
    for ((sequence, row), &i) in chosen.iter_mut().zip(logits.chunks_exact_mut(v)).zip(&active) {
        events[i] = sequence.advance(lm, row)?;
    }
    Ok(events)
}

/// Puts a block of pending tokens into the caches; the last token of each sequence is left for the pass that chooses.
fn prefill(lm: &CausalLm, sequences: &mut [&mut Sequence], active: &[usize]) -> Result<()> {
    let mut room = PREFILL_TOKENS;
    let mut takes = vec![0; sequences.len()];
    for &i in active {
        takes[i] = sequences[i].pending.len().saturating_sub(1).min(room);
        room -= takes[i];
    }
    let reading: Vec<usize> = (0..sequences.len()).filter(|&i| takes[i] > 0).collect();
    let mut chosen = select(sequences, &reading);
    let lengths: Vec<usize> = reading.iter().map(|&i| takes[i]).collect();
    let mut length = lengths.iter().copied();
    let (ids, context) = packed(&chosen, |_| length.next().unwrap_or_default());
    let mut caches: Vec<&mut KvCache> = chosen.iter_mut().map(|sequence| &mut sequence.cache).collect();
    lm.read(&ids, &mut caches, &context)?;
    for (sequence, taken) in chosen.iter_mut().zip(lengths) {
        sequence.pending.drain(..taken);
    }
    Ok(())
}

/// The first pending tokens of each sequence, one sequence behind the other.
fn packed(sequences: &[&mut Sequence], mut take: impl FnMut(&Sequence) -> usize) -> (Vec<u32>, Context) {
    let (mut ids, mut lengths) = (Vec::new(), Vec::new());
    for sequence in sequences {
        let length = take(sequence);
        ids.extend_from_slice(&sequence.pending[..length]);
        lengths.push(length);
    }
    let adapters = sequences
        .iter()
        .map(|sequence| sequence.adapters.clone())
        .collect();
    let context = Context::new(Segments::from_lengths(lengths)).with_adapters(adapters);
    (ids, context)
}

/// Some of the sequences, named by rising numbers.
fn select<'a>(sequences: &'a mut [&mut Sequence], rising: &[usize]) -> Vec<&'a mut Sequence> {
    sequences
        .iter_mut()
        .enumerate()
        .filter(|(i, _)| rising.binary_search(i).is_ok())
        .map(|(_, sequence)| &mut **sequence)
        .collect()
}
