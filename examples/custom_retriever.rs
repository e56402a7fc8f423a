//! A retriever of your own: contacts from a table, answered with sources like any other passage.
//!
//! `cargo run --release --example custom_retriever`

use std::process::ExitCode;

use ragtune::core::text::{Chunk, Document, Query, ScoreKind, ScoredChunk};
use ragtune::retrieve::Retriever;
use ragtune::{Encoder, ExtractiveAnswerer, Rag};
use ragtune_examples::{Outcome, output};

/// Finds people by the words of the question that stand in their entry.
struct Contacts(Vec<Document>);

impl Retriever for Contacts {
    fn retrieve(&self, query: &Query) -> ragtune::retrieve::Result<Vec<ScoredChunk>> {
        let question = query.text.to_lowercase();
        let words: Vec<&str> = question
            .split(|c: char| !c.is_alphanumeric())
            .filter(|w| w.len() > 3)
            .collect();
        let condition = query.condition();
        let kind = ScoreKind::Custom("matching_words".into());
        let allowed = self
            .0
            .iter()
            .filter(|entry| condition.as_ref().is_none_or(|c| c.matches(&entry.metadata)));
        let mut hits: Vec<ScoredChunk> = allowed
            .map(|entry| {
                let text = entry.text.to_lowercase();
                let matching = words.iter().filter(|word| text.contains(**word)).count();
                ScoredChunk::new(Chunk::whole(entry), kind.clone(), matching as f32)
            })
            .filter(|hit| hit.score() > 0.0)
            .filter(|hit| {
                query
                    .threshold
                    .as_ref()
                    .is_none_or(|t| t.passes(&hit.scores) == Some(true))
            })
            .collect();
        ScoredChunk::sort(&mut hits);
        hits.truncate(query.top_k);
        Ok(hits)
    }
}

fn main() -> ExitCode {
    output::run(run)
}

fn run() -> Outcome {
    let contacts = Contacts(vec![
        Document::new(
            "ada",
            "Ada Byron repairs the coffee machine. Her telephone number is 4711.",
        ),
        Document::new(
            "karl",
            "Karl Benz looks after the cars of the company. His telephone number is 1886.",
        ),
        Document::new(
            "emmy",
            "Emmy Noether teaches the course on symmetry. Her office is room 208.",
        ),
    ]);
    let rag = Rag::builder()
        .retriever(contacts)
        .answerer(ExtractiveAnswerer::new(Encoder::builtin()?))
        .build()?;
    for question in [
        "Who repairs the coffee machine?",
        "Which room is the office of Emmy Noether?",
    ] {
        output::line(format_args!("{question}\n{}\n", rag.ask(question)?))?;
    }
    Ok(())
}
