//! A parsed page to Markdown-like text, without recursion.

use std::collections::HashSet;

use dom_query::{Document, NodeId, NodeRef};

use super::superscript::raised;

/// Content of these is never text.
const SILENT: [&str; 19] = [
    "audio",
    "button",
    "canvas",
    "datalist",
    "dialog",
    "head",
    "iframe",
    "input",
    "map",
    "math-field",
    "noframes",
    "noscript",
    "object",
    "script",
    "select",
    "style",
    "svg",
    "template",
    "video",
];
/// Elements with lines of their own, a blank line around them.
const BLOCKS: [&str; 26] = [
    "address",
    "article",
    "aside",
    "blockquote",
    "body",
    "center",
    "dd",
    "details",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figcaption",
    "figure",
    "footer",
    "form",
    "header",
    "hgroup",
    "main",
    "nav",
    "ol",
    "p",
    "section",
    "summary",
    "table",
    "ul",
];

/// The text of a page: of its `main` element where that has text, else of all but navigation, header and footer, else
/// of all. Empty, or with a line break at the end.
pub(super) fn render(page: &Document) -> String {
    let root = page.root();
    let whole = |node: NodeRef, boilerplate| Renderer::new(&node, boilerplate).run(node);
    let main = page
        .select("main, [role=main]")
        .nodes()
        .first()
        .map(|main| whole(*main, false));
    main.filter(|text| !text.is_empty())
        .or_else(|| Some(whole(root, false)).filter(|text| !text.is_empty()))
        .unwrap_or_else(|| whole(root, true))
}

/// Whether an element's own style says that it is not shown.
fn hides(style: &str) -> bool {
    let style: String = style.chars().filter(|c| !c.is_whitespace()).collect();
    let style = style.to_ascii_lowercase();
    style.split(';').any(|rule| {
        matches!(
            rule.trim_end_matches("!important"),
            "display:none" | "visibility:hidden"
        )
    })
}

/// A step of the walk.
enum Step<'a> {
    Enter(NodeRef<'a>),
    Leave(String),
}

/// A list that is open.
struct List {
    /// The next number of a numbered one.
    number: Option<u32>,
}

struct Renderer {
    out: String,
    /// Line breaks that come before the next text.
    breaks: usize,
    /// Whether a space comes before the next text on the same line.
    space: bool,
    lists: Vec<List>,
    /// Marker of a list item whose text has not begun.
    marker: Option<String>,
    /// Depth of `pre` elements, and where the content of the outermost starts.
    preformatted: usize,
    code: String,
    /// Where the text ended after the last opening mark of inline code.
    mark_end: Option<usize>,
    /// Depth of `sup` elements.
    raised: usize,
    /// Cells that are open: their content stays on one line.
    cells: usize,
    cell: String,
    row: Vec<String>,
    header_row: bool,
    /// Rows of the open table so far.
    rows: usize,
    /// Tables that arrange other blocks and are no tables in meaning.
    layout: HashSet<NodeId>,
    boilerplate: bool,
}

impl Renderer {
    fn new(root: &NodeRef, boilerplate: bool) -> Self {
        Self {
            out: String::new(),
            breaks: 0,
            space: false,
            lists: Vec::new(),
            marker: None,
            preformatted: 0,
            code: String::new(),
            mark_end: None,
            raised: 0,
            cells: 0,
            cell: String::new(),
            row: Vec::new(),
            header_row: false,
            rows: 0,
            layout: layout_tables(root),
            boilerplate,
        }
    }

    fn run(mut self, root: NodeRef) -> String {
        let mut steps = vec![Step::Enter(root)];
        // Cells of layout tables are blocks: how many of the open tables are such.
        let mut tables: Vec<bool> = Vec::new();
        while let Some(step) = steps.pop() {
            match step {
                Step::Enter(node) if node.is_text() && self.raised > 0 => self.text(&raised(&node.text())),
                Step::Enter(node) if node.is_text() => self.text(&node.text()),
                Step::Enter(node) => {
                    let name = node.node_name().map(|name| name.to_string()).unwrap_or_default();
                    if self.is_silent(&node, &name) {
                        continue;
                    }
                    if name == "table" {
                        tables.push(self.layout.contains(&node.id));
                    }
                    self.enter(&node, &name, tables.last() == Some(&true));
                    if node.is_element() {
                        steps.push(Step::Leave(name));
                    }
                    steps.extend(node.children_it(true).map(Step::Enter));
                }
                Step::Leave(name) => {
                    self.leave(&name, tables.last() == Some(&true));
                    if name == "table" {
                        tables.pop();
                    }
                }
            }
        }
        let mut text = self.out;
        text.truncate(text.trim_end().len());
        if !text.is_empty() {
            text.push('\n');
        }
        text
    }

    fn is_silent(&self, node: &NodeRef, name: &str) -> bool {
        if !node.is_element() {
            return node.is_comment() || node.is_doctype();
        }
        if SILENT.contains(&name)
            || node.has_attr("hidden")
            || node.attr("aria-hidden").is_some_and(|value| &*value == "true")
            || node.attr("style").is_some_and(|style| hides(&style))
        {
            return true;
        }
        if self.boilerplate {
            return false;
        }
        let role = node.attr("role");
        let role_says = matches!(
            role.as_deref(),
            Some("navigation" | "banner" | "contentinfo" | "search")
        );
        let of_page = || {
            !node.ancestors_it(None).any(|above| {
                above
                    .node_name()
                    .is_some_and(|name| matches!(&*name, "article" | "main" | "section"))
            })
        };
        name == "nav" || role_says || matches!(name, "footer" | "header") && of_page()
    }

    fn enter(&mut self, node: &NodeRef, name: &str, layout: bool) {
        match name {
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                self.block(2);
                if self.cells == 0 && self.preformatted == 0 {
                    let level = usize::from(name.as_bytes()[1] - b'0');
                    self.marker = Some(format!("{} ", "#".repeat(level)));
                }
            }
            "ul" | "ol" => {
                // A list inside an item follows it directly.
                self.block(if self.lists.is_empty() { 2 } else { 1 });
                let first = node
                    .attr("start")
                    .and_then(|start| start.trim().parse().ok())
                    .unwrap_or(1);
                self.lists.push(List {
                    number: (name == "ol").then_some(first),
                });
            }
            "li" => {
                self.block(1);
                let indent = "  ".repeat(self.lists.len().saturating_sub(1).min(16));
                let mark = match self.lists.last_mut().and_then(|list| list.number.as_mut()) {
                    Some(number) => {
                        let mark = format!("{number}. ");
                        *number = number.saturating_add(1);
                        mark
                    }
                    None => "- ".to_owned(),
                };
                if self.cells == 0 && self.preformatted == 0 {
                    self.marker = Some(indent + &mark);
                }
            }
            "pre" if self.cells == 0 => {
                self.block(2);
                self.preformatted += 1;
                if self.preformatted == 1 {
                    self.code = format!("{}\n", language(node));
                }
            }
            "sup" => self.raised += 1,
            "code" | "kbd" | "samp" if self.preformatted == 0 => self.inline_mark(true),
            "br" if self.preformatted > 0 => self.code.push('\n'),
            "br" => self.block(1),
            "hr" => {
                self.block(2);
                self.text("---");
                self.block(2);
            }
            "img" => {
                if let Some(alt) = node.attr("alt") {
                    self.text(&alt);
                }
            }
            "table" if !layout => {
                self.block(2);
                self.rows = 0;
            }
            "tr" if !layout => {
                self.row.clear();
                self.header_row = false;
            }
            "td" | "th" if !layout => {
                self.cells += 1;
                self.header_row |= name == "th";
                self.cell.clear();
                self.space = false;
            }
            "td" | "th" | "tr" | "caption" => self.block(2),
            _ if BLOCKS.contains(&name) => self.block(self.block_breaks()),
            _ => {}
        }
    }

    fn leave(&mut self, name: &str, layout: bool) {
        match name {
            "ul" | "ol" => {
                self.lists.pop();
                self.block(if self.lists.is_empty() { 2 } else { 1 });
            }
            "li" => self.block(1),
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                self.marker = None;
                self.block(2);
            }
            "pre" if self.preformatted > 0 => {
                self.preformatted -= 1;
                if self.preformatted == 0 {
                    self.fence();
                }
            }
            "sup" => self.raised = self.raised.saturating_sub(1),
            "code" | "kbd" | "samp" if self.preformatted == 0 => self.inline_mark(false),
            "td" | "th" if !layout => {
                self.cells = self.cells.saturating_sub(1);
                let cell = self.cell.trim().replace('|', "\\|");
                self.row.push(cell);
                self.cell.clear();
                self.space = false;
            }
            "tr" if !layout => self.end_row(),
            "td" | "th" | "tr" | "caption" => self.block(2),
            _ if BLOCKS.contains(&name) => self.block(self.block_breaks()),
            _ => {}
        }
    }

    /// Inside list items paragraphs follow without blank lines, so that the list stays one.
    fn block_breaks(&self) -> usize {
        if self.lists.is_empty() { 2 } else { 1 }
    }

    /// The next text starts after so many line breaks; in a cell, after a space.
    fn block(&mut self, breaks: usize) {
        if self.cells > 0 {
            self.space = true;
        } else if self.preformatted > 0 {
            if !self.code.ends_with('\n') {
                self.code.push('\n');
            }
        } else {
            self.breaks = self.breaks.max(breaks);
            self.space = false;
        }
    }

    fn text(&mut self, text: &str) {
        if self.preformatted > 0 {
            self.code.push_str(text);
            return;
        }
        let mut words = text.split([' ', '\n', '\t', '\r', '\u{C}']);
        // Before the first separator and after the last one a word may touch what is beside it.
        if let Some(first) = words.next() {
            self.word(first);
        }
        for word in words {
            self.space = true;
            self.word(word);
        }
    }

    fn word(&mut self, word: &str) {
        if word.is_empty() {
            return;
        }
        let word = word.replace('\u{A0}', " ");
        if self.cells > 0 {
            if self.space && !self.cell.is_empty() {
                self.cell.push(' ');
            }
            self.space = false;
            self.cell.push_str(&word);
            return;
        }
        self.start_line();
        if self.space && !self.out.ends_with(['\n', ' ']) && !self.out.is_empty() {
            self.out.push(' ');
        }
        self.space = false;
        self.out.push_str(&word);
    }

    /// Writes the line breaks and the marker that wait for text.
    fn start_line(&mut self) {
        if self.breaks > 0 {
            self.out.truncate(self.out.trim_end_matches(' ').len());
            if !self.out.is_empty() {
                let have = self.out.bytes().rev().take_while(|b| *b == b'\n').count();
                (have..self.breaks.min(2)).for_each(|_| self.out.push('\n'));
            }
            self.breaks = 0;
            self.space = false;
        }
        if let Some(marker) = self.marker.take() {
            self.out.push_str(&marker);
            self.space = false;
        }
    }

    /// A backtick before the next word, or after the last one; none where nothing is between.
    fn inline_mark(&mut self, opening: bool) {
        if opening {
            self.word("`");
            self.mark_end = Some(self.line_buffer().len());
        } else if self.mark_end.take() == Some(self.line_buffer().len()) {
            self.line_buffer().pop();
        } else {
            self.line_buffer().push('`');
        }
    }

    /// Where words go: the open cell, else the text.
    fn line_buffer(&mut self) -> &mut String {
        if self.cells > 0 {
            &mut self.cell
        } else {
            &mut self.out
        }
    }

    /// Writes the collected code between fences that are longer than any in it.
    fn fence(&mut self) {
        let code = std::mem::take(&mut self.code);
        let (language, code) = code.split_once('\n').unwrap_or(("", &code));
        let code = code.trim_matches(['\n', '\r']);
        if code.trim().is_empty() {
            return;
        }
        let mut longest = 0;
        let mut run = 0;
        for byte in code.bytes() {
            run = if byte == b'`' { run + 1 } else { 0 };
            longest = longest.max(run);
        }
        let fence = "`".repeat(longest.max(2) + 1);
        self.breaks = 2;
        self.marker = None;
        self.start_line();
        self.out.push_str(&format!(
            "{fence}{language}\n{}\n{fence}",
            code.replace("\r\n", "\n")
        ));
        self.breaks = 2;
    }

    fn end_row(&mut self) {
        let row = std::mem::take(&mut self.row);
        if row.iter().all(String::is_empty) || self.cells > 0 {
            return;
        }
        self.breaks = self.breaks.max(1);
        if self.rows > 0 {
            self.breaks = 1;
        }
        self.start_line();
        self.out.push_str(&format!("| {} |", row.join(" | ")));
        if self.rows == 0 && self.header_row {
            self.out.push_str(&format!("\n|{}", "---|".repeat(row.len())));
        }
        self.rows += 1;
        self.breaks = 1;
    }
}

/// Tables with other tables, headings or code in them, and those with lists that have no header cells.
fn layout_tables(root: &NodeRef) -> HashSet<NodeId> {
    let (mut layout, mut with_lists, mut with_headers) = (HashSet::new(), HashSet::new(), HashSet::new());
    let mut open: Vec<NodeId> = Vec::new();
    let mut steps = vec![(*root, true)];
    while let Some((node, entering)) = steps.pop() {
        if !entering {
            open.pop();
            continue;
        }
        let name = node.node_name();
        match name.as_deref() {
            Some("table" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "pre") => {
                layout.extend(open.iter().copied())
            }
            Some("ul" | "ol") => with_lists.extend(open.iter().copied()),
            Some("th") => with_headers.extend(open.last().copied()),
            _ => {}
        }
        if name.as_deref() == Some("table") {
            open.push(node.id);
            steps.push((node, false));
        }
        steps.extend(node.children_it(true).map(|child| (child, true)));
    }
    layout.extend(with_lists.difference(&with_headers).copied());
    layout
}

/// The language that a `pre` or the `code` in it names by its class, as highlighters do.
fn language(pre: &NodeRef) -> String {
    let inner = pre.first_element_child();
    let classes = [pre.class(), inner.and_then(|inner| inner.class())];
    let mut names = classes
        .iter()
        .flatten()
        .flat_map(|classes| classes.split_whitespace());
    let name = names.find_map(|class| {
        class
            .strip_prefix("language-")
            .or_else(|| class.strip_prefix("lang-"))
    });
    let plain = |name: &&str| {
        name.len() <= 24
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+' | b'#'))
    };
    name.filter(plain).unwrap_or_default().to_owned()
}
