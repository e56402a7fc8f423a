//! Sums and hashes by which changed content is told from what was stored: the database itself has none.
//!
//! A passage's text and headings are covered by the hash that its vector is found by, a whole document by its content
//! hash. What is read without these has a sum of its own in its row: a passage's place, a document's id and metadata, and
//! each part of a text.

use ragtune_core::text::{Document, Span};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Result, Row};

use super::documents;
use super::vectors::{TextHash, wrong};

/// Between headings in the text that is embedded and indexed.
const HEADING_SEPARATOR: &str = " > ";
/// What a view of a base of format 1, which cannot be written to, gives in place of a sum.
pub(super) const NO_SUM: i64 = -1;
/// Rows that get their sums at once.
const ROWS: usize = 1024;

/// The start of a BLAKE3 hash.
pub(super) type Sum = [u8; 8];

/// Sum of the values of a row.
fn sum(parts: &[&[u8]]) -> Sum {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
    }
    let [a, b, c, d, e, f, g, h, ..] = *hasher.finalize().as_bytes();
    [a, b, c, d, e, f, g, h]
}

/// Sum of what hits and conditions need of a document.
pub(super) fn of_document(id: &str, metadata: &str) -> Sum {
    sum(&[id.as_bytes(), metadata.as_bytes()])
}

/// Sum of a part of a text.
pub(super) fn of_part(document: i64, start: usize, part: &[u8]) -> Sum {
    sum(&[&document.to_le_bytes(), &(start as u64).to_le_bytes(), part])
}

/// Sum of a passage's place; its text is covered by its hash.
pub(super) fn of_chunk(document: i64, ordinal: u32, span: Span, locator: &str, hash: &TextHash) -> Sum {
    let Span { start, end } = span;
    let numbers = [document as u64, u64::from(ordinal), start as u64, end as u64].map(u64::to_le_bytes);
    sum(&[numbers.as_flattened(), locator.as_bytes(), hash])
}

/// Checks a row against the sum in this column.
///
/// # Errors
/// It is another one.
pub(super) fn check(row: &Row<'_>, column: usize, found: &Sum, what: impl FnOnce() -> String) -> Result<()> {
    match row.get_ref(column)? {
        ValueRef::Blob(stored) if stored == found => Ok(()),
        ValueRef::Integer(NO_SUM) => Ok(()),
        _ => Err(changed(&what())),
    }
}

/// Content that is not what was stored.
pub(super) fn changed(what: &str) -> rusqlite::Error {
    wrong(format!("{what} is not what was stored"))
}

/// The headings above a passage as one text.
pub(crate) fn heading_text(headings: &[String]) -> String {
    headings.join(HEADING_SEPARATOR)
}

/// The text that is embedded for a passage: its headings, a newline, and itself.
pub(crate) fn embedded_text(headings: &[String], text: &str) -> String {
    match headings {
        [] => text.to_owned(),
        headings => format!("{}\n{text}", heading_text(headings)),
    }
}

/// The hash by which the vector of a passage is found again.
pub(crate) fn text_hash(headings: &[String], text: &str) -> TextHash {
    let mut hasher = blake3::Hasher::new();
    if !headings.is_empty() {
        hasher.update(heading_text(headings).as_bytes()).update(b"\n");
    }
    *hasher.update(text.as_bytes()).finalize().as_bytes()
}

/// The hash of all that is stored of a document.
///
/// # Errors
/// The metadata cannot be written as JSON.
pub(crate) fn content_hash(document: &Document) -> serde_json::Result<TextHash> {
    let about = serde_json::to_vec(&(&document.metadata, &document.markers, document.text.len()))?;
    let mut hasher = blake3::Hasher::new();
    hasher.update(&about).update(document.text.as_bytes());
    Ok(*hasher.finalize().as_bytes())
}

/// Gives every row of a base of format 1 its sum. The parts of a text that is not what was stored get none, so that no later
/// look takes them for whole.
pub(super) fn add_to_all(connection: &Connection) -> Result<()> {
    let mut documents = connection.prepare_cached("SELECT key, id FROM documents")?;
    let documents = documents.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?;
    for (key, id) in documents.collect::<Result<Vec<_>>>()? {
        let sql = "SELECT metadata FROM documents WHERE key = ?1";
        let metadata: String = connection
            .prepare_cached(sql)?
            .query_row([key], |row| row.get(0))?;
        connection
            .prepare_cached("UPDATE documents SET sum = ?2 WHERE key = ?1")?
            .execute((key, of_document(&id, &metadata)))?;
        // This checks the whole against its hash, and the sum above.
        if documents::load(connection, &id).is_ok() {
            add_to_parts(connection, key)?;
        }
    }
    add_to_chunks(connection)
}

fn add_to_parts(connection: &Connection, document: i64) -> Result<()> {
    let mut starts = connection.prepare_cached("SELECT start FROM texts WHERE document = ?1")?;
    let starts: Vec<usize> = starts
        .query_map([document], |row| row.get(0))?
        .collect::<Result<_>>()?;
    let mut read = connection.prepare_cached("SELECT part FROM texts WHERE document = ?1 AND start = ?2")?;
    let mut write =
        connection.prepare_cached("UPDATE texts SET sum = ?3 WHERE document = ?1 AND start = ?2")?;
    for start in starts {
        let sum = read.query_row((document, start), |row| {
            Ok(of_part(document, start, row.get_ref(0)?.as_blob()?))
        })?;
        write.execute((document, start, sum))?;
    }
    Ok(())
}

fn add_to_chunks(connection: &Connection) -> Result<()> {
    let sql = "SELECT id, document, ordinal, start, end, locator, hash FROM chunks WHERE id > ?1 ORDER BY id LIMIT ?2";
    let mut read = connection.prepare_cached(sql)?;
    let mut write = connection.prepare_cached("UPDATE chunks SET sum = ?2 WHERE id = ?1")?;
    let mut after = -1i64;
    loop {
        let rows = read.query_map((after, ROWS), |row| {
            let span = Span::new(row.get(3)?, row.get(4)?);
            let hash: TextHash = row.get(6)?;
            let sum = of_chunk(row.get(1)?, row.get(2)?, span, row.get_ref(5)?.as_str()?, &hash);
            Ok((row.get::<_, i64>(0)?, sum))
        });
        let rows = rows?.collect::<Result<Vec<_>>>()?;
        let Some((last, _)) = rows.last() else {
            return Ok(());
        };
        after = *last;
        for (id, sum) in rows {
            write.execute((id, sum))?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_a_passage_is_that_of_the_text_that_is_embedded() {
        for headings in [
            vec![],
            vec!["Tea".to_owned()],
            vec!["Tea".to_owned(), "Green".to_owned()],
        ] {
            let expected = blake3::hash(embedded_text(&headings, "steamed").as_bytes());
            assert_eq!(text_hash(&headings, "steamed"), *expected.as_bytes());
        }
    }

    #[test]
    fn sums_tell_where_a_value_ends() {
        assert_ne!(of_document("ab", "c"), of_document("a", "bc"));
        assert_ne!(of_part(1, 0, b"tea"), of_part(1, 1, b"tea"));
        let chunk = |ordinal, end| of_chunk(1, ordinal, Span::new(0, end), "{}", &[0; 32]);
        assert!(chunk(0, 1) != chunk(1, 1) && chunk(0, 1) != chunk(0, 2));
    }
}
