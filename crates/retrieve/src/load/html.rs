//! HTML: parsed within limits, its content as Markdown-like text.

use std::path::Path;

use dom_query::Document as Dom;

use super::html_text::render;
use super::limits::{Budget, LoadLimits};
use super::loader::{Loaded, Loader};
use super::text::{format, has_extension, read};
use crate::error::{Error, Result};

/// Nested elements that are kept; deeper ones lose their tags, not their text. Browsers draw the line at 512.
const MAX_DEPTH: usize = 400;
/// Bytes that an element and the text behind it take in the parsed page, about.
const NODE_BYTES: u64 = 256;
/// A longer tag loses its attributes: comparing each with all others takes the parser too long.
const MAX_TAG_BYTES: usize = 16 << 10;
/// Bytes at the start in which a page may declare its encoding.
const DECLARATION_BYTES: usize = 2048;

/// Elements whose content is no markup; that of the first three is no text either.
const RAW: [&str; 9] = [
    "script",
    "style",
    "noembed",
    "textarea",
    "title",
    "xmp",
    "iframe",
    "noframes",
    "plaintext",
];
/// Elements whose end tag may be left out, or that have none: they do not nest by themselves.
const FLAT: [&str; 32] = [
    "area", "base", "body", "br", "caption", "col", "colgroup", "dd", "dt", "embed", "head", "hr", "html",
    "img", "input", "li", "link", "meta", "optgroup", "option", "p", "param", "rp", "rt", "source", "tbody",
    "td", "tfoot", "th", "thead", "tr", "track",
];

/// Loads HTML as Markdown-like text: headings, lists, code blocks, tables, the words of links; without scripts,
/// styles, navigation and what is hidden. Metadata: `format` is `html`, `title`, and `lang` where the page says it.
///
/// ```
/// use std::path::Path;
/// use ragtune_retrieve::Loader;
/// use ragtune_retrieve::load::HtmlLoader;
/// let page = b"<title>Tea</title><nav>Home</nav><h1>Green tea</h1><ul><li>Steep <b>it</b></ul>";
/// let loaded = HtmlLoader::default().load(Path::new("tea.html"), page)?;
/// assert_eq!(loaded.text, "# Green tea\n\n- Steep it\n");
/// assert_eq!(loaded.metadata["title"], "Tea".into());
/// # Ok::<(), ragtune_retrieve::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HtmlLoader {
    limits: LoadLimits,
}

impl HtmlLoader {
    /// With other limits.
    pub fn with_limits(mut self, limits: LoadLimits) -> Self {
        self.limits = limits;
        self
    }
}

impl Loader for HtmlLoader {
    fn id(&self) -> String {
        "html-2".to_owned()
    }

    fn accepts(&self, path: &Path) -> bool {
        has_extension(path, &["htm", "html", "shtml", "xhtml"])
    }

    fn load(&self, path: &Path, bytes: &[u8]) -> Result<Loaded> {
        load_within(path, bytes, &Budget::new(path, bytes.len(), &self.limits)?)
    }
}

/// Loads a page, or a chapter, within the limits of a file.
pub(super) fn load_within(path: &Path, bytes: &[u8], budget: &Budget) -> Result<Loaded> {
    let source = source(path, bytes)?;
    check_size(&source, budget)?;
    let mut metadata = format("html");
    let dom = Dom::from(tamed(&source));
    let text = render(&dom);
    if text.is_empty() && !source.trim().is_empty() {
        return Err(Error::Unreadable {
            path: path.to_owned(),
            reason: "the page has no text: it may be written by its scripts; save it from a browser"
                .to_owned(),
        });
    }
    let title = dom.select_single("title").text();
    let title = title.split_whitespace().collect::<Vec<_>>().join(" ");
    let first_heading = || {
        text.lines().find_map(|line| {
            line.trim_start_matches('#')
                .strip_prefix(' ')
                .filter(|_| line.starts_with('#'))
        })
    };
    let title = if title.is_empty() {
        first_heading().map(str::to_owned)
    } else {
        Some(title)
    };
    if let Some(title) = title {
        metadata.insert("title".to_owned(), title.into());
    }
    if let Some(lang) = dom
        .select_single("html")
        .attr("lang")
        .filter(|lang| !lang.trim().is_empty())
    {
        metadata.insert("lang".to_owned(), lang.trim().into());
    }
    Ok(Loaded {
        text,
        metadata,
        markers: Vec::new(),
    })
}

/// Checks what a page takes once it is parsed: far more than its source where that is full of tags.
fn check_size(source: &str, budget: &Budget) -> Result<()> {
    let tags = source.bytes().filter(|byte| *byte == b'<').count() as u64;
    // The source, and what is left of it before it is parsed.
    budget.held(source.len() as u64 * 2 + tags.saturating_mul(NODE_BYTES))
}

/// The decoded page.
pub(super) fn source(path: &Path, bytes: &[u8]) -> Result<String> {
    read(path, bytes, declared_encoding(bytes).as_deref())
}

/// The text of a piece of HTML.
pub(super) fn fragment(source: &str, budget: &Budget) -> Result<String> {
    check_size(source, budget)?;
    Ok(render(&Dom::from(tamed(source))))
}

/// The encoding that a `meta` element near the start, or an XML declaration, names.
fn declared_encoding(bytes: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(DECLARATION_BYTES)]).to_ascii_lowercase();
    let at = ["charset", "encoding"]
        .into_iter()
        .find_map(|name| Some(head.find(name)? + name.len()))?;
    let value = head[at..].trim_start().strip_prefix('=')?.trim_start();
    let value = value.trim_start_matches(['"', '\'']);
    let end = value
        .find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_' | ':'))
        .unwrap_or(value.len());
    (end > 0).then(|| value[..end].to_owned())
}

/// The source without comments, scripts and styles, nested no deeper than [`MAX_DEPTH`]: the parser's time grows with
/// depth times length, and hostile pages know that.
pub(super) fn tamed(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    let (mut depth, mut dropped) = (0usize, 0usize);
    while let Some(open) = rest.find('<') {
        out.push_str(&rest[..open]);
        rest = &rest[open..];
        if let Some(comment) = rest.strip_prefix("<!--") {
            rest = comment.find("-->").map_or("", |end| &comment[end + 3..]);
            continue;
        }
        let closing = rest.as_bytes().get(1) == Some(&b'/');
        let name_at = 1 + usize::from(closing);
        let name_end = rest[name_at..]
            .find(|c: char| c.is_ascii_whitespace() || matches!(c, '>' | '/' | '<'))
            .map_or(rest.len(), |end| name_at + end);
        let name = rest[name_at..name_end].to_ascii_lowercase();
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
            // "<!doctype", "<?xml" and "a < b" mean what the parser says.
            out.push('<');
            rest = &rest[1..];
            continue;
        }
        let Some(end) = tag_end(&rest[name_end..]).map(|end| name_end + end) else {
            // A tag that never ends is dropped by the parser too.
            return out;
        };
        let tag = &rest[..end];
        rest = &rest[end..];
        let flat = FLAT.contains(&name.as_str()) || tag.ends_with("/>");
        let mut keep = true;
        if closing && !flat {
            keep = dropped == 0;
            if keep {
                depth = depth.saturating_sub(1);
            } else {
                dropped -= 1;
            }
        } else if !closing && RAW.contains(&name.as_str()) {
            let end = raw_end(rest, &name);
            if name != "script" && name != "style" && name != "noembed" {
                out.push_str(&format!("<{name}>"));
                out.push_str(&rest[..end]);
                out.push_str(&format!("</{name}>"));
            }
            rest = tag_end(&rest[end..]).map_or("", |tag| &rest[end + tag..]);
            continue;
        } else if !closing && !flat {
            keep = depth < MAX_DEPTH;
            if keep {
                depth += 1;
            } else {
                dropped += 1;
            }
        }
        if keep && tag.len() > MAX_TAG_BYTES {
            out.push_str(&format!("<{}{name}>", if closing { "/" } else { "" }));
        } else if keep {
            out.push_str(tag);
        } else {
            out.push(' ');
        }
    }
    out.push_str(rest);
    out
}

/// The end of a tag after its `>`, outside quotes; `None` where it has none.
fn tag_end(rest: &str) -> Option<usize> {
    let mut quote = None;
    let mut value = false;
    for (at, byte) in rest.bytes().enumerate() {
        match (quote, byte) {
            (Some(mark), byte) if byte == mark => quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'\'') if value => quote = Some(byte),
            (None, b'>') => return Some(at + 1),
            (None, b'=') => value = true,
            (None, byte) if byte.is_ascii_whitespace() => {}
            (None, _) => value = false,
        }
    }
    None
}

/// Where the end tag of a raw element starts.
fn raw_end(rest: &str, name: &str) -> usize {
    let bytes = rest.as_bytes();
    let mut from = 0;
    while let Some(at) = rest[from..].find("</").map(|at| from + at) {
        let after = at + 2;
        let same = bytes
            .get(after..after + name.len())
            .is_some_and(|found| found.eq_ignore_ascii_case(name.as_bytes()));
        let ends = bytes
            .get(after + name.len())
            .is_none_or(|b| b.is_ascii_whitespace() || matches!(b, b'>' | b'/'));
        if same && ends {
            return at;
        }
        from = after;
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn load(page: &str) -> Loaded {
        HtmlLoader::default()
            .load(Path::new("a.html"), page.as_bytes())
            .unwrap()
    }

    #[test]
    fn a_page_becomes_readable_text() {
        let page = r#"<!doctype html><html lang="en"><head><title> My
            tea </title><style>p{}</style><script>if (a < b) { "</p>" }</script></head><body>
            <header><nav><a href="/">Home</a></nav></header>
            <main><h1>Green <em>tea</em></h1><p>Steep at
            80&nbsp;&deg;C, see <a href="x">the guide</a>.<br>Enjoy.</p>
            <ul><li>one<ul><li>nested</li></ul></li><li><p>two</p></li></ul>
            <ol start="3"><li>three</ol>
            <pre><code class="language-rust">fn main() {
    // a
}
</code></pre>
            <p>Use <code>cargo test</code>.</p>
            <table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2 | 3</td></tr></table>
            <img alt="A cup"><hr><blockquote>Quoted</blockquote></main>
            <footer>Imprint</footer></body></html>"#;
        let loaded = load(page);
        assert_eq!(
            loaded.text,
            "# Green tea\n\nSteep at 80 °C, see the guide.\nEnjoy.\n\n- one\n  - nested\n- two\n\n3. three\n\n```rust\nfn main() {\n    // a\n}\n```\n\nUse `cargo test`.\n\n| a | b |\n|---|---|\n| 1 | 2 \\| 3 |\n\nA cup\n\n---\n\nQuoted\n"
        );
        assert_eq!(loaded.metadata["title"], "My tea".into());
        assert_eq!(loaded.metadata["lang"], "en".into());
    }

    #[test]
    fn raised_numbers_stay_raised() {
        assert_eq!(
            load("<p>10<sup>11</sup> stars, 5 m<sup>&minus;2</sup>, the 1<sup>st</sup>, noted<sup><a href=#n>3</a></sup>, H<sub>2</sub>O</p>").text,
            "10¹¹ stars, 5 m⁻², the 1st, noted³, H2O\n"
        );
    }

    #[test]
    fn boilerplate_goes_unless_nothing_else_is_there() {
        assert_eq!(
            load("<nav>Menu</nav><p>Text</p><div hidden>no</div><div aria-hidden=true>no</div>").text,
            "Text\n"
        );
        assert_eq!(
            load("<p>Text<b style='Display : none !important'>no</b></p><p style='color:red;visibility:hidden'>no</p>").text,
            "Text\n"
        );
        assert_eq!(load("<nav>Only a menu</nav>").text, "Only a menu\n");
        assert_eq!(
            load(
                "<table><tr><td><h2>Layout</h2><p>one</p></td><td><table><tr><td>1</table></td></tr></table>"
            )
            .text,
            "## Layout\n\none\n\n| 1 |\n"
        );
        assert_eq!(
            load("<table><tr><th>Type</th><td>Public</td></tr><tr><th>Listed</th><td><ul><li>a</li><li>b</li></ul></td></tr></table>").text,
            "| Type | Public |\n|---|---|\n| Listed | a b |\n"
        );
        assert_eq!(
            load("<table><tr><td><ul><li>a<li>b</ul></td></tr></table>").text,
            "- a\n- b\n"
        );
        assert_eq!(load("").text, "");
        assert!(
            HtmlLoader::default()
                .load(Path::new("a"), b"<script>x</script><div></div>")
                .is_err()
        );
    }

    #[test]
    fn a_page_that_becomes_too_large_is_refused() {
        let page = "<p>tea".repeat(1000);
        let small = HtmlLoader::default().with_limits(LoadLimits::default().with_unpacked_bytes(1000));
        let error = small.load(Path::new("a.html"), page.as_bytes()).unwrap_err();
        assert!(error.to_string().contains("a.html"), "{error}");
        assert!(
            HtmlLoader::default()
                .load(Path::new("a.html"), page.as_bytes())
                .is_ok()
        );
    }

    #[test]
    fn declared_encodings_are_used() {
        let page = b"<html><meta charset=\"windows-1251\"><p>\xD7\xE0\xE9</p>";
        assert_eq!(
            HtmlLoader::default()
                .load(Path::new("a.html"), page)
                .unwrap()
                .text,
            "Чай\n"
        );
        let old =
            b"<meta http-equiv=Content-Type content='text/html; charset=iso-8859-7'><p>\xF4\xF3\xE1\xE9</p>";
        assert_eq!(
            HtmlLoader::default().load(Path::new("a.html"), old).unwrap().text,
            "τσαι\n"
        );
    }

    #[test]
    fn hostile_pages_keep_their_text() {
        let attributes: String = (0..200_000).map(|i| format!(" a{i}=1")).collect();
        for (page, expected) in [
            ("<div>".repeat(100_000) + "deep", "deep"),
            (
                "<div>".repeat(100_000) + "deep" + &"</div>".repeat(100_000) + "<p>after",
                "after",
            ),
            ("<b><i>".repeat(50_000) + "deep", "deep"),
            ("<ul><li>".repeat(50_000) + "deep", "deep"),
            ("<table><tr><td>".repeat(30_000) + "deep", "deep"),
            ("<p>".repeat(100_000) + "deep", "deep"),
            ("<a>".repeat(100_000) + "deep", "deep"),
            ("<svg><g>".repeat(30_000) + "</svg><p>deep", ""),
            (format!("<div{attributes}>deep</div>"), "deep"),
            ("&amp;".repeat(100_000) + "deep", "deep"),
            ("<!--".repeat(100_000), ""),
            ("<".repeat(100_000) + "deep", ""),
            ("<title>".repeat(50_000), ""),
            ("</p>".repeat(100_000) + "deep", "deep"),
            ("<select><option>".repeat(50_000) + "</select>deep", ""),
            ("<template>".repeat(50_000) + "x", ""),
        ] {
            let started = std::time::Instant::now();
            let start: String = page.chars().take(16).collect();
            if let Ok(loaded) = HtmlLoader::default().load(Path::new("a.html"), page.as_bytes()) {
                assert!(loaded.text.contains(expected), "{start}");
            } else {
                assert_eq!(expected, "", "{start}");
            }
            println!("{start}: {:?}", started.elapsed());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn any_markup_is_answered(pieces in prop::collection::vec(prop_oneof![
            "</?(div|p|ul|ol|li|table|tr|td|th|pre|code|h[1-6]|b|a|script|style|title|br|hr|nav|main|svg|template|select|textarea)( [a-z]{1,4}=['\"]?[a-z<>]{0,4}['\"]?)?/?>",
            "[a-z &;<>\"'`\\n-]{0,12}",
            "<!--[a-z>-]{0,6}(-->)?",
        ], 0..30)) {
            let page = pieces.concat();
            if let Ok(loaded) = HtmlLoader::default().load(Path::new("a.html"), page.as_bytes()) {
                prop_assert!(loaded.text.is_empty() || loaded.text.ends_with('\n') && !loaded.text.starts_with('\n'));
            }
        }
    }
}
