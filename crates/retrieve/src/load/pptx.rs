//! PowerPoint presentations.

use std::path::Path;

use ragtune_core::text::Value;

use super::archive::Archive;
use super::by_content::elsewhere;
use super::draft::{Draft, heading, one_line, paragraph, part, table};
use super::limits::{Budget, LoadLimits};
use super::loader::{Loaded, Loader};
use super::math::linear;
use super::package::{main_part, properties, relations};
use super::sniff::Kind;
use super::superscript::raised;
use super::text::has_extension;
use super::xml::{Element, Pull, tree};
use crate::error::Result;

/// Loads PowerPoint presentations (`.pptx`, `.pptm`, `.ppsx`, `.potx`) as Markdown-like text: a heading with the title
/// of each slide, its text boxes from top to bottom, lists, tables, the words of diagrams and charts, descriptions of
/// pictures, and the speaker's notes. Places have the slide (`slide 3`). Metadata: `format` is `pptx`, `title`,
/// `author`, `slides`, their number, and `hidden_slides`, those that were left out.
///
/// ```
/// use ragtune_retrieve::load::PptxLoader;
/// let loader = PptxLoader::default().with_notes(false).with_hidden(true);
/// # let _ = loader;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PptxLoader {
    notes: bool,
    hidden: bool,
    limits: LoadLimits,
}

impl PptxLoader {
    /// With the speaker's notes or without; with them by default.
    pub fn with_notes(mut self, notes: bool) -> Self {
        self.notes = notes;
        self
    }

    /// With slides that the show leaves out, or without; without them by default.
    pub fn with_hidden(mut self, hidden: bool) -> Self {
        self.hidden = hidden;
        self
    }

    /// With other limits.
    pub fn with_limits(mut self, limits: LoadLimits) -> Self {
        self.limits = limits;
        self
    }

    fn slide(
        &self,
        number: usize,
        name: &str,
        archive: &mut Archive,
        budget: &Budget,
        draft: &mut Draft,
    ) -> Result<Slide> {
        let xml = archive.needed(name)?;
        let slide = tree(name, &xml, budget)?;
        let is_hidden = slide
            .attribute("show")
            .is_some_and(|show| matches!(show, "0" | "false"));
        if is_hidden && !self.hidden {
            return Ok(Slide::Hidden);
        }
        let mut shapes = Vec::new();
        if let Some(shape_tree) = slide.at(&["cSld", "spTree"]) {
            flatten(shape_tree, (0, 0), &mut shapes);
        }
        // Placeholders have no place of their own; they keep the order of the slide, titles first.
        shapes.sort_by_key(|shape| (!shape.is_title, shape.top, shape.left));
        draft.place(part(format!("slide {number}")));
        let title = shapes.iter().find(|shape| shape.is_title);
        let title = title.map(|shape| one_line(&text_of(shape.element)));
        let title = title.filter(|title| !title.is_empty());
        draft.block(&heading(
            2,
            title.as_deref().unwrap_or(&format!("Slide {number}")),
        ))?;
        let relations = relations(archive, budget, name)?;
        for shape in &shapes {
            if shape.is_title && title.is_some() {
                continue;
            }
            blocks(shape.element, draft)?;
            let mut pointed = Vec::new();
            for reference in ["chart", "relIds"] {
                shape.element.all(reference, &mut pointed);
            }
            for reference in pointed {
                let id = reference.prefixed("id").or_else(|| reference.prefixed("dm"));
                let target = relations.iter().find(|relation| Some(relation.id.as_str()) == id);
                if let Some(target) = target.filter(|target| !target.external)
                    && let Some(xml) = archive.text(&target.target)?
                {
                    pointed_part(&tree(&target.target, &xml, budget)?, draft)?;
                }
            }
        }
        if self.notes
            && let Some(notes) = relations.iter().find(|relation| relation.kind == "notesSlide")
            && let Some(xml) = archive.text(&notes.target)?
        {
            let notes = tree(&notes.target, &xml, budget)?;
            let mut shapes = Vec::new();
            notes.all("sp", &mut shapes);
            let mut text = String::new();
            for shape in shapes {
                if placeholder(shape) == Some("body") {
                    text.push_str(&text_of(shape));
                    text.push('\n');
                }
            }
            if !text.trim().is_empty() {
                draft.block(&format!("Notes: {}", paragraph(&text)))?;
            }
        }
        Ok(Slide::Written { title })
    }
}

/// What became of a slide.
enum Slide {
    Written { title: Option<String> },
    Hidden,
}

impl Default for PptxLoader {
    fn default() -> Self {
        Self {
            notes: true,
            hidden: false,
            limits: LoadLimits::default(),
        }
    }
}

impl Loader for PptxLoader {
    fn id(&self) -> String {
        format!("pptx-2 notes {} hidden {}", self.notes, self.hidden)
    }

    fn accepts(&self, path: &Path) -> bool {
        has_extension(path, &["potm", "potx", "ppsm", "ppsx", "pptm", "pptx"])
    }

    fn load(&self, path: &Path, bytes: &[u8]) -> Result<Loaded> {
        if let Some(loaded) = elsewhere(Kind::Pptx, path, bytes, &self.limits) {
            return loaded;
        }
        let budget = Budget::new(path, bytes.len(), &self.limits)?;
        let mut archive = Archive::open(bytes, &budget)?;
        let main = main_part(&mut archive, &budget, "ppt/presentation.xml")?;
        let mut metadata = properties(&mut archive, &budget, "pptx")?;
        let pointers = relations(&mut archive, &budget, &main)?;
        let xml = archive.needed(&main)?;
        let mut pull = Pull::new(&main, &xml, &budget);
        let mut slides = Vec::new();
        if pull.open("sldIdLst")? {
            while let Some(slide) = pull.element()? {
                let id = slide.prefixed("id").unwrap_or_default();
                let target = pointers
                    .iter()
                    .find(|relation| relation.id == id && !relation.external);
                if let Some(target) = target {
                    slides.push(target.target.clone());
                    budget.pages(slides.len())?;
                }
            }
        }
        let mut draft = Draft::new(&budget);
        let mut first = None;
        let mut hidden = Vec::new();
        for (at, slide) in slides.iter().enumerate() {
            match self.slide(at + 1, slide, &mut archive, &budget, &mut draft)? {
                Slide::Written { title } => first = first.or(title),
                Slide::Hidden => hidden.push(Value::Int(at as i64 + 1)),
            }
        }
        metadata.insert("slides".to_owned(), (slides.len() as i64).into());
        if !hidden.is_empty() {
            metadata.insert("hidden_slides".to_owned(), Value::List(hidden));
        }
        if let Some(title) = first {
            metadata.entry("title".to_owned()).or_insert(title.into());
        }
        Ok(draft.finish(metadata))
    }
}

/// Something on a slide with its place.
struct Shape<'e> {
    element: &'e Element,
    is_title: bool,
    top: i64,
    left: i64,
}

/// The shapes of a slide, those in groups too.
fn flatten<'e>(tree: &'e Element, base: (i64, i64), shapes: &mut Vec<Shape<'e>>) {
    let number = |element: Option<&Element>, name: &str| {
        let value = element.and_then(|element| element.attribute(name));
        value.and_then(|value| value.parse::<i64>().ok())
    };
    for element in tree.elements() {
        match &*element.name {
            "grpSp" => {
                let frame = element.at(&["grpSpPr", "xfrm"]);
                let of = |name: &str| frame.and_then(|frame| frame.child(name));
                let shift = |axis: &str| {
                    let outer = number(of("off"), axis).unwrap_or(0);
                    outer.saturating_sub(number(of("chOff"), axis).unwrap_or(outer))
                };
                let inner = (
                    base.0.saturating_add(shift("y")),
                    base.1.saturating_add(shift("x")),
                );
                flatten(element, inner, shapes);
            }
            "AlternateContent" => {
                if let Some(chosen) = element.child("Choice").or_else(|| element.child("Fallback")) {
                    flatten(chosen, base, shapes);
                }
            }
            "sp" | "pic" | "graphicFrame" | "cxnSp" => {
                let frame = element.at(&["spPr", "xfrm"]).or_else(|| element.child("xfrm"));
                let offset = frame.and_then(|frame| frame.child("off"));
                let at = |axis: &str, base: i64| {
                    number(offset, axis).map_or(i64::MIN, |at| at.saturating_add(base))
                };
                shapes.push(Shape {
                    element,
                    is_title: matches!(placeholder(element), Some("title" | "ctrTitle")),
                    top: at("y", base.0),
                    left: at("x", base.1),
                });
            }
            _ => {}
        }
    }
}

/// What a shape stands for on its layout.
fn placeholder(shape: &Element) -> Option<&str> {
    let placeholder = shape.at(&["nvSpPr", "nvPr", "ph"])?;
    Some(placeholder.attribute("type").unwrap_or("body"))
}

/// Writes the text of a shape.
fn blocks(shape: &Element, draft: &mut Draft) -> Result<()> {
    // What stands on every slide is not what this one says.
    if matches!(placeholder(shape), Some("dt" | "ftr" | "sldNum" | "hdr")) {
        return Ok(());
    }
    let mut tables = Vec::new();
    shape.all("tbl", &mut tables);
    for found in &tables {
        let mut rows = Vec::new();
        found.all("tr", &mut rows);
        let rows = rows.iter().map(|row| {
            let cells = row.elements().filter(|cell| &*cell.name == "tc");
            cells.map(|cell| one_line(&text_of(cell))).collect()
        });
        draft.block(&table(&rows.collect::<Vec<_>>()))?;
    }
    if tables.is_empty() {
        let mut paragraphs = Vec::new();
        shape.all("p", &mut paragraphs);
        let mut first = true;
        for found in paragraphs {
            let level = found
                .child("pPr")
                .and_then(|properties| properties.attribute("lvl"));
            let level: usize = level.and_then(|level| level.parse().ok()).unwrap_or(0);
            let is_item = level > 0
                || found.child("pPr").is_some_and(|properties| {
                    properties
                        .child("buChar")
                        .or(properties.child("buAutoNum"))
                        .is_some()
                });
            let text = paragraph_text(found);
            let text = match is_item {
                true => format!("{}- {}", "  ".repeat(level.min(8)), one_line(&text)),
                false => paragraph(&text),
            };
            if text.trim().is_empty() {
                continue;
            }
            match first {
                true => draft.block(&text)?,
                false => draft.line(&text)?,
            }
            first = false;
        }
    }
    let described = shape
        .find("cNvPr")
        .and_then(|properties| properties.attribute("descr"));
    match described.map(one_line) {
        Some(words) if !words.is_empty() && matches!(&*shape.name, "pic" | "graphicFrame") => {
            draft.block(&paragraph(&words))
        }
        _ => Ok(()),
    }
}

/// Writes the words of a chart or a diagram.
fn pointed_part(root: &Element, draft: &mut Draft) -> Result<()> {
    if &*root.name == "chartSpace" {
        let mut words = Vec::new();
        if let Some(title) = root.at(&["chart", "title"]) {
            words.push(one_line(&text_of(title)));
        }
        let mut series = Vec::new();
        root.all("ser", &mut series);
        let mut rows: Vec<Vec<String>> = Vec::new();
        for one in series {
            let values = |name: &str| -> Vec<String> {
                let mut found = Vec::new();
                if let Some(cache) = one.child(name) {
                    cache.all("v", &mut found);
                }
                found.iter().map(|value| one_line(&value.text())).collect()
            };
            if rows.is_empty() {
                rows.push([vec![String::new()], values("cat")].concat());
            }
            rows.push([vec![values("tx").join(" ")], values("val")].concat());
        }
        words.push(table(&rows));
        return words.iter().try_for_each(|block| draft.block(block));
    }
    let mut points = Vec::new();
    root.all("pt", &mut points);
    for point in points {
        let text = one_line(&text_of(point));
        if !text.is_empty() {
            draft.block(&format!("- {text}"))?;
        }
    }
    Ok(())
}

/// All text inside, a line for each paragraph.
fn text_of(element: &Element) -> String {
    let mut paragraphs = Vec::new();
    element.all("p", &mut paragraphs);
    let lines: Vec<_> = paragraphs.into_iter().map(paragraph_text).collect();
    lines.join("\n")
}

/// Whether a run stands above the line, by a share of its height.
fn is_raised(run: &Element) -> bool {
    let baseline = run
        .child("rPr")
        .and_then(|properties| properties.attribute("baseline"));
    baseline.is_some_and(|share| !share.starts_with('-') && !share.trim_matches(['0', '%']).is_empty())
}

fn paragraph_text(paragraph: &Element) -> String {
    let mut text = String::new();
    for element in paragraph.elements() {
        match &*element.name {
            "r" | "fld" => {
                let run = element.child("t").map(Element::text).unwrap_or_default();
                match is_raised(element) {
                    true => text.push_str(&raised(&run)),
                    false => text.push_str(&run),
                }
            }
            "br" => text.push('\n'),
            "m" | "AlternateContent" => {
                if let Some(equation) = element.find("oMath") {
                    text.push_str(&format!(" {} ", linear(equation)));
                }
            }
            _ => {}
        }
    }
    text
}
