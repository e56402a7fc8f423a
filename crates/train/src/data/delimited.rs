//! CSV and TSV, strictly: what a lenient reader would swallow in silence is an error with its line and column.
//!
//! RFC 4180, with any delimiter and with `\n` or `\r\n` at line ends. The crate `csv` reads a field that is never closed
//! to the end of the file, and text behind a closing quote as part of the field; both lose examples unseen.

use super::source::Source;
use crate::error::Result;

/// A field and the byte that it begins at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) text: String,
    pub(super) at: usize,
}

/// The lines of fields of a file; blank lines are left out. With `quotes`, a field that begins with `"` goes to the next
/// `"` that is not doubled.
pub(super) fn rows(source: &Source, delimiter: char, quotes: bool) -> Result<Vec<Vec<Field>>> {
    let mut rows = Vec::new();
    let mut reader = Reader {
        source,
        delimiter,
        quotes,
        at: 0,
    };
    while let Some(row) = reader.row()? {
        rows.push(row);
    }
    Ok(rows)
}

struct Reader<'a> {
    source: &'a Source,
    delimiter: char,
    quotes: bool,
    at: usize,
}

impl<'a> Reader<'a> {
    fn row(&mut self) -> Result<Option<Vec<Field>>> {
        while let Some(length) = self.line_end() {
            self.at += length;
        }
        if self.rest().is_empty() {
            return Ok(None);
        }
        let mut row = vec![self.field()?];
        while self.rest().starts_with(self.delimiter) {
            self.at += self.delimiter.len_utf8();
            row.push(self.field()?);
        }
        self.at += self.line_end().unwrap_or(0);
        Ok(Some(row))
    }

    fn field(&mut self) -> Result<Field> {
        let at = self.at;
        let text = match self.quotes && self.rest().starts_with('"') {
            true => self.quoted()?,
            false => self.plain().to_owned(),
        };
        Ok(Field { text, at })
    }

    fn plain(&mut self) -> &'a str {
        let rest = self.rest();
        let end = rest.find([self.delimiter, '\n']).unwrap_or(rest.len());
        let field = &rest[..end];
        let field = match rest[end..].starts_with('\n') || end == rest.len() {
            true => field.strip_suffix('\r').unwrap_or(field),
            false => field,
        };
        self.at += field.len();
        field
    }

    fn quoted(&mut self) -> Result<String> {
        let open = self.at;
        self.at += 1;
        let mut text = String::new();
        loop {
            let rest = self.rest();
            let Some(end) = rest.find('"') else {
                return Err(self
                    .source
                    .malformed(open, "the quote that opens here is never closed"));
            };
            text.push_str(&rest[..end]);
            self.at += end + 1;
            if !self.rest().starts_with('"') {
                break;
            }
            text.push('"');
            self.at += 1;
        }
        let rest = self.rest();
        if rest.is_empty() || rest.starts_with(self.delimiter) || self.line_end().is_some() {
            return Ok(text);
        }
        let (line, column) = self.source.position(open);
        let reason = format!(
            "text behind the closing quote of the field that opens at line {line}, column {column}; double the quotes \
             inside a quoted field"
        );
        Err(self.source.malformed(self.at, reason))
    }

    /// Bytes of the line end that comes next, if one does.
    fn line_end(&self) -> Option<usize> {
        let rest = self.rest();
        if rest.starts_with('\n') {
            return Some(1);
        }
        match rest.starts_with("\r\n") {
            true => Some(2),
            // A carriage return that ends the file.
            false => (rest == "\r").then_some(1),
        }
    }

    fn rest(&self) -> &'a str {
        &self.source.text()[self.at..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str, delimiter: char, quotes: bool) -> Result<Vec<Vec<String>>> {
        let rows = rows(&Source::from_text("t.csv", text), delimiter, quotes)?;
        Ok(rows
            .into_iter()
            .map(|row| row.into_iter().map(|field| field.text).collect())
            .collect())
    }

    #[test]
    fn fields() {
        let rows = read("a,b\r\n\r\n\"x, \"\"y\"\"\nz\",\"\"\n,\nlast,5\" nail", ',', true).unwrap();
        assert_eq!(rows[0], ["a", "b"]);
        assert_eq!(rows[1], ["x, \"y\"\nz", ""]);
        assert_eq!(rows[2], ["", ""]);
        assert_eq!(rows[3], ["last", "5\" nail"]);
        assert_eq!(read("\"a\tb\"\n", '\t', false).unwrap()[0], ["\"a", "b\""]);
        assert!(read("", ',', true).unwrap().is_empty());
        assert_eq!(read("a\r", ',', true).unwrap(), [["a"]]);
    }

    #[test]
    fn what_would_swallow_rows_is_an_error() {
        let open = read("a,b\nx,\"y\nz,w\n", ',', true).unwrap_err().to_string();
        assert!(open.starts_with("t.csv, line 2, column 3: the quote"), "{open}");
        let behind = read("a,b\n\"x\" y,z\n", ',', true).unwrap_err().to_string();
        assert!(
            behind.contains("line 2, column 4") && behind.contains("column 1;"),
            "{behind}"
        );
    }

    proptest! {
        #[test]
        fn written_fields_are_read_back(
            rows in prop::collection::vec(prop::collection::vec("[a\",\n\r ä;]{0,6}", 2..4), 1..6),
        ) {
            let quoted = |field: &String| format!("\"{}\"", field.replace('"', "\"\""));
            let lines: Vec<String> =
                rows.iter().map(|row| row.iter().map(quoted).collect::<Vec<_>>().join(",")).collect();
            prop_assert_eq!(read(&lines.join("\r\n"), ',', true).unwrap(), rows);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[a\",\n\r\tä]{0,60}", quotes in any::<bool>()) {
            let _ = read(&text, ',', quotes);
        }
    }
}
