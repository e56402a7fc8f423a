//! What a decoder keeps of a sequence, so that a new token costs one token's work.

use burn::tensor::Device;

use crate::kernels::LayerCache;

/// The keys and values of one sequence in every layer, and the tokens that they are of.
///
/// A model makes it (`CausalLm::cache`), because only the model knows the shape of its layers.
#[derive(Clone, Debug)]
pub struct KvCache {
    layers: Vec<LayerCache>,
    tokens: Vec<u32>,
    /// Tokens of the text that the keys were rotated for, which is longer than what is held after a cut.
    rotated_for: usize,
    max_tokens: usize,
}

impl KvCache {
    /// A cache for up to `max_tokens` tokens, with a layer for each sliding window (or none) in `windows`; rows of keys
    /// and of values have `width` components.
    #[must_use]
    pub fn new(width: usize, windows: &[Option<usize>], max_tokens: usize, device: &Device) -> Self {
        let layer = |window: &Option<usize>| LayerCache::new(width, max_tokens, *window, device);
        Self {
            layers: windows.iter().map(layer).collect(),
            tokens: Vec::new(),
            rotated_for: 0,
            max_tokens,
        }
    }

    /// The tokens that went in.
    #[must_use]
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Number of tokens that went in.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether nothing went in yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Tokens that it was made for; its memory grows to that as it fills.
    #[must_use]
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// Bytes that are allocated.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.layers.iter().map(LayerCache::bytes).sum()
    }

    /// Keeps the first `tokens` and forgets the rest; returns how many are kept, which is 0 where a sliding window has
    /// already dropped what the next token would look at.
    pub fn truncate(&mut self, tokens: usize) -> usize {
        let kept = tokens.min(self.len());
        let kept = match self.layers.iter_mut().all(|layer| layer.truncate(kept)) {
            true => kept,
            false => {
                self.layers.iter_mut().for_each(LayerCache::clear);
                0
            }
        };
        self.tokens.truncate(kept);
        if kept == 0 {
            self.rotated_for = 0;
        }
        kept
    }

    /// The layers, to be written by attention.
    pub(crate) fn layers_mut(&mut self) -> &mut [LayerCache] {
        &mut self.layers
    }

    /// Tokens of the text that the keys were rotated for; some kinds of rotation depend on them.
    pub(crate) fn rotated_for(&self) -> usize {
        self.rotated_for
    }

    /// Notes tokens whose keys and values the layers took.
    pub(crate) fn extend(&mut self, tokens: &[u32]) {
        self.tokens.extend_from_slice(tokens);
        self.rotated_for = self.tokens.len();
    }
}
