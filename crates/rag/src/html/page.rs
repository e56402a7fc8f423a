//! A page of paragraphs, tables and plots in one file.

use std::path::Path;

use super::{Bars, Chart, Table, escape};
use crate::error::Result;

/// The colours, for light and for dark surroundings, and the widths, also those of a phone.
const STYLE: &str = "
:root{color-scheme:light dark;--ink:#1d1f23;--soft:#5b616b;--ground:#f5f6f8;--card:#ffffff;--rule:#dfe2e7;--link:#0067a5;--wash:#eef1f5}
@media (prefers-color-scheme:dark){:root{--ink:#e6e6e6;--soft:#a0a6b0;--ground:#0f1114;--card:#16181c;--rule:#2c3037;--link:#56b4e9;--wash:#1f2328}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.55 system-ui,-apple-system,'Segoe UI',sans-serif}
main{max-width:860px;margin:0 auto;padding:32px 20px 64px}
h1{font-size:1.75rem;line-height:1.25;margin:0 0 .6rem}
h2{font-size:1.25rem;margin:2.4rem 0 .6rem;padding-top:1.2rem;border-top:1px solid var(--rule)}
h3{font-size:1rem;margin:0 0 .4rem}
p{margin:.5rem 0;max-width:72ch}
.aside{color:var(--soft);font-size:.9rem}
.wide{overflow-x:auto;margin:1rem 0;background:var(--card);border:1px solid var(--rule);border-radius:8px}
.wide svg{display:block;width:100%;min-width:560px;height:auto}
table{border-collapse:collapse;width:100%;font-size:.92rem}
th,td{padding:.42rem .8rem;text-align:left;border-bottom:1px solid var(--rule);vertical-align:top}
tr:last-child td{border-bottom:0}
th{font-weight:600;color:var(--soft);white-space:nowrap}
.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.card{background:var(--card);border:1px solid var(--rule);border-radius:8px;padding:.9rem 1.1rem;margin:.8rem 0}
dl{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:.3rem 1rem;margin:0;font-size:.92rem}
dt{color:var(--soft)}
dd{margin:0;white-space:pre-wrap;overflow-wrap:anywhere}
pre{background:var(--wash);border-radius:6px;padding:.7rem .9rem;overflow-x:auto;font-size:.85rem}
details{margin:.8rem 0}
summary{cursor:pointer;color:var(--link)}
@media (max-width:560px){main{padding:20px 12px 48px}dl{grid-template-columns:1fr;gap:.1rem}dd{margin-bottom:.5rem}}
@media print{body{background:none}.wide,.card{break-inside:avoid}}
";

/// A page that is put together from top to bottom. Every text is escaped; the file needs nothing beside it.
///
/// ```
/// use ragtune::html::{Bar, Bars, Page, Table};
///
/// let mut table = Table::new(["system", "F1"]);
/// table.row(["retrieval", "0.61"]);
/// let mut page = Page::new("Which one?");
/// page.paragraph("Questions about the garden.")
///     .heading("Quality")
///     .bars(&Bars::new("Quality", "F1").with_bar(Bar::new("retrieval", 0.61).with_interval(0.55, 0.67)))
///     .table(&table);
/// assert!(page.to_html().contains("<h2>Quality</h2>"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    title: String,
    body: String,
}

impl Page {
    /// A page with a title.
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            body: String::new(),
        }
    }

    /// The heading of a section.
    pub fn heading(&mut self, text: &str) -> &mut Self {
        self.element("h2", "", text)
    }

    /// A paragraph.
    pub fn paragraph(&mut self, text: &str) -> &mut Self {
        self.element("p", "", text)
    }

    /// A paragraph in small grey letters, for what explains and qualifies.
    pub fn note(&mut self, text: &str) -> &mut Self {
        self.element("p", " class=\"aside\"", text)
    }

    /// Text as it is, in letters of one width, for example a command.
    pub fn code(&mut self, text: &str) -> &mut Self {
        let lines: Vec<String> = text.lines().map(escape).collect();
        self.body += &format!("<pre>{}</pre>\n", lines.join("\n"));
        self
    }

    /// A table; a wide one can be pushed sideways.
    pub fn table(&mut self, table: &Table) -> &mut Self {
        self.body += &format!("<div class=\"wide\">{}</div>\n", table.to_html());
        self
    }

    /// Bars with intervals.
    pub fn bars(&mut self, bars: &Bars) -> &mut Self {
        self.picture(&bars.to_svg())
    }

    /// Curves with bands, or points.
    pub fn chart(&mut self, chart: &Chart) -> &mut Self {
        self.picture(&chart.to_svg())
    }

    /// A box with a title and named texts, for example one question with its answer.
    pub fn card(&mut self, title: &str, entries: &[(&str, String)]) -> &mut Self {
        self.body += &format!("<div class=\"card\"><h3>{}</h3>\n<dl>\n", escape(title));
        for (name, text) in entries {
            let lines: Vec<String> = text.lines().map(escape).collect();
            self.body += &format!("<dt>{}</dt><dd>{}</dd>\n", escape(name), lines.join("\n"));
        }
        self.body.push_str("</dl></div>\n");
        self
    }

    /// What another page holds, folded up under a line.
    pub fn folded(&mut self, summary: &str, content: &Self) -> &mut Self {
        self.body += &format!(
            "<details><summary>{}</summary>\n{}</details>\n",
            escape(summary),
            content.body
        );
        self
    }

    /// The whole file.
    pub fn to_html(&self) -> String {
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
             <title>{0}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{0}</h1>\n{1}</main>\n</body>\n</html>\n",
            escape(&self.title),
            self.body
        )
    }

    /// Writes the page; the file is whole or not there.
    ///
    /// # Errors
    /// [`crate::Error::Train`] with the path where it cannot be written.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        Ok(ragtune_train::report::write(path.as_ref(), &self.to_html())?)
    }

    fn element(&mut self, tag: &str, attributes: &str, text: &str) -> &mut Self {
        self.body += &format!("<{tag}{attributes}>{}</{tag}>\n", escape(text));
        self
    }

    /// Puts a picture of `ragtune_train::report` in, whose texts are escaped there.
    fn picture(&mut self, svg: &str) -> &mut Self {
        self.body += &format!("<div class=\"wide\">{svg}</div>\n");
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::html::Series;

    #[test]
    fn no_text_becomes_markup() {
        let evil = "</title><script>alert('x')</script>\"";
        let mut table = Table::new([evil]);
        table.row([evil]);
        let mut inner = Page::new(evil);
        inner.paragraph(evil);
        let mut page = Page::new(evil);
        page.heading(evil)
            .paragraph(evil)
            .note(evil)
            .code(evil)
            .card(evil, &[(evil, evil.to_owned())])
            .table(&table)
            .chart(&Chart::new(evil, evil, evil).with_series(Series::new(evil, [(0.0, 1.0)])))
            .bars(&Bars::new(evil, evil).with_bar(super::super::Bar::new(evil, 1.0).with_group(evil)))
            .folded(evil, &inner);
        let html = page.to_html();
        assert!(!html.contains("<script") && !html.contains("alert('"), "{html}");
        assert_eq!(html.matches("<html").count(), 1);
        for outside in ["http://", "https://", "src=", "@import"] {
            let found = html.replace("http://www.w3.org/2000/svg", "");
            assert!(!found.contains(outside), "{outside}");
        }
    }

    #[test]
    fn lines_stay_lines() {
        let mut page = Page::new("t");
        page.code("a\nb").card("q", &[("answer", "one\ntwo".to_owned())]);
        assert!(page.to_html().contains("<pre>a\nb</pre>"));
        assert!(page.to_html().contains("<dd>one\ntwo</dd>"));
    }
}
