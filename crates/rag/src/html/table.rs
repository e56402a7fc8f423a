//! A table that prints on a terminal and on a page.

use std::fmt;

use super::escape;

/// Rows of texts under a header. Columns of numbers stand to the right, columns of words to the left.
///
/// ```
/// use ragtune::html::Table;
///
/// let mut table = Table::new(["system", "F1"]);
/// table.row(["retrieval", "0.61"]);
/// assert_eq!(table.to_string(), "system       F1\nretrieval  0.61\n");
/// assert!(table.to_html().starts_with("<table>"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub fn new(header: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            header: header.into_iter().map(Into::into).collect(),
            rows: Vec::new(),
        }
    }

    /// One more row. Cells that it lacks are empty; the table grows where it has more than the header.
    pub fn row(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) -> &mut Self {
        self.rows.push(cells.into_iter().map(Into::into).collect());
        self
    }

    /// How many rows it has.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether it has no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The element of a page.
    pub fn to_html(&self) -> String {
        let numbers = self.numbers();
        let mut html = String::from("<table>\n<thead>");
        self.line(&mut html, "th", &self.header, &numbers);
        html.push_str("</thead>\n<tbody>\n");
        for row in &self.rows {
            self.line(&mut html, "td", row, &numbers);
        }
        html.push_str("</tbody>\n</table>\n");
        html
    }

    fn line(&self, html: &mut String, tag: &str, cells: &[String], numbers: &[bool]) {
        html.push_str("<tr>");
        for (column, is_number) in numbers.iter().enumerate() {
            let class = if *is_number { " class=\"number\"" } else { "" };
            let text = cells.get(column).map(|cell| escape(cell)).unwrap_or_default();
            html.push_str(&format!("<{tag}{class}>{text}</{tag}>"));
        }
        html.push_str("</tr>\n");
    }

    /// For each column, whether all its cells that are not empty begin like numbers.
    fn numbers(&self) -> Vec<bool> {
        let columns = self.rows.iter().map(Vec::len).chain([self.header.len()]).max();
        let column = |at: usize| {
            let mut cells = self.rows.iter().filter_map(|row| row.get(at)).peekable();
            cells.peek().is_some() && cells.all(|cell| is_number(cell))
        };
        (0..columns.unwrap_or(0)).map(column).collect()
    }
}

impl fmt::Display for Table {
    /// The columns side by side, as a terminal shows them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers = self.numbers();
        let lines: Vec<Vec<String>> = std::iter::once(&self.header)
            .chain(&self.rows)
            .map(|cells| cells.iter().map(|cell| printable(cell)).collect())
            .collect();
        let width = |column: usize| {
            let cells = lines.iter().filter_map(|cells: &Vec<String>| cells.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..numbers.len()).map(width).collect();
        for cells in &lines {
            let mut line = String::new();
            for (column, (is_number, width)) in numbers.iter().zip(&widths).enumerate() {
                let cell = cells.get(column).map(String::as_str).unwrap_or_default();
                let gap = if column == 0 { "" } else { "  " };
                line += &match is_number {
                    true => format!("{gap}{cell:>width$}"),
                    false => format!("{gap}{cell:<width$}"),
                };
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

fn is_number(cell: &str) -> bool {
    let rest = cell.trim_start_matches(['+', '-', '−', '<', '>', ' ']);
    matches!(cell, "" | "-" | "–") || rest.starts_with(|c: char| c.is_ascii_digit() || c == '.')
}

/// A text that stays on its line and does not steer the terminal.
fn printable(text: &str) -> String {
    let show = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(show).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_cells_cannot_break_out() {
        let mut table = Table::new(["name", "mean", "note"]);
        table
            .row(["<script>", "0.5", "a\u{1b}[2J"])
            .row(["b", "-12.25"])
            .row(["c", "–", "x", "more"]);
        let text = table.to_string();
        assert_eq!(
            text,
            "name        mean  note\n<script>     0.5  a [2J\nb         -12.25\nc              –  x      more\n"
        );
        let html = table.to_html();
        assert!(
            html.contains("&lt;script&gt;") && !html.contains("<script"),
            "{html}"
        );
        assert_eq!(html.matches("<td").count(), 12, "every row has all columns");
        assert!(html.contains("<td class=\"number\">-12.25</td>"), "{html}");
        assert_eq!(Table::default().to_string(), "\n");
    }
}
