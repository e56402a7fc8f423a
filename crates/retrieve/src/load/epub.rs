//! EPUB books.

use std::path::Path;

use super::archive::{Archive, resolve};
use super::by_content::elsewhere;
use super::draft::{Draft, heading, one_line, part};
use super::html::load_within;
use super::limits::{Budget, LoadLimits};
use super::loader::{Loaded, Loader};
use super::sniff::Kind;
use super::text::{format, has_extension};
use super::xml::{Element, tree};
use crate::error::{Error, Result};

/// Loads EPUB books as Markdown-like text, chapter by chapter in the order in which they are read. Places have the
/// chapter (`chapter 3: Oolong`). Metadata: `format` is `epub`, `title`, `author`, `lang`.
///
/// ```
/// use ragtune_retrieve::load::{EpubLoader, LoadLimits};
/// let loader = EpubLoader::default().with_limits(LoadLimits::default().with_pages(1000));
/// # let _ = loader;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EpubLoader {
    limits: LoadLimits,
}

impl EpubLoader {
    /// With other limits.
    pub fn with_limits(mut self, limits: LoadLimits) -> Self {
        self.limits = limits;
        self
    }
}

impl Loader for EpubLoader {
    fn id(&self) -> String {
        "epub-2".to_owned()
    }

    fn accepts(&self, path: &Path) -> bool {
        has_extension(path, &["epub"])
    }

    fn load(&self, path: &Path, bytes: &[u8]) -> Result<Loaded> {
        if let Some(loaded) = elsewhere(Kind::Epub, path, bytes, &self.limits) {
            return loaded;
        }
        let budget = Budget::new(path, bytes.len(), &self.limits)?;
        let mut archive = Archive::open(bytes, &budget)?;
        let container = archive.needed("META-INF/container.xml")?;
        let container = tree("META-INF/container.xml", &container, &budget)?;
        let package = container
            .find("rootfile")
            .and_then(|root| root.attribute("full-path"));
        let Some(package) = package else {
            return Err(budget.unreadable("its container names no package: the file is damaged"));
        };
        let package_xml = archive.needed(package)?;
        let root = tree(package, &package_xml, &budget)?;
        let mut metadata = format("epub");
        for (element, name) in [("title", "title"), ("creator", "author"), ("language", "lang")] {
            let found = root.child("metadata").and_then(|about| about.find(element));
            let text = found.map(|found| one_line(&found.text())).unwrap_or_default();
            if !text.is_empty() {
                metadata.insert(name.to_owned(), text.into());
            }
        }
        let chapters = spine(&root, package);
        if chapters.is_empty() {
            return Err(budget.unreadable("its package lists nothing to read: the file is damaged"));
        }
        budget.pages(chapters.len())?;
        // Fonts may be scrambled, which is nobody's concern here; chapters are so by copy protection.
        if let Ok(Some(list)) = archive.text("META-INF/encryption.xml")
            && chapters.iter().any(|chapter| list.contains(chapter.as_str()))
        {
            return Err(Error::Encrypted {
                path: path.to_owned(),
                remedy: "its copy protection must be taken off by those who may",
            });
        }
        let mut draft = Draft::new(&budget);
        for (at, chapter) in chapters.iter().enumerate() {
            // A chapter that is missing is a hole that the reader must hear of.
            let Some(bytes) = archive.part(chapter)? else {
                let reason = format!("its chapter {chapter} is missing: the file is damaged");
                return Err(budget.unreadable(reason));
            };
            let page = match load_within(path, &bytes, &budget) {
                Ok(page) => page,
                // A cover or a plate: a page of pictures only.
                Err(Error::Unreadable { .. }) if is_markup(&bytes) => continue,
                Err(error) => return Err(error),
            };
            let title = page
                .metadata
                .get("title")
                .map(|title| one_line(&title.to_string()));
            let title = title.unwrap_or_default();
            draft.place(part(match title.is_empty() {
                true => format!("chapter {}", at + 1),
                false => format!("chapter {}: {title}", at + 1),
            }));
            // The heading of a section without one is its title.
            if !page.text.lines().any(|line| line.starts_with('#')) && !page.text.is_empty() {
                draft.block(&heading(1, &title))?;
            }
            draft.block(&page.text)?;
        }
        Ok(draft.finish(metadata))
    }
}

/// The chapters in the order in which they are read.
fn spine(package: &Element, name: &str) -> Vec<String> {
    let items = package.child("manifest").into_iter().flat_map(Element::elements);
    let items: std::collections::HashMap<&str, &Element> = items
        .filter_map(|item| Some((item.attribute("id")?, item)))
        .collect();
    let order = package.child("spine").into_iter().flat_map(Element::elements);
    let order = order.filter(|item| item.attribute("linear") != Some("no"));
    let chapters = order.filter_map(|reference| {
        let item = items.get(reference.attribute("idref")?)?;
        let is_page = matches!(
            item.attribute("media-type"),
            None | Some("application/xhtml+xml" | "text/html" | "application/x-dtbook+xml")
        );
        // The table of contents repeats the chapters' titles.
        let is_contents = item
            .attribute("properties")
            .is_some_and(|properties| properties.split_whitespace().any(|property| property == "nav"));
        (is_page && !is_contents).then(|| item.attribute("href").map(|href| resolve(name, href)))?
    });
    chapters.collect()
}

fn is_markup(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .find(|byte| !byte.is_ascii_whitespace() && **byte < 0x80)
        == Some(&b'<')
}
