//! The answerer that asks a language model.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use ragtune_core::text::{GenerateEvent, GenerateOptions, Generator, Query, ScoredChunk, TokenStream};

use super::budget;
use super::template::PromptTemplate;
use super::writer::Writer;
use crate::answer::{Abstention, Component, ModelCall};
use crate::answerer::{AnswerEvent, AnswerStream, Answerer};
use crate::error::{Error, Result};

/// Answers with a language model that reads the passages as numbered sources and cites them as `[1]`.
///
/// The prompt stays within the model's context; a source that does not fit is left out whole and recorded. A citation
/// points to the sentences of its source that share most words with the sentence that it stands behind. The agreed
/// sentence of the [`PromptTemplate`] becomes an abstention.
///
/// ```
/// use ragtune::testing::ScriptedGenerator;
/// use ragtune::{AnswerEvent, Answerer, Chunk, Document, GenerativeAnswerer, PromptTemplate, ScoreKind, ScoredChunk};
///
/// let answerer = GenerativeAnswerer::new(ScriptedGenerator::new(["At 80 degrees [1]."]), PromptTemplate::default());
/// let tea = Chunk::whole(&Document::new("tea.md", "Tea is old. Green tea is steeped at 80 degrees."));
/// let hits = vec![ScoredChunk::new(tea, ScoreKind::Cosine, 0.7)];
/// let events = answerer.answer(&"How hot is green tea steeped?".into(), hits)?.collect::<Result<Vec<_>, _>>()?;
/// assert!(events.iter().any(|event| matches!(event, AnswerEvent::Citation(claim) if claim.span.start == 12)));
/// # Ok::<(), ragtune::Error>(())
/// ```
pub struct GenerativeAnswerer {
    generator: Arc<dyn Generator>,
    template: PromptTemplate,
    options: GenerateOptions,
    source_tokens: Option<usize>,
}

impl GenerativeAnswerer {
    /// Asks this model with this template, greedily and for at most 512 tokens.
    pub fn new(generator: impl Generator + 'static, template: PromptTemplate) -> Self {
        Self {
            generator: Arc::new(generator),
            template,
            options: GenerateOptions::default(),
            source_tokens: None,
        }
    }

    /// Generates with these options; their `max_tokens` is kept free in the context.
    pub fn with_options(mut self, options: GenerateOptions) -> Self {
        self.options = options;
        self
    }

    /// The sources in a prompt have at most this many tokens together.
    pub fn with_source_tokens(mut self, source_tokens: usize) -> Self {
        self.source_tokens = Some(source_tokens);
        self
    }
}

impl Answerer for GenerativeAnswerer {
    fn answer(&self, question: &Query, chunks: Vec<ScoredChunk>) -> Result<AnswerStream> {
        if chunks.is_empty() {
            return Ok(AnswerStream::abstain(Abstention::NoHits));
        }
        let fitted = budget::fit(
            &*self.generator,
            &self.template,
            question,
            &chunks,
            &self.options,
            self.source_tokens,
        )?;
        let mut ready: VecDeque<_> = fitted.dropped.into_iter().map(AnswerEvent::Dropped).collect();
        if fitted.dropped_turns > 0 {
            ready.push_back(AnswerEvent::DroppedTurns(fitted.dropped_turns));
        }
        ready.push_back(AnswerEvent::Prompt(fitted.prompt.clone()));
        let started = Instant::now();
        let tokens = self.generator.stream(fitted.prompt, self.options.clone())?;
        Ok(AnswerStream::new(Generating {
            id: self.generator.id().to_owned(),
            ms: started.elapsed().as_secs_f64() * 1e3,
            tokens: Some(tokens),
            writer: Writer::new(chunks.into(), fitted.shown, &self.template.no_answer),
            ready,
        }))
    }
}

impl std::fmt::Debug for GenerativeAnswerer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GenerativeAnswerer")
            .field("generator", &self.generator.id())
            .field("template", &self.template)
            .field("options", &self.options)
            .field("source_tokens", &self.source_tokens)
            .finish()
    }
}

/// An answer that a model is writing; dropping it drops the model's stream.
struct Generating {
    id: String,
    ms: f64,
    tokens: Option<TokenStream>,
    writer: Writer,
    ready: VecDeque<AnswerEvent>,
}

impl Iterator for Generating {
    type Item = Result<AnswerEvent>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(Ok(event));
            }
            let started = Instant::now();
            let next = self.tokens.as_mut()?.next();
            self.ms += started.elapsed().as_secs_f64() * 1e3;
            let mut events = Vec::new();
            match next {
                Some(Ok(GenerateEvent::Text(piece))) => self.writer.push(&piece, &mut events),
                Some(Ok(GenerateEvent::Done { finish, usage })) => {
                    self.tokens = None;
                    self.writer.end(&mut events);
                    events.push(AnswerEvent::Call(ModelCall {
                        component: Component::Generator,
                        id: Some(self.id.clone()),
                        texts: 1,
                        usage: Some(usage),
                        finish: Some(finish),
                        ms: self.ms,
                    }));
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    self.tokens = None;
                    return Some(Err(error.into()));
                }
                None => {
                    self.tokens = None;
                    return Some(Err(Error::Core(ragtune_core::Error::external(
                        self.id.clone(),
                        "the stream ended without its closing event",
                    ))));
                }
            }
            // Text that is held back is a sign of life all the same: between two events an answer can be cancelled.
            if events.is_empty() {
                return Some(Ok(AnswerEvent::Text(String::new())));
            }
            self.ready.extend(events);
        }
    }
}
