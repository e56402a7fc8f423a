//! Tables of the database and the marks by which its file is known.
//!
//! `seq` counts write transactions. A chunk carries the number of the transaction that wrote it, and a deleted chunk
//! leaves a tombstone with the number of the one that deleted it: whatever is derived from the store at one number is
//! brought up to date from these two.

/// `application_id` of the database ("RTkb").
pub(super) const APPLICATION_ID: u32 = 0x5254_6b62;
/// `user_version` of the database: the format that this version of the library writes.
pub(super) const FORMAT: u32 = 2;
/// Bytes of text in one row of `texts`: a passage is read without reading the whole of a large document.
pub(super) const TEXT_PART_BYTES: usize = 64 * 1024;

pub(super) const TABLES: &str = "
CREATE TABLE meta(
    name TEXT PRIMARY KEY NOT NULL,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE generations(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    embedder TEXT NOT NULL,
    dim INTEGER NOT NULL,
    metric TEXT NOT NULL
) STRICT;
CREATE TABLE documents(
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    folder TEXT,
    path TEXT,
    file_hash BLOB,
    content_hash BLOB NOT NULL,
    loader TEXT,
    chunker TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    metadata TEXT NOT NULL,
    markers TEXT NOT NULL,
    sum BLOB NOT NULL,
    UNIQUE(folder, path)
) STRICT;
CREATE TABLE texts(
    document INTEGER NOT NULL REFERENCES documents(key) ON DELETE CASCADE,
    start INTEGER NOT NULL,
    part BLOB NOT NULL,
    sum BLOB NOT NULL,
    UNIQUE(document, start)
) STRICT;
CREATE TABLE chunks(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    document INTEGER NOT NULL REFERENCES documents(key) ON DELETE CASCADE,
    ordinal INTEGER NOT NULL,
    start INTEGER NOT NULL,
    end INTEGER NOT NULL,
    locator TEXT NOT NULL,
    hash BLOB NOT NULL,
    seq INTEGER NOT NULL,
    sum BLOB NOT NULL,
    UNIQUE(document, ordinal)
) STRICT;
CREATE INDEX chunks_by_hash ON chunks(hash);
CREATE INDEX chunks_by_seq ON chunks(seq);
CREATE TABLE vectors(
    chunk INTEGER NOT NULL REFERENCES chunks(id) ON DELETE CASCADE,
    generation INTEGER NOT NULL REFERENCES generations(id) ON DELETE CASCADE,
    vector BLOB NOT NULL,
    UNIQUE(chunk, generation)
) STRICT;
CREATE INDEX vectors_by_generation ON vectors(generation);
CREATE TABLE staged(
    generation INTEGER NOT NULL REFERENCES generations(id) ON DELETE CASCADE,
    hash BLOB NOT NULL,
    vector BLOB NOT NULL,
    UNIQUE(generation, hash)
) STRICT;
CREATE TABLE tombstones(
    chunk INTEGER PRIMARY KEY NOT NULL,
    seq INTEGER NOT NULL
) STRICT;
CREATE INDEX tombstones_by_seq ON tombstones(seq);
INSERT INTO meta VALUES ('seq', 0), ('pruned', 0);
";

/// The columns that format 2 added.
pub(super) const SUMS: &str = "
ALTER TABLE documents ADD COLUMN sum BLOB NOT NULL DEFAULT x'';
ALTER TABLE texts ADD COLUMN sum BLOB NOT NULL DEFAULT x'';
ALTER TABLE chunks ADD COLUMN sum BLOB NOT NULL DEFAULT x'';
";

/// Shows a base of format 1 that cannot be written to as one of format 2, with [`super::sums::NO_SUM`] for each sum.
pub(super) const WITHOUT_SUMS: &str = "
CREATE TEMP VIEW documents AS SELECT *, -1 AS sum FROM main.documents;
CREATE TEMP VIEW texts AS SELECT *, -1 AS sum FROM main.texts;
CREATE TEMP VIEW chunks AS SELECT *, -1 AS sum FROM main.chunks;
";
