//! A language model alone, asked without any document.

use std::sync::Arc;

use ragtune_core::Cancel;
use ragtune_core::text::{GenerateEvent, GenerateOptions, Generator, Message, Prompt};
use ragtune_train::metrics::squad::normalize;

use super::system::{Response, System};
use crate::error::{Error, Result};

/// Instructions that a model gets unless others are given.
const SYSTEM: &str = "Answer the question in as few words as it needs. If you do not know the answer, say exactly: \
     {no_answer}";

/// What a model says that does not know.
const NO_ANSWER: &str = "I do not know.";

/// A language model as a [`System`]: what it knows without documents.
///
/// ```
/// # use ragtune::testing::ScriptedGenerator;
/// use ragtune::Cancel;
/// use ragtune::evaluate::{PlainModel, System};
///
/// let model = PlainModel::new(ScriptedGenerator::new(["At 80 degrees.", "I do not know."]));
/// assert_eq!(model.respond("How hot is green tea steeped?", &Cancel::new())?.text, "At 80 degrees.");
/// assert!(model.respond("Who planted it?", &Cancel::new())?.abstained.is_some());
/// # Ok::<(), ragtune::Error>(())
/// ```
#[derive(Clone)]
pub struct PlainModel {
    generator: Arc<dyn Generator>,
    system: String,
    no_answer: String,
    options: GenerateOptions,
}

impl PlainModel {
    /// Asks this model for short answers, 128 tokens at most.
    pub fn new(generator: impl Generator + 'static) -> Self {
        Self {
            generator: Arc::new(generator),
            system: SYSTEM.to_owned(),
            no_answer: NO_ANSWER.to_owned(),
            options: GenerateOptions::default().with_max_tokens(128),
        }
    }

    /// Other instructions, in which `{no_answer}` stands for what the model says that does not know; none where empty.
    #[must_use]
    pub fn with_system(mut self, system: impl Into<String>) -> Self {
        self.system = system.into();
        self
    }

    /// What the model says that does not know.
    #[must_use]
    pub fn with_no_answer(mut self, no_answer: impl Into<String>) -> Self {
        self.no_answer = no_answer.into();
        self
    }

    /// How the model writes.
    #[must_use]
    pub fn with_options(mut self, options: GenerateOptions) -> Self {
        self.options = options;
        self
    }

    /// Takes the geometric mean of the tokens' probabilities for the confidence; the generator must report them.
    #[must_use]
    pub fn with_confidence(mut self) -> Self {
        self.options = self.options.with_logprobs(0);
        self
    }
}

impl System for PlainModel {
    fn respond(&self, question: &str, cancel: &Cancel) -> Result<Response> {
        let mut messages = Vec::new();
        if !self.system.is_empty() {
            messages.push(Message::system(
                self.system.replace("{no_answer}", &self.no_answer),
            ));
        }
        messages.push(Message::user(question));
        let mut response = Response {
            model_calls: 1,
            ..Response::default()
        };
        let (mut tokens, mut logprobs, mut is_done) = (0_usize, 0.0, false);
        for event in self
            .generator
            .stream(Prompt::new(messages), self.options.clone())?
        {
            cancel.check()?;
            match event? {
                GenerateEvent::Text(piece) => response.text.push_str(&piece),
                GenerateEvent::Token(token) => {
                    tokens += 1;
                    logprobs += f64::from(token.logprob);
                }
                GenerateEvent::Done { usage, .. } => {
                    response.usage = usage;
                    is_done = true;
                }
                _ => {}
            }
        }
        if !is_done {
            return Err(Error::Answerer {
                reason: format!("{} ended its stream without saying why", self.generator.id()),
            });
        }
        if tokens > 0 {
            response.confidence = Some((logprobs / tokens as f64).exp()).filter(|value| value.is_finite());
        }
        let said = normalize(&response.text);
        if said.is_empty() {
            response.abstained = Some("the model said nothing".to_owned());
        } else if said == normalize(&self.no_answer) {
            response.abstained = Some("the model said that it does not know".to_owned());
        }
        if response.abstained.is_some() {
            response.text.clear();
        }
        Ok(response)
    }
}

impl std::fmt::Debug for PlainModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlainModel")
            .field("generator", &self.generator.id())
            .field("system", &self.system)
            .finish_non_exhaustive()
    }
}
