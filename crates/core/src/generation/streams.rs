//! Answers as streams: one that is pulled, and a batch that runs to its end.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::decode;
use super::prefix::Prefixes;
use super::sequence::Sequence;
use crate::error::Result;
use crate::models::CausalLm;
use crate::text::{GenerateEvent, Generation, TokenStream};

/// One answer that is pulled: each pull is one pass of the model. Dropping it ends the work; its cache is kept for the
/// next prompt that begins alike.
pub(super) struct Pulled {
    pub lm: Arc<CausalLm>,
    /// Taken out when the answer is at its end.
    pub sequence: Option<Sequence>,
    pub ready: VecDeque<GenerateEvent>,
    pub prefixes: Arc<Mutex<Prefixes>>,
}

impl Iterator for Pulled {
    type Item = Result<GenerateEvent>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(event) = self.ready.pop_front() {
            return Some(Ok(event));
        }
        let sequence = self.sequence.as_mut()?;
        match decode::step(&self.lm, &mut [sequence]) {
            Ok(mut events) => {
                if sequence.is_finished() {
                    self.keep();
                }
                self.ready.extend(events.pop().unwrap_or_default());
                // Text that is held back, or a block of the prompt, is a sign of life all the same: between two events
                // the caller can drop the stream.
                let sign = GenerateEvent::Text(String::new());
                Some(Ok(self.ready.pop_front().unwrap_or(sign)))
            }
            Err(error) => {
                // What went wrong may have left the cache half written.
                self.sequence = None;
                Some(Err(error))
            }
        }
    }
}

impl Pulled {
    fn keep(&mut self) {
        if let Some(sequence) = self.sequence.take() {
            let mut prefixes = self.prefixes.lock().unwrap_or_else(PoisonError::into_inner);
            prefixes.put(sequence.adapters, sequence.cache);
        }
    }
}

impl Drop for Pulled {
    fn drop(&mut self) {
        self.keep();
    }
}

/// Runs answers to their end, at most `limit` at a time: where one ends, the next begins.
///
/// `begin` makes the sequence of each number from 0.
pub(super) fn run(
    lm: &CausalLm,
    count: usize,
    limit: usize,
    mut begin: impl FnMut(usize) -> Result<Sequence>,
) -> Result<Vec<Generation>> {
    let mut events: Vec<Vec<GenerateEvent>> = (0..count).map(|_| Vec::new()).collect();
    let mut running: Vec<(usize, Sequence)> = Vec::new();
    let mut next = 0;
    loop {
        while running.len() < limit.max(1) && next < count {
            running.push((next, begin(next)?));
            next += 1;
        }
        if running.is_empty() {
            break;
        }
        let mut sequences: Vec<&mut Sequence> = running.iter_mut().map(|(_, sequence)| sequence).collect();
        let new = decode::step(lm, &mut sequences)?;
        for ((number, _), new) in running.iter().zip(new) {
            events[*number].extend(new);
        }
        running.retain(|(_, sequence)| !sequence.is_finished());
    }
    events
        .into_iter()
        .map(|events| TokenStream::new(events.into_iter().map(Ok)).collect_all())
        .collect()
}
