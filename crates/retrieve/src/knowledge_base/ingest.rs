//! The way of prepared documents into the store: unknown texts are embedded in full batches across documents, outside
//! of any transaction, and a document is written in one transaction as soon as all its vectors are known.

use std::collections::{HashMap, HashSet, VecDeque};

use ragtune_core::Cancel;
use ragtune_core::text::{Embedder, Role};

use super::base::{Base, Space};
use super::report::EmbeddingReport;
use crate::error::{Error, Result};
use crate::index::Metric;
use crate::store::sums::embedded_text;
use crate::store::vectors::{self, TextHash};
use crate::store::{Generation, NewDocument};

/// Texts given to the embedder at once. The first batches are smaller, each twice the one before: what is embedded is stored
/// after each, so that a process that is killed early has something to go on from.
const FIRST_BATCH_TEXTS: usize = 16;
pub(super) const BATCH_TEXTS: usize = 128;
/// Documents and bytes of text that wait to be written at most.
const WAITING_DOCUMENTS: usize = 256;
const WAITING_BYTES: usize = 8 << 20;

/// Documents on their way into a base.
pub(super) struct Ingest<'a> {
    base: &'a Base,
    metric: Option<Metric>,
    lexical_only: bool,
    space: Option<Space>,
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    /// Texts of the next batch.
    batch: usize,
    /// Texts to embed, in the order in which they came.
    wanted: VecDeque<(TextHash, String)>,
    /// Hashes that are wanted or were embedded for a waiting document.
    asked: HashSet<TextHash>,
    vectors: HashMap<TextHash, Vec<f32>>,
    /// Texts ever wanted, and ever embedded, since the last change of generation.
    wanted_total: usize,
    embedded_total: usize,
    has_staged: bool,
    report: EmbeddingReport,
    cancel: &'a Cancel,
    on_embedded: &'a dyn Fn(usize, usize),
}

/// A document whose vectors are known once so many texts were embedded.
struct Waiting {
    document: NewDocument,
    ready_at: usize,
}

impl<'a> Ingest<'a> {
    /// Starts; takes the right to write. `on_embedded` hears how many texts were embedded and how many are known to
    /// need it.
    pub(super) fn begin(
        base: &'a Base,
        metric: Option<Metric>,
        lexical_only: bool,
        cancel: &'a Cancel,
        on_embedded: &'a dyn Fn(usize, usize),
    ) -> Result<Self> {
        Ok(Self {
            space: base.space_for_writing(metric, lexical_only)?,
            base,
            metric,
            lexical_only,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            batch: FIRST_BATCH_TEXTS,
            wanted: VecDeque::new(),
            asked: HashSet::new(),
            vectors: HashMap::new(),
            wanted_total: 0,
            embedded_total: 0,
            has_staged: false,
            report: EmbeddingReport::default(),
            cancel,
            on_embedded,
        })
    }

    /// Takes a document; it and others may be written now.
    pub(super) fn push(&mut self, document: NewDocument) -> Result<()> {
        self.enqueue(document)?;
        while self.wanted.len() >= self.batch {
            self.embed(self.batch)?;
            self.write_ready()?;
        }
        if self.waiting.len() >= WAITING_DOCUMENTS || self.waiting_bytes >= WAITING_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    /// Writes all that was pushed.
    pub(super) fn finish(mut self) -> Result<EmbeddingReport> {
        self.flush()?;
        if self.has_staged {
            self.base
                .store
                .write_aside(|connection| vectors::clear_staged(connection))?;
        }
        Ok(self.report)
    }

    fn flush(&mut self) -> Result<()> {
        while !self.waiting.is_empty() {
            self.cancel.check()?;
            if !self.wanted.is_empty() {
                self.embed(self.wanted.len().min(self.batch))?;
            }
            self.write_ready()?;
        }
        Ok(())
    }

    fn enqueue(&mut self, document: NewDocument) -> Result<()> {
        if let Some(space) = &self.space {
            let mut unknown = Vec::new();
            for chunk in &document.chunks {
                if self.asked.contains(&chunk.hash) || self.vectors.contains_key(&chunk.hash) {
                    self.report.reused += 1;
                } else {
                    self.asked.insert(chunk.hash);
                    unknown.push(chunk);
                }
            }
            let stored = self.base.store.read(|connection| {
                let find = |chunk: &&_| {
                    let chunk: &crate::store::NewChunk = chunk;
                    vectors::by_hash(connection, &space.generation, &chunk.hash)
                };
                unknown.iter().map(find).collect::<rusqlite::Result<Vec<_>>>()
            })?;
            for (chunk, stored) in unknown.into_iter().zip(stored) {
                if let Some(vector) = stored {
                    self.report.reused += 1;
                    self.vectors.insert(chunk.hash, vector);
                } else if let Some(text) = chunk.span.of(&document.document.text) {
                    let text = embedded_text(&chunk.locator.headings, text);
                    self.wanted.push_back((chunk.hash, text));
                    self.wanted_total += 1;
                }
            }
        }
        self.waiting_bytes += document.document.text.len();
        self.waiting.push_back(Waiting {
            document,
            ready_at: self.wanted_total,
        });
        Ok(())
    }

    /// Embeds the first `count` wanted texts.
    fn embed(&mut self, count: usize) -> Result<()> {
        let Some(space) = &self.space else {
            return Ok(());
        };
        self.cancel.check()?;
        self.batch = BATCH_TEXTS.min(self.batch * 2);
        let batch: Vec<_> = self.wanted.drain(..count).collect();
        let texts: Vec<&str> = batch.iter().map(|(_, text)| text.as_str()).collect();
        let (rows, truncated) = embed_checked(space, &texts)?;
        self.embedded_total += batch.len();
        self.report.embedded += batch.len();
        self.report.truncated += truncated;
        let incomplete = self
            .waiting
            .front()
            .is_some_and(|first| first.ready_at > self.embedded_total);
        if incomplete {
            // A document of many batches: what is embedded of it must not be lost with the process.
            self.has_staged = true;
            self.base.store.write_aside(|connection| {
                if Generation::active(connection)?.as_ref() != Some(&space.generation) {
                    return Ok(());
                }
                let mut pairs = batch.iter().zip(&rows);
                pairs.try_for_each(|((hash, _), row)| {
                    vectors::stage(connection, space.generation.id, hash, row)
                })
            })?;
        }
        self.vectors
            .extend(batch.into_iter().map(|(hash, _)| hash).zip(rows));
        (self.on_embedded)(self.report.embedded, self.report.embedded + self.wanted.len());
        Ok(())
    }

    /// Writes the documents whose vectors are known, in one transaction.
    fn write_ready(&mut self) -> Result<()> {
        let ready = self
            .waiting
            .iter()
            .take_while(|next| next.ready_at <= self.embedded_total)
            .count();
        if ready == 0 {
            return Ok(());
        }
        let vector_of = |hash: &TextHash| self.vectors.get(hash).map(Vec::as_slice);
        let written = self.base.store.write(|connection, seq| {
            // Another thread may have changed the embedder in the meantime.
            let active = Generation::active(connection)?;
            if active.as_ref() != self.space.as_ref().map(|space| &space.generation) {
                return Ok(false);
            }
            let vectors = active
                .as_ref()
                .map(|active| (active.id, &vector_of as &dyn Fn(&TextHash) -> _));
            for next in self.waiting.iter().take(ready) {
                next.document.store(connection, seq, vectors)?;
            }
            Ok(true)
        })?;
        if !written {
            return self.start_again();
        }
        for done in self.waiting.drain(..ready) {
            self.waiting_bytes -= done.document.document.text.len();
        }
        if self.waiting.is_empty() {
            self.vectors.clear();
            self.asked.clear();
        }
        Ok(())
    }

    /// Queues the waiting documents for the generation that is active now.
    fn start_again(&mut self) -> Result<()> {
        self.space = self.base.space_for_writing(self.metric, self.lexical_only)?;
        self.wanted.clear();
        self.asked.clear();
        self.vectors.clear();
        (self.wanted_total, self.embedded_total, self.waiting_bytes) = (0, 0, 0);
        for waiting in std::mem::take(&mut self.waiting) {
            self.enqueue(waiting.document)?;
        }
        Ok(())
    }
}

/// Vectors of texts, checked: one for each, of the right dimension, finite, and comparable by the metric; and how many
/// texts were cut.
pub(super) fn embed_checked(space: &Space, texts: &[&str]) -> Result<(Vec<Vec<f32>>, usize)> {
    let found = space.embedder.embed(texts, Role::Document)?;
    found.check(space.generation.dim, texts.len())?;
    if space.generation.metric == Metric::Cosine
        && let Some(at) = found
            .rows()
            .position(|row| row.iter().all(|component| *component == 0.0))
    {
        let start: String = texts.get(at).unwrap_or(&"").chars().take(60).collect();
        return Err(Error::ZeroVector {
            what: format!("the vector of the text that starts {start:?}"),
        });
    }
    Ok((found.rows().map(<[f32]>::to_vec).collect(), found.truncated()))
}
