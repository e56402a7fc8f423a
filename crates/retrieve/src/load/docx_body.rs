//! The body of a Word document to Markdown-like text.

use std::collections::{BTreeMap, HashMap};

use super::docx_styles::{Role, Styles};
use super::draft::{Draft, heading, one_line, page, paragraph, table};
use super::math::linear;
use super::superscript::raised;
use super::xml::{Element, Node};
use crate::error::Result;

/// What stands beside the body and is called from it.
#[derive(Default)]
pub(super) struct Beside {
    pub(super) styles: Styles,
    /// Targets of links by their ids.
    pub(super) links: HashMap<String, String>,
    /// Texts of notes by the name of their reference and their ids.
    pub(super) notes: HashMap<(&'static str, String), String>,
    /// Texts of comments by their ids, with who wrote them.
    pub(super) comments: HashMap<String, (String, String)>,
}

/// Writes blocks in their order.
pub(super) struct Body<'a, 'b> {
    beside: &'a Beside,
    draft: &'a mut Draft<'b>,
    /// Next numbers by list and level.
    numbers: BTreeMap<(u32, usize), u32>,
    in_list: bool,
    /// Page that the layout reached when the document was saved; 1 until a break is seen.
    page: usize,
    /// The page that was marked last.
    marked: usize,
    /// The first title, and the first heading.
    pub(super) title: Option<String>,
    pub(super) first_heading: Option<String>,
}

/// The text of a paragraph and what it calls for after itself.
#[derive(Default)]
struct Inline {
    text: String,
    after: Vec<String>,
    /// Text boxes that are anchored here.
    boxes: Vec<String>,
    /// Page breaks before its first text, and after it.
    breaks: [usize; 2],
}

impl<'a, 'b> Body<'a, 'b> {
    /// `paged` says whether the document has marks of its page breaks.
    pub(super) fn new(beside: &'a Beside, draft: &'a mut Draft<'b>, paged: bool) -> Self {
        Self {
            beside,
            draft,
            numbers: BTreeMap::new(),
            in_list: false,
            page: 1,
            marked: usize::from(!paged),
            title: None,
            first_heading: None,
        }
    }

    /// Writes one block.
    pub(super) fn block(&mut self, element: &Element) -> Result<()> {
        match &*element.name {
            "p" => self.paragraph(element),
            "tbl" => self.table(element),
            "del" | "moveFrom" | "sectPr" => Ok(()),
            "AlternateContent" => self.all(chosen(element)),
            "sdt" => self.all(element.child("sdtContent")),
            "customXml" | "ins" | "moveTo" | "smartTag" | "Choice" | "Fallback" => self.all(Some(element)),
            _ => Ok(()),
        }
    }

    fn all(&mut self, element: Option<&Element>) -> Result<()> {
        let mut inside = element.into_iter().flat_map(Element::elements);
        inside.try_for_each(|child| self.block(child))
    }

    fn paragraph(&mut self, element: &Element) -> Result<()> {
        let mut inline = Inline::default();
        self.inline(element, &mut inline);
        self.turn(inline.breaks[0]);
        let text = inline.text.trim().to_owned();
        let role = self.beside.styles.role(element.child("pPr"));
        if !text.is_empty() {
            match role {
                Role::Title => {
                    self.title.get_or_insert_with(|| one_line(&text));
                    self.write(&heading(1, &text))?;
                }
                Role::Heading(level) => {
                    self.first_heading.get_or_insert_with(|| one_line(&text));
                    self.write(&heading(level, &text))?;
                }
                Role::Text => self.write(&paragraph(&text))?,
                Role::Item(item) => {
                    let deeper = (item.list, item.level + 1)..(item.list, usize::MAX);
                    let deeper: Vec<_> = self.numbers.range(deeper).map(|(key, _)| *key).collect();
                    deeper.iter().for_each(|key| {
                        self.numbers.remove(key);
                    });
                    let number = self.numbers.entry((item.list, item.level)).or_insert(0);
                    *number += 1;
                    let mark = match item.numbered {
                        true => format!("{number}."),
                        false => "-".to_owned(),
                    };
                    let line = format!("{}{mark} {}", "  ".repeat(item.level), one_line(&text));
                    self.mark();
                    match self.in_list {
                        true => self.draft.line(&line)?,
                        false => self.draft.block(&line)?,
                    }
                    self.in_list = true;
                }
            }
        }
        self.turn(inline.breaks[1]);
        for block in inline.boxes.into_iter().chain(inline.after) {
            self.write(&block)?;
        }
        Ok(())
    }

    fn table(&mut self, element: &Element) -> Result<()> {
        let mut rows: Vec<Vec<String>> = Vec::new();
        let mut after = Vec::new();
        let mut breaks = 0;
        let mut found = Vec::new();
        rows_of(element, &mut found);
        let mut only_cell = None;
        for row in &found {
            let mut cells = Vec::new();
            let mut inside = Vec::new();
            row.all("tc", &mut inside);
            for cell in inside {
                let mut inline = Inline::default();
                self.cell(cell, &mut inline);
                breaks += inline.breaks.iter().sum::<usize>();
                after.append(&mut inline.boxes);
                after.append(&mut inline.after);
                let merged = cell.at(&["tcPr", "vMerge"]);
                let continued = merged.is_some_and(|merge| merge.attribute("val") != Some("restart"));
                cells.push(if continued {
                    String::new()
                } else {
                    one_line(&inline.text)
                });
                let span = cell
                    .at(&["tcPr", "gridSpan"])
                    .and_then(|span| span.attribute("val")?.parse().ok());
                let span: usize = span.unwrap_or(1);
                cells.extend((1..span.min(64)).map(|_| String::new()));
                only_cell = Some(cell);
            }
            rows.push(cells);
        }
        if let (Some(cell), [row]) = (only_cell, rows.as_slice())
            && row.len() == 1
        {
            // A frame around text, not a table.
            return self.all(Some(cell));
        }
        self.write(&table(&rows))?;
        self.turn(breaks);
        after.iter().try_for_each(|block| self.write(block))
    }

    /// The text of a cell: that of its paragraphs, and of tables inside, on one line.
    fn cell(&self, cell: &Element, out: &mut Inline) {
        for child in cell.elements() {
            match &*child.name {
                "p" => {
                    out.text.push(' ');
                    self.inline(child, out);
                }
                "tcPr" | "tblPr" | "tblGrid" | "trPr" | "del" | "moveFrom" => {}
                _ => self.cell(child, out),
            }
        }
    }

    /// Adds the text of what is in a paragraph.
    fn inline(&self, element: &Element, out: &mut Inline) {
        for node in &element.children {
            if let Node::Element(child) = node {
                self.inline_element(child, out);
            }
        }
    }

    /// A run: what its own properties hide is left out, and what they raise stays raised.
    fn run(&self, run: &Element, out: &mut Inline) {
        let property = |name: &str| run.at(&["rPr", name]);
        let is_off = |value: &str| matches!(value, "0" | "false" | "off");
        if property("vanish").is_some_and(|hidden| !hidden.attribute("val").is_some_and(is_off)) {
            return;
        }
        let start = out.text.len();
        self.inline(run, out);
        if property("vertAlign").is_some_and(|align| align.attribute("val") == Some("superscript")) {
            let raised = raised(&out.text[start..]);
            out.text.replace_range(start.., &raised);
        }
    }

    fn inline_element(&self, child: &Element, out: &mut Inline) {
        let id = || child.attribute("id").unwrap_or_default().to_owned();
        match &*child.name {
            "r" => self.run(child, out),
            "t" => out.text.push_str(&child.text()),
            "tab" | "ptab" => out.text.push(' '),
            "br" | "cr" => out.text.push('\n'),
            "noBreakHyphen" => out.text.push('-'),
            "lastRenderedPageBreak" => out.breaks[usize::from(!out.text.trim().is_empty())] += 1,
            "footnoteReference" | "endnoteReference" => {
                let kind = if &*child.name == "footnoteReference" {
                    "footnote"
                } else {
                    "endnote"
                };
                if let Some(note) = self.beside.notes.get(&(kind, id())) {
                    let mark = if kind == "footnote" {
                        id()
                    } else {
                        format!("e{}", id())
                    };
                    out.text.push_str(&format!("[^{mark}]"));
                    out.after.push(format!("[^{mark}]: {}", one_line(note)));
                }
            }
            "commentReference" => {
                if let Some((author, text)) = self.beside.comments.get(&id()) {
                    out.after
                        .push(format!("> Comment by {author}: {}", one_line(text)));
                }
            }
            "hyperlink" => {
                let mut inside = Inline::default();
                self.inline(child, &mut inside);
                let target = child.prefixed("id").and_then(|id| self.beside.links.get(id));
                let text = std::mem::take(&mut inside.text);
                match target {
                    Some(target) if !text.trim().is_empty() && text.trim() != target => {
                        out.text.push_str(&format!("[{text}]({target})"));
                    }
                    _ => out.text.push_str(&text),
                }
                out.after.append(&mut inside.after);
                out.boxes.append(&mut inside.boxes);
            }
            "oMath" => {
                let equation = linear(child);
                let space = !out.text.is_empty() && !out.text.ends_with(char::is_whitespace);
                out.text
                    .push_str(&format!("{}{equation}", if space { " " } else { "" }));
            }
            "oMathPara" => {
                let mut equations = Vec::new();
                child.all("oMath", &mut equations);
                for equation in equations {
                    out.text.push_str(&format!("\n{}\n", linear(equation)));
                }
            }
            "drawing" | "pict" | "object" => {
                let mut described = Vec::new();
                child.all("docPr", &mut described);
                let alt = described
                    .iter()
                    .find_map(|properties| properties.attribute("descr"));
                if let Some(alt) = alt.filter(|alt| !alt.trim().is_empty()) {
                    out.boxes.push(paragraph(&one_line(alt)));
                }
                let mut boxes = Vec::new();
                child.all("txbxContent", &mut boxes);
                for text_box in boxes {
                    let mut inside = Inline::default();
                    for block in text_box.elements() {
                        inside.text.push('\n');
                        match &*block.name {
                            "p" => self.inline(block, &mut inside),
                            _ => self.cell(block, &mut inside),
                        }
                    }
                    out.boxes.push(paragraph(&inside.text));
                    out.boxes.append(&mut inside.boxes);
                    out.after.append(&mut inside.after);
                }
            }
            "AlternateContent" => {
                if let Some(choice) = chosen(child) {
                    self.inline(choice, out);
                }
            }
            "del" | "moveFrom" | "pPr" | "rPr" | "instrText" | "delText" | "sdtPr" | "rt" => {}
            _ => self.inline(child, out),
        }
    }

    fn turn(&mut self, breaks: usize) {
        self.page += breaks;
    }

    fn mark(&mut self) {
        // Without marks of page breaks the pages are not known.
        if self.marked != self.page && (self.marked == 0 || self.page > 1) {
            self.draft.place(page(self.page));
            self.marked = self.page;
        }
    }

    fn write(&mut self, block: &str) -> Result<()> {
        if block.trim().is_empty() {
            return Ok(());
        }
        self.in_list = false;
        self.mark();
        self.draft.block(block)
    }
}

/// The form of a piece that newer readers take, else the older form.
fn chosen(element: &Element) -> Option<&Element> {
    element.child("Choice").or_else(|| element.child("Fallback"))
}

/// The rows of a table, those inside controls and insertions too.
fn rows_of<'e>(element: &'e Element, found: &mut Vec<&'e Element>) {
    for child in element.elements() {
        match &*child.name {
            "tr" => found.push(child),
            "sdt" | "sdtContent" | "customXml" | "ins" => rows_of(child, found),
            _ => {}
        }
    }
}
