//! A language model of this machine behind the trait [`Generator`].

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::Device;

use super::constraint::Grammars;
use super::limits::{self, Room};
use super::prefix::Prefixes;
use super::sequence::{Sequence, Start};
use super::streams::{self, Pulled};
use crate::adapters::AdapterStack;
use crate::chat::{ChatDate, ChatOptions, ChatTemplate, RenderedPrompt};
use crate::error::{Error, Result};
use crate::models::{CausalLm, LoadOptions, Positions};
use crate::text::{
    GenerateOptions, Generation, Generator, Message, MessageRole, Prompt, TokenCount, TokenStream,
};

/// Caches that are kept for prompts that begin alike.
const KEPT_PREFIXES: usize = 1;
/// Answers of a batch that are written at the same time.
const BATCH: usize = 8;
/// What begins a turn of the person where the model has no chat template.
const PLAIN_USER: &str = "User: ";
/// What begins a turn of the model there.
const PLAIN_ASSISTANT: &str = "Assistant:";

/// A [`CausalLm`] that continues prompts.
///
/// A prompt is rendered by the model's chat template. A model without one gets a plain format: standing instructions, then
/// `User: ...` and `Assistant: ...` on lines of their own, a last line `Assistant:`, and `\nUser:` ends its answer.
/// [`LocalGenerator::render`] shows the text that is sent.
///
/// Text of messages never becomes a control token, and what two calls have in common at the beginning of their prompts is
/// read once.
///
/// ```no_run
/// use ragtune_core::device;
/// use ragtune_core::generation::LocalGenerator;
/// use ragtune_core::text::{GenerateOptions, Generator, Message, Prompt};
///
/// let generator = LocalGenerator::load("models/smollm2-360m-instruct", &device::cpu())?;
/// let prompt = Prompt::new([Message::system("Answer in one word."), Message::user("Capital of France?")]);
/// println!("{}", generator.render(&prompt)?.text());
/// println!("{}", generator.generate(prompt, GenerateOptions::default().with_max_tokens(16))?.text);
/// # Ok::<(), ragtune_core::Error>(())
/// ```
#[derive(Clone)]
pub struct LocalGenerator {
    id: String,
    lm: Arc<CausalLm>,
    template: Option<Arc<ChatTemplate>>,
    chat: ChatOptions,
    adapters: AdapterStack,
    context_tokens: usize,
    batch: usize,
    prefixes: Arc<Mutex<Prefixes>>,
    grammars: Arc<Mutex<Option<Arc<Grammars>>>>,
}

impl LocalGenerator {
    /// A model that is loaded.
    pub fn new(lm: impl Into<Arc<CausalLm>>) -> Self {
        let lm = lm.into();
        let config = lm.config();
        Self {
            id: format!("local {} {}", config.model_type, config.hidden_size),
            template: lm.chat_template().cloned(),
            chat: ChatOptions::default(),
            adapters: AdapterStack::base(),
            context_tokens: config.max_position_embeddings,
            batch: BATCH,
            prefixes: Arc::new(Mutex::new(Prefixes::new(KEPT_PREFIXES))),
            grammars: Arc::default(),
            lm,
        }
    }

    /// Loads the model of a folder; the folder's name is its id.
    ///
    /// # Errors
    /// As [`CausalLm::load`].
    pub fn load(folder: impl Into<PathBuf>, device: &Device) -> Result<Self> {
        Self::load_with(folder, device, &LoadOptions::default())
    }

    /// The same in a way of the caller's choice, such as in int8.
    ///
    /// # Errors
    /// As [`CausalLm::load_with`].
    pub fn load_with(folder: impl Into<PathBuf>, device: &Device, options: &LoadOptions) -> Result<Self> {
        let folder = folder.into();
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned());
        let generator = Self::new(CausalLm::load_with(folder, device, options)?);
        Ok(match name {
            Some(name) => generator.with_id(name),
            None => generator,
        })
    }

    /// The same under another name in traces.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = id.into();
        self
    }

    /// The same model with these adapters; nothing is copied, so one model serves any number of generators.
    #[must_use]
    pub fn with_adapters(mut self, adapters: AdapterStack) -> Self {
        self.adapters = adapters;
        self
    }

    /// Another chat template than the model's own; its control tokens become those of the model's tokenizer.
    #[must_use]
    pub fn with_template(mut self, template: ChatTemplate) -> Self {
        let control = self.lm.tokenizer().control_tokens(template.source());
        self.template = Some(Arc::new(template.with_control_tokens(control)));
        self
    }

    /// Variables of the chat template and how it is used.
    #[must_use]
    pub fn with_chat_options(mut self, options: ChatOptions) -> Self {
        self.chat = options;
        self
    }

    /// A date for chat templates that ask for one.
    ///
    /// # Errors
    /// As [`ChatTemplate::with_date`].
    pub fn with_date(mut self, date: ChatDate) -> Result<Self> {
        if let Some(template) = self.template.take() {
            self.template = Some(Arc::new(template.dated(date)?));
        }
        Ok(self)
    }

    /// A shorter context than the model was made for, or a longer one at the caller's own risk.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for fewer than 2 tokens, and for more than a model with a learned table of positions has.
    pub fn with_context_tokens(mut self, context_tokens: usize) -> Result<Self> {
        if context_tokens < 2 {
            return Err(Error::InvalidArgument {
                argument: "context_tokens",
                reason: format!("{context_tokens} tokens hold no prompt and answer"),
            });
        }
        if let Positions::Learned(rows) = self.lm.config().positions
            && context_tokens > rows
        {
            return Err(Error::InvalidArgument {
                argument: "context_tokens",
                reason: format!("{context_tokens} tokens, and the model has learned {rows} positions"),
            });
        }
        self.context_tokens = context_tokens;
        Ok(self)
    }

    /// Keeps this many caches for prompts that begin alike; 0 reads every prompt anew.
    #[must_use]
    pub fn with_kept_prefixes(mut self, kept: usize) -> Self {
        self.prefixes = Arc::new(Mutex::new(Prefixes::new(kept)));
        self
    }

    /// Writes this many answers of [`Generator::generate_batch`] at the same time, each with a cache of its own.
    #[must_use]
    pub fn with_batch(mut self, batch: usize) -> Self {
        self.batch = batch.max(1);
        self
    }

    /// The model.
    pub fn lm(&self) -> &Arc<CausalLm> {
        &self.lm
    }

    /// Whether conversations are rendered by a chat template.
    pub fn has_template(&self) -> bool {
        self.template.is_some()
    }

    /// The text that is sent for a prompt.
    ///
    /// # Errors
    /// [`Error::EmptyPrompt`]; [`Error::ChatTemplate`] when the template refuses the conversation.
    pub fn render(&self, prompt: &Prompt) -> Result<RenderedPrompt> {
        if prompt
            .messages
            .iter()
            .all(|message| message.content.trim().is_empty())
        {
            return Err(Error::EmptyPrompt);
        }
        match &self.template {
            Some(template) => template.render(&prompt.messages, &self.chat),
            None => RenderedPrompt::plain(&plain(&prompt.messages), &self.lm.tokenizer().control_tokens("")),
        }
    }

    /// The tokens that are sent for a prompt.
    ///
    /// # Errors
    /// As [`LocalGenerator::render`], and [`Error::Tokenizer`].
    pub fn tokens(&self, prompt: &Prompt) -> Result<Vec<u32>> {
        let rendered = self.render(prompt)?;
        match &self.template {
            Some(_) => Ok(self.lm.tokenizer().encode_prompt(&rendered)?.ids),
            // Without a template nothing has written the token that begins a text.
            None => self.text_tokens(rendered.text()),
        }
    }

    /// Continues a text as it is, without chat template: special tokens in it are plain text, and the tokenizer puts its
    /// own beginning before it.
    ///
    /// # Errors
    /// As [`Generator::stream`].
    pub fn complete(&self, text: &str, options: GenerateOptions) -> Result<TokenStream> {
        if text.is_empty() {
            return Err(Error::EmptyPrompt);
        }
        self.continue_tokens(self.text_tokens(text)?, options)
    }

    /// Continues a sequence of tokens.
    ///
    /// # Errors
    /// [`Error::EmptyPrompt`], [`Error::ContextOverflow`], and those of the options.
    pub fn continue_tokens(&self, prompt: Vec<u32>, options: GenerateOptions) -> Result<TokenStream> {
        let sequence = self.begin(prompt, &options, true)?;
        Ok(TokenStream::new(Pulled {
            lm: self.lm.clone(),
            sequence: Some(sequence),
            ready: VecDeque::new(),
            prefixes: self.prefixes.clone(),
        }))
    }

    /// Continues sequences of tokens of any lengths together.
    ///
    /// # Errors
    /// The first error of any of them.
    pub fn continue_batch(
        &self,
        prompts: Vec<Vec<u32>>,
        options: &GenerateOptions,
    ) -> Result<Vec<Generation>> {
        streams::run(&self.lm, prompts.len(), self.batch, |number| {
            self.begin(prompts[number].clone(), options, false)
        })
    }

    fn begin(&self, prompt: Vec<u32>, options: &GenerateOptions, reuse: bool) -> Result<Sequence> {
        options.check()?;
        let vocabulary = self.lm.config().vocab_size;
        if let Some(id) = options.stop_tokens.iter().find(|&&id| id as usize >= vocabulary) {
            return Err(Error::InvalidArgument {
                argument: "stop_tokens",
                reason: format!("there is no token {id}; the vocabulary has {vocabulary}"),
            });
        }
        let grammar = match &options.constraint {
            Some(constraint) => Some(self.grammars()?.grammar(constraint)?),
            None => None,
        };
        let starts_text = prompt
            .first()
            .is_some_and(|&id| self.lm.tokenizer().is_special(id));
        let Room {
            prompt, max_tokens, ..
        } = limits::fit(prompt, options, self.context_tokens(), starts_text)?;
        let virtual_ids = self.lm.decoder().virtual_ids(&self.adapters);
        let whole = [virtual_ids.as_slice(), &prompt].concat();
        let tokens = whole.len().saturating_add(max_tokens);
        let cache = match reuse {
            true => {
                let mut prefixes = self.prefixes.lock().unwrap_or_else(PoisonError::into_inner);
                prefixes.take(&self.lm, &self.adapters, &whole, tokens, self.context_tokens)
            }
            false => self.lm.cache(tokens),
        };
        let start = Start {
            prompt,
            virtual_ids,
            cache,
            adapters: self.adapters.clone(),
            max_tokens,
            grammar,
        };
        Sequence::new(&self.lm, start, options)
    }

    /// The vocabulary as grammars need it, made once.
    fn grammars(&self) -> Result<Arc<Grammars>> {
        let mut grammars = self.grammars.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(grammars) = &*grammars {
            return Ok(grammars.clone());
        }
        let made = Arc::new(Grammars::new(self.lm.tokenizer(), self.lm.end_tokens())?);
        *grammars = Some(made.clone());
        Ok(made)
    }

    fn text_tokens(&self, text: &str) -> Result<Vec<u32>> {
        Ok(self.lm.tokenizer().encode_ordinary(text, true)?.ids)
    }

    /// In the plain format, the next turn of the person ends the answer.
    fn options_of(&self, options: GenerateOptions) -> GenerateOptions {
        match self.template {
            Some(_) => options,
            None => options.with_stop(format!("\n{}", PLAIN_USER.trim_end())),
        }
    }
}

impl Generator for LocalGenerator {
    fn id(&self) -> &str {
        &self.id
    }

    /// Without those of the adapters' virtual tokens.
    fn context_tokens(&self) -> usize {
        let virtual_tokens = self.lm.decoder().virtual_ids(&self.adapters).len();
        self.context_tokens.saturating_sub(virtual_tokens)
    }

    fn count(&self, prompt: &Prompt) -> Result<TokenCount> {
        Ok(TokenCount::Exact(self.tokens(prompt)?.len()))
    }

    fn stream(&self, prompt: Prompt, options: GenerateOptions) -> Result<TokenStream> {
        self.continue_tokens(self.tokens(&prompt)?, self.options_of(options))
    }

    fn generate_batch(&self, prompts: Vec<Prompt>, options: GenerateOptions) -> Result<Vec<Generation>> {
        let tokens: Result<Vec<_>> = prompts.iter().map(|prompt| self.tokens(prompt)).collect();
        self.continue_batch(tokens?, &self.options_of(options))
    }
}

impl std::fmt::Debug for LocalGenerator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalGenerator")
            .field("id", &self.id)
            .field("context_tokens", &self.context_tokens)
            .field(
                "template",
                &self.template.as_ref().map(|template| template.path()),
            )
            .finish_non_exhaustive()
    }
}

/// A conversation for a model without chat template.
fn plain(messages: &[Message]) -> String {
    let mut text = String::new();
    for message in messages {
        match message.role {
            MessageRole::System => text += &format!("{}\n\n", message.content),
            MessageRole::User => text += &format!("{PLAIN_USER}{}\n", message.content),
            MessageRole::Assistant => text += &format!("{PLAIN_ASSISTANT} {}\n", message.content),
        }
    }
    text + PLAIN_ASSISTANT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plain_format_has_a_line_for_each_turn() {
        let messages = [
            Message::system("Be brief."),
            Message::user("Tea?"),
            Message::assistant("Yes."),
            Message::user("Hot?"),
        ];
        assert_eq!(
            plain(&messages),
            "Be brief.\n\nUser: Tea?\nAssistant: Yes.\nUser: Hot?\nAssistant:"
        );
    }
}
