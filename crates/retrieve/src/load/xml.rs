//! XML in pieces: a document is walked element by element, and only one piece of it is a tree at a time.
//!
//! Entities that a document declares itself are never expanded, so there is nothing to blow up; nesting and the size of
//! a piece are limited.

use quick_xml::Reader;
use quick_xml::escape::unescape;
use quick_xml::events::{BytesStart, Event};

use super::limits::Budget;
use crate::error::Result;

/// Bytes that an element costs in memory, about.
const ELEMENT_BYTES: u64 = 128;
/// How often the text of a piece is held at once: in the piece, as the block that is made of it, and in the document.
const TEXT_COPIES: u64 = 3;

/// An element with all that is in it. Names are without their prefix.
#[derive(Debug, Default)]
pub(super) struct Element {
    pub(super) name: Box<str>,
    /// Names of attributes have their prefix.
    attributes: Vec<(Box<str>, Box<str>)>,
    pub(super) children: Vec<Node>,
}

#[derive(Debug)]
pub(super) enum Node {
    Element(Element),
    Text(Box<str>),
}

impl Element {
    /// The value of an attribute, by its name without prefix.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        let mut found = self.attributes.iter();
        found
            .find(|(found, _)| local(found) == name)
            .map(|(_, value)| &**value)
    }

    /// The value of an attribute that has a prefix, such as `r:id` beside `id`.
    pub(super) fn prefixed(&self, name: &str) -> Option<&str> {
        let mut found = self.attributes.iter();
        found
            .find(|(found, _)| found.contains(':') && local(found) == name)
            .map(|(_, value)| &**value)
    }

    /// The elements directly inside.
    pub(super) fn elements(&self) -> impl DoubleEndedIterator<Item = &Self> {
        self.children.iter().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        })
    }

    /// The first element of this name directly inside.
    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        self.elements().find(|element| &*element.name == name)
    }

    /// The element at the end of a way of names.
    pub(super) fn at(&self, way: &[&str]) -> Option<&Self> {
        way.iter().try_fold(self, |element, name| element.child(name))
    }

    /// The first element of this name at any depth, in the order of the document.
    pub(super) fn find(&self, name: &str) -> Option<&Self> {
        self.elements().find_map(|element| match &*element.name == name {
            true => Some(element),
            false => element.find(name),
        })
    }

    /// All elements of this name at any depth that are in no other of it.
    pub(super) fn all<'e>(&'e self, name: &str, found: &mut Vec<&'e Self>) {
        for element in self.elements() {
            match &*element.name == name {
                true => found.push(element),
                false => element.all(name, found),
            }
        }
    }

    /// All text inside.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        self.add_text(&mut text);
        text
    }

    fn add_text(&self, out: &mut String) {
        for node in &self.children {
            match node {
                Node::Text(text) => out.push_str(text),
                Node::Element(element) => element.add_text(out),
            }
        }
    }
}

/// Walks the elements of a document.
pub(super) struct Pull<'a> {
    reader: Reader<&'a [u8]>,
    budget: &'a Budget,
    /// Bytes of the document, which are held all the while.
    bytes: u64,
    /// What the document is called, for messages.
    name: &'a str,
    depth: usize,
}

/// A piece of what is directly inside the element that is open.
enum Piece {
    Element(Element),
    Text,
    /// The open element ends.
    End,
}

impl<'a> Pull<'a> {
    pub(super) fn new(name: &'a str, xml: &'a str, budget: &'a Budget) -> Self {
        let mut reader = Reader::from_str(xml);
        reader.config_mut().allow_dangling_amp = true;
        Self {
            reader,
            budget,
            bytes: xml.len() as u64,
            name,
            depth: 0,
        }
    }

    /// Opens the next element of this name, wherever it is; false where none follows.
    pub(super) fn open(&mut self, name: &str) -> Result<bool> {
        loop {
            match self.event()? {
                Event::Start(start) if local(start.name().as_ref()) == name => {
                    self.depth += 1;
                    return Ok(true);
                }
                Event::Start(_) => {
                    self.depth += 1;
                    self.budget.depth(self.depth)?;
                }
                Event::End(_) => self.depth = self.depth.saturating_sub(1),
                Event::Eof => return Ok(false),
                _ => {}
            }
        }
    }

    /// Opens the first element, whatever its name is, and gives that.
    pub(super) fn first(&mut self) -> Result<String> {
        loop {
            match self.event()? {
                Event::Start(start) => {
                    self.depth += 1;
                    return Ok(local(start.name().as_ref()).to_owned());
                }
                Event::Eof => {
                    return Err(self.budget.unreadable(format!("its part {} is empty", self.name)));
                }
                _ => {}
            }
        }
    }

    /// The next element directly inside the open one, as a tree; `None` at its end.
    pub(super) fn element(&mut self) -> Result<Option<Element>> {
        loop {
            match self.piece()? {
                Piece::Element(element) => return Ok(Some(element)),
                Piece::Text => {}
                Piece::End => return Ok(None),
            }
        }
    }

    fn piece(&mut self) -> Result<Piece> {
        loop {
            match self.event()? {
                Event::Start(start) => {
                    let element = element_of(&start);
                    return Ok(Piece::Element(self.inside(element)?));
                }
                Event::Empty(start) => return Ok(Piece::Element(element_of(&start))),
                Event::End(_) | Event::Eof => {
                    self.depth = self.depth.saturating_sub(1);
                    return Ok(Piece::End);
                }
                event => {
                    if text_of(event).is_some() {
                        return Ok(Piece::Text);
                    }
                }
            }
        }
    }

    /// Reads an element that was just opened to its end.
    fn inside(&mut self, element: Element) -> Result<Element> {
        let mut held = self.bytes.saturating_add(ELEMENT_BYTES);
        let mut open = vec![element];
        loop {
            let done = match self.event()? {
                Event::Start(start) => {
                    open.push(element_of(&start));
                    self.budget.depth(self.depth + open.len())?;
                    held += ELEMENT_BYTES;
                    None
                }
                Event::Empty(start) => {
                    held += ELEMENT_BYTES;
                    Some(element_of(&start))
                }
                Event::End(_) => open.pop(),
                Event::Eof => {
                    return Err(self.budget.unreadable(format!(
                        "its part {} ends too early: the file is damaged",
                        self.name
                    )));
                }
                event => {
                    let length = match &event {
                        Event::Text(text) => text.len(),
                        Event::CData(text) => text.len(),
                        _ => 0,
                    };
                    held += ELEMENT_BYTES + length as u64 * TEXT_COPIES;
                    self.budget.held(held)?;
                    if let (Some(text), Some(element)) = (text_of(event), open.last_mut()) {
                        element.children.push(Node::Text(text.into()));
                    }
                    None
                }
            };
            self.budget.held(held)?;
            if let Some(done) = done {
                match open.last_mut() {
                    Some(parent) => parent.children.push(Node::Element(done)),
                    None => return Ok(done),
                }
            }
        }
    }

    fn event(&mut self) -> Result<Event<'a>> {
        self.budget.step()?;
        let at = self.reader.buffer_position();
        self.reader.read_event().map_err(|error| {
            self.budget.unreadable(format!(
                "its part {} is no XML at byte {at} ({error}): the file is damaged",
                self.name
            ))
        })
    }
}

/// The root element of a document as a tree.
pub(super) fn tree(name: &str, xml: &str, budget: &Budget) -> Result<Element> {
    let root = Pull::new(name, xml, budget).element()?;
    root.ok_or_else(|| budget.unreadable(format!("its part {name} is empty: the file is damaged")))
}

fn element_of(start: &BytesStart) -> Element {
    let mut found = start.attributes();
    let attributes = found.with_checks(false).flatten();
    let attributes = attributes.map(|attribute| {
        let value = unescape(&attribute.value).unwrap_or_else(|_| attribute.value.clone());
        (attribute.key.as_ref().into(), value.into_owned().into())
    });
    Element {
        name: local(start.name().as_ref()).into(),
        attributes: attributes.collect(),
        children: Vec::new(),
    }
}

fn text_of(event: Event) -> Option<String> {
    match event {
        Event::Text(text) => Some(text.xml10_content().into_owned()),
        Event::CData(text) => Some(text.xml10_content().into_owned()),
        Event::GeneralRef(reference) => {
            if let Ok(Some(c)) = reference.resolve_char_ref() {
                return Some(c.to_string());
            }
            let name: &str = &reference;
            Some(match name {
                "lt" => "<".to_owned(),
                "gt" => ">".to_owned(),
                "amp" => "&".to_owned(),
                "quot" => "\"".to_owned(),
                "apos" => "'".to_owned(),
                name => format!("&{name};"),
            })
        }
        _ => None,
    }
}

fn local(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, local)| local)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::limits::LoadLimits;
    use super::*;
    use crate::error::Error;

    fn parse(xml: &str, limits: &LoadLimits) -> Result<Element> {
        let budget = Budget::new(Path::new("a.docx"), xml.len(), limits).unwrap();
        tree("a.xml", xml, &budget)
    }

    #[test]
    fn trees_have_names_without_prefixes() {
        let xml = r#"<?xml version="1.0"?><!-- c --><w:a r:id="1" id="2" t="&lt;&#65;"><b>x &amp; <![CDATA[<y>]]></b><c/></w:a>"#;
        let root = parse(xml, &LoadLimits::default()).unwrap();
        assert_eq!((&*root.name, root.attribute("t")), ("a", Some("<A")));
        assert_eq!((root.prefixed("id"), root.attribute("none")), (Some("1"), None));
        assert_eq!(root.text(), "x & <y>");
        assert_eq!(root.at(&["b"]).unwrap().text(), "x & <y>");
        assert!(root.find("c").is_some() && root.child("x").is_none());
    }

    #[test]
    fn declared_entities_stay_what_they_are() {
        let laughs = r#"<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><l>&b;&b; &unknown;</l>"#;
        assert_eq!(
            parse(laughs, &LoadLimits::default()).unwrap().text(),
            "&b;&b; &unknown;"
        );
    }

    #[test]
    fn depth_and_number_of_elements_are_limited() {
        let deep = "<a>".repeat(100_000);
        let error = parse(&deep, &LoadLimits::default()).unwrap_err();
        assert!(matches!(error, Error::LoadLimit { allowed: 256, .. }), "{error}");
        let budget = Budget::new(Path::new("a"), 0, &LoadLimits::default()).unwrap();
        assert!(Pull::new("a.xml", &deep, &budget).open("b").is_err());
        let many = format!("<a>{}</a>", "<b/>".repeat(10_000));
        assert!(parse(&many, &LoadLimits::default()).is_ok());
        let few = LoadLimits::default().with_unpacked_bytes(100_000);
        assert!(parse(&many, &few).is_err());
        // A long text is held more than once.
        let text = format!("<a><b>{}</b></a>", "tea ".repeat(10_000));
        assert!(parse(&text, &LoadLimits::default().with_unpacked_bytes(200_000)).is_ok());
        assert!(matches!(
            parse(&text, &few),
            Err(Error::LoadLimit {
                setter: "with_unpacked_bytes",
                ..
            })
        ));
    }

    #[test]
    fn damaged_xml_is_refused() {
        for xml in ["", "<a>", "<a></b>", "<a b='>", "text only", "<a><b></a></b>"] {
            let error = parse(xml, &LoadLimits::default()).unwrap_err();
            assert!(matches!(error, Error::Unreadable { .. }), "{error}");
        }
    }
}
