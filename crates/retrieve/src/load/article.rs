//! The article of a web page.

use std::path::Path;

use dom_smoothie::Readability;

use super::draft::one_line;
use super::guard::guarded;
use super::html::{HtmlLoader, fragment, load_within, source, tamed};
use super::limits::{Budget, LoadLimits};
use super::loader::{Loaded, Loader};
use super::text::format;
use crate::error::{Error, Result};

/// Loads the article of a web page, as the reading mode of browsers finds it: without side columns, teasers and comments
/// that markup does not name as such. Where no article is found, or one that has less than a share of the page's words,
/// the whole page is loaded as [`HtmlLoader`] does. Metadata: `format` is `article`, `title`, `author`, `site`, `published`,
/// `lang`.
///
/// It takes the place of [`HtmlLoader`] for folders of saved news and blog pages; for documentation, where lists of links
/// and tables matter, the whole page is the better choice.
///
/// ```
/// use std::sync::Arc;
/// use ragtune_retrieve::Loader;
/// use ragtune_retrieve::load::{ArticleLoader, defaults};
/// let mut loaders: Vec<Arc<dyn Loader>> = vec![Arc::new(ArticleLoader::default())];
/// loaders.extend(defaults()); // the first that accepts a name loads it: kb.with_loaders(loaders)
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ArticleLoader {
    min_share: f64,
    limits: LoadLimits,
}

impl ArticleLoader {
    /// With another share of the page's words that an article must have; 0.3 without.
    pub fn with_min_share(mut self, share: f64) -> Self {
        self.min_share = share;
        self
    }

    /// With other limits.
    pub fn with_limits(mut self, limits: LoadLimits) -> Self {
        self.limits = limits;
        self
    }
}

impl Default for ArticleLoader {
    fn default() -> Self {
        Self {
            min_share: 0.3,
            limits: LoadLimits::default(),
        }
    }
}

impl Loader for ArticleLoader {
    fn id(&self) -> String {
        format!("article-2 share {}", self.min_share)
    }

    fn accepts(&self, path: &Path) -> bool {
        HtmlLoader::default().accepts(path)
    }

    fn load(&self, path: &Path, bytes: &[u8]) -> Result<Loaded> {
        let budget = Budget::new(path, bytes.len(), &self.limits)?;
        let page = load_within(path, bytes, &budget)?;
        let tamed = tamed(&source(path, bytes)?);
        let found = guarded(&budget, "article", move || {
            let article = Readability::new(tamed, None, None).ok();
            Ok(article
                .and_then(|mut article| article.parse().ok())
                .map(|article| {
                    let about = [
                        ("title", Some(article.title.clone())),
                        ("author", article.byline.clone()),
                        ("site", article.site_name.clone()),
                        ("published", article.published_time.clone()),
                        ("lang", article.lang.clone()),
                    ];
                    (article.content.to_string(), about)
                }))
        });
        let found = match found {
            Ok(found) => found,
            // What its reader stumbles over is still a page.
            Err(Error::Unreadable { .. }) => None,
            Err(error) => return Err(error),
        };
        let Some((content, about)) = found else {
            return Ok(page);
        };
        let text = fragment(&content, &budget)?;
        let words = |text: &str| text.split_whitespace().count() as f64;
        if words(&text) < words(&page.text) * self.min_share || text.is_empty() {
            return Ok(page);
        }
        let mut metadata = format("article");
        for (name, value) in about {
            if let Some(value) = value
                .map(|value| one_line(&value))
                .filter(|value| !value.is_empty())
            {
                metadata.insert(name.to_owned(), value.into());
            }
        }
        for (name, value) in page.metadata {
            metadata.entry(name).or_insert(value);
        }
        Ok(Loaded {
            text,
            metadata,
            markers: Vec::new(),
        })
    }
}
