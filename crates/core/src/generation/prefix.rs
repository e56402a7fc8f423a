//! Caches that are kept from one call to the next, for prompts that begin alike.

use crate::adapters::AdapterStack;
use crate::models::CausalLm;
use crate::nn::KvCache;

/// The smallest cache that is made, in tokens.
const MIN_CACHE_TOKENS: usize = 256;

/// The caches of the last calls, the latest last.
///
/// A cache holds what the model made of the tokens of prompt and answer. The next prompt that begins with the same tokens
/// under the same adapters takes it over and reads only what is new.
#[derive(Debug)]
pub(super) struct Prefixes {
    kept: Vec<(AdapterStack, KvCache)>,
    limit: usize,
}

impl Prefixes {
    /// Keeps at most this many caches.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            kept: Vec::new(),
            limit,
        }
    }

    /// A cache with room for so many tokens that holds as much of the prompt as any kept one, and at least one token
    /// less than the prompt.
    pub(super) fn take(
        &mut self,
        lm: &CausalLm,
        adapters: &AdapterStack,
        prompt: &[u32],
        tokens: usize,
        context_tokens: usize,
    ) -> KvCache {
        let usable = prompt.len().saturating_sub(1);
        let common = |cache: &KvCache| {
            let equal = cache.tokens().iter().zip(prompt).take_while(|(a, b)| a == b);
            equal.count().min(usable)
        };
        let best = (0..self.kept.len())
            .filter(|&i| self.kept[i].0.same(adapters) && self.kept[i].1.max_tokens() >= tokens)
            .max_by_key(|&i| (common(&self.kept[i].1), i));
        if let Some(at) = best.filter(|&at| common(&self.kept[at].1) > 0) {
            let (_, mut cache) = self.kept.remove(at);
            cache.truncate(common(&cache));
            return cache;
        }
        // Room beyond this call, so that a conversation that grows can go on in the same cache.
        let room = match self.limit {
            0 => tokens,
            _ => tokens
                .checked_next_power_of_two()
                .unwrap_or(tokens)
                .max(MIN_CACHE_TOKENS)
                .min(context_tokens.max(tokens)),
        };
        lm.cache(room)
    }

    /// Keeps a cache; the one that was kept first makes room.
    pub(super) fn put(&mut self, adapters: AdapterStack, cache: KvCache) {
        if self.limit == 0 || cache.is_empty() {
            return;
        }
        self.kept.push((adapters, cache));
        let excess = self.kept.len().saturating_sub(self.limit);
        self.kept.drain(..excess);
    }
}
