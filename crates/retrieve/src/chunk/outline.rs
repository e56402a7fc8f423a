//! The sections of a Markdown document with the headings above them.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use ragtune_core::text::{Document, Locator, Span, Value};

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
    /// Number of the page, slide or other part that it is in, counted from 0; no passage is in two.
    pub(super) place: usize,
}

/// The sections of a document, cut where a page, a part or the headings that its markers name change; without headings
/// of its own where it is not Markdown.
pub(super) fn sections(document: &Document) -> Vec<Section> {
    let sections = if is_markdown(document) {
        markdown_sections(&document.text)
    } else {
        vec![Section {
            span: Span::new(0, document.text.len()),
            headings: Vec::new(),
            level: 0,
            place: 0,
        }]
    };
    let cuts = cuts(document);
    match cuts.is_empty() {
        true => sections,
        false => sections
            .into_iter()
            .flat_map(|section| cut(section, &cuts, &document.text))
            .collect(),
    }
}

/// Whether the loader said that the text is Markdown, or made it so.
pub(super) fn is_markdown(document: &Document) -> bool {
    let format = document.metadata.get("format").and_then(Value::as_text);
    matches!(
        format,
        Some(
            "markdown" | "html" | "article" | "docx" | "pptx" | "xlsx" | "xls" | "epub" | "notebook" | "feed"
        )
    )
}

/// Where a page, a part or the headings of the markers change.
fn cuts(document: &Document) -> Vec<(usize, &Locator)> {
    let mut cuts: Vec<(usize, &Locator)> = Vec::new();
    for marker in &document.markers {
        let place = |locator: &Locator| (locator.page, locator.part.clone(), locator.headings.clone());
        let is_new = match cuts.last() {
            Some((_, last)) => place(last) != place(&marker.locator),
            None => place(&marker.locator) != place(&Locator::default()),
        };
        if is_new && document.text.is_char_boundary(marker.at) {
            cuts.push((marker.at, &marker.locator));
        }
    }
    cuts
}

/// The parts of a section between the cuts.
fn cut(section: Section, cuts: &[(usize, &Locator)], text: &str) -> Vec<Section> {
    let Span { start, end } = section.span;
    // The last cut at or before the section says where it begins.
    let passed = cuts.partition_point(|(at, _)| *at <= start);
    let inside = cuts[passed..].iter().take_while(|(at, _)| *at < end);
    let starts = std::iter::once(start).chain(inside.map(|(at, _)| *at));
    let parts = starts.enumerate().map(|(number, from)| {
        let place = passed + number;
        let to = cuts.get(place).map_or(end, |(at, _)| (*at).min(end));
        let of_marker = place.checked_sub(1).and_then(|before| cuts.get(before));
        Section {
            span: Span::new(from, to),
            headings: match (section.headings.as_slice(), of_marker) {
                ([], Some((_, locator))) => locator.headings.clone(),
                _ => section.headings.clone(),
            },
            level: section.level,
            place,
        }
    });
    parts
        .filter(|part| part.span.of(text).is_some_and(|text| !text.trim().is_empty()))
        .collect()
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
                place: 0,
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
    use ragtune_core::text::Marker;

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
    fn pages_and_parts_cut_sections() {
        let text = "# A\none\n\ntwo\n\n# B\nthree\n";
        let mut document = Document::new("a", text).with_metadata("format", "docx");
        let page = |at: usize, page: u32| Marker {
            at,
            locator: Locator {
                page: Some(page),
                ..Locator::default()
            },
        };
        document.markers = vec![
            page(0, 1),
            page(text.find("two").unwrap(), 2),
            page(text.len() - 1, 3),
        ];
        let found: Vec<_> = sections(&document)
            .into_iter()
            .map(|s| (s.headings.join(" > "), s.place, s.span.of(text).unwrap().trim()))
            .collect();
        let expected = [("A", 1, "# A\none"), ("A", 2, "two"), ("B", 2, "# B\nthree")];
        assert_eq!(
            found,
            expected.map(|(path, place, text)| (path.to_owned(), place, text))
        );

        let mut plain = Document::new("a", "one two").with_metadata("format", "pdf");
        plain.markers = vec![page(0, 1), page(4, 1)];
        plain.markers[1].locator.headings = vec!["Chapter".to_owned()];
        let headings: Vec<_> = sections(&plain).into_iter().map(|s| s.headings).collect();
        assert_eq!(headings, [vec![], vec!["Chapter".to_owned()]]);
        plain.markers = (0..3)
            .map(|at| Marker {
                at,
                locator: Locator {
                    line: Some(1),
                    ..Locator::default()
                },
            })
            .collect();
        assert_eq!(sections(&plain).len(), 1, "lines are no places of their own");
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
