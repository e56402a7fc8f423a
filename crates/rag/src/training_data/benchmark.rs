//! Held-out questions with a corpus that is fair to them.
//!
//! A question that is a heading, or a sentence of a passage, finds it by the very words. So passages stand here without the
//! headings of their documents, and without the sentences that are asked for; everything else of the base is there as well.

use std::collections::BTreeMap;

use ragtune_core::text::Span;
use ragtune_retrieve::measure::beir::{BeirDocument, BeirQuery};
use ragtune_retrieve::measure::{BeirDataset, Judgements};

use super::corpus::Source;
use super::question::QuestionKind;
use super::round_trip::Found;

/// The benchmark of some questions over all documents.
pub(super) fn benchmark(sources: &[Source], held_out: &[Found]) -> BeirDataset {
    // A title stands above every passage of its document, and is answered by all of it.
    let asked: Vec<&Found> = held_out
        .iter()
        .filter(|found| found.question.kind != QuestionKind::Title)
        .collect();
    let mut taken: BTreeMap<usize, Vec<Span>> = BTreeMap::new();
    for found in &asked {
        taken
            .entry(found.question.source)
            .or_default()
            .extend(found.question.taken);
    }
    let mut data = BeirDataset::default();
    let mut kept: BTreeMap<&str, Span> = BTreeMap::new();
    for (at, source) in sources.iter().enumerate() {
        let gone = taken.get(&at).map(Vec::as_slice).unwrap_or_default();
        for chunk in &source.chunks {
            let text = without(&chunk.text, chunk.span.start, gone, source.is_markdown);
            if text.chars().any(char::is_alphanumeric) {
                kept.insert(&chunk.id, chunk.span);
                data.documents.push(BeirDocument {
                    id: chunk.id.clone(),
                    title: source.title.clone().unwrap_or_default(),
                    text,
                });
            }
        }
    }
    for (number, found) in asked.iter().enumerate() {
        let question = &found.question;
        let relevant = sources[question.source].touching(question.place);
        let relevant: Judgements = relevant
            .filter(|chunk| kept.contains_key(chunk.id.as_str()))
            .map(|chunk| (chunk.id.clone(), 1))
            .collect();
        if relevant.is_empty() {
            continue;
        }
        let id = format!("{}-{number:05}", question.kind);
        data.queries.push(BeirQuery {
            id: id.clone(),
            text: question.text.clone(),
        });
        data.qrels.insert(id, relevant);
    }
    data
}

/// A passage without its headings and without some bytes of its document.
fn without(text: &str, start: usize, gone: &[Span], is_markdown: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at = start;
    let mut fenced = false;
    for line in text.split_inclusive('\n') {
        let span = Span::new(at, at + line.len());
        at = span.end;
        fenced ^= line.trim_start().starts_with("```");
        let level = line.bytes().take_while(|b| *b == b'#').count();
        if is_markdown && !fenced && (1..=6).contains(&level) && line[level..].starts_with([' ', '\t']) {
            continue;
        }
        if !gone.iter().any(|gone| gone.overlaps(span)) {
            out.push_str(line);
            continue;
        }
        let left = line.char_indices().filter(|(byte, _)| {
            !gone
                .iter()
                .any(|gone| (gone.start..gone.end).contains(&(span.start + byte)))
        });
        out.extend(left.map(|(_, c)| c));
    }
    out.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_and_what_is_asked_go() {
        let text = "# Tea\n\nGreen tea is old. Black tea\nis older. So is é.\n```\n# code\n```\n";
        let taken = text
            .find("Black")
            .map(|at| Span::new(at + 100, at + 100 + 19))
            .unwrap();
        assert_eq!(
            without(text, 100, &[taken], true),
            "Green tea is old.  So is é.\n```\n# code\n```"
        );
    }
}
