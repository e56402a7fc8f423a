//! Classification by retrieval and a language model: the nearest examples stand in the prompt.

use std::collections::BTreeSet;

#[cfg(feature = "openai")]
use ragtune_core::openai::OpenAiError;
use ragtune_core::text::{Constraint, GenerateOptions, Generator, Message, Prompt, Query, Value};
use ragtune_retrieve::Retriever;

use crate::error::{Error, Result};
use crate::generative::cautious;

/// Classifies a text with a language model that reads the labelled examples nearest to it (few-shot prompting with
/// retrieved examples: J. Liu and others, "What Makes Good In-Context Examples for GPT-3?", DeeLIO 2022).
///
/// The answer is constrained to the labels, so that there is always one. A generator that has no constraints of this kind
/// (a server, a scripted one) is asked without; what it says is checked against the labels either way. Examples that do not
/// fit the model's context are left out, the farthest first.
///
/// ```
/// use ragtune::compare::FewShot;
/// use ragtune::core::testing::HashingEmbedder;
/// use ragtune::testing::ScriptedGenerator;
/// use ragtune::{Document, KnowledgeBase};
///
/// let examples = KnowledgeBase::in_memory()?.with_embedder(HashingEmbedder::new(256))?;
/// examples.add([
///     Document::new("1", "My card was stolen").with_metadata("label", "card"),
///     Document::new("2", "What does a transfer cost?").with_metadata("label", "fees"),
/// ])?;
/// let few_shot = FewShot::new(examples.dense(), ScriptedGenerator::new(["card"]), ["card", "fees"]);
/// assert_eq!(few_shot.classify("stolen card")?, "card");
/// # Ok::<(), ragtune::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct FewShot<R, G> {
    retriever: R,
    generator: G,
    labels: BTreeSet<String>,
    field: String,
    examples: usize,
}

impl<R: Retriever, G: Generator> FewShot<R, G> {
    /// Eight examples, whose label is the metadata value `label`.
    pub fn new<L: Into<String>>(retriever: R, generator: G, labels: impl IntoIterator<Item = L>) -> Self {
        Self {
            retriever,
            generator,
            labels: labels.into_iter().map(Into::into).collect(),
            field: "label".to_owned(),
            examples: 8,
        }
    }

    /// The label is this metadata value.
    pub fn with_field(mut self, field: impl Into<String>) -> Self {
        self.field = field.into();
        self
    }

    /// So many examples at most; with none the model has the labels alone.
    pub fn with_examples(mut self, examples: usize) -> Self {
        self.examples = examples;
        self
    }

    /// The label of a text.
    ///
    /// # Errors
    /// Those of the retriever and the generator; [`Error::PromptTooLong`] when the labels and the text alone do not fit,
    /// [`Error::NoLabel`] for an example without its label, and [`Error::NotALabel`] for an answer that is none, which a
    /// generator without constraints may give.
    pub fn classify(&self, text: &str) -> Result<String> {
        let hits = match self.examples {
            0 => Vec::new(),
            examples => self.retriever.retrieve(&Query::new(text).with_top_k(examples))?,
        };
        let mut examples = Vec::with_capacity(hits.len());
        for hit in &hits {
            let label = hit.chunk.metadata.get(&self.field).and_then(Value::as_text);
            let label = label.ok_or_else(|| Error::NoLabel {
                document_id: hit.chunk.document_id.clone(),
                field: self.field.clone(),
            })?;
            examples.push((hit.chunk.text.as_str(), label));
        }
        let answer_tokens = self.answer_tokens()?;
        let prompt = self.fitting(text, examples, answer_tokens)?;
        let options = GenerateOptions::default().with_max_tokens(answer_tokens);
        let constrained = options.clone().with_constraint(Constraint::Regex(self.pattern()));
        let answer = match self.generator.generate(prompt.clone(), constrained) {
            Err(error) if has_no_constraint(&error) => self.generator.generate(prompt, options)?.text,
            answer => answer?.text,
        };
        let answer = answer.trim();
        match self.labels.contains(answer) {
            true => Ok(answer.to_owned()),
            false => Err(Error::NotALabel {
                answer: answer.to_owned(),
            }),
        }
    }

    /// The prompt with as many examples as fit, the nearest last, where a model remembers best.
    fn fitting(&self, text: &str, mut examples: Vec<(&str, &str)>, answer_tokens: usize) -> Result<Prompt> {
        let available = self.generator.context_tokens().saturating_sub(answer_tokens);
        loop {
            let prompt = self.prompt(text, &examples);
            let needed = cautious(self.generator.count(&prompt)?);
            if needed <= available {
                return Ok(prompt);
            }
            if examples.pop().is_none() {
                return Err(Error::PromptTooLong {
                    generator: self.generator.id().to_owned(),
                    needed,
                    available,
                });
            }
        }
    }

    fn prompt(&self, text: &str, examples: &[(&str, &str)]) -> Prompt {
        let labels: Vec<&str> = self.labels.iter().map(String::as_str).collect();
        let mut messages = vec![Message::system(format!(
            "Give the label of each text. Answer with one of these labels and nothing else: {}",
            labels.join(", ")
        ))];
        for (example, label) in examples.iter().rev() {
            messages.push(Message::user(*example));
            messages.push(Message::assistant(*label));
        }
        messages.push(Message::user(text));
        Prompt::new(messages)
    }

    /// Tokens of the longest label, and a few for how it ends.
    fn answer_tokens(&self) -> Result<usize> {
        let longest = self.labels.iter().max_by_key(|label| label.len());
        let longest = longest.map(String::as_str).unwrap_or_default();
        Ok(cautious(self.generator.count(&longest.into())?) + 8)
    }

    fn pattern(&self) -> String {
        let escaped: Vec<String> = self.labels.iter().map(|label| escape(label)).collect();
        format!("({})", escaped.join("|"))
    }
}

fn has_no_constraint(error: &ragtune_core::Error) -> bool {
    match error {
        ragtune_core::Error::UnsupportedOption { option, .. } => *option == "constraint",
        #[cfg(feature = "openai")]
        ragtune_core::Error::OpenAi(OpenAiError::UnsupportedOption { option, .. }) => *option == "constraint",
        _ => false,
    }
}

/// A text as the regular expression that matches it alone.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if !c.is_alphanumeric() && c.is_ascii_graphic() {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}
