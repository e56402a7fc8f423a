//! What the styles and numberings of a Word document say of a paragraph: heading, list item, or text.

use std::collections::HashMap;

use super::xml::Element;

/// Styles that a style may be based on, one on the other.
const MAX_BASES: usize = 32;

/// A paragraph's place in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Item {
    /// Identity of the list.
    pub(super) list: u32,
    /// How deep, from 0.
    pub(super) level: usize,
    pub(super) numbered: bool,
}

/// What a paragraph is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The document's title.
    Title,
    /// A heading of level 1 to 6.
    Heading(usize),
    Item(Item),
    Text,
}

/// The styles and numberings of a document.
#[derive(Debug, Default)]
pub(super) struct Styles {
    styles: HashMap<String, Style>,
    /// Lists by their id: the ids of their definitions.
    lists: HashMap<u32, u32>,
    /// Whether a level of a definition is numbered.
    numbered: HashMap<(u32, usize), bool>,
}

#[derive(Debug, Default)]
struct Style {
    based_on: Option<String>,
    title: bool,
    heading: Option<usize>,
    list: Option<(u32, usize)>,
}

impl Styles {
    pub(super) fn new(styles: Option<&Element>, numbering: Option<&Element>) -> Self {
        let mut found = Self::default();
        for style in styles.into_iter().flat_map(Element::elements) {
            if &*style.name != "style" {
                continue;
            }
            let Some(id) = style.attribute("styleId") else {
                continue;
            };
            let value = |way: &[&str]| style.at(way).and_then(|element| element.attribute("val"));
            let name = value(&["name"]).unwrap_or_default().to_lowercase();
            let named = name.strip_prefix("heading ").and_then(|level| level.parse().ok());
            let outline = value(&["pPr", "outlineLvl"]).and_then(|level| level.parse::<usize>().ok());
            let heading = named.or(outline.filter(|level| *level < 9).map(|level| level + 1));
            found.styles.insert(
                id.to_owned(),
                Style {
                    based_on: value(&["basedOn"]).map(str::to_owned),
                    title: name == "title",
                    heading: heading.map(|level: usize| level.clamp(1, 6)),
                    list: style.at(&["pPr", "numPr"]).and_then(list_of),
                },
            );
        }
        for element in numbering.into_iter().flat_map(Element::elements) {
            match &*element.name {
                "num" => {
                    let definition = element.child("abstractNumId").and_then(|id| number(id, "val"));
                    if let (Some(id), Some(definition)) = (number(element, "numId"), definition) {
                        found.lists.insert(id, definition);
                    }
                }
                "abstractNum" => {
                    let Some(id) = number(element, "abstractNumId") else {
                        continue;
                    };
                    for level in element.elements().filter(|level| &*level.name == "lvl") {
                        let format = level.child("numFmt").and_then(|format| format.attribute("val"));
                        let numbered = !matches!(format, Some("bullet" | "none") | None);
                        let at = number(level, "ilvl").unwrap_or(0) as usize;
                        found.numbered.insert((id, at), numbered);
                    }
                }
                _ => {}
            }
        }
        found
    }

    /// What a paragraph with these properties is.
    pub(super) fn role(&self, properties: Option<&Element>) -> Role {
        let value = |name: &str| properties?.child(name)?.attribute("val");
        let style = value("pStyle");
        if self.chain(style).next().is_some_and(|style| style.title) {
            return Role::Title;
        }
        let outline = value("outlineLvl").and_then(|level| level.parse::<usize>().ok());
        let outline = outline.filter(|level| *level < 9).map(|level| (level + 1).min(6));
        if let Some(level) = outline.or_else(|| self.chain(style).find_map(|style| style.heading)) {
            return Role::Heading(level);
        }
        let own = properties
            .and_then(|properties| properties.child("numPr"))
            .and_then(list_of);
        let list = own.or_else(|| self.chain(style).find_map(|style| style.list));
        match list {
            // List 0 takes a paragraph out of its style's list.
            None | Some((0, _)) => Role::Text,
            Some((list, level)) => Role::Item(Item {
                list,
                level: level.min(8),
                numbered: self.is_numbered(list, level),
            }),
        }
    }

    fn is_numbered(&self, list: u32, level: usize) -> bool {
        let definition = self.lists.get(&list);
        definition.is_some_and(|id| self.numbered.get(&(*id, level)).copied().unwrap_or(false))
    }

    /// A style and those that it is based on.
    fn chain(&self, id: Option<&str>) -> impl Iterator<Item = &Style> {
        let mut next = id.and_then(|id| self.styles.get(id));
        std::iter::from_fn(move || {
            let style = next?;
            next = style.based_on.as_ref().and_then(|id| self.styles.get(id));
            Some(style)
        })
        .take(MAX_BASES)
    }
}

fn list_of(properties: &Element) -> Option<(u32, usize)> {
    let of = |name: &str| properties.child(name).and_then(|element| number(element, "val"));
    Some((of("numId")?, of("ilvl").unwrap_or(0) as usize))
}

fn number(element: &Element, name: &str) -> Option<u32> {
    element.attribute(name)?.parse().ok()
}
