//! A sentence encoder behind an OpenAI-compatible server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::client::{Client, Silence};
use super::error::OpenAiError;
use super::options::OpenAiOptions;
use super::refusal::message_of_error;
use crate::error::{Error, Result};
use crate::text::{Embedder, Embeddings, Role};

/// An [`Embedder`] that asks an OpenAI-compatible server for embeddings.
///
/// A server does not say which weights it has, so [`Embedder::id`] is made of the base URL, the model's name and what
/// is set here; name another one with [`OpenAiEmbedder::with_id`] when you know that two servers give the same
/// vectors. A text that is too long is the server's to refuse; some cut it instead, and do not tell.
///
/// ```no_run
/// use ragtune_core::openai::{OpenAiEmbedder, OpenAiOptions};
/// use ragtune_core::text::{Embedder, Role};
///
/// let options = OpenAiOptions::new("http://localhost:8000/v1");
/// let embedder = OpenAiEmbedder::new(options, "small-encoder", 384)?.with_prompts("query: ", "passage: ");
/// let vectors = embedder.embed(&["What is tea?"], Role::Query)?;
/// assert_eq!(vectors.dim(), 384);
/// # Ok::<(), ragtune_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct OpenAiEmbedder {
    client: Arc<Client>,
    model: String,
    dim: usize,
    shortened: bool,
    query_prompt: String,
    document_prompt: String,
    max_tokens: usize,
    batch_texts: usize,
    own_id: Option<String>,
    id: String,
    tokens_used: Arc<AtomicU64>,
}

#[derive(Deserialize)]
struct Reply {
    data: Option<Vec<Item>>,
    usage: Option<ReplyUsage>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Item {
    index: usize,
    embedding: Vec<f32>,
}

#[derive(Deserialize)]
struct ReplyUsage {
    #[serde(default)]
    prompt_tokens: u64,
}

impl OpenAiEmbedder {
    /// The encoder of this name, whose vectors have `dim` components; nothing is sent yet.
    ///
    /// # Errors
    /// [`OpenAiError`](super::OpenAiError) for a base URL or key that cannot be used, [`Error::InvalidArgument`] for an
    /// empty name or no components.
    pub fn new(options: OpenAiOptions, model: impl Into<String>, dim: usize) -> Result<Self> {
        let model = model.into();
        let invalid = |argument, reason: &str| Error::InvalidArgument {
            argument,
            reason: reason.to_owned(),
        };
        if model.is_empty() {
            return Err(invalid(
                "model",
                "it is empty; give the name under which the server has it",
            ));
        }
        if dim == 0 {
            return Err(invalid("dim", "a vector has at least one component"));
        }
        let mut embedder = Self {
            client: Arc::new(Client::new(options)?),
            model,
            dim,
            shortened: false,
            query_prompt: String::new(),
            document_prompt: String::new(),
            max_tokens: 512,
            batch_texts: 64,
            own_id: None,
            id: String::new(),
            tokens_used: Arc::default(),
        };
        embedder.name();
        Ok(embedder)
    }

    /// Asks the server for vectors of this length (`dimensions`), which models that can be shortened understand.
    pub fn shortened(mut self) -> Self {
        self.shortened = true;
        self.name();
        self
    }

    /// Puts these before each question and before each document, as the model was trained.
    pub fn with_prompts(mut self, query: impl Into<String>, document: impl Into<String>) -> Self {
        self.query_prompt = query.into();
        self.document_prompt = document.into();
        self.name();
        self
    }

    /// Tokens that the model takes (512 unless told); passages are divided to fit.
    pub fn with_max_tokens(mut self, max_tokens: usize) -> Self {
        self.max_tokens = max_tokens;
        self
    }

    /// Texts in one request at most (64 unless told; at least 1).
    pub fn with_batch_texts(mut self, batch_texts: usize) -> Self {
        self.batch_texts = batch_texts.max(1);
        self
    }

    /// The fingerprint of the vectors, where the caller knows better than what the base URL and the name say.
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.own_id = Some(id.into());
        self.name();
        self
    }

    /// Tokens that the server counted so far, for this embedder and its clones.
    pub fn tokens_used(&self) -> u64 {
        self.tokens_used.load(Ordering::Relaxed)
    }

    fn name(&mut self) {
        let parts = json!([
            self.client.options().base_url,
            self.model,
            self.dim,
            self.shortened,
            self.query_prompt,
            self.document_prompt
        ]);
        self.id = match &self.own_id {
            Some(id) => id.clone(),
            None => format!("openai:{parts}"),
        };
    }

    fn batch(&self, texts: &[&str], prompt: &str, data: &mut Vec<f32>) -> Result<()> {
        let server = self.client.options();
        let input: Vec<String> = texts.iter().map(|text| format!("{prompt}{text}")).collect();
        let mut body = Map::new();
        body.insert("model".to_owned(), self.model.as_str().into());
        body.insert("input".to_owned(), input.into());
        // Some servers would answer in base64 without it.
        body.insert("encoding_format".to_owned(), "float".into());
        if self.shortened {
            body.insert("dimensions".to_owned(), self.dim.into());
        }
        for (name, value) in &server.extra {
            body.insert(name.clone(), value.clone());
        }
        let json = Value::Object(body).to_string();
        let mut answer = self.client.post("/embeddings", json.as_bytes(), Silence::Short)?;
        let bytes = answer.read_all()?;
        for row in self.rows(&bytes, texts.len(), &answer)? {
            data.extend(row);
        }
        Ok(())
    }

    /// The vectors of an answer, in the order of the texts.
    fn rows(&self, json: &[u8], texts: usize, answer: &Answer) -> Result<Vec<Vec<f32>>> {
        let server = answer.options();
        let reply: Reply = serde_json::from_slice(json)
            .map_err(|error| answer.protocol(format!("it is no list of embeddings: {error}")))?;
        if let Some(error) = &reply.error {
            return Err(OpenAiError::Failed {
                base_url: server.base_url.clone(),
                message: message_of_error(error, server.key.as_ref()),
            }
            .into());
        }
        let items = reply
            .data
            .ok_or_else(|| answer.protocol("it is no list of embeddings: it has no `data`"))?;
        if items.len() != texts {
            return Err(answer
                .protocol(format!("it has {} embeddings for {texts} texts", items.len()))
                .into());
        }
        let mut rows: Vec<Option<Vec<f32>>> = vec![None; texts];
        for Item { index, embedding } in items {
            match rows.get_mut(index) {
                Some(row @ None) => *row = Some(embedding),
                Some(Some(_)) => return Err(answer.protocol(format!("it has index {index} twice")).into()),
                None => {
                    let reason = format!("it has index {index} in an answer for {texts} texts");
                    return Err(answer.protocol(reason).into());
                }
            }
        }
        if let Some(usage) = reply.usage {
            self.tokens_used.fetch_add(usage.prompt_tokens, Ordering::Relaxed);
        }
        let rows: Vec<Vec<f32>> = rows.into_iter().flatten().collect();
        if let Some(row) = rows.iter().find(|row| row.len() != self.dim) {
            return Err(Error::Dimension {
                what: format!("a vector of the model {}", self.model),
                expected: self.dim,
                found: row.len(),
            });
        }
        Ok(rows)
    }
}

impl Embedder for OpenAiEmbedder {
    fn id(&self) -> &str {
        &self.id
    }

    fn dim(&self) -> usize {
        self.dim
    }

    fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    fn embed(&self, texts: &[&str], role: Role) -> Result<Embeddings> {
        let prompt = match role {
            Role::Query => &self.query_prompt,
            Role::Document => &self.document_prompt,
        };
        let mut data = Vec::new();
        for batch in texts.chunks(self.batch_texts) {
            self.batch(batch, prompt, &mut data)?;
        }
        let embeddings = Embeddings::new(self.dim, data, 0)?;
        embeddings.check(self.dim, texts.len())?;
        Ok(embeddings)
    }
}
