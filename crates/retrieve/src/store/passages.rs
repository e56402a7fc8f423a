//! Reading chunks, alone and as what indexes are derived from.

use ragtune_core::text::{Locator, Metadata, Span};
use rusqlite::{Connection, OptionalExtension, Result, Row};

use super::documents::parse;
use super::metadata;
use super::schema::TEXT_PART_BYTES;
use super::sums;
use super::vectors::{TextHash, wrong};

/// A chunk's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkKey {
    pub(crate) chunk: i64,
    pub(crate) document: i64,
    pub(crate) ordinal: u32,
}

/// What filters and hits need of a document.
#[derive(Debug)]
pub(crate) struct DocumentInfo {
    pub(crate) id: String,
    pub(crate) metadata: Metadata,
}

/// A chunk with its text.
#[derive(Clone, Debug)]
pub(crate) struct Passage {
    pub(crate) key: ChunkKey,
    pub(crate) span: Span,
    pub(crate) locator: Locator,
    pub(crate) text: String,
}

const COLUMNS: &str = "id, document, ordinal, start, end, locator, hash, sum";

impl Passage {
    fn read(connection: &Connection, row: &Row<'_>) -> Result<Self> {
        let key = ChunkKey {
            chunk: row.get(0)?,
            document: row.get(1)?,
            ordinal: row.get(2)?,
        };
        let span = Span::new(row.get(3)?, row.get(4)?);
        let hash: TextHash = row.get(6)?;
        check_place(row, 7, key, span, row.get_ref(5)?.as_str()?, &hash)?;
        let text = read_text(connection, key.document, span)?;
        let text =
            text.ok_or_else(|| wrong(format!("chunk {} covers {span}, which its text lacks", key.chunk)))?;
        let locator = locator(row, 5)?;
        if sums::text_hash(&locator.headings, &text) != hash {
            return Err(sums::changed(&format!("the text of chunk {}", key.chunk)));
        }
        Ok(Self {
            key,
            span,
            locator,
            text,
        })
    }

    /// The chunk of this number.
    pub(crate) fn find(connection: &Connection, chunk: i64) -> Result<Option<Self>> {
        let sql = format!("SELECT {COLUMNS} FROM chunks WHERE id = ?1");
        let mut statement = connection.prepare_cached(&sql)?;
        statement
            .query_row([chunk], |row| Self::read(connection, row))
            .optional()
    }

    /// The least number of a chunk written after `seq`.
    pub(crate) fn first_since(connection: &Connection, seq: i64) -> Result<Option<i64>> {
        // Numbers grow with the transactions, so that the first of the first one is the least.
        let sql = "SELECT id FROM chunks WHERE seq > ?1 ORDER BY seq, id LIMIT 1";
        let mut statement = connection.prepare_cached(sql)?;
        statement.query_row([seq], |row| row.get(0)).optional()
    }

    /// Chunks written after `seq` whose number is above `after`, in the order of their numbers.
    pub(crate) fn since(connection: &Connection, seq: i64, after: i64, limit: usize) -> Result<Vec<Self>> {
        let sql = format!("SELECT {COLUMNS} FROM chunks WHERE id > ?2 AND seq > ?1 ORDER BY id LIMIT ?3");
        let mut statement = connection.prepare_cached(&sql)?;
        let rows = statement.query_map((seq, after, limit), |row| Self::read(connection, row))?;
        rows.collect()
    }
}

/// Checks a passage's place against its sum.
fn check_place(
    row: &Row<'_>,
    column: usize,
    key: ChunkKey,
    span: Span,
    locator: &str,
    hash: &TextHash,
) -> Result<()> {
    let sum = sums::of_chunk(key.document, key.ordinal, span, locator, hash);
    sums::check(row, column, &sum, || format!("the place of chunk {}", key.chunk))
}

/// The text under a span of a document; `None` where the text ends before it or a character is cut. The caller checks it
/// against a hash.
pub(crate) fn read_text(connection: &Connection, document: i64, span: Span) -> Result<Option<String>> {
    read_parts(connection, document, span, |_, _, _| Ok(()))
}

/// Reads the text under a span from the parts that it touches, each of which `check` sees with its start and row.
fn read_parts(
    connection: &Connection,
    document: i64,
    span: Span,
    check: impl Fn(usize, &[u8], &Row<'_>) -> Result<()>,
) -> Result<Option<String>> {
    if span.start > span.end {
        return Ok(None);
    }
    let first = span.start / TEXT_PART_BYTES * TEXT_PART_BYTES;
    let sql = "SELECT start, part, sum FROM texts WHERE document = ?1 AND start >= ?2 AND start < ?3 ORDER BY start";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query((document, first, span.end))?;
    let mut bytes = Vec::with_capacity(span.len());
    let mut at = span.start;
    while let Some(row) = rows.next()? {
        let start: usize = row.get(0)?;
        let part = row.get_ref(1)?.as_blob()?;
        check(start, part, row)?;
        let from = at.checked_sub(start);
        let until = span.end.min(start + part.len());
        let Some(piece) = from.and_then(|from| part.get(from..until - start)) else {
            return Ok(None);
        };
        bytes.extend_from_slice(piece);
        at = until;
    }
    if at != span.end {
        return Ok(None);
    }
    Ok(String::from_utf8(bytes).ok())
}

/// The text under a span of the document of this id, whose parts are checked.
pub(crate) fn text_of(connection: &Connection, id: &str, span: Span) -> Result<Option<String>> {
    let mut statement = connection.prepare_cached("SELECT key, bytes FROM documents WHERE id = ?1")?;
    let row = statement.query_row([id], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, usize>(1)?)));
    match row.optional()? {
        Some((key, bytes)) if span.end <= bytes => read_parts(connection, key, span, |start, part, row| {
            let sum = sums::of_part(key, start, part);
            sums::check(row, 2, &sum, || format!("the text of {id:?}"))
        }),
        _ => Ok(None),
    }
}

/// Calls `each` with every chunk written after `seq` and its vector in a generation, where one is named.
pub(crate) fn each_since(
    connection: &Connection,
    seq: i64,
    generation: Option<i64>,
    mut each: impl FnMut(ChunkKey, Option<&[u8]>) -> Result<()>,
) -> Result<()> {
    let sql = "SELECT c.id, c.document, c.ordinal, v.vector FROM chunks c
        LEFT JOIN vectors v ON v.chunk = c.id AND v.generation = ?2 WHERE c.seq > ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query((seq, generation))?;
    while let Some(row) = rows.next()? {
        let key = ChunkKey {
            chunk: row.get(0)?,
            document: row.get(1)?,
            ordinal: row.get(2)?,
        };
        each(key, row.get_ref(3)?.as_blob_or_null()?)?;
    }
    Ok(())
}

/// The places of the chunks written after `seq`.
pub(crate) fn keys_since(connection: &Connection, seq: i64) -> Result<Vec<ChunkKey>> {
    let sql = "SELECT id, document, ordinal FROM chunks WHERE seq > ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([seq], |row| {
        Ok(ChunkKey {
            chunk: row.get(0)?,
            document: row.get(1)?,
            ordinal: row.get(2)?,
        })
    })?;
    rows.collect()
}

/// Numbers of the chunks deleted after `seq`.
pub(crate) fn deleted_since(connection: &Connection, seq: i64) -> Result<Vec<i64>> {
    let mut statement = connection.prepare_cached("SELECT chunk FROM tombstones WHERE seq > ?1")?;
    statement.query_map([seq], |row| row.get(0))?.collect()
}

/// Id and metadata of a document.
pub(crate) fn info(connection: &Connection, document: i64) -> Result<DocumentInfo> {
    let mut statement =
        connection.prepare_cached("SELECT id, metadata, sum FROM documents WHERE key = ?1")?;
    statement.query_row([document], |row| {
        let id: String = row.get(0)?;
        let sum = sums::of_document(&id, row.get_ref(1)?.as_str()?);
        sums::check(row, 2, &sum, || {
            format!("the id or metadata of the document {id:?} (if it is still known by that, remove it and add it again)")
        })?;
        Ok(DocumentInfo {
            id,
            metadata: metadata::read(row, 1)?,
        })
    })
}

pub(super) fn locator(row: &Row<'_>, column: usize) -> Result<Locator> {
    parse(row, column)
}

pub(super) fn json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| wrong(error.to_string()))
}

/// A chunk as it is listed, without its text.
pub(crate) struct ListedChunk {
    pub(crate) ordinal: u32,
    pub(crate) span: Span,
    pub(crate) locator: Locator,
    pub(crate) hash: TextHash,
}

/// The chunks of a document in their order.
pub(crate) fn of_document(connection: &Connection, document: i64) -> Result<Vec<ListedChunk>> {
    let sql =
        "SELECT ordinal, start, end, locator, hash, sum, id FROM chunks WHERE document = ?1 ORDER BY ordinal";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([document], |row| {
        let key = ChunkKey {
            chunk: row.get(6)?,
            document,
            ordinal: row.get(0)?,
        };
        let span = Span::new(row.get(1)?, row.get(2)?);
        let hash = row.get(4)?;
        check_place(row, 5, key, span, row.get_ref(3)?.as_str()?, &hash)?;
        Ok(ListedChunk {
            ordinal: key.ordinal,
            span,
            locator: locator(row, 3)?,
            hash,
        })
    })?;
    rows.collect()
}
