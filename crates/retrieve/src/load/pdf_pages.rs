//! Pages of a PDF file as running text: headers and footers, divided words, sentences over the page's end.

use std::collections::{BTreeMap, HashSet};

/// Lines at the top and at the bottom of a page that may be its header and footer.
const EDGE_LINES: usize = 3;
/// Pages that a document must have before lines that repeat are its headers, and the share of pages that they are on.
const MIN_PAGES: usize = 3;
const MIN_SHARE: f64 = 0.6;
/// Bytes within which the rest of a sentence from the page before must end.
const MAX_REST: usize = 600;

/// A page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// From 1.
    pub(super) number: usize,
    lines: Vec<String>,
}

impl Page {
    pub(super) fn new(number: usize, text: &str) -> Self {
        let text: String = text
            .chars()
            .map(|c| match c {
                '\u{A0}' | '\t' => ' ',
                '\u{C}' | '\u{2028}' | '\u{2029}' => '\n',
                c => c,
            })
            .filter(|c| *c == '\n' || !c.is_control())
            .collect();
        let mut lines: Vec<String> = Vec::new();
        for line in text.lines().map(str::trim_end) {
            // Several blank lines are one.
            if !(line.is_empty() && lines.last().is_none_or(String::is_empty)) {
                lines.push(line.to_owned());
            }
        }
        Self { number, lines }
    }

    /// Whether nobody could read anything here.
    pub(super) fn is_blank(&self) -> bool {
        !self
            .lines
            .iter()
            .any(|line| line.chars().any(char::is_alphanumeric))
    }

    pub(super) fn text(&self) -> String {
        self.lines.join("\n").trim_matches('\n').to_owned()
    }

    /// Places of the lines at both edges that are not blank.
    fn edges(&self) -> Vec<usize> {
        let filled: Vec<usize> = (0..self.lines.len())
            .filter(|at| !self.lines[*at].trim().is_empty())
            .collect();
        // A page of few lines has no room for a header besides its text.
        let edge = EDGE_LINES.min(filled.len() / 3);
        let mut edges = filled[..edge].to_vec();
        edges.extend_from_slice(&filled[filled.len() - edge..]);
        edges
    }
}

/// Takes out lines at the edges of pages that stand, but for their numbers, on most pages; gives one of each.
pub(super) fn without_repeated(pages: &mut [Page]) -> Vec<String> {
    let filled = pages.iter().filter(|page| !page.is_blank()).count();
    if filled < MIN_PAGES {
        return Vec::new();
    }
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for page in pages.iter() {
        let forms: HashSet<String> = page.edges().into_iter().map(|at| form(&page.lines[at])).collect();
        for form in forms {
            *counts.entry(form).or_default() += 1;
        }
    }
    counts.retain(|_, count| *count >= MIN_PAGES && *count as f64 >= filled as f64 * MIN_SHARE);
    let mut left_out: BTreeMap<String, String> = BTreeMap::new();
    for page in pages {
        for at in page.edges() {
            let form = form(&page.lines[at]);
            if counts.contains_key(&form) {
                let line = std::mem::take(&mut page.lines[at]);
                left_out.entry(form).or_insert_with(|| line.trim().to_owned());
            }
        }
        page.lines.dedup_by(|a, b| a.is_empty() && b.is_empty());
    }
    left_out.into_values().collect()
}

/// A line without its numbers and spaces.
fn form(line: &str) -> String {
    let mut out = String::new();
    for c in line.chars().filter(|c| !c.is_whitespace()) {
        match c.is_numeric() {
            true if out.ends_with('#') => {}
            true => out.push('#'),
            false => out.extend(c.to_lowercase()),
        }
    }
    out
}

/// Joins words that the end of a line, or of a page, divides. The hyphen stays where the document has the word with it,
/// or where one of the halves has another.
pub(super) fn join_words(pages: &mut [Page]) {
    let words: HashSet<String> = pages
        .iter()
        .flat_map(|page| &page.lines)
        .flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '-'))
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    for page in pages.iter_mut() {
        let mut joined: Vec<String> = Vec::with_capacity(page.lines.len());
        for mut line in std::mem::take(&mut page.lines) {
            let was_filled = !line.is_empty();
            if let Some(before) = joined.last_mut() {
                join(before, &mut line, &words);
            }
            // A line that went up whole leaves no blank line behind.
            if !(was_filled && line.is_empty()) {
                joined.push(line);
            }
        }
        page.lines = joined;
    }
    for at in 1..pages.len() {
        let (before, after) = pages.split_at_mut(at);
        let last = before
            .last_mut()
            .and_then(|page| page.lines.iter_mut().rfind(|line| !line.is_empty()));
        let first = after
            .first_mut()
            .and_then(|page| page.lines.iter_mut().find(|line| !line.is_empty()));
        if let (Some(last), Some(first)) = (last, first) {
            join(last, first, &words);
        }
    }
}

/// Moves the second half of a divided word up to the first.
fn join(before: &mut String, after: &mut String, words: &HashSet<String>) {
    let Some(stem) = before.strip_suffix(['-', '\u{AD}', '\u{2010}']) else {
        return;
    };
    let is_soft = before.ends_with('\u{AD}');
    let is_letter = |c: char| c.is_alphanumeric() || matches!(c, '-' | '\'' | '’');
    let first_at = stem.char_indices().rev().find(|(_, c)| !is_letter(*c));
    let first = &stem[first_at.map_or(0, |(at, c)| at + c.len_utf8())..];
    let indent = after.len() - after.trim_start().len();
    let second = &after[indent..];
    let end = second.find(|c: char| !is_letter(c)).unwrap_or(second.len());
    let second = &second[..end];
    // "1990-" and "A-" are no halves of words, and neither is what a capital follows.
    if !first.ends_with(char::is_alphabetic)
        || first.chars().count() < 2
        || !second.starts_with(char::is_lowercase)
    {
        return;
    }
    let with_hyphen = format!("{first}-{second}").to_lowercase();
    let without = format!("{first}{second}").to_lowercase();
    let keeps = !is_soft
        && (first.contains('-') || second.contains('-') || words.contains(&with_hyphen))
        && !words.contains(&without);
    let mut joined = stem.to_owned();
    if keeps {
        joined.push('-');
    }
    // What closes the word goes with it.
    let tail = after[indent + end..].split(' ').next().unwrap_or_default().len();
    joined.push_str(&after[indent..indent + end + tail]);
    *after = after[indent + end + tail..].trim_start().to_owned();
    *before = joined;
}

/// Whether a page goes on with the sentence that the text before it leaves open.
pub(super) fn continued(before: &str, page: &str) -> bool {
    let open = before
        .trim_end()
        .chars()
        .next_back()
        .is_some_and(|c| c.is_alphanumeric() || matches!(c, ',' | ';' | '-' | '–' | '—'));
    open && page.starts_with(char::is_lowercase)
}

/// Where the first sentence ends, or its line where it does not end soon.
pub(super) fn end_of_sentence(page: &str) -> usize {
    let within = &page[..page.floor_char_boundary(MAX_REST)];
    let ends = within.char_indices().find(|(at, c)| {
        let next = within[at + c.len_utf8()..].chars().next();
        matches!(c, '.' | '!' | '?') && next.is_none_or(char::is_whitespace) || *c == '。'
    });
    match ends {
        Some((at, c)) => at + c.len_utf8(),
        None => page.find('\n').unwrap_or(page.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(texts: &[&str]) -> Vec<Page> {
        let pages = texts.iter().enumerate();
        pages.map(|(at, text)| Page::new(at + 1, text)).collect()
    }

    #[test]
    fn headers_and_footers_go_where_they_repeat() {
        let page = |n: u32, body: &str| {
            format!("Tea Report 2024\n\n{body} a\n{body} b\n{body} c\n{body} d\n\nPage {n} of 3")
        };
        let texts = [page(1, "green"), page(2, "black"), page(3, "white")];
        let mut found = pages(&texts.each_ref().map(String::as_str));
        let left_out = without_repeated(&mut found);
        assert_eq!(left_out, ["Page 1 of 3", "Tea Report 2024"]);
        assert_eq!(found[1].text(), "black a\nblack b\nblack c\nblack d");
        let mut short = pages(&["Same", "Same", "Same"]);
        assert!(
            without_repeated(&mut short).is_empty(),
            "a page's only line is its text"
        );
        assert!(without_repeated(&mut pages(&["a\nb\nc", "a\nb\nc"])).is_empty());
    }

    #[test]
    fn divided_words_are_joined() {
        for (text, expected) in [
            ("the infor-\nmation, and", "the information,\nand"),
            (
                "a well-\nknown fact; well-known",
                "a well-known\nfact; well-known",
            ),
            ("state-of-the-\nart tea", "state-of-the-art\ntea"),
            ("soft\u{AD}\nware", "software\n"),
            ("1990-\n1995", "1990-\n1995"),
            ("Baden-\nBaden", "Baden-\nBaden"),
            ("a -\nlist", "a -\nlist"),
        ] {
            let mut found = pages(&[text]);
            join_words(&mut found);
            assert_eq!(found[0].text(), expected.trim_matches('\n'), "{text:?}");
        }
        let mut over = pages(&["the infor-", "mation ends. Next"]);
        join_words(&mut over);
        assert_eq!(
            (over[0].text(), over[1].text()),
            ("the information".into(), "ends. Next".into())
        );
    }

    #[test]
    fn sentences_over_the_page_end_are_seen() {
        assert!(continued("the leaves are", "steamed. Then"));
        assert!(!continued("It ends.", "then") && !continued("Title", "Then") && !continued("", "then"));
        assert_eq!(end_of_sentence("steamed. Then"), 8);
        assert_eq!(end_of_sentence("no end here\nnext"), 11);
        assert_eq!(end_of_sentence("v1.2 is old. So"), 12);
    }

    #[test]
    fn blank_is_what_has_no_letters() {
        assert!(Page::new(1, " \n- . \u{0}\n").is_blank());
        assert!(!Page::new(1, "茶").is_blank());
        assert_eq!(Page::new(1, "a\u{0}\n\n\n\nb\u{A0}c\n").text(), "a\n\nb c");
    }
}
