//! The mechanical check of a citation: what it quotes is what the document says there.

use ragtune_core::text::{Locator, Span};
use ragtune_retrieve::Retriever;

use crate::answer::{Citation, CitationFault, Source};
use crate::answerer::CitationClaim;
use crate::error::Result;

/// The citation that a claim makes, or what is wrong with the claim.
///
/// The cited text must be the stored document's under the span where the retriever keeps texts, and lies in the
/// passage in any case. `kept` says that the document's text could be read when the passage was found.
pub(super) fn check(
    claim: CitationClaim,
    text: &str,
    sources: &[Source],
    kept: bool,
    retriever: &dyn Retriever,
) -> Result<std::result::Result<Citation, CitationFault>> {
    let Some(source) = claim.source.checked_sub(1).and_then(|at| sources.get(at)) else {
        return Ok(Err(CitationFault::UnknownSource));
    };
    if claim.answer_span.of(text).is_none_or(str::is_empty) {
        return Ok(Err(CitationFault::InvalidAnswerSpan));
    }
    let chunk = &source.chunk.chunk;
    let span = claim.span;
    let within = chunk.span.contains(span) && !span.is_empty();
    let local = within.then(|| Span::new(span.start - chunk.span.start, span.end - chunk.span.start));
    let Some(quoted) = local.and_then(|local| local.of(&chunk.text)) else {
        return Ok(Err(CitationFault::InvalidSpan { span }));
    };
    match retriever.stored_text(&chunk.document_id, span)? {
        Some(stored) if stored != quoted => return Ok(Err(CitationFault::TextDiffers { span })),
        None if kept => return Ok(Err(CitationFault::TextMissing { span })),
        _ => {}
    }
    let locator = Locator {
        line: chunk.line_at(span.start),
        ..chunk.locator.clone()
    };
    Ok(Ok(Citation {
        source: source.number,
        document_id: chunk.document_id.clone(),
        span,
        text: quoted.to_owned(),
        answer_span: claim.answer_span,
        locator,
    }))
}
