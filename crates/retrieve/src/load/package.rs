//! The package of an office document: how its parts point to each other, and what it says of itself.

use ragtune_core::text::Metadata;

use super::archive::{Archive, resolve};
use super::draft::one_line;
use super::limits::Budget;
use super::text::format;
use super::xml::tree;
use crate::error::{Error, Result};

/// A pointer from one part to another, or to the world.
pub(super) struct Relation {
    pub(super) id: String,
    /// The last word of its type.
    pub(super) kind: String,
    /// The name of a part, or an address.
    pub(super) target: String,
    pub(super) external: bool,
}

/// The relations of a part.
pub(super) fn relations(archive: &mut Archive, budget: &Budget, part: &str) -> Result<Vec<Relation>> {
    let (folder, name) = part.rsplit_once('/').unwrap_or(("", part));
    let rels = format!(
        "{folder}{}_rels/{name}.rels",
        if folder.is_empty() { "" } else { "/" }
    );
    let Some(xml) = archive.text(&rels)? else {
        return Ok(Vec::new());
    };
    let root = tree(&rels, &xml, budget)?;
    let found = root.elements().filter_map(|relation| {
        let target = relation.attribute("Target")?;
        let external = relation.attribute("TargetMode") == Some("External");
        Some(Relation {
            id: relation.attribute("Id")?.to_owned(),
            kind: relation.attribute("Type")?.rsplit('/').next()?.to_owned(),
            target: match external {
                true => target.to_owned(),
                false => resolve(part, target),
            },
            external,
        })
    });
    Ok(found.collect())
}

/// The part that the package names as its document.
pub(super) fn main_part(archive: &mut Archive, budget: &Budget, default: &str) -> Result<String> {
    let relations = relations(archive, budget, "")?;
    let named = relations
        .into_iter()
        .find(|relation| relation.kind == "officeDocument");
    Ok(named.map_or(default.to_owned(), |relation| relation.target))
}

/// Title and author of an office document.
pub(super) fn properties(archive: &mut Archive, budget: &Budget, name: &str) -> Result<Metadata> {
    let mut metadata = format(name);
    // Damage here costs no text.
    let core = match archive.text("docProps/core.xml") {
        Ok(core) => core,
        Err(Error::Unreadable { .. }) => None,
        Err(error) => return Err(error),
    };
    let Some(Ok(core)) = core.map(|xml| tree("docProps/core.xml", &xml, budget)) else {
        return Ok(metadata);
    };
    for (element, name) in [("title", "title"), ("creator", "author")] {
        let text = core.child(element).map(|element| one_line(&element.text()));
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            metadata.insert(name.to_owned(), text.into());
        }
    }
    Ok(metadata)
}
