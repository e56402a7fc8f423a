//! The sections of a Markdown document with the headings above them.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use ragtune_core::text::{Document, Span, Value};

/// A longer heading is cut for the path; the text keeps it whole.
const MAX_HEADING_BYTES: usize = 200;

/// A heading with what follows it up to the next heading, or what precedes the first one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) span: Span,
    /// Its heading and those above it, outermost first.
    pub(super) headings: Vec<String>,
    /// Level of its heading, 1 to 6; 0 before the first heading.
    pub(super) level: usize,
}

/// The sections of a document; one without headings where it is not Markdown.
pub(super) fn sections(document: &Document) -> Vec<Section> {
    if is_markdown(document) {
        markdown_sections(&document.text)
    } else {
        vec![Section {
            span: Span::new(0, document.text.len()),
            headings: Vec::new(),
            level: 0,
        }]
    }
}

/// Whether the loader said that the text is Markdown, or made it so.
pub(super) fn is_markdown(document: &Document) -> bool {
    let format = document.metadata.get("format").and_then(Value::as_text);
    matches!(format, Some("markdown" | "html"))
}

/// The extensions of CommonMark that change where blocks end: front matter is not a heading, tables are blocks.
pub(crate) fn markdown_options() -> Options {
    Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_HEADING_ATTRIBUTES
        | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS
        | Options::ENABLE_PLUSES_DELIMITED_METADATA_BLOCKS
}

fn markdown_sections(text: &str) -> Vec<Section> {
    let mut sections = Vec::new();
    let mut path: Vec<(usize, String)> = Vec::new();
    let mut open: Option<(usize, usize, String)> = None;
    let mut start = 0;
    // Headings inside quotes and lists belong to their block, not to the outline.
    let mut depth = 0usize;
    let close = |sections: &mut Vec<Section>, span: Span, path: &[(usize, String)]| {
        if span.of(text).is_some_and(|text| !text.trim().is_empty()) {
            sections.push(Section {
                span,
                headings: path.iter().map(|(_, heading)| heading.clone()).collect(),
                level: path.last().map_or(0, |(level, _)| *level),
            });
        }
    };
    for (event, range) in Parser::new_ext(text, markdown_options()).into_offset_iter() {
        match event {
            Event::Start(Tag::Heading { level, .. }) if depth == 0 => {
                open = Some((range.start, level as usize, String::new()));
            }
            Event::Text(words) | Event::Code(words) => {
                if let Some((_, _, heading)) = &mut open {
                    heading.push_str(&words);
                }
            }
            Event::SoftBreak | Event::HardBreak => {
                if let Some((_, _, heading)) = &mut open {
                    heading.push(' ');
                }
            }
            Event::End(TagEnd::Heading(_)) => {
                if let Some((at, level, heading)) = open.take() {
                    close(&mut sections, Span::new(start, at), &path);
                    path.retain(|(above, _)| *above < level);
                    path.push((level, clean(&heading)));
                    start = at;
                }
            }
            Event::Start(Tag::BlockQuote(_) | Tag::List(_) | Tag::FootnoteDefinition(_)) => depth += 1,
            Event::End(TagEnd::BlockQuote(_) | TagEnd::List(_) | TagEnd::FootnoteDefinition) => {
                depth = depth.saturating_sub(1);
            }
            _ => {}
        }
    }
    close(&mut sections, Span::new(start, text.len()), &path);
    sections
}

/// A heading on one line, not too long.
fn clean(heading: &str) -> String {
    let mut heading = heading.split_whitespace().collect::<Vec<_>>().join(" ");
    if heading.len() > MAX_HEADING_BYTES {
        heading.truncate(heading.floor_char_boundary(MAX_HEADING_BYTES));
        heading.push('…');
    }
    heading
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outline(text: &str) -> Vec<(String, String)> {
        let document = Document::new("a", text).with_metadata("format", "markdown");
        sections(&document)
            .into_iter()
            .map(|s| (s.headings.join(" > "), s.span.of(text).unwrap().trim().to_owned()))
            .collect()
    }

    fn paths(text: &str) -> Vec<String> {
        outline(text).into_iter().map(|(path, _)| path).collect()
    }

    #[test]
    fn headings_nest_by_level() {
        let text = "before\n# A\nx\n### C `c` *d*\ny\n## B\nz\n\nD\n===\nend";
        assert_eq!(paths(text), ["", "A", "A > C c d", "A > B", "D"]);
        assert_eq!(outline(text)[2].1, "### C `c` *d*\ny");
        assert_eq!(outline(text)[4].1, "D\n===\nend");
    }

    #[test]
    fn only_headings_of_the_document_itself_count() {
        let fenced = "# A\n```sh\n# comment\n## more\n```\n~~~\n# B\n~~~\n\n    # indented\n";
        assert_eq!(paths(fenced), ["A"]);
        assert_eq!(paths("> # quoted\n\n- # item\n\n1. ## item\n\ntext"), [""]);
        assert_eq!(paths("# A\r\nx\r\n\r\n## B\r\n#nospace\r\n"), ["A", "A > B"]);
    }

    #[test]
    fn front_matter_is_no_heading() {
        assert_eq!(paths("---\ntitle: x\n# no\n---\n# A\ny"), ["", "A"]);
        assert_eq!(paths("+++\ntitle = 1\n+++\n\ntext"), [""]);
        assert_eq!(paths("text\n---\nmore"), ["text"]);
    }

    #[test]
    fn plain_text_has_no_outline() {
        assert_eq!(sections(&Document::new("a", "# not a heading\n")).len(), 1);
        assert!(paths(" \n").is_empty());
    }

    #[test]
    fn an_endless_heading_is_cut_in_the_path() {
        let text = format!("# {}\n\ntext", "é".repeat(10_000));
        assert!(paths(&text)[0].len() <= MAX_HEADING_BYTES + 4);
    }
}
