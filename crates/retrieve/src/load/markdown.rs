//! Markdown.

use std::path::Path;

use pulldown_cmark::{Event, Parser, Tag, TagEnd};

use super::loader::{Loaded, Loader};
use super::text::{format, has_extension, lines_from_start, read};
use crate::chunk::markdown_options;
use crate::error::Result;

/// Loads Markdown verbatim. Metadata: `format` is `markdown`, `title` that of the front matter or else the first
/// heading.
///
/// ```
/// use std::path::Path;
/// use ragtune_retrieve::Loader;
/// use ragtune_retrieve::load::MarkdownLoader;
/// let loaded = MarkdownLoader.load(Path::new("tea.md"), b"# Green *tea*\n\nSteep it.")?;
/// assert_eq!(loaded.metadata["title"], "Green tea".into());
/// # Ok::<(), ragtune_retrieve::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct MarkdownLoader;

impl Loader for MarkdownLoader {
    fn id(&self) -> String {
        "markdown-1".to_owned()
    }

    fn accepts(&self, path: &Path) -> bool {
        has_extension(
            path,
            &["markdown", "md", "mdown", "mdx", "mkd", "mkdn", "qmd", "rmd"],
        )
    }

    fn load(&self, path: &Path, bytes: &[u8]) -> Result<Loaded> {
        let text = read(path, bytes, None)?;
        let mut metadata = format("markdown");
        if let Some(title) = front_matter_title(&text).or_else(|| first_heading(&text)) {
            metadata.insert("title".to_owned(), title.into());
        }
        Ok(Loaded {
            text,
            metadata,
            markers: lines_from_start(),
        })
    }
}

/// The value of `title` in YAML (`---`) or TOML (`+++`) front matter.
fn front_matter_title(text: &str) -> Option<String> {
    let mut lines = text.lines();
    let (fence, separator) = match lines.next()?.trim_end() {
        "---" => ("---", ':'),
        "+++" => ("+++", '='),
        _ => return None,
    };
    let mut title = None;
    for line in lines {
        if line.trim_end() == fence || fence == "---" && line.trim_end() == "..." {
            return title;
        }
        if let Some((name, value)) = line.split_once(separator)
            && name.trim_end() == "title"
            && title.is_none()
        {
            let value = value.trim();
            let quoted = |mark| {
                value
                    .strip_prefix(mark)
                    .and_then(|value| value.strip_suffix(mark))
            };
            let value = quoted('"').or_else(|| quoted('\'')).unwrap_or(value).trim();
            title = (!value.is_empty()).then(|| value.to_owned());
        }
    }
    // Without its end it is no front matter.
    None
}

/// The text of the first heading that has any.
fn first_heading(text: &str) -> Option<String> {
    let mut heading: Option<String> = None;
    for event in Parser::new_ext(text, markdown_options()) {
        match (event, &mut heading) {
            (Event::Start(Tag::Heading { .. }), _) => heading = Some(String::new()),
            (Event::Text(words) | Event::Code(words), Some(heading)) => heading.push_str(&words),
            (Event::SoftBreak | Event::HardBreak, Some(heading)) => heading.push(' '),
            (Event::End(TagEnd::Heading(_)), _) => {
                let found = heading.take().map(|heading| heading.trim().to_owned());
                if found.as_ref().is_some_and(|found| !found.is_empty()) {
                    return found;
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn title(text: &str) -> Option<String> {
        let loaded = MarkdownLoader.load(Path::new("a.md"), text.as_bytes()).unwrap();
        assert_eq!(loaded.text, text);
        loaded.metadata.get("title").map(ToString::to_string)
    }

    #[test]
    fn titles_come_from_front_matter_or_the_first_heading() {
        assert_eq!(
            title("---\nauthor: x\ntitle: \"Tea: a guide\"\r\n---\n# Other").as_deref(),
            Some("Tea: a guide")
        );
        assert_eq!(title("+++\ntitle = 'Tea'\n+++\n").as_deref(), Some("Tea"));
        assert_eq!(title("---\ntitle: unclosed\n\n# Head").as_deref(), Some("Head"));
        assert_eq!(
            title("text\n\n#\n\n## `cargo` *test*\n").as_deref(),
            Some("cargo test")
        );
        assert_eq!(title("```\n# no\n```\n"), None);
        assert_eq!(title(""), None);
    }
}
