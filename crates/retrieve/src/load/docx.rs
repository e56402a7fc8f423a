//! Word documents.

use std::path::Path;

use super::archive::Archive;
use super::by_content::elsewhere;
use super::docx_body::{Beside, Body};
use super::docx_styles::Styles;
use super::draft::{Draft, one_line};
use super::limits::{Budget, LoadLimits};
use super::loader::{Loaded, Loader};
use super::package::{main_part, properties, relations};
use super::sniff::{Kind, contains};
use super::text::has_extension;
use super::xml::{Element, Pull, tree};
use crate::error::Result;

/// Loads Word documents (`.docx`, `.docm`, `.dotx`) as Markdown-like text: headings, lists, tables, footnotes behind
/// the paragraph that calls them, comments as quotes there, links with their targets, equations as linear text,
/// descriptions of pictures. What tracked changes deleted, headers and footers are left out. Places have the page where
/// Word recorded it when it saved the document. Metadata: `format` is `docx`, `title` and `author`.
///
/// ```
/// use ragtune_retrieve::load::DocxLoader;
/// let loader = DocxLoader::default().with_comments(false);
/// # let _ = loader;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocxLoader {
    comments: bool,
    limits: LoadLimits,
}

impl DocxLoader {
    /// With comments as quotes behind the paragraph that they are about, or without them; with them by default.
    pub fn with_comments(mut self, comments: bool) -> Self {
        self.comments = comments;
        self
    }

    /// With other limits.
    pub fn with_limits(mut self, limits: LoadLimits) -> Self {
        self.limits = limits;
        self
    }

    fn beside(&self, archive: &mut Archive, budget: &Budget, main: &str) -> Result<Beside> {
        let mut beside = Beside::default();
        let relations = relations(archive, budget, main)?;
        let of_kind = |kind: &str| relations.iter().find(|relation| relation.kind == kind);
        let mut part = |kind: &str| -> Result<Option<_>> {
            let Some(relation) = of_kind(kind) else {
                return Ok(None);
            };
            match archive.text(&relation.target)? {
                Some(xml) => tree(&relation.target, &xml, budget).map(Some),
                None => Ok(None),
            }
        };
        beside.styles = Styles::new(part("styles")?.as_ref(), part("numbering")?.as_ref());
        for (kind, name) in [("footnotes", "footnote"), ("endnotes", "endnote")] {
            let notes = part(kind)?;
            for note in notes.iter().flat_map(|notes| notes.elements()) {
                let is_text = note.attribute("type").is_none_or(|kind| kind == "normal");
                if let (Some(id), true) = (note.attribute("id"), is_text) {
                    beside.notes.insert((name, id.to_owned()), text_of_note(note));
                }
            }
        }
        if self.comments {
            let comments = part("comments")?;
            for comment in comments.iter().flat_map(|comments| comments.elements()) {
                if let Some(id) = comment.attribute("id") {
                    let author = one_line(comment.attribute("author").unwrap_or_default());
                    let author = if author.is_empty() {
                        "a reader".to_owned()
                    } else {
                        author
                    };
                    beside
                        .comments
                        .insert(id.to_owned(), (author, text_of_note(comment)));
                }
            }
        }
        let external = relations.into_iter().filter(|relation| relation.external);
        beside.links = external.map(|relation| (relation.id, relation.target)).collect();
        Ok(beside)
    }
}

impl Default for DocxLoader {
    fn default() -> Self {
        Self {
            comments: true,
            limits: LoadLimits::default(),
        }
    }
}

impl Loader for DocxLoader {
    fn id(&self) -> String {
        format!("docx-2 comments {}", self.comments)
    }

    fn accepts(&self, path: &Path) -> bool {
        has_extension(path, &["docm", "docx", "dotm", "dotx"])
    }

    fn load(&self, path: &Path, bytes: &[u8]) -> Result<Loaded> {
        if let Some(loaded) = elsewhere(Kind::Docx, path, bytes, &self.limits) {
            return loaded;
        }
        let budget = Budget::new(path, bytes.len(), &self.limits)?;
        let mut archive = Archive::open(bytes, &budget)?;
        let main = main_part(&mut archive, &budget, "word/document.xml")?;
        let beside = self.beside(&mut archive, &budget, &main)?;
        let mut metadata = properties(&mut archive, &budget, "docx")?;
        let xml = archive.needed(&main)?;
        let paged = contains(xml.as_bytes(), b"lastRenderedPageBreak");
        let mut draft = Draft::new(&budget);
        let mut body = Body::new(&beside, &mut draft, paged);
        let mut pull = Pull::new(&main, &xml, &budget);
        if !pull.open("body")? {
            return Err(budget.unreadable("it has no body: the file is damaged, save it anew"));
        }
        while let Some(element) = pull.element()? {
            body.block(&element)?;
        }
        if let Some(title) = body.title.take().or(body.first_heading.take()) {
            metadata.entry("title".to_owned()).or_insert(title.into());
        }
        Ok(draft.finish(metadata))
    }
}

/// The text of a note or comment: its paragraphs, without properties and deleted words.
fn text_of_note(note: &Element) -> String {
    let mut text = String::new();
    let mut steps: Vec<_> = note.elements().rev().collect();
    while let Some(element) = steps.pop() {
        match &*element.name {
            "t" => text.push_str(&element.text()),
            "tab" | "br" | "cr" => text.push(' '),
            "del" | "moveFrom" => {}
            name => {
                if name == "p" {
                    text.push(' ');
                }
                steps.extend(element.elements().rev());
            }
        }
    }
    text
}
