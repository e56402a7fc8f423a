//! Text of a language model to events: what it says, what it cites, or that it declines.

use std::sync::Arc;

use ragtune_core::text::{ScoredChunk, Span};

use super::marker::{Mark, Marks};
use super::support;
use crate::answer::{Abstention, CitationFault, RejectedCitation};
use crate::answerer::{AnswerEvent, CitationClaim};
use crate::sentences::sentences;

/// Reads the model's text piece by piece.
///
/// Text is held back only as long as it could be the agreed sentence for "no answer".
pub(super) struct Writer {
    chunks: Arc<[ScoredChunk]>,
    shown: Vec<bool>,
    no_answer: Vec<char>,
    held: String,
    state: State,
    text: String,
    marks: Marks,
    /// End of the last mark: the next one's sentence starts after it.
    marked: usize,
    /// The sentence of the last mark, which marks right behind it share.
    sentence: Option<Span>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The text so far could become the agreed sentence.
    Open,
    Answering,
    Declining,
}

impl Writer {
    pub fn new(chunks: Arc<[ScoredChunk]>, shown: Vec<bool>, no_answer: &str) -> Self {
        let no_answer: Vec<char> = letters(no_answer).collect();
        Self {
            chunks,
            shown,
            state: if no_answer.is_empty() {
                State::Answering
            } else {
                State::Open
            },
            no_answer,
            held: String::new(),
            text: String::new(),
            marks: Marks::default(),
            marked: 0,
            sentence: None,
        }
    }

    /// The events of the next piece.
    pub fn push(&mut self, piece: &str, events: &mut Vec<AnswerEvent>) {
        if self.state == State::Answering {
            self.answer(piece, events);
            return;
        }
        self.held.push_str(piece);
        if self.state == State::Declining {
            return;
        }
        let said: Vec<char> = letters(&self.held).collect();
        if said.starts_with(&self.no_answer) {
            self.state = State::Declining;
        } else if !self.no_answer.starts_with(&said) {
            self.release(events);
        }
    }

    /// The events of the end.
    pub fn end(&mut self, events: &mut Vec<AnswerEvent>) {
        if self.state == State::Open && !self.held.trim().is_empty() {
            self.release(events);
        }
        if self.state == State::Answering && !self.text.trim().is_empty() {
            let marks = self.marks.scan(&self.text, true);
            self.cite(marks, events);
        } else {
            // A model that says nothing has no answer either.
            let said = std::mem::take(&mut self.held);
            events.push(AnswerEvent::Abstain(Abstention::Declined { said }));
        }
    }

    fn release(&mut self, events: &mut Vec<AnswerEvent>) {
        self.state = State::Answering;
        let held = std::mem::take(&mut self.held);
        self.answer(held.trim_start(), events);
    }

    fn answer(&mut self, piece: &str, events: &mut Vec<AnswerEvent>) {
        // White space before the first word is no answer yet; an answer of it alone is none at all.
        let piece = if self.text.is_empty() {
            piece.trim_start()
        } else {
            piece
        };
        if piece.is_empty() {
            return;
        }
        self.text.push_str(piece);
        events.push(AnswerEvent::Text(piece.to_owned()));
        let marks = self.marks.scan(&self.text, false);
        self.cite(marks, events);
    }

    fn cite(&mut self, marks: Vec<Mark>, events: &mut Vec<AnswerEvent>) {
        for mark in marks {
            let answer_span = self.sentence_before(mark.span.start);
            self.marked = mark.span.end;
            self.sentence = answer_span;
            for number in mark.numbers {
                events.push(self.claim(number, answer_span.unwrap_or(mark.span), answer_span));
            }
        }
    }

    fn claim(&self, number: usize, answer_span: Span, sentence: Option<Span>) -> AnswerEvent {
        let rejected = |fault| {
            AnswerEvent::Rejected(RejectedCitation {
                source: number,
                answer_span,
                fault,
            })
        };
        let at = number.checked_sub(1).filter(|at| *at < self.chunks.len());
        let Some(at) = at else {
            return rejected(CitationFault::UnknownSource);
        };
        if !self.shown.get(at).copied().unwrap_or(false) {
            return rejected(CitationFault::NotInPrompt);
        }
        let claim = sentence.and_then(|span| span.of(&self.text)).unwrap_or_default();
        AnswerEvent::Citation(CitationClaim {
            source: number,
            span: support::span(&self.chunks[at].chunk, claim),
            answer_span,
        })
    }

    /// The sentence that a mark at this byte is for: the last one since the mark before, else that mark's own.
    fn sentence_before(&self, mark: usize) -> Option<Span> {
        let since = self.text.get(self.marked..mark)?;
        let said = |part: &str| part.chars().any(char::is_alphanumeric);
        if !said(since) {
            return self.sentence;
        }
        let last = sentences(since)
            .into_iter()
            .rfind(|span| span.of(since).is_some_and(said))?;
        let text = last.of(since)?;
        let lead = text.len() - text.trim_start_matches(|c: char| !is_opening(c)).len();
        let end = last.start + text.trim_end().len();
        Some(Span::new(last.start + lead, end).shifted(self.marked))
    }
}

/// Whether a sentence may begin with this character; the full stop after a mark belongs to the sentence before.
fn is_opening(c: char) -> bool {
    !c.is_whitespace() && !matches!(c, '.' | ',' | ';' | ':' | '!' | '?' | ')' | ']' | '。' | '、')
}

/// Letters and digits in lower case: what makes two sayings the same.
fn letters(text: &str) -> impl Iterator<Item = char> + '_ {
    text.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ragtune_core::text::{Chunk, Document, ScoreKind};

    fn run(pieces: &[&str]) -> Vec<AnswerEvent> {
        let chunk = |id: &str, text: &str| {
            ScoredChunk::new(Chunk::whole(&Document::new(id, text)), ScoreKind::Cosine, 0.5)
        };
        let chunks = [
            chunk("a", "Green tea wants 80 degrees. It is old."),
            chunk("b", "Black tea boils."),
            chunk("c", "hidden"),
        ];
        let mut writer = Writer::new(Arc::new(chunks), vec![true, true, false], "I don't know.");
        let mut events = Vec::new();
        pieces.iter().for_each(|piece| writer.push(piece, &mut events));
        writer.end(&mut events);
        events
    }

    fn text(events: &[AnswerEvent]) -> String {
        events
            .iter()
            .filter_map(|event| match event {
                AnswerEvent::Text(piece) => Some(piece.as_str()),
                _ => None,
            })
            .collect()
    }

    fn claims(events: &[AnswerEvent]) -> Vec<(usize, String)> {
        let text = text(events);
        let claims = events.iter().filter_map(|event| match event {
            AnswerEvent::Citation(claim) => Some((claim.source, claim.answer_span.of(&text)?.to_owned())),
            _ => None,
        });
        claims.collect()
    }

    #[test]
    fn marks_stand_for_the_sentence_before_them() {
        let events = run(&[
            "Green tea: 80 degrees [",
            "1]. Black tea ",
            "boils. [2][1] Both [1, 2].",
        ]);
        let first = "Green tea: 80 degrees".to_owned();
        let second = "Black tea boils.".to_owned();
        let third = "Both".to_owned();
        assert_eq!(
            claims(&events),
            [
                (1, first),
                (2, second.clone()),
                (1, second),
                (1, third.clone()),
                (2, third)
            ]
        );
    }

    #[test]
    fn text_flows_at_once_and_unchanged() {
        let pieces = ["Tea", " [", "x] é", "nd"];
        assert_eq!(text(&run(&pieces)), pieces.concat());
        assert_eq!(run(&["Tea", " is hot"]).len(), 2);
    }

    #[test]
    fn wrong_numbers_are_no_citations() {
        let faults: Vec<_> = run(&["A [7]. B [3]. C [0]."])
            .into_iter()
            .filter_map(|event| match event {
                AnswerEvent::Rejected(rejected) => Some((rejected.source, rejected.fault)),
                _ => None,
            })
            .collect();
        assert_eq!(
            faults,
            [
                (7, CitationFault::UnknownSource),
                (3, CitationFault::NotInPrompt),
                (0, CitationFault::UnknownSource)
            ]
        );
    }

    #[test]
    fn the_agreed_sentence_is_an_abstention_however_it_is_cut() {
        for pieces in [
            &["I don't know."][..],
            &[" I do", "n’t KNOW", "! But tea [1]."],
            &["*I don't know*"],
        ] {
            let events = run(pieces);
            let said = pieces.concat();
            assert_eq!(events, [AnswerEvent::Abstain(Abstention::Declined { said })]);
        }
        assert_eq!(text(&run(&["I do", "n't", " like it"])), "I don't like it");
        assert_eq!(text(&run(&["I don't"])), "I don't");
    }

    #[test]
    fn saying_nothing_is_declining() {
        for pieces in [&[][..], &["  ", "\n"]] {
            assert!(matches!(
                run(pieces)[..],
                [AnswerEvent::Abstain(Abstention::Declined { .. })]
            ));
        }
    }
}
