//! Vectors of chunks, found by chunk or by the hash of the text that was embedded.

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Result};

use super::meta::Generation;

/// Hash of the text that a chunk's vector was made from.
pub(crate) type TextHash = [u8; 32];

/// A vector as it is stored: components in order, each 4 bytes, least first.
pub(super) fn to_bytes(vector: &[f32]) -> Vec<u8> {
    vector
        .iter()
        .flat_map(|component| component.to_le_bytes())
        .collect()
}

/// Reads a stored vector into `into`.
pub(crate) fn from_bytes(bytes: &[u8], dim: usize, into: &mut Vec<f32>) -> Result<()> {
    if bytes.len() != dim * 4 {
        return Err(wrong(format!(
            "a vector of {} bytes where {} are expected",
            bytes.len(),
            dim * 4
        )));
    }
    into.clear();
    let (components, _) = bytes.as_chunks::<4>();
    into.extend(components.iter().map(|bytes| f32::from_le_bytes(*bytes)));
    Ok(())
}

/// Stored content that this library does not write.
pub(crate) fn wrong(reason: String) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Blob, reason.into())
}

/// The vector of this text in a generation, where any chunk or a staged text has it.
pub(crate) fn by_hash(
    connection: &Connection,
    generation: &Generation,
    hash: &TextHash,
) -> Result<Option<Vec<f32>>> {
    let sql = "SELECT v.vector FROM chunks c JOIN vectors v ON v.chunk = c.id AND v.generation = ?1 WHERE c.hash = ?2
        UNION ALL SELECT vector FROM staged WHERE generation = ?1 AND hash = ?2 LIMIT 1";
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_row((generation.id, hash), |row| {
        let mut vector = Vec::with_capacity(generation.dim);
        let bytes = row.get_ref(0)?;
        from_bytes(bytes.as_blob()?, generation.dim, &mut vector)?;
        Ok(vector)
    });
    found.optional()
}

/// Gives a chunk its vector in a generation.
pub(crate) fn put(connection: &Connection, generation: i64, chunk: i64, vector: &[f32]) -> Result<()> {
    let sql = "INSERT OR REPLACE INTO vectors(chunk, generation, vector) VALUES (?1, ?2, ?3)";
    connection
        .prepare_cached(sql)?
        .execute((chunk, generation, to_bytes(vector)))
        .map(drop)
}

/// Keeps a vector whose chunk is not stored yet, so that a killed process does not lose the work on a large document.
pub(crate) fn stage(connection: &Connection, generation: i64, hash: &TextHash, vector: &[f32]) -> Result<()> {
    let sql = "INSERT OR IGNORE INTO staged(generation, hash, vector) VALUES (?1, ?2, ?3)";
    connection
        .prepare_cached(sql)?
        .execute((generation, hash, to_bytes(vector)))
        .map(drop)
}

/// Forgets staged vectors.
pub(crate) fn clear_staged(connection: &Connection) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM staged")?
        .execute([])
        .map(drop)
}

/// A chunk whose vector is wanted.
pub(crate) struct Unembedded {
    pub(crate) chunk: i64,
    pub(crate) document: i64,
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) headings: Vec<String>,
    pub(crate) hash: TextHash,
}

/// The first chunks above `after` that have no vector in a generation.
pub(crate) fn missing(
    connection: &Connection,
    generation: i64,
    after: i64,
    limit: usize,
) -> Result<Vec<Unembedded>> {
    let sql = "SELECT c.id, c.document, c.start, c.end, c.locator, c.hash FROM chunks c
        WHERE c.id > ?2 AND NOT EXISTS(SELECT 1 FROM vectors v WHERE v.chunk = c.id AND v.generation = ?1)
        ORDER BY c.id LIMIT ?3";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map((generation, after, limit), |row| {
        Ok(Unembedded {
            chunk: row.get(0)?,
            document: row.get(1)?,
            start: row.get(2)?,
            end: row.get(3)?,
            headings: super::passages::locator(row, 4)?.headings,
            hash: row.get(5)?,
        })
    })?;
    rows.collect()
}

/// Chunks without a vector in a generation.
pub(crate) fn count_missing(connection: &Connection, generation: i64) -> Result<usize> {
    let sql = "SELECT count(*) FROM chunks c
        WHERE NOT EXISTS(SELECT 1 FROM vectors v WHERE v.chunk = c.id AND v.generation = ?1)";
    connection.query_row(sql, [generation], |row| row.get(0))
}

/// Whether a chunk is stored.
pub(crate) fn chunk_exists(connection: &Connection, chunk: i64) -> Result<bool> {
    let mut statement = connection.prepare_cached("SELECT EXISTS(SELECT 1 FROM chunks WHERE id = ?1)")?;
    statement.query_row([chunk], |row| row.get(0))
}
