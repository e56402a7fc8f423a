//! Which sources fit into the prompt.

use ragtune_core::text::{Chunk, GenerateOptions, Generator, Prompt, Query, ScoredChunk, TokenCount};

use super::template::PromptTemplate;
use crate::answer::{DropReason, DroppedChunk};
use crate::error::{Error, Result};

/// A prompt within its budget.
pub(super) struct Fitted {
    pub prompt: Prompt,
    /// Which sources are in it.
    pub shown: Vec<bool>,
    pub dropped: Vec<DroppedChunk>,
    pub dropped_turns: usize,
}

/// The prompt with as many sources, best first, as context and limit allow; each is in whole or not at all.
///
/// When even the prompt without sources is too long, the oldest turns of the conversation go first.
pub(super) fn fit(
    generator: &dyn Generator,
    template: &PromptTemplate,
    question: &Query,
    chunks: &[ScoredChunk],
    options: &GenerateOptions,
    source_tokens: Option<usize>,
) -> Result<Fitted> {
    let available = generator.context_tokens().saturating_sub(options.max_tokens);
    let count = |sources: &[(usize, &Chunk)], skip_turns| -> Result<(Prompt, usize)> {
        let prompt = template.render(question, sources, skip_turns);
        let tokens = cautious(generator.count(&prompt)?);
        Ok((prompt, tokens))
    };

    let mut dropped_turns = 0;
    let (mut prompt, base) = loop {
        let (prompt, tokens) = count(&[], dropped_turns)?;
        if tokens <= available {
            break (prompt, tokens);
        }
        if dropped_turns == question.history.len() {
            return Err(Error::PromptTooLong {
                generator: generator.id().to_owned(),
                needed: tokens,
                available,
            });
        }
        dropped_turns += 1;
    };

    let limit = source_tokens.map_or(available, |tokens| available.min(base.saturating_add(tokens)));
    let mut sources: Vec<(usize, &Chunk)> = Vec::new();
    let mut shown = vec![false; chunks.len()];
    let mut dropped = Vec::new();
    let mut least = usize::MAX;
    for (at, hit) in chunks.iter().enumerate() {
        sources.push((at + 1, &hit.chunk));
        let (with, tokens) = count(&sources, dropped_turns)?;
        if tokens <= limit {
            prompt = with;
            shown[at] = true;
            continue;
        }
        sources.pop();
        least = least.min(tokens);
        dropped.push(DroppedChunk {
            chunk_id: hit.chunk.id.clone(),
            document_id: hit.chunk.document_id.clone(),
            reason: DropReason::TokenBudget {
                needed: tokens,
                available: limit,
            },
        });
    }
    if sources.is_empty() {
        return Err(Error::NoSourceFits {
            sources: chunks.len(),
            needed: least,
            available: limit,
        });
    }
    Ok(Fitted {
        prompt,
        shown,
        dropped,
        dropped_turns,
    })
}

/// Tokens to reckon with: an estimate may be a third too low.
pub(crate) fn cautious(count: TokenCount) -> usize {
    match count {
        TokenCount::Exact(tokens) => tokens,
        TokenCount::Estimate(tokens) => tokens.saturating_add(tokens.div_ceil(3)),
    }
}
