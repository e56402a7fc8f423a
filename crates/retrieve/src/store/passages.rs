//! Reading chunks, alone and as what indexes are derived from.

use ragtune_core::text::{Locator, Metadata, Span};
use rusqlite::{Connection, OptionalExtension, Result, Row};

use super::documents::parse;
use super::metadata;
use super::schema::TEXT_PART_BYTES;
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

const COLUMNS: &str = "id, document, ordinal, start, end, locator";

impl Passage {
    fn read(connection: &Connection, row: &Row<'_>) -> Result<Self> {
        let key = ChunkKey {
            chunk: row.get(0)?,
            document: row.get(1)?,
            ordinal: row.get(2)?,
        };
        let span = Span::new(row.get(3)?, row.get(4)?);
        let text = read_text(connection, key.document, span)?;
        Ok(Self {
            key,
            span,
            locator: locator(row, 5)?,
            text: text
                .ok_or_else(|| wrong(format!("chunk {} covers {span}, which its text lacks", key.chunk)))?,
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

/// The text under a span of a document; `None` where the text ends before it or a character is cut.
pub(crate) fn read_text(connection: &Connection, document: i64, span: Span) -> Result<Option<String>> {
    if span.start > span.end {
        return Ok(None);
    }
    let first = span.start / TEXT_PART_BYTES * TEXT_PART_BYTES;
    let sql =
        "SELECT start, part FROM texts WHERE document = ?1 AND start >= ?2 AND start < ?3 ORDER BY start";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query((document, first, span.end))?;
    let mut bytes = Vec::with_capacity(span.len());
    let mut at = span.start;
    while let Some(row) = rows.next()? {
        let start: usize = row.get(0)?;
        let part = row.get_ref(1)?.as_blob()?;
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

/// The text under a span of the document of this id.
pub(crate) fn text_of(connection: &Connection, id: &str, span: Span) -> Result<Option<String>> {
    let mut statement = connection.prepare_cached("SELECT key, bytes FROM documents WHERE id = ?1")?;
    let row = statement.query_row([id], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, usize>(1)?)));
    match row.optional()? {
        Some((key, bytes)) if span.end <= bytes => read_text(connection, key, span),
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
    let mut statement = connection.prepare_cached("SELECT id, metadata FROM documents WHERE key = ?1")?;
    statement.query_row([document], |row| {
        Ok(DocumentInfo {
            id: row.get(0)?,
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
    let sql = "SELECT ordinal, start, end, locator, hash FROM chunks WHERE document = ?1 ORDER BY ordinal";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([document], |row| {
        Ok(ListedChunk {
            ordinal: row.get(0)?,
            span: Span::new(row.get(1)?, row.get(2)?),
            locator: locator(row, 3)?,
            hash: row.get(4)?,
        })
    })?;
    rows.collect()
}
