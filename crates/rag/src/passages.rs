//! The sentences of a passage, aware of Markdown: what can be quoted, where it stands, what belongs to it.

use ragtune_core::text::Span;

use crate::code;
use crate::sentences::sentences;

/// Bytes of a code block or list that a sentence may bring along.
const MAX_TAIL_BYTES: usize = 1_200;

/// Lines of the same paragraph that a sentence may bring along.
const MAX_TAIL_LINES: usize = 6;

/// Lines of source code that are one passage at most.
const MAX_CODE_LINES: usize = 8;

/// Lengths of lines, in bytes, that an editor may have wrapped; a shorter or longer one ends on purpose.
const WRAPPED_BYTES: std::ops::RangeInclusive<usize> = 50..=120;

/// A sentence that can be quoted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Passage {
    /// Its bytes in the text that was divided.
    pub span: Span,
    /// Number of its paragraph or list item.
    pub block: usize,
    /// The heading of the text under which it stands.
    pub heading: Option<Span>,
    /// The code block or list that it introduces with its colon.
    pub tail: Option<Span>,
}

/// What a line begins or continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Paragraph,
    Item,
    /// A row of a table.
    Row,
    Code,
    Heading,
    /// Markup and link definitions: nothing to quote.
    Silent,
}

/// A paragraph, list item, code block or heading; `content` is the text without its mark.
#[derive(Clone, Copy, Debug)]
struct Block {
    kind: Kind,
    span: Span,
    content: Span,
}

/// The sentences of a text in order. Headings, code and markup are no sentences, and a row of a table is one, whatever its
/// cells hold; a sentence that ends with a colon takes the code block or list that follows along.
pub(crate) fn passages(text: &str) -> Vec<Passage> {
    let blocks = blocks(text);
    let mut passages: Vec<Passage> = Vec::new();
    let mut heading = None;
    for (at, block) in blocks.iter().enumerate() {
        match block.kind {
            Kind::Heading => heading = Some(block.content),
            Kind::Row => {
                if has_words(text, block.content) {
                    passages.push(Passage {
                        span: block.content,
                        block: at,
                        heading,
                        tail: None,
                    });
                }
            }
            Kind::Paragraph | Kind::Item => {
                let first = passages.len();
                let runs = runs(text, block.content);
                for run in &runs {
                    let content = run.of(text).unwrap_or_default();
                    for sentence in sentences(content) {
                        let span = trimmed(text, sentence.shifted(run.start));
                        if has_words(text, span) {
                            passages.push(Passage {
                                span,
                                block: at,
                                heading,
                                tail: None,
                            });
                        }
                    }
                }
                for passage in &mut passages[first..] {
                    if passage.span.of(text).is_some_and(|s| s.ends_with([':', '：'])) {
                        let rest = runs.iter().filter(|run| run.start >= passage.span.end);
                        passage.tail = lines(text, rest).or_else(|| {
                            let last = passage.span.end >= block.content.end;
                            last.then(|| tail(text, &blocks[at + 1..])).flatten()
                        });
                    }
                }
            }
            Kind::Code | Kind::Silent => {}
        }
    }
    passages
}

/// The passages of source code: whole lines between empty ones, a few together.
pub(crate) fn code_passages(text: &str) -> Vec<Passage> {
    let mut passages: Vec<Passage> = Vec::new();
    let (mut start, mut block, mut lines) = (0, 0, 0);
    for line in text.split_inclusive('\n') {
        let span = trimmed(text, Span::new(start, start + line.len()));
        start += line.len();
        if span.is_empty() {
            (block, lines) = (block + 1, 0);
            continue;
        }
        match passages.last_mut() {
            Some(last) if (1..MAX_CODE_LINES).contains(&lines) => last.span.end = span.end,
            _ => {
                lines = 0;
                passages.push(Passage {
                    span,
                    block,
                    heading: None,
                    tail: None,
                });
            }
        }
        lines += 1;
    }
    passages.retain(|passage| has_words(text, passage.span));
    passages
}

fn has_words(text: &str, span: Span) -> bool {
    span.of(text)
        .is_some_and(|part| part.contains(char::is_alphanumeric))
}

/// A paragraph divided where a line ends on purpose: it is shorter or longer than a wrapped one, and the next starts
/// as a sentence does.
fn runs(text: &str, paragraph: Span) -> Vec<Span> {
    let content = paragraph.of(text).unwrap_or_default();
    let mut runs = Vec::new();
    let (mut start, mut at) = (0, 0);
    let mut lines = content.split_inclusive('\n').peekable();
    while let Some(line) = lines.next() {
        at += line.len();
        let next = lines.peek().and_then(|next| next.trim_start().chars().next());
        let opens = next.is_some_and(|c| c.is_uppercase() || c.is_ascii_digit() || matches!(c, '"' | '“'));
        if next.is_none() || (opens && !WRAPPED_BYTES.contains(&line.trim_end().len())) {
            runs.push(Span::new(start, at).shifted(paragraph.start));
            start = at;
        }
    }
    runs
}

/// The lines of the same paragraph that follow.
fn lines<'a>(text: &str, rest: impl Iterator<Item = &'a Span>) -> Option<Span> {
    let rest: Vec<_> = rest.take(MAX_TAIL_LINES).collect();
    let span = Span::new(rest.first()?.start, rest.last()?.end);
    let span = trimmed_end(text, span);
    (span.len() <= MAX_TAIL_BYTES / 2).then_some(span)
}

/// The code block, or the items of the list, that follow.
fn tail(text: &str, following: &[Block]) -> Option<Span> {
    let mut following = following.iter().skip_while(|block| block.kind == Kind::Silent);
    let first = following.next()?;
    let mut span = first.span;
    match first.kind {
        Kind::Code if !is_template(first.content.of(text)?) => {}
        Kind::Item => {
            for item in following.take_while(|block| block.kind == Kind::Item) {
                span.end = item.span.end;
            }
        }
        _ => return None,
    }
    let span = trimmed_end(text, span);
    (span.len() <= MAX_TAIL_BYTES).then_some(span)
}

/// Whether code is only an instruction to include it from elsewhere, as in mdBook's `{{#include file}}`.
fn is_template(code: &str) -> bool {
    let code = code.trim();
    code.is_empty()
        || code
            .lines()
            .all(|line| line.trim().starts_with("{{") && line.trim().ends_with("}}"))
}

/// Divides a text into blocks by its lines.
fn blocks(text: &str) -> Vec<Block> {
    let mut fence = fence_open_before(text);
    let mut blocks: Vec<Block> = fence
        .map(|_| block(Kind::Code, Span::new(0, 0), Span::new(0, 0)))
        .into_iter()
        .collect();
    let mut comment = false;
    let mut open = false; // whether the last block can go on
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let span = Span::new(start, start + line.len());
        start = span.end;
        let inner = line.trim();
        if let Some((mark, length)) = fence {
            let closes = inner.len() >= length && inner.chars().all(|c| c == mark);
            if let Some(block) = blocks.last_mut() {
                block.span.end = span.end;
                if !closes {
                    block.content.end = span.end;
                }
            }
            if closes {
                fence = None;
            }
            continue;
        }
        if comment {
            comment = !inner.contains("-->");
            continue;
        }
        if inner.is_empty() {
            open = false;
            continue;
        }
        if let Some(opened) = fence_of(inner) {
            fence = Some(opened);
            open = false;
            blocks.push(block(Kind::Code, span, Span::new(span.end, span.end)));
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        let content = trimmed(text, span);
        if open && is_underline(inner) && blocks.last().is_some_and(|block| block.kind == Kind::Paragraph) {
            if let Some(block) = blocks.last_mut() {
                block.kind = Kind::Heading;
                block.span.end = span.end;
            }
            open = false;
        } else if let Some(mark) = heading_mark(inner) {
            let title = Span::new((content.start + mark).min(content.end), content.end);
            blocks.push(block(Kind::Heading, span, trimmed(text, title)));
            open = false;
        } else if is_silent(inner) {
            comment = inner.starts_with("<!--") && !inner.contains("-->");
            blocks.push(block(Kind::Silent, span, content));
            open = false;
        } else if let Some(mark) = item_mark(inner) {
            blocks.push(block(
                Kind::Item,
                span,
                Span::new(content.start + mark, content.end),
            ));
            open = true;
        } else if inner.starts_with('|') {
            blocks.push(block(Kind::Row, span, content));
            open = false;
        } else if open && let Some(last) = blocks.last_mut() {
            last.span.end = span.end;
            last.content.end = content.end;
        } else {
            // A list item goes on after an empty line where the text is indented.
            let inside_item = indent >= 2 && blocks.last().is_some_and(|block| block.kind == Kind::Item);
            let code = indent >= 4 && !inside_item;
            let kind = match (code, inside_item) {
                (true, _) => Kind::Code,
                (_, true) => Kind::Item,
                _ => Kind::Paragraph,
            };
            blocks.push(block(kind, span, content));
            open = true;
        }
    }
    blocks
}

fn block(kind: Kind, span: Span, content: Span) -> Block {
    Block { kind, span, content }
}

/// The fence that was open where the text begins, as it is in a passage cut out of the middle of a code block: the text's
/// first fence closes it.
///
/// A fence that closes says nothing but itself and stands right under code, mostly with an empty line below.
fn fence_open_before(text: &str) -> Option<(char, usize)> {
    let mut start = 0;
    let mut above = "";
    let mut lines = text.split_inclusive('\n');
    while let Some(line) = lines.next() {
        let inner = line.trim();
        if let Some((mark, length)) = fence_of(inner) {
            let is_bare = inner.chars().all(|c| c == mark);
            let ends_code = match lines.next().map(str::trim) {
                Some("") => true,
                _ => code::is_code(&text[..start]),
            };
            return (is_bare && !above.is_empty() && ends_code).then_some((mark, length));
        }
        start += line.len();
        above = inner;
    }
    None
}

/// The character and length of a code fence that the line opens.
fn fence_of(line: &str) -> Option<(char, usize)> {
    let mark = line.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let length = line.chars().take_while(|c| *c == mark).count();
    let info = &line[length..];
    (length >= 3 && !(mark == '`' && info.contains('`'))).then_some((mark, length))
}

/// Bytes of the mark of a heading such as `## `.
fn heading_mark(line: &str) -> Option<usize> {
    let level = line.bytes().take_while(|b| *b == b'#').count();
    ((1..=6).contains(&level) && line[level..].starts_with([' ', '\t'])).then_some(level + 1)
}

fn is_underline(line: &str) -> bool {
    line.len() >= 2 && (line.bytes().all(|b| b == b'=') || line.bytes().all(|b| b == b'-'))
}

/// Bytes of the mark of a list item such as `- ` or `12. `.
fn item_mark(line: &str) -> Option<usize> {
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    let mark = match (digits, line.chars().next()?) {
        (0, '-' | '*' | '+') => 1,
        (0, '•') => '•'.len_utf8(),
        (1..=9, _) if line[digits..].starts_with(['.', ')']) => digits + 1,
        _ => return None,
    };
    let rest = &line[mark..];
    let spaces = rest.len() - rest.trim_start().len();
    (spaces > 0 && !rest.trim().is_empty()).then_some(mark + spaces)
}

/// A line of markup, a link definition, a rule or an include: nothing to quote.
fn is_silent(line: &str) -> bool {
    let tag = line.starts_with('<')
        && line.ends_with('>')
        && line[1..].starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '!');
    let definition = line.starts_with('[')
        && line
            .split_once("]:")
            .is_some_and(|(label, _)| !label[1..].contains('['));
    let rule = line.len() >= 3
        && line
            .chars()
            .all(|c| matches!(c, '-' | '*' | '_' | '=' | ' ' | '|' | ':' | '+'));
    tag || definition || rule || line.starts_with("<!--") || is_template(line)
}

fn trimmed(text: &str, span: Span) -> Span {
    let part = span.of(text).unwrap_or_default();
    let lead = part.len() - part.trim_start().len();
    trimmed_end(text, Span::new(span.start + lead, span.end))
}

fn trimmed_end(text: &str, span: Span) -> Span {
    let part = span.of(text).unwrap_or_default();
    Span::new(span.start, span.start + part.trim_end().len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PAGE: &str = "# Tests\n\nRun all tests first. To run some,\npass a name:\n\n```console\n$ cargo test add\n```\n\n\
        - One item. Two sentences.\n- Another item\n  on two lines\n\n<Listing>\n\n[tests]: https://example.org\n\n\
        Included code:\n\n```rust\n{{#include a.rs}}\n```\n\nSetext\n------\n\nChoices are:\n\n* a\n* b\n";

    fn quoted(text: &str) -> Vec<&str> {
        passages(text).iter().map(|p| p.span.of(text).unwrap()).collect()
    }

    #[test]
    fn sentences_without_markup() {
        assert_eq!(
            quoted(PAGE),
            [
                "Run all tests first.",
                "To run some,\npass a name:",
                "One item.",
                "Two sentences.",
                "Another item\n  on two lines",
                "Included code:",
                "Choices are:",
                "a",
                "b",
            ]
        );
    }

    #[test]
    fn source_code_is_quoted_in_whole_lines() {
        let code = "/// Boils. Returns an error\n/// when the lid is open.\nfn boil() {\n    say(\"Hot. Careful!\");\n}\n\n}\n\n  x();\n";
        let quoted = |text: &'static str| {
            let passages = code_passages(text);
            passages
                .iter()
                .map(|p| p.span.of(text).unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(quoted(code), [code.split("\n\n").next().unwrap(), "x();"]);
        assert_eq!(
            quoted("a\nb\nc\nd\ne\nf\ng\nh\ni\n"),
            ["a\nb\nc\nd\ne\nf\ng\nh", "i"]
        );
        assert_eq!(quoted("\n}\n"), Vec::<&str>::new());
    }

    #[test]
    fn rows_of_tables_are_whole() {
        let table = "| name | note |\n|---|---|\n| W 42 | While stocks last. Ask Mr. Kim. |\n| W 43 |";
        assert_eq!(
            quoted(table),
            [
                "| name | note |",
                "| W 42 | While stocks last. Ask Mr. Kim. |",
                "| W 43 |"
            ]
        );
        assert_eq!(quoted("| « |\n"), Vec::<&str>::new());
    }

    #[test]
    fn what_a_colon_introduces_comes_along() {
        let passages = passages(PAGE);
        let tail = |at: usize| passages[at].tail.map(|tail| tail.of(PAGE).unwrap());
        assert_eq!(tail(0), None);
        assert_eq!(tail(1), Some("```console\n$ cargo test add\n```"));
        assert_eq!(tail(5), None, "an include shows nothing");
        assert_eq!(tail(6), Some("* a\n* b"));
    }

    #[test]
    fn headings_are_context() {
        let passages = passages(PAGE);
        let heading = |at: usize| passages[at].heading.map(|heading| heading.of(PAGE).unwrap());
        assert_eq!(heading(0), Some("Tests"));
        assert_eq!(heading(6), Some("Setext"));
    }

    #[test]
    fn lines_that_end_on_purpose_are_not_joined() {
        let text = "To add a case:\nClick the button.\nFill in values\nRepeat.\n\n\
            A line that an editor wrapped where the next word did not fit\nGoes on.";
        let passages = passages(text);
        let quoted: Vec<_> = passages.iter().map(|p| p.span.of(text).unwrap()).collect();
        assert_eq!(
            quoted[..4],
            ["To add a case:", "Click the button.", "Fill in values", "Repeat."]
        );
        assert_eq!(quoted.len(), 5);
        assert_eq!(
            passages[0].tail.unwrap().of(text),
            Some("Click the button.\nFill in values\nRepeat.")
        );
    }

    #[test]
    fn cut_chunks_divide_too() {
        assert_eq!(quoted("rest of a sentence.\n```\nlet x"), ["rest of a sentence."]);
        assert_eq!(quoted("<!-- a\nb -->\nText."), ["Text."]);
        assert_eq!(quoted("use a::B;\n\nlet b = B::new();\n```"), Vec::<&str>::new());
        assert_eq!(
            quoted("test result: ok. 3 passed\n```\n\nAll pass.\n\n```rust\nlet x;\n```\nEnd."),
            ["All pass.", "End."]
        );
        assert_eq!(quoted("Some words first\n```\ncode\n```\n"), ["Some words first"]);
        assert_eq!(quoted("Cut before the code\n```"), ["Cut before the code"]);
        assert_eq!(quoted("Empty below\n\n```\n\ncode\n```"), ["Empty below"]);
        assert_eq!(quoted(""), Vec::<&str>::new());
        assert_eq!(quoted("```"), Vec::<&str>::new());
    }

    proptest! {
        #[test]
        fn spans_are_ordered_and_inside(text in "([#`~\\-*\\[\\]:<>|=.! a-cé茶0-9]|\n|```|<!--|-->|\\. ){0,80}") {
            let mut end = 0;
            for passage in passages(&text) {
                prop_assert!(passage.span.start >= end, "{text:?}");
                prop_assert!(passage.span.of(&text).is_some_and(|s| !s.trim().is_empty()));
                if let Some(tail) = passage.tail {
                    prop_assert!(tail.start >= passage.span.end && tail.of(&text).is_some());
                }
                end = passage.span.end;
            }
        }
    }
}
