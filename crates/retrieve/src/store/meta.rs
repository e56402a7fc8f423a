//! Facts about the whole store: its transaction number, language and generations of vectors.

use rusqlite::types::{FromSql, ToSql};
use rusqlite::{Connection, OptionalExtension, Result, Row};

use super::vectors::wrong;
use crate::index::Metric;

/// Vectors of one embedder for all chunks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Generation {
    pub(crate) id: i64,
    pub(crate) embedder: String,
    pub(crate) dim: usize,
    pub(crate) metric: Metric,
}

impl Generation {
    fn read(row: &Row<'_>) -> Result<Self> {
        let metric: String = row.get(3)?;
        Ok(Self {
            id: row.get(0)?,
            embedder: row.get(1)?,
            dim: row.get(2)?,
            metric: metric_named(&metric).ok_or_else(|| wrong(format!("unknown metric {metric:?}")))?,
        })
    }

    /// The generation that queries are answered from.
    pub(crate) fn active(connection: &Connection) -> Result<Option<Self>> {
        let sql = "SELECT id, embedder, dim, metric FROM generations
            WHERE id = (SELECT value FROM meta WHERE name = 'generation')";
        connection
            .prepare_cached(sql)?
            .query_row([], Self::read)
            .optional()
    }

    /// The generation that is being made and does not serve yet.
    pub(crate) fn pending(connection: &Connection) -> Result<Option<Self>> {
        let sql = "SELECT id, embedder, dim, metric FROM generations
            WHERE id IS NOT (SELECT value FROM meta WHERE name = 'generation') ORDER BY id DESC LIMIT 1";
        connection
            .prepare_cached(sql)?
            .query_row([], Self::read)
            .optional()
    }

    /// A new generation, without vectors and not serving.
    pub(crate) fn create(
        connection: &Connection,
        embedder: &str,
        dim: usize,
        metric: Metric,
    ) -> Result<Self> {
        connection.execute(
            "INSERT INTO generations(embedder, dim, metric) VALUES (?1, ?2, ?3)",
            (embedder, dim, metric_name(metric)),
        )?;
        Ok(Self {
            id: connection.last_insert_rowid(),
            embedder: embedder.to_owned(),
            dim,
            metric,
        })
    }

    /// Drops this generation with its vectors.
    pub(crate) fn discard(&self, connection: &Connection) -> Result<()> {
        connection.execute("DELETE FROM staged WHERE generation = ?1", [self.id])?;
        connection.execute("DELETE FROM vectors WHERE generation = ?1", [self.id])?;
        connection
            .execute("DELETE FROM generations WHERE id = ?1", [self.id])
            .map(drop)
    }

    /// Makes this generation the one that queries are answered from, and drops all others.
    pub(crate) fn activate(&self, connection: &Connection) -> Result<()> {
        set(connection, "generation", self.id)?;
        connection.execute("DELETE FROM staged WHERE generation <> ?1", [self.id])?;
        connection.execute("DELETE FROM vectors WHERE generation <> ?1", [self.id])?;
        connection.execute("DELETE FROM generations WHERE id <> ?1", [self.id])?;
        Ok(())
    }
}

/// Numbers that describe a base.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Documents, those without text included.
    pub documents: usize,
    /// Passages.
    pub chunks: usize,
    /// Bytes of stored text.
    pub text_bytes: u64,
    /// Folders with at least one stored file.
    pub folders: Vec<String>,
    /// Id of the embedder that the vectors come from; `None` for a base without vectors.
    pub embedder: Option<String>,
    /// Components of a vector.
    pub dim: Option<usize>,
    /// How vectors are compared.
    pub metric: Option<Metric>,
    /// Id of the embedder of an unfinished [`crate::KnowledgeBase::reembed`], and the chunks that it has done.
    pub reembedding: Option<(String, usize)>,
    /// Number of write transactions so far.
    pub seq: i64,
}

impl Stats {
    pub(crate) fn read(connection: &Connection) -> Result<Self> {
        let count = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, usize>(0));
        let active = Generation::active(connection)?;
        let pending = match Generation::pending(connection)? {
            Some(generation) => {
                let sql = "SELECT count(*) FROM vectors WHERE generation = ?1";
                let done = connection.query_row(sql, [generation.id], |row| row.get(0))?;
                Some((generation.embedder, done))
            }
            None => None,
        };
        let folders = "SELECT DISTINCT folder FROM documents WHERE folder IS NOT NULL ORDER BY folder";
        Ok(Self {
            documents: count("SELECT count(*) FROM documents")?,
            chunks: count("SELECT count(*) FROM chunks")?,
            text_bytes: count("SELECT coalesce(sum(bytes), 0) FROM documents")? as u64,
            folders: connection
                .prepare(folders)?
                .query_map([], |row| row.get(0))?
                .collect::<Result<_>>()?,
            dim: active.as_ref().map(|generation| generation.dim),
            metric: active.as_ref().map(|generation| generation.metric),
            embedder: active.map(|generation| generation.embedder),
            reembedding: pending,
            seq: seq(connection)?,
        })
    }
}

/// Number of the last write transaction.
pub(crate) fn seq(connection: &Connection) -> Result<i64> {
    get(connection, "seq").map(Option::unwrap_or_default)
}

/// A named fact.
pub(crate) fn get<T: FromSql>(connection: &Connection, name: &str) -> Result<Option<T>> {
    let mut statement = connection.prepare_cached("SELECT value FROM meta WHERE name = ?1")?;
    statement.query_row([name], |row| row.get(0)).optional()
}

/// Sets a named fact.
pub(crate) fn set(connection: &Connection, name: &str, value: impl ToSql) -> Result<()> {
    let sql = "INSERT INTO meta VALUES (?1, ?2) ON CONFLICT(name) DO UPDATE SET value = excluded.value";
    connection.prepare_cached(sql)?.execute((name, value)).map(drop)
}

/// Forgets a named fact.
pub(crate) fn forget(connection: &Connection, name: &str) -> Result<()> {
    let mut statement = connection.prepare_cached("DELETE FROM meta WHERE name = ?1")?;
    statement.execute([name]).map(drop)
}

/// Whether there is any chunk.
pub(crate) fn has_chunks(connection: &Connection) -> Result<bool> {
    connection.query_row("SELECT EXISTS(SELECT 1 FROM chunks)", [], |row| row.get(0))
}

fn metric_name(metric: Metric) -> &'static str {
    match metric {
        Metric::Cosine => "cosine",
        Metric::Dot => "dot",
        Metric::L2 => "l2",
    }
}

fn metric_named(name: &str) -> Option<Metric> {
    let all = [Metric::Cosine, Metric::Dot, Metric::L2];
    all.into_iter().find(|metric| metric_name(*metric) == name)
}
