//! One answer in the making: its cache, what was chosen, and the text that can be given out.

use super::constraint::Grammar;
use super::sampler::Sampler;
use crate::adapters::AdapterStack;
use crate::error::Result;
use crate::models::{CausalLm, Detokenizer};
use crate::nn::KvCache;
use crate::text::StopTexts;
use crate::text::{FinishReason, GenerateEvent, GenerateOptions, TokenLogprob, Usage};

/// One answer in the making.
pub(super) struct Sequence {
    pub cache: KvCache,
    pub adapters: AdapterStack,
    /// Tokens that the cache does not have yet: the rest of the prompt, or the last token that was chosen.
    pub pending: Vec<u32>,
    prompt_tokens: usize,
    sampler: Sampler,
    grammar: Option<Grammar>,
    detokenizer: Detokenizer,
    stop: StopTexts,
    end_tokens: Vec<u32>,
    max_tokens: usize,
    logprobs: bool,
    finish: Option<FinishReason>,
}

/// What a sequence starts from.
pub(super) struct Start {
    /// All tokens of the prompt.
    pub prompt: Vec<u32>,
    /// The virtual tokens of the adapters, which stand before it.
    pub virtual_ids: Vec<u32>,
    /// Holds a beginning of virtual tokens and prompt that is shorter than the prompt, and has room for the answer.
    pub cache: KvCache,
    pub adapters: AdapterStack,
    /// Tokens of the answer at most.
    pub max_tokens: usize,
    pub grammar: Option<Grammar>,
}

impl Sequence {
    pub(super) fn new(lm: &CausalLm, start: Start, options: &GenerateOptions) -> Result<Self> {
        let mut end_tokens = options.stop_tokens.clone();
        if !options.ignore_end {
            end_tokens.extend_from_slice(lm.end_tokens());
        }
        let whole = [start.virtual_ids.as_slice(), &start.prompt].concat();
        Ok(Self {
            pending: whole[start.cache.len()..].to_vec(),
            prompt_tokens: start.prompt.len(),
            sampler: Sampler::new(options, &start.prompt)?,
            cache: start.cache,
            adapters: start.adapters,
            grammar: start.grammar,
            detokenizer: Detokenizer::behind(lm.tokenizer().clone(), &start.prompt)?,
            stop: StopTexts::new(options.stop.iter().cloned()),
            end_tokens,
            max_tokens: start.max_tokens,
            logprobs: options.logprobs.is_some(),
            finish: None,
        })
    }

    /// Whether the answer is at its end.
    pub(super) fn is_finished(&self) -> bool {
        self.finish.is_some()
    }

    /// Goes on by one token.
    ///
    /// # Shapes
    /// `logits`: one for each token of the vocabulary.
    pub(super) fn advance(&mut self, lm: &CausalLm, logits: &mut [f32]) -> Result<Vec<GenerateEvent>> {
        self.pending.clear();
        let mask = self.grammar.as_mut().map(Grammar::mask).transpose()?;
        let chosen = self
            .sampler
            .choose(logits, mask.as_ref().map(|mask| mask.as_slice()))?;
        if self.end_tokens.contains(&chosen.id) {
            return self.end(FinishReason::Stop);
        }
        let mut events = Vec::new();
        if self.logprobs {
            let token = |id: u32, logprob: f32, alternatives: Vec<TokenLogprob>| -> Result<TokenLogprob> {
                Ok(TokenLogprob {
                    id: Some(id),
                    text: lm.tokenizer().decode_with_special(&[id])?,
                    logprob,
                    alternatives,
                })
            };
            let alternatives: Result<Vec<_>> = chosen
                .alternatives
                .iter()
                .map(|&(id, logprob)| token(id, logprob, Vec::new()))
                .collect();
            let logprob = chosen.logprob.unwrap_or(f32::NEG_INFINITY);
            events.push(GenerateEvent::Token(token(chosen.id, logprob, alternatives?)?));
        }
        let piece = self.detokenizer.push(chosen.id)?;
        let text = self.stop.push(&piece);
        if !text.is_empty() {
            events.push(GenerateEvent::Text(text));
        }
        if let Some(grammar) = &mut self.grammar {
            grammar.accept(chosen.id)?;
        }
        let complete = self.grammar.as_ref().is_some_and(Grammar::is_complete);
        if self.stop.is_stopped() || complete {
            events.extend(self.end(FinishReason::Stop)?);
        } else if self.detokenizer.tokens() >= self.max_tokens {
            events.extend(self.end(FinishReason::Length)?);
        } else {
            self.pending.push(chosen.id);
        }
        Ok(events)
    }

    fn end(&mut self, finish: FinishReason) -> Result<Vec<GenerateEvent>> {
        let mut events = Vec::new();
        let mut finish = finish;
        if !self.stop.is_stopped() {
            let rest = self.detokenizer.finish()?;
            let mut text = self.stop.push(&rest);
            // A stop text may end in the text that was held back.
            if self.stop.is_stopped() {
                finish = FinishReason::Stop;
            }
            text += &self.stop.finish();
            if !text.is_empty() {
                events.push(GenerateEvent::Text(text));
            }
        }
        self.finish = Some(finish);
        events.push(GenerateEvent::Done {
            finish,
            usage: Usage {
                prompt_tokens: self.prompt_tokens,
                completion_tokens: self.detokenizer.tokens(),
            },
        });
        Ok(events)
    }
}
