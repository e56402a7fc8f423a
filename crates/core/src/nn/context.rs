//! What a forward pass carries through the blocks besides the activations.

use std::ops::Range;

use super::Segments;
use crate::adapters::AdapterStack;

/// The circumstances of one forward pass, handed to every block that depends on them.
///
/// # Example
///
/// ```
/// use ragtune_core::nn::{Context, Segments};
///
/// let context = Context::new(Segments::from_lengths([3, 1])).with_starts(vec![0, 7]);
/// assert_eq!(context.segments().tokens(), 4);
/// assert_eq!(context.positions(), [0, 1, 2, 7]);
/// ```
#[derive(Clone, Debug)]
pub struct Context {
    segments: Segments,
    /// Tokens of each text that precede this pass; empty where none do.
    starts: Vec<usize>,
    /// The adapters of each text; empty where no text has any.
    adapters: Vec<AdapterStack>,
    /// The packed tokens of neighbouring texts with the same adapters; empty where no text has any.
    runs: Vec<(Range<usize>, AdapterStack)>,
    dropout_key: Option<u64>,
    /// Whether the model's own dropout acts.
    model_dropout: bool,
}

impl Context {
    /// A pass over texts packed as `segments` say, without adapters.
    #[must_use]
    pub fn new(segments: Segments) -> Self {
        Self {
            segments,
            starts: Vec::new(),
            adapters: Vec::new(),
            runs: Vec::new(),
            dropout_key: None,
            model_dropout: false,
        }
    }

    /// The pass is one of training: what drops values at random draws its mask as a pure function of this key and its
    /// slot, so that the same pass can be computed again.
    #[must_use]
    pub fn with_dropout_key(mut self, key: u64) -> Self {
        self.dropout_key = Some(key);
        self
    }

    /// Whether the dropout that the model has of its own acts in a pass with a key, besides that of adapters.
    #[must_use]
    pub fn with_model_dropout(mut self, acts: bool) -> Self {
        self.model_dropout = acts;
        self
    }

    /// The key of dropout masks; `None` where nothing is dropped, as in prediction.
    #[must_use]
    pub fn dropout_key(&self) -> Option<u64> {
        self.dropout_key
    }

    /// The key of the dropout in one place of the model, by the hash FNV-1a (Fowler, Noll and Vo 1991) of its slot.
    #[must_use]
    pub fn dropout_key_of(&self, slot: &str) -> Option<u64> {
        self.dropout_key.map(|key| key ^ slot_hash(slot))
    }

    /// The key of the model's own dropout in one place; `None` where it does not act.
    #[must_use]
    pub fn model_dropout_key_of(&self, slot: &str) -> Option<u64> {
        self.dropout_key_of(slot).filter(|_| self.model_dropout)
    }

    /// The same by the hash of the slot.
    pub(super) fn model_dropout_key(&self, slot_hash: u64) -> Option<u64> {
        let key = self.dropout_key.map(|key| key ^ slot_hash);
        key.filter(|_| self.model_dropout)
    }

    /// The pass goes on behind so many tokens of each text, which a cache holds.
    #[must_use]
    pub fn with_starts(mut self, starts: Vec<usize>) -> Self {
        debug_assert_eq!(starts.len(), self.segments.len());
        self.starts = starts;
        self
    }

    /// Every text is computed with its own adapters.
    #[must_use]
    pub fn with_adapters(mut self, adapters: Vec<AdapterStack>) -> Self {
        debug_assert_eq!(adapters.len(), self.segments.len());
        let any = adapters.iter().any(|stack| !stack.is_empty());
        self.adapters = if any { adapters } else { Vec::new() };
        self.runs.clear();
        for (stack, range) in self.adapters.iter().zip(self.segments.iter()) {
            match self.runs.last_mut() {
                _ if range.is_empty() => {}
                Some((run, last)) if last.same(stack) => run.end = range.end,
                _ => self.runs.push((range, stack.clone())),
            }
        }
        self
    }

    /// Where each text of the batch begins and ends.
    #[must_use]
    pub fn segments(&self) -> &Segments {
        &self.segments
    }

    /// The adapters of each text, or nothing where no text has any.
    #[must_use]
    pub fn adapters(&self) -> &[AdapterStack] {
        &self.adapters
    }

    /// The packed tokens of neighbouring texts with the same adapters, in order; nothing where no text has any.
    pub(crate) fn adapter_runs(&self) -> &[(Range<usize>, AdapterStack)] {
        &self.runs
    }

    /// Whether the adapters of any text change the module at a slot.
    pub(crate) fn adapts(&self, slot: &str) -> bool {
        self.runs.iter().any(|(_, stack)| stack.touches(slot))
    }

    /// Tokens that precede this pass in a text.
    #[must_use]
    pub fn start(&self, text: usize) -> usize {
        self.starts.get(text).copied().unwrap_or_default()
    }

    /// The position of each token within its whole text.
    ///
    /// # Shapes
    ///
    /// `-> [tokens]`.
    #[must_use]
    pub fn positions(&self) -> Vec<u32> {
        let position = |p: usize| u32::try_from(p).unwrap_or(u32::MAX);
        self.segments
            .iter()
            .enumerate()
            .flat_map(|(text, range)| (0..range.len()).map(move |i| (text, i)))
            .map(|(text, i)| position(self.start(text) + i))
            .collect()
    }

    /// The same circumstances for as many texts of other lengths, from their first token on.
    #[must_use]
    pub(crate) fn with_segments(&self, segments: Segments) -> Self {
        let context = Self {
            dropout_key: self.dropout_key,
            model_dropout: self.model_dropout,
            ..Self::new(segments)
        };
        match self.adapters.is_empty() {
            true => context,
            false => context.with_adapters(self.adapters.clone()),
        }
    }

    /// The same circumstances for the same texts with more tokens before their first; what a cache holds stays.
    #[must_use]
    pub(crate) fn with_longer(&self, segments: Segments) -> Self {
        Self {
            starts: self.starts.clone(),
            ..self.with_segments(segments)
        }
    }

    /// Some texts of this pass, the first of which begins at a token, without adapters; dropout draws for them as for others.
    #[must_use]
    pub(crate) fn like(&self, segments: Segments, token: usize) -> Self {
        Self {
            dropout_key: self.dropout_key.map(|key| key.wrapping_add(token as u64)),
            model_dropout: self.model_dropout,
            ..Self::new(segments)
        }
    }

    /// The same circumstances for one row of each text, such as its pooled vector.
    #[must_use]
    pub fn per_text(&self) -> Self {
        self.with_segments(Segments::from_lengths(vec![1; self.segments.len()]))
    }

    /// The same circumstances for some of the tokens, named by rising packed indices.
    #[must_use]
    pub fn gathered(&self, tokens: &[usize]) -> Self {
        let offsets = self.segments.offsets();
        let lengths = offsets.windows(2).map(|pair| {
            let before = |end: usize| tokens.partition_point(|token| *token < end);
            before(pair[1]) - before(pair[0])
        });
        Self {
            starts: self.starts.clone(),
            ..self.with_segments(Segments::from_lengths(lengths))
        }
    }
}

/// The hash FNV-1a of a slot.
pub(super) fn slot_hash(slot: &str) -> u64 {
    slot.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    })
}
