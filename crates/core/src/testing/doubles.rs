//! Embedder, reranker and generator without weights.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use crate::error::{Error, Result};
use crate::text::{
    Embedder, Embeddings, FinishReason, GenerateEvent, GenerateOptions, Generator, Prompt, Reranker, Role,
    TokenCount, TokenStream, Usage,
};

/// Lower-case words of letters and digits.
fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
}

/// FNV-1a, 64 bits.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| {
        (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// An embedder that hashes words into a vector of unit length: texts that share words are near each other.
///
/// ```
/// use ragtune_core::testing::HashingEmbedder;
/// use ragtune_core::text::{Embedder, Role};
/// let vectors = HashingEmbedder::new(64).embed(&["green tea", "tea, green"], Role::Document)?;
/// assert_eq!(vectors.row(0), vectors.row(1));
/// # Ok::<(), ragtune_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct HashingEmbedder {
    id: String,
    dim: usize,
    max_tokens: usize,
}

impl HashingEmbedder {
    /// Vectors of `dim` components (at least 1); texts are cut after 256 words.
    pub fn new(dim: usize) -> Self {
        let dim = dim.max(1);
        Self {
            id: format!("hashing-{dim}"),
            dim,
            max_tokens: 256,
        }
    }

    /// The same embedder under another id, for tests that need two.
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = id.into();
        self
    }
}

impl Embedder for HashingEmbedder {
    fn id(&self) -> &str {
        &self.id
    }

    fn dim(&self) -> usize {
        self.dim
    }

    fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    fn embed(&self, texts: &[&str], _: Role) -> Result<Embeddings> {
        let mut data = vec![0.0; texts.len() * self.dim];
        let mut truncated = 0;
        for (row, text) in data.chunks_exact_mut(self.dim).zip(texts) {
            for (i, word) in words(text).enumerate() {
                if i == self.max_tokens {
                    truncated += 1;
                    break;
                }
                let h = hash(&word);
                let sign = if h >> 63 == 0 { 1.0 } else { -1.0 };
                row[(h % self.dim as u64) as usize] += sign;
            }
            let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
            if norm > 0.0 {
                row.iter_mut().for_each(|x| *x /= norm);
            } else {
                row[0] = 1.0;
            }
        }
        Embeddings::new(self.dim, data, truncated)
    }

    fn count_tokens(&self, text: &str) -> TokenCount {
        TokenCount::Exact(words(text).count())
    }
}

/// A reranker that gives the share of the question's words that a passage has.
#[derive(Clone, Copy, Debug, Default)]
pub struct OverlapReranker;

impl Reranker for OverlapReranker {
    fn score(&self, query: &str, passages: &[&str]) -> Result<Vec<f32>> {
        let wanted: BTreeSet<_> = words(query).collect();
        let share = |passage: &&str| {
            let found: BTreeSet<_> = words(passage).collect();
            wanted.intersection(&found).count() as f32 / wanted.len().max(1) as f32
        };
        Ok(passages.iter().map(share).collect())
    }
}

/// A generator that plays back prepared answers, word by word, and keeps the prompts that it was given.
///
/// ```
/// use ragtune_core::testing::ScriptedGenerator;
/// use ragtune_core::text::{GenerateOptions, Generator};
/// let generator = ScriptedGenerator::new(["Paris [1]."]);
/// assert_eq!(generator.generate("Capital of France?".into(), GenerateOptions::default())?.text, "Paris [1].");
/// assert_eq!(generator.prompts().len(), 1);
/// # Ok::<(), ragtune_core::Error>(())
/// ```
#[derive(Debug)]
pub struct ScriptedGenerator {
    context_tokens: usize,
    answers: Mutex<VecDeque<String>>,
    prompts: Mutex<Vec<Prompt>>,
}

impl ScriptedGenerator {
    /// Gives these answers in turn; with none left, [`Generator::stream`] is an error.
    pub fn new<S: Into<String>>(answers: impl IntoIterator<Item = S>) -> Self {
        Self {
            context_tokens: 4096,
            answers: Mutex::new(answers.into_iter().map(Into::into).collect()),
            prompts: Mutex::default(),
        }
    }

    /// The same generator with another context length in tokens.
    pub fn with_context_tokens(mut self, context_tokens: usize) -> Self {
        self.context_tokens = context_tokens;
        self
    }

    /// The prompts so far.
    pub fn prompts(&self) -> Vec<Prompt> {
        self.prompts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Generator for ScriptedGenerator {
    fn id(&self) -> &str {
        "scripted"
    }

    fn context_tokens(&self) -> usize {
        self.context_tokens
    }

    fn count(&self, prompt: &Prompt) -> Result<TokenCount> {
        let words = prompt
            .messages
            .iter()
            .map(|message| message.content.split_whitespace().count())
            .sum();
        Ok(TokenCount::Exact(words))
    }

    fn stream(&self, prompt: Prompt, options: GenerateOptions) -> Result<TokenStream> {
        options.check()?;
        // What chooses among tokens has no choice here; what changes or reports them would be missed.
        let chooses = ["top_k", "top_p", "min_p", "stop", "ignore_end"];
        if let Some(option) = options.first_beyond(&chooses) {
            return Err(Error::UnsupportedOption {
                generator: self.id().to_owned(),
                option,
            });
        }
        let prompt_tokens = self.count(&prompt)?.get();
        self.prompts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(prompt);
        let answer = self
            .answers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front();
        let Some(answer) = answer else {
            return Err(Error::external(
                "scripted generator",
                "no answer is left in the script",
            ));
        };
        let end = options.stop.iter().filter_map(|stop| answer.find(stop)).min();
        let answer = &answer[..end.unwrap_or(answer.len())];
        let words: Vec<String> = answer.split_inclusive(' ').map(str::to_owned).collect();
        let finish = if words.len() > options.max_tokens {
            FinishReason::Length
        } else {
            FinishReason::Stop
        };
        let completion_tokens = words.len().min(options.max_tokens);
        let usage = Usage {
            prompt_tokens,
            completion_tokens,
        };
        let text = words
            .into_iter()
            .take(completion_tokens)
            .map(|word| Ok(GenerateEvent::Text(word)));
        Ok(TokenStream::new(
            text.chain([Ok(GenerateEvent::Done { finish, usage })]),
        ))
    }
}
