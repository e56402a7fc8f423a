//! Blocks of a text by its lines: paragraphs, list items, headings, table rows, fenced code. No sentence crosses one.
//!
//! It reads plain text and Markdown alike and takes one pass; what a full parser would know better (indented code,
//! markup in quotes) only moves a boundary.

use ragtune_core::text::Span;

/// Lines that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// From the first character that is not white space to the last.
    pub(super) span: Span,
    /// Whether it is fenced code.
    pub(super) code: bool,
    /// Whether a blank line, or the start of the text, is before it.
    pub(super) after_blank: bool,
}

/// The blocks of a text in order; they cover everything that is not white space.
pub(super) fn blocks(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    // The mark and length of the fence that is open.
    let mut fence: Option<(u8, usize)> = None;
    let mut open = false;
    let mut after_blank = true;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let start = at;
        at += line.len();
        let content = line.trim();
        let indent = line.len() - line.trim_start().len();
        let span = Span::new(start + indent, start + indent + content.len());
        if let Some((mark, length)) = fence {
            extend(&mut blocks, span);
            let run = run_of(content, mark);
            if run >= length && run == content.len() {
                fence = None;
                open = false;
            }
            continue;
        }
        if content.is_empty() {
            open = false;
            after_blank = true;
            continue;
        }
        let kind = Line::of(content);
        let continues = open
            && match kind {
                Line::Text | Line::Rule => true,
                Line::Fence(..) | Line::Item | Line::Heading | Line::Row => false,
            };
        if continues {
            extend(&mut blocks, span);
        } else {
            blocks.push(Block {
                span,
                code: matches!(kind, Line::Fence(..)),
                after_blank,
            });
        }
        after_blank = false;
        open = !matches!(kind, Line::Heading | Line::Row | Line::Rule);
        if let Line::Fence(mark, length) = kind {
            fence = Some((mark, length));
        }
    }
    blocks
}

fn extend(blocks: &mut [Block], line: Span) {
    if let Some(last) = blocks.last_mut()
        && !line.is_empty()
    {
        last.span.end = line.end;
    }
}

/// What a line starts.
enum Line {
    Text,
    /// Under a paragraph the underline of a heading, else a line between sections.
    Rule,
    Heading,
    Item,
    Row,
    Fence(u8, usize),
}

impl Line {
    fn of(content: &str) -> Self {
        let bytes = content.as_bytes();
        let spaced = |at: usize| matches!(bytes.get(at), None | Some(b' ' | b'\t'));
        match bytes[0] {
            mark @ (b'`' | b'~') => {
                let length = run_of(content, mark);
                // Backticks after the run would make it inline code.
                if length >= 3 && !(mark == b'`' && content[length..].contains('`')) {
                    return Self::Fence(mark, length);
                }
                Self::Text
            }
            b'#' => match run_of(content, b'#') {
                run @ 1..=6 if spaced(run) => Self::Heading,
                _ => Self::Text,
            },
            mark @ (b'-' | b'=' | b'*' | b'_')
                if content.bytes().all(|b| b == mark || b == b' ') && (bytes.len() >= 2 || mark == b'=') =>
            {
                Self::Rule
            }
            b'-' | b'*' | b'+' if spaced(1) => Self::Item,
            b'0'..=b'9' => {
                let digits = content.bytes().take_while(u8::is_ascii_digit).count();
                let item =
                    digits <= 9 && matches!(bytes.get(digits), Some(b'.' | b')')) && spaced(digits + 1);
                if item && bytes.len() > digits + 1 {
                    Self::Item
                } else {
                    Self::Text
                }
            }
            b'|' => Self::Row,
            _ if content.starts_with("• ") || content.starts_with("– ") => Self::Item,
            _ => Self::Text,
        }
    }
}

/// How often a text repeats a byte at its start.
fn run_of(content: &str, mark: u8) -> usize {
    content.bytes().take_while(|b| *b == mark).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(text: &str) -> Vec<&str> {
        blocks(text)
            .into_iter()
            .map(|block| block.span.of(text).unwrap())
            .collect()
    }

    #[test]
    fn markdown_is_divided_at_its_blocks() {
        let text = "# Title\nfirst line\nsecond\n\n- item one\n  continues\n- item two\n1. numbered\n| a | b |\n|---|---|\nlast\n===\nend";
        assert_eq!(
            found(text),
            [
                "# Title",
                "first line\nsecond",
                "- item one\n  continues",
                "- item two",
                "1. numbered",
                "| a | b |",
                "|---|---|",
                "last\n===",
                "end"
            ]
        );
        assert_eq!(
            found("-5 degrees\n2024 was\n*em* text\n**b**"),
            ["-5 degrees\n2024 was\n*em* text\n**b**"]
        );
    }

    #[test]
    fn fenced_code_is_one_block() {
        let text = "run\n```sh\n# a\n\n- b\n```\nafter\n~~~~\n~~~\n```\n~~~~";
        assert_eq!(
            found(text),
            ["run", "```sh\n# a\n\n- b\n```", "after", "~~~~\n~~~\n```\n~~~~"]
        );
        assert_eq!(found("```\nnever closed\n\nx\r\n"), ["```\nnever closed\n\nx"]);
        assert_eq!(found("``` inline ``` text\nmore"), ["``` inline ``` text\nmore"]);
    }

    proptest! {
        #[test]
        fn blocks_cover_the_text_in_order(text in "([-#>|`~*=a-z0-9. \u{a0}é\r\t]{0,8}\n?){0,12}") {
            let mut end = 0;
            for block in blocks(&text) {
                prop_assert!(text[end..block.span.start].trim().is_empty());
                let inside = block.span.of(&text).unwrap();
                prop_assert!(!inside.is_empty() && inside == inside.trim());
                end = block.span.end;
            }
            prop_assert!(text[end..].trim().is_empty());
        }
    }
}
