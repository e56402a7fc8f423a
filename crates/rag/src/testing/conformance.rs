//! What every answerer must do, to run against your own; the suites of the other traits beside it.

use ragtune_core::text::{Chunk, Document, Query, ScoreKind, ScoredChunk, Span};

pub use ragtune_core::testing::conformance::{embedder, generator, reranker};

use crate::answerer::{AnswerEvent, Answerer};

/// Checks an answerer that can answer "At how many degrees is green tea steeped?": order of events, citations,
/// independence of the pieces, and that it abstains when it is given nothing.
///
/// ```
/// use ragtune::ExtractiveAnswerer;
/// use ragtune::testing::{HashingEmbedder, conformance};
/// assert_eq!(conformance::answerer(&ExtractiveAnswerer::new(HashingEmbedder::new(256))), Vec::<String>::new());
/// ```
pub fn answerer(answerer: &dyn Answerer) -> Vec<String> {
    let mut violations = Vec::new();
    let question = Query::new("At how many degrees is green tea steeped?");
    match answerer
        .answer(&question, Vec::new())
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
    {
        Ok(events) => {
            if !events
                .iter()
                .any(|event| matches!(event, AnswerEvent::Abstain(_)))
            {
                violations.push("it does not abstain when it is given no passage".to_owned());
            }
            if events.iter().any(|event| matches!(event, AnswerEvent::Text(_))) {
                violations.push("it gives text without any passage".to_owned());
            }
        }
        Err(error) => violations.push(format!(
            "it fails without passages instead of abstaining: {error}"
        )),
    }
    let hits = passages();
    match answerer
        .answer(&question, hits.clone())
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
    {
        Ok(events) => check(&events, &hits, &mut violations),
        Err(error) => violations.push(format!("it fails on an ordinary question: {error}")),
    }
    // A stream that is dropped at any point must not harm the next question.
    for taken in 0..3 {
        if let Ok(stream) = answerer.answer(&question, hits.clone()) {
            stream.take(taken).for_each(drop);
        }
    }
    violations
}

fn check(events: &[AnswerEvent], hits: &[ScoredChunk], violations: &mut Vec<String>) {
    let mut text = String::new();
    let mut abstained = false;
    for event in events {
        match event {
            AnswerEvent::Text(_) if abstained => violations.push("text follows an abstention".to_owned()),
            AnswerEvent::Text(piece) => text.push_str(piece),
            AnswerEvent::Abstain(_) if !text.is_empty() => {
                violations.push("it abstains after text".to_owned())
            }
            AnswerEvent::Abstain(_) => abstained = true,
            AnswerEvent::Citation(claim) => {
                let hit = claim.source.checked_sub(1).and_then(|at| hits.get(at));
                match hit {
                    None => violations.push(format!("it cites source {}, which is none", claim.source)),
                    Some(hit) if !hit.chunk.span.contains(claim.span) || claim.span.is_empty() => {
                        violations.push(format!("it cites {}, outside of its source", claim.span));
                    }
                    Some(_) => {}
                }
                if claim.answer_span.of(&text).is_none_or(str::is_empty) {
                    violations.push(format!(
                        "a citation is for {} of the answer so far",
                        claim.answer_span
                    ));
                }
            }
            _ => {}
        }
    }
    if text.trim().is_empty() && !abstained {
        violations.push("it gives neither text nor an abstention".to_owned());
    }
}

/// Two passages of one document, which do not start at its first byte.
fn passages() -> Vec<ScoredChunk> {
    let texts = [
        "Green tea is steeped at 80 degrees.",
        "Grüner Tee: 80 °C. Black tea takes boiling water.",
    ];
    let mut start = 10;
    let mut hits = Vec::new();
    for (at, text) in texts.iter().enumerate() {
        let mut chunk = Chunk::whole(&Document::new("tea.md", *text));
        chunk.id = format!("tea.md#{at}");
        chunk.span = Span::new(start, start + text.len());
        start = chunk.span.end + 2;
        hits.push(ScoredChunk::new(chunk, ScoreKind::Cosine, 0.9 - at as f32 / 10.0));
    }
    hits
}
