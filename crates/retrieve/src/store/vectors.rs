//! Vectors of chunks, found by chunk or by the hash of the text that was embedded.

use ragtune_core::text::Span;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Result};

use super::meta::Generation;

/// Hash of the text that a chunk's vector was made from.
pub(crate) type TextHash = [u8; 32];

/// Bytes behind a vector's components, by which damage is told: the database itself has no sums.
const SUM_BYTES: usize = 4;

/// A vector as it is stored: components in order, each 4 bytes, least first; then the start of their BLAKE3 hash.
pub(super) fn to_bytes(vector: &[f32]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(vector.len() * 4 + SUM_BYTES);
    bytes.extend(vector.iter().flat_map(|component| component.to_le_bytes()));
    let hash = blake3::hash(&bytes);
    bytes.extend_from_slice(&hash.as_bytes()[..SUM_BYTES]);
    bytes
}

/// Whether a stored vector is as it was written.
pub(crate) fn is_whole(bytes: &[u8]) -> bool {
    let Some((components, sum)) = bytes.split_last_chunk::<SUM_BYTES>() else {
        return false;
    };
    blake3::hash(components).as_bytes().starts_with(sum)
}

/// Reads a stored vector into `into`, where it is as it was written.
pub(crate) fn from_bytes(bytes: &[u8], dim: usize, into: &mut Vec<f32>) -> Result<()> {
    let expected = dim.saturating_mul(4).saturating_add(SUM_BYTES);
    if bytes.len() != expected {
        return Err(wrong(format!(
            "a vector of {} bytes where {expected} are expected",
            bytes.len()
        )));
    }
    if !is_whole(bytes) {
        return Err(wrong("a vector is not what was stored".to_owned()));
    }
    into.clear();
    let (components, _) = bytes[..bytes.len() - SUM_BYTES].as_chunks::<4>();
    into.extend(components.iter().map(|bytes| f32::from_le_bytes(*bytes)));
    Ok(())
}

/// Stored content that this library does not write.
pub(crate) fn wrong(reason: String) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Blob, reason.into())
}

/// The cross join keeps the order of the tables: by itself the database would start from all vectors of a generation.
const BY_HASH: &str =
    "SELECT v.vector FROM chunks c CROSS JOIN vectors v ON v.chunk = c.id AND v.generation = ?1
    WHERE c.hash = ?2 UNION ALL SELECT vector FROM staged WHERE generation = ?1 AND hash = ?2 LIMIT 1";

/// The vector of this text in a generation, where any chunk or a staged text has it.
pub(crate) fn by_hash(
    connection: &Connection,
    generation: &Generation,
    hash: &TextHash,
) -> Result<Option<Vec<f32>>> {
    let mut statement = connection.prepare_cached(BY_HASH)?;
    let found = statement.query_row((generation.id, hash), |row| {
        let mut vector = Vec::with_capacity(generation.dim);
        let bytes = row.get_ref(0)?;
        from_bytes(bytes.as_blob()?, generation.dim, &mut vector)?;
        Ok(vector)
    });
    found.optional()
}

/// The vector of a passage in a generation, where the document has a passage of this number and span.
pub(crate) fn of_chunk(
    connection: &Connection,
    generation: &Generation,
    document: &str,
    ordinal: u32,
    span: Span,
) -> Result<Option<Vec<f32>>> {
    let sql = "SELECT v.vector FROM documents d
        CROSS JOIN chunks c ON c.document = d.key AND c.ordinal = ?2 AND c.start = ?3 AND c.end = ?4
        CROSS JOIN vectors v ON v.chunk = c.id AND v.generation = ?5 WHERE d.id = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_row((document, ordinal, span.start, span.end, generation.id), |row| {
        let mut vector = Vec::with_capacity(generation.dim);
        let bytes = row.get_ref(0)?;
        from_bytes(bytes.as_blob()?, generation.dim, &mut vector)?;
        Ok(vector)
    });
    found.optional()
}

/// Reads the vector of a chunk in a generation into `into`.
pub(crate) fn read_of(
    connection: &Connection,
    generation: &Generation,
    chunk: i64,
    into: &mut Vec<f32>,
) -> Result<()> {
    let sql = "SELECT vector FROM vectors WHERE chunk = ?1 AND generation = ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_row((chunk, generation.id), |row| {
        from_bytes(row.get_ref(0)?.as_blob()?, generation.dim, into)
    });
    found
        .optional()?
        .ok_or_else(|| wrong(format!("chunk {chunk} has no vector")))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[test]
    fn a_text_is_looked_up_by_its_hash_and_not_among_all_vectors() {
        let store = Store::in_memory().unwrap();
        let plan: Vec<String> = store
            .read(|connection| {
                let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {BY_HASH}"))?;
                let rows = statement.query_map((1, [0u8; 32]), |row| row.get(3))?;
                rows.collect()
            })
            .unwrap();
        assert!(
            plan.iter().any(|step| step.contains("chunks_by_hash (hash=?)")),
            "{plan:?}"
        );
        assert!(!plan.iter().any(|step| step.contains("SCAN")), "{plan:?}");
        assert!(
            !plan.iter().any(|step| step.contains("vectors_by_generation")),
            "{plan:?}"
        );
    }

    #[test]
    fn a_changed_byte_is_told() {
        let bytes = to_bytes(&[1.0, -2.5, 3.0]);
        assert!(is_whole(&bytes));
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(!is_whole(&changed), "{at}");
        }
        let mut vector = Vec::new();
        from_bytes(&bytes, 3, &mut vector).unwrap();
        assert_eq!(vector, [1.0, -2.5, 3.0]);
        assert!(from_bytes(&bytes, 4, &mut vector).is_err() && !is_whole(&[]));
        let mut changed = bytes.clone();
        changed[1] ^= 4;
        assert!(from_bytes(&changed, 3, &mut vector).is_err());
    }
}
