//! Writing, finding and deleting documents with their chunks.

use ragtune_core::text::{Document, Locator, Marker, Span};
use rusqlite::{Connection, OptionalExtension, Result, Row};

use super::metadata;
use super::passages::{info, json, read_text};
use super::schema::TEXT_PART_BYTES;
use super::sums;
use super::vectors::{self, TextHash, wrong};

/// A file of a synced folder.
#[derive(Clone, Debug)]
pub(crate) struct SyncedFile {
    pub(crate) folder: String,
    pub(crate) path: String,
    /// Hash of the file's bytes.
    pub(crate) hash: TextHash,
    /// Fingerprint of the loader that read it.
    pub(crate) loader: String,
}

/// A passage that is to be stored.
#[derive(Clone, Debug)]
pub(crate) struct NewChunk {
    pub(crate) span: Span,
    pub(crate) locator: Locator,
    /// Hash of the text that is embedded for it.
    pub(crate) hash: TextHash,
}

/// Gives the vector of a text by its hash.
pub(crate) type VectorOf<'f, 'v> = &'f dyn Fn(&TextHash) -> Option<&'v [f32]>;

/// A document that is to be stored.
#[derive(Clone, Debug)]
pub(crate) struct NewDocument {
    pub(crate) document: Document,
    pub(crate) file: Option<SyncedFile>,
    /// Hash of text, metadata and markers.
    pub(crate) content_hash: TextHash,
    /// Fingerprint of the chunker.
    pub(crate) chunker: String,
    pub(crate) chunks: Vec<NewChunk>,
}

/// What is known of a stored document without reading its text.
#[derive(Clone, Debug)]
pub(crate) struct StoredDocument {
    pub(crate) key: i64,
    pub(crate) id: String,
    pub(crate) folder: Option<String>,
    pub(crate) path: Option<String>,
    pub(crate) file_hash: Option<TextHash>,
    pub(crate) content_hash: TextHash,
    pub(crate) loader: Option<String>,
    pub(crate) chunker: String,
}

const COLUMNS: &str = "key, id, folder, path, file_hash, content_hash, loader, chunker";

impl StoredDocument {
    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            key: row.get(0)?,
            id: row.get(1)?,
            folder: row.get(2)?,
            path: row.get(3)?,
            file_hash: row.get(4)?,
            content_hash: row.get(5)?,
            loader: row.get(6)?,
            chunker: row.get(7)?,
        })
    }

    /// The document of this id.
    pub(crate) fn find(connection: &Connection, id: &str) -> Result<Option<Self>> {
        let sql = format!("SELECT {COLUMNS} FROM documents WHERE id = ?1");
        connection
            .prepare_cached(&sql)?
            .query_row([id], Self::read)
            .optional()
    }

    /// The document of this file.
    pub(crate) fn of_file(connection: &Connection, folder: &str, path: &str) -> Result<Option<Self>> {
        let sql = format!("SELECT {COLUMNS} FROM documents WHERE folder = ?1 AND path = ?2");
        connection
            .prepare_cached(&sql)?
            .query_row([folder, path], Self::read)
            .optional()
    }

    /// The documents of a folder in the order of their paths.
    pub(crate) fn of_folder(connection: &Connection, folder: &str) -> Result<Vec<Self>> {
        let sql = format!("SELECT {COLUMNS} FROM documents WHERE folder = ?1 ORDER BY path");
        let mut statement = connection.prepare_cached(&sql)?;
        statement.query_map([folder], Self::read)?.collect()
    }
}

impl NewDocument {
    /// Stores the document in place of one of the same id or file; `vectors` gives the vector of a text by its hash
    /// in the generation named.
    pub(crate) fn store<'v>(
        &self,
        connection: &Connection,
        seq: i64,
        vectors: Option<(i64, VectorOf<'_, 'v>)>,
    ) -> Result<()> {
        if let Some(old) = StoredDocument::find(connection, &self.document.id)? {
            delete(connection, seq, old.key)?;
        }
        if let Some(file) = &self.file
            && let Some(old) = StoredDocument::of_file(connection, &file.folder, &file.path)?
        {
            delete(connection, seq, old.key)?;
        }
        let sql = "INSERT INTO documents(id, folder, path, file_hash, loader, content_hash, chunker, bytes, metadata,
            markers, sum) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
        let metadata = metadata::to_json(&self.document.metadata)?;
        let file = self.file.as_ref();
        connection.prepare_cached(sql)?.execute((
            &self.document.id,
            file.map(|file| &file.folder),
            file.map(|file| &file.path),
            file.map(|file| &file.hash),
            file.map(|file| &file.loader),
            &self.content_hash,
            &self.chunker,
            self.document.text.len(),
            &metadata,
            json(&self.document.markers)?,
            sums::of_document(&self.document.id, &metadata),
        ))?;
        let key = connection.last_insert_rowid();
        let mut insert = connection
            .prepare_cached("INSERT INTO texts(document, start, part, sum) VALUES (?1, ?2, ?3, ?4)")?;
        for (i, part) in self.document.text.as_bytes().chunks(TEXT_PART_BYTES).enumerate() {
            let start = i * TEXT_PART_BYTES;
            insert.execute((key, start, part, sums::of_part(key, start, part)))?;
        }
        let sql = "INSERT INTO chunks(document, ordinal, start, end, locator, hash, seq, sum)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        let mut insert = connection.prepare_cached(sql)?;
        for (ordinal, chunk) in (0u32..).zip(&self.chunks) {
            let Span { start, end } = chunk.span;
            let locator = json(&chunk.locator)?;
            let sum = sums::of_chunk(key, ordinal, chunk.span, &locator, &chunk.hash);
            insert.execute((key, ordinal, start, end, &locator, &chunk.hash, seq, sum))?;
            let id = connection.last_insert_rowid();
            if let Some((generation, vector_of)) = vectors {
                let vector =
                    vector_of(&chunk.hash).ok_or_else(|| wrong("a chunk without a vector".to_owned()))?;
                vectors::put(connection, generation, id, vector)?;
            }
        }
        Ok(())
    }
}

/// Deletes a document with all that belongs to it, and leaves tombstones for what was derived from it.
pub(crate) fn delete(connection: &Connection, seq: i64, key: i64) -> Result<()> {
    let sql = "INSERT INTO tombstones SELECT id, ?1 FROM chunks WHERE document = ?2";
    connection.prepare_cached(sql)?.execute([seq, key])?;
    let mut statement = connection.prepare_cached("DELETE FROM documents WHERE key = ?1")?;
    statement.execute([key]).map(drop)
}

/// Forgets tombstones that every up-to-date derived index has absorbed, once there are many of them.
pub(crate) fn prune_tombstones(connection: &Connection, absorbed: i64, keep: usize) -> Result<()> {
    let count: usize = connection.query_row("SELECT count(*) FROM tombstones", [], |row| row.get(0))?;
    if count <= keep {
        return Ok(());
    }
    connection.execute("DELETE FROM tombstones WHERE seq <= ?1", [absorbed])?;
    super::meta::set(connection, "pruned", absorbed)
}

/// A whole document, which is checked against its content hash.
pub(crate) fn load(connection: &Connection, id: &str) -> Result<Option<Document>> {
    let (Some(document), Some(stored)) = (
        load_unchecked(connection, id)?,
        StoredDocument::find(connection, id)?,
    ) else {
        return Ok(None);
    };
    // The id is covered by the sum that this checks.
    info(connection, stored.key)?;
    match sums::content_hash(&document) {
        Ok(hash) if hash == stored.content_hash => Ok(Some(document)),
        _ => Err(sums::changed(&format!("the document {id:?}"))),
    }
}

/// A document as the database has it.
pub(crate) fn load_unchecked(connection: &Connection, id: &str) -> Result<Option<Document>> {
    let sql = "SELECT key, bytes, metadata, markers FROM documents WHERE id = ?1";
    let row = connection.prepare_cached(sql)?.query_row([id], |row| {
        let metadata = metadata::read(row, 2)?;
        let markers: Vec<Marker> = parse(row, 3)?;
        Ok((row.get::<_, i64>(0)?, row.get::<_, usize>(1)?, metadata, markers))
    });
    let Some((key, bytes, metadata, markers)) = row.optional()? else {
        return Ok(None);
    };
    let text = read_text(connection, key, Span::new(0, bytes))?;
    Ok(Some(Document {
        id: id.to_owned(),
        text: text.ok_or_else(|| wrong(format!("the text of {id:?} is incomplete")))?,
        metadata,
        markers,
    }))
}

/// The ids of all documents in their order.
pub(crate) fn ids(connection: &Connection) -> Result<Vec<String>> {
    let mut statement = connection.prepare_cached("SELECT id FROM documents ORDER BY id")?;
    statement.query_map([], |row| row.get(0))?.collect()
}

/// The folders that documents are of.
pub(crate) fn folders(connection: &Connection) -> Result<Vec<String>> {
    let sql = "SELECT DISTINCT folder FROM documents WHERE folder IS NOT NULL ORDER BY folder";
    let mut statement = connection.prepare_cached(sql)?;
    statement.query_map([], |row| row.get(0))?.collect()
}

/// A column that holds JSON.
pub(super) fn parse<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: usize) -> Result<T> {
    let json = row.get_ref(column)?;
    serde_json::from_str(json.as_str()?).map_err(|error| wrong(error.to_string()))
}
