//! RSS and Atom.

use std::path::Path;

use super::code::SourceCodeLoader;
use super::draft::{Draft, heading, one_line};
use super::html::fragment;
use super::limits::{Budget, LoadLimits};
use super::loader::{Loaded, Loader};
use super::text::{format, has_extension, read};
use super::xml::{Element, Pull};
use crate::error::Result;

/// Loads feeds in RSS and Atom (`.rss`, `.atom`, and `.xml` where its content is one) as Markdown-like text: each entry
/// under its title as a heading, with date, author and address, then its content, or its summary where it has no more.
/// Other XML is loaded as source code. Metadata: `format` is `feed`, `title`.
///
/// ```
/// use std::path::Path;
/// use ragtune_retrieve::Loader;
/// use ragtune_retrieve::load::FeedLoader;
/// let feed = b"<rss><channel><title>Tea</title><item><title>New</title><description>Oolong</description></item></channel></rss>";
/// let loaded = FeedLoader::default().load(Path::new("feed.xml"), feed)?;
/// assert_eq!(loaded.text, "# Tea\n\n## New\n\nOolong\n");
/// # Ok::<(), ragtune_retrieve::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeedLoader {
    limits: LoadLimits,
}

impl FeedLoader {
    /// With other limits.
    pub fn with_limits(mut self, limits: LoadLimits) -> Self {
        self.limits = limits;
        self
    }
}

impl Loader for FeedLoader {
    fn id(&self) -> String {
        "feed-2".to_owned()
    }

    fn accepts(&self, path: &Path) -> bool {
        has_extension(path, &["atom", "rss", "xml"])
    }

    fn load(&self, path: &Path, bytes: &[u8]) -> Result<Loaded> {
        let budget = Budget::new(path, bytes.len(), &self.limits)?;
        let source = read(path, bytes, None)?;
        let mut pull = Pull::new("feed", &source, &budget);
        let root = pull.first();
        let open = match root.as_deref() {
            Ok("rss") => pull.open("channel")?,
            Ok("RDF" | "feed") => true,
            _ => false,
        };
        if !open {
            return match has_extension(path, &["xml"]) {
                true => SourceCodeLoader.load(path, bytes),
                false => Err(budget.unreadable("it is neither RSS nor Atom: it is damaged, or misnamed")),
            };
        }
        let mut metadata = format("feed");
        let mut draft = Draft::new(&budget);
        let mut entries = 0;
        while let Some(element) = pull.element()? {
            match &*element.name {
                "title" if !metadata.contains_key("title") => {
                    let title = one_line(&element.text());
                    draft.block(&heading(1, &title))?;
                    metadata.insert("title".to_owned(), title.into());
                }
                "channel" => {
                    if let Some(title) = element.child("title").map(|title| one_line(&title.text())) {
                        draft.block(&heading(1, &title))?;
                        metadata.insert("title".to_owned(), title.into());
                    }
                }
                "description" | "subtitle" => draft.block(&fragment(&element.text(), &budget)?)?,
                "item" | "entry" => {
                    entries += 1;
                    budget.pages(entries)?;
                    entry(&element, &mut draft, &budget)?;
                }
                _ => {}
            }
        }
        Ok(draft.finish(metadata))
    }
}

fn entry(entry: &Element, draft: &mut Draft, budget: &Budget) -> Result<()> {
    let text = |names: &[&str]| {
        let found = names.iter().find_map(|name| entry.child(name));
        found.map(Element::text).filter(|text| !text.trim().is_empty())
    };
    let line = |names: &[&str]| match text(names) {
        Some(text) => fragment(&text, budget).map(|text| Some(one_line(&text))),
        None => Ok(None),
    };
    let title = line(&["title"])?.unwrap_or_else(|| "Untitled".to_owned());
    draft.block(&heading(2, &title))?;
    let link = entry.child("link");
    let link = link.and_then(|link| {
        link.attribute("href")
            .map(str::to_owned)
            .or_else(|| Some(one_line(&link.text())))
    });
    let author = line(&["creator", "author"])?;
    let about = [line(&["pubDate", "published", "updated", "date"])?, author, link];
    let about: Vec<_> = about
        .into_iter()
        .flatten()
        .filter(|part| !part.is_empty())
        .collect();
    draft.block(&about.join(" · "))?;
    let content = text(&["encoded", "content", "description", "summary"]);
    draft.block(&fragment(&content.unwrap_or_default(), budget)?)
}
