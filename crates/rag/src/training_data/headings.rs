//! Titles and headings, each with what stands below it.

use ragtune_core::text::{Chunk, Span};

use super::corpus::{Source, clipped, is_prose, squeezed};
use super::question::{Answer, Candidate, QuestionKind};
use crate::passages::passages;

/// Bytes of the text below a heading that are taken at most: more than any usual encoder reads.
const MAX_TEXT_BYTES: usize = 2_000;
/// Bytes below a heading from which on there is something to find.
const MIN_TEXT_BYTES: usize = 80;
/// A line of fewer bytes without a full stop may be a heading where a long one follows.
const MAX_HEADING_BYTES: usize = 80;
/// Sentences of an answer that is made of the beginning of a section.
const ANSWER_SENTENCES: usize = 2;

/// A heading and what stands below it.
struct Section {
    /// The line of the heading.
    line: Span,
    heading: String,
    body: Span,
}

/// The questions of one document.
pub(super) fn questions(at: usize, source: &Source) -> Vec<Candidate> {
    let mut found = Vec::new();
    let sections = sections(source);
    let title = source.title.as_deref();
    if let Some(title) = title {
        let is_title = |section: &&Section| section.heading == title;
        let start = sections.iter().find(is_title).map_or(0, |own| own.body.start);
        let body = source.text.get(start..).unwrap_or_default();
        // Pages often repeat their title in the text.
        let lines = body.lines().filter(|line| squeezed(line) != title);
        let body = lines.collect::<Vec<_>>().join("\n");
        if body.trim().len() >= MIN_TEXT_BYTES {
            found.push(Candidate {
                kind: QuestionKind::Title,
                text: title.to_owned(),
                source: at,
                place: Span::new(0, source.text.len()),
                positive: clipped(body.trim(), MAX_TEXT_BYTES).to_owned(),
                taken: None,
                answer: None,
            });
        }
    }
    for section in sections {
        let body = section.body.of(&source.text).unwrap_or_default();
        if body.trim().len() < MIN_TEXT_BYTES || Some(section.heading.as_str()) == title {
            continue;
        }
        let text = match title {
            Some(title) => format!("{title}: {}", section.heading),
            None => section.heading.clone(),
        };
        found.push(Candidate {
            kind: QuestionKind::Heading,
            text,
            source: at,
            place: section.body,
            positive: clipped(body.trim(), MAX_TEXT_BYTES).to_owned(),
            taken: Some(section.line),
            answer: beginning(body, section.body.start),
        });
    }
    found
}

/// The first sentences of a section that begins at this byte of its document.
fn beginning(body: &str, start: usize) -> Option<Answer> {
    let sentences = passages(body);
    let block = sentences.first()?.block;
    let first = sentences.iter().take_while(|sentence| sentence.block == block);
    let first: Vec<Span> = first
        .take(ANSWER_SENTENCES)
        .map(|sentence| sentence.span)
        .collect();
    let texts = first.iter().map(|span| span.of(body).map(squeezed));
    let texts = texts.collect::<Option<Vec<_>>>()?;
    let evidence = Span::new(first.first()?.start, first.last()?.end).shifted(start);
    texts.iter().all(|text| is_prose(text)).then(|| Answer {
        sentence: texts.join(" "),
        evidence,
        span: None,
    })
}

/// Headings as the document has them: marks of Markdown, else those that its loader found; else short lines before long ones.
fn sections(source: &Source) -> Vec<Section> {
    let lines = lines(&source.text);
    let has_headings = |chunk: &Chunk| !chunk.locator.headings.is_empty();
    match (source.is_markdown, source.chunks.iter().any(has_headings)) {
        (true, _) => marked(&source.text, &lines),
        (false, true) => located(source),
        (false, false) => plain_lines(&source.text, &lines),
    }
}

/// Headings of Markdown with all that stands below each up to the next.
fn marked(text: &str, lines: &[Line]) -> Vec<Section> {
    let headings = lines.iter().filter(|line| !line.is_code).filter_map(|line| {
        let heading = marked_heading(line.span.of(text)?)?;
        Some((line.span, heading))
    });
    let headings: Vec<(Span, String)> = headings.collect();
    let end = |next: usize| headings.get(next).map_or(text.len(), |(line, _)| line.start);
    let numbered = headings.iter().enumerate();
    numbered
        .map(|(number, (line, heading))| Section {
            line: *line,
            heading: heading.clone(),
            body: Span::new(line.end, end(number + 1)),
        })
        .collect()
}

/// The passages under each heading that a loader found, as in HTML and office documents.
fn located(source: &Source) -> Vec<Section> {
    let mut sections = Vec::new();
    for own in source
        .chunks
        .chunk_by(|a, b| a.locator.headings == b.locator.headings)
    {
        let (Some(first), Some(last)) = (own.first(), own.last()) else {
            continue;
        };
        let Some(heading) = first.locator.headings.last().map(|heading| squeezed(heading)) else {
            continue;
        };
        let span = Span::new(first.span.start, last.span.end);
        let text = span.of(&source.text).unwrap_or_default();
        // The heading's own line stands first where the text has it.
        let line = text.split_inclusive('\n').next().unwrap_or_default();
        let own_line = if squeezed(line) == heading { line.len() } else { 0 };
        let body = Span::new(span.start + own_line, span.end);
        sections.push(Section {
            line: Span::new(span.start, body.start),
            heading,
            body,
        });
    }
    sections
}

/// Short lines, each with the long line that follows.
fn plain_lines(text: &str, lines: &[Line]) -> Vec<Section> {
    let mut sections = Vec::new();
    let mut filled = lines
        .iter()
        .filter(|line| !line.is_code && !line.is_blank(text))
        .peekable();
    while let Some(line) = filled.next() {
        let content = line.span.of(text).unwrap_or_default().trim();
        if let Some(below) = filled.peek()
            && is_plain_heading(content)
            && is_long(below.span.of(text).unwrap_or_default())
        {
            sections.push(Section {
                line: line.span,
                heading: squeezed(content),
                body: below.span,
            });
        }
    }
    sections
}

struct Line {
    span: Span,
    is_code: bool,
}

impl Line {
    fn is_blank(&self, text: &str) -> bool {
        self.span.of(text).is_none_or(|line| line.trim().is_empty())
    }
}

fn lines(text: &str) -> Vec<Line> {
    let mut start = 0;
    let mut fence: Option<&str> = None;
    let mut lines = Vec::new();
    for line in text.split_inclusive('\n') {
        let inner = line.trim_start();
        let mark = ["```", "~~~"].into_iter().find(|mark| inner.starts_with(mark));
        let is_code = fence.is_some() || mark.is_some();
        match (fence, mark) {
            (None, Some(mark)) => fence = Some(mark),
            (Some(open), Some(mark)) if open == mark => fence = None,
            _ => {}
        }
        lines.push(Line {
            span: Span::new(start, start + line.len()),
            is_code,
        });
        start += line.len();
    }
    lines
}

/// The text of a line such as `## Moving *values* {#move}`.
fn marked_heading(line: &str) -> Option<String> {
    let level = line.bytes().take_while(|b| *b == b'#').count();
    let rest = line.get(level..)?;
    if !(1..=6).contains(&level) || !rest.starts_with([' ', '\t']) {
        return None;
    }
    let rest = rest.trim().trim_end_matches('#').trim_end();
    let rest = match rest.rfind(" {#") {
        Some(at) if rest.ends_with('}') => &rest[..at],
        _ => rest,
    };
    let plain = squeezed(&plain(rest));
    plain.chars().any(char::is_alphanumeric).then_some(plain)
}

/// A text without the marks of emphasis and code.
pub(super) fn plain(text: &str) -> String {
    text.replace(['`', '*'], "")
}

fn is_plain_heading(line: &str) -> bool {
    let opens = line.chars().next().is_some_and(|c| c.is_alphanumeric());
    opens
        && line.len() < MAX_HEADING_BYTES
        && !line.ends_with(['.', ':', '!', ';', ',', '{', '|'])
        && line.chars().any(char::is_alphabetic)
}

fn is_long(line: &str) -> bool {
    line.trim().len() > MAX_HEADING_BYTES && !line.trim_start().starts_with(['|', '#', '<'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(title: Option<&str>, text: &str, is_markdown: bool) -> Source {
        Source {
            id: "a".into(),
            title: title.map(Into::into),
            is_markdown,
            text: text.into(),
            chunks: Vec::new(),
        }
    }

    #[test]
    fn markdown_headings_have_their_sections() {
        let body = "Steep it at 80 degrees for two minutes, then pour it out. ".repeat(2);
        let text = format!(
            "# Tea\n\nIntro.\n\n## Green *tea* {{#green}}\n\n{body}\n\n```\n# no heading\n```\n\n## Empty\n"
        );
        let found = questions(3, &source(Some("Tea"), &text, true));
        let texts: Vec<&str> = found.iter().map(|question| question.text.as_str()).collect();
        assert_eq!(texts, ["Tea", "Tea: Green tea"]);
        let heading = &found[1];
        assert!(heading.positive.starts_with("Steep it") && heading.positive.contains("# no heading"));
        assert_eq!(
            heading.taken.unwrap().of(&text),
            Some("## Green *tea* {#green}\n")
        );
        let answer = heading.answer.as_ref().unwrap();
        assert!(answer.sentence.starts_with("Steep it at 80 degrees"));
        assert_eq!(found[0].source, 3);
    }

    #[test]
    fn short_lines_before_long_ones_are_headings() {
        let long =
            "The console lets you build test cases, run them, and compare the answers of several prompts.";
        let text = format!("Evaluate\n\nCreating cases\n{long}\nDone.\n");
        let found = questions(0, &source(None, &text, false));
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].text.as_str(), found[0].positive.as_str()),
            ("Creating cases", long)
        );
    }

    #[test]
    fn headings_of_loaders_have_their_passages() {
        let text = format!(
            "Green tea\n{}\n{}",
            "Steep it at 80 degrees. ".repeat(3),
            "Pour it out soon. ".repeat(4)
        );
        let mut source = source(Some("Tea"), &text, false);
        let document = ragtune_core::text::Document::new("a", text.clone());
        let middle = text.find("Pour").unwrap();
        for (start, end) in [(0, middle), (middle, text.len())] {
            let mut chunk = Chunk::whole(&document);
            chunk.span = Span::new(start, end);
            chunk.locator.headings = vec!["Tea".into(), "Green tea".into()];
            source.chunks.push(chunk);
        }
        let found = questions(0, &source);
        let heading = found
            .iter()
            .find(|question| question.kind == QuestionKind::Heading)
            .unwrap();
        assert_eq!(heading.text, "Tea: Green tea");
        assert_eq!(heading.taken.unwrap().of(&text), Some("Green tea\n"));
        assert_eq!(heading.place, Span::new(10, text.len()));
    }
}
