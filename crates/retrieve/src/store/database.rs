//! Opening the database, its connections and its transactions.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use super::header::{self, Found};
use super::place::{Access, Place};
use super::schema::{APPLICATION_ID, FORMAT, SUMS, TABLES, WITHOUT_SUMS};
use super::sums;
use crate::error::{Error, Result};

/// How long a transaction waits for one of another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(20);
/// Idle reading connections that are kept open.
const IDLE_READERS: usize = 16;
/// Prepared statements that a connection keeps.
const STATEMENTS: usize = 64;

/// Documents, chunks and vectors, each write a transaction.
pub(crate) struct Store {
    /// For messages; the database's file, or words for a store in memory.
    path: PathBuf,
    /// `None` for a store in memory.
    place: Option<Place>,
    /// The connection that writes; for a store in memory the only one.
    writer: Mutex<Connection>,
    readers: Mutex<Vec<Connection>>,
}

impl Store {
    /// Name of the database's file in the base's folder.
    pub(crate) const FILE: &'static str = "base.sqlite3";

    /// The store in a folder, made where there is none.
    ///
    /// # Errors
    /// [`Error::ForeignStore`], [`Error::NewerStore`], [`Error::Damaged`], [`Error::Store`], [`Error::Io`].
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(Self::FILE);
        let found = header::inspect(&path)?;
        let mut access = Access::Shared;
        let mut opened = open_at(&path, access);
        if let Err(error) = &opened
            && found == Found::Ours
            && is_refused(error)
            && !Place::is_in_use(&path)
        {
            access = Access::Still;
            opened = open_at(&path, access);
        }
        let connection = opened.map_err(|error| store_error(&path, error))?;
        Ok(Self {
            writer: Mutex::new(connection),
            readers: Mutex::default(),
            place: Some(Place::new(&path, access)?),
            path,
        })
    }

    /// A store that ends with the value.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub(crate) fn in_memory() -> Result<Self> {
        let path = PathBuf::from("(in memory)");
        let connection = Connection::open_in_memory().map_err(|error| store_error(&path, error))?;
        configure(&connection).map_err(|error| store_error(&path, error))?;
        create(&connection).map_err(|error| store_error(&path, error))?;
        Ok(Self {
            writer: Mutex::new(connection),
            readers: Mutex::default(),
            place: None,
            path,
        })
    }

    /// Runs `work` on one unchanging state of the store.
    pub(crate) fn read<T>(&self, work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>) -> Result<T> {
        let Some(place) = &self.place else {
            let connection = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
            return read_on(&connection, work).map_err(|error| self.error(error));
        };
        place.check()?;
        let idle = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => reader(&self.path, place.access()).map_err(|error| self.error(error))?,
        };
        let result = read_on(&connection, work).map_err(|error| self.error(error));
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if result.is_ok() && readers.len() < IDLE_READERS && place.access() == Access::Shared {
            readers.push(connection);
        }
        result
    }

    /// Runs `work` in a write transaction with the number that it gets; an error undoes all of it.
    pub(crate) fn write<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>, i64) -> rusqlite::Result<T>,
    ) -> Result<T> {
        self.transaction(|transaction| {
            let seq = transaction.query_row(
                "UPDATE meta SET value = value + 1 WHERE name = 'seq' RETURNING value",
                [],
                |row| row.get(0),
            )?;
            work(transaction, seq)
        })
    }

    /// Runs `work` in a write transaction that changes nothing that anything is derived from, so it gets no number.
    pub(crate) fn write_aside<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T> {
        self.transaction(work)
    }

    fn transaction<T>(&self, work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>) -> Result<T> {
        if let Some(place) = &self.place {
            place.check()?;
        }
        let mut connection = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let run = || {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let result = work(&transaction)?;
            transaction.commit()?;
            Ok(result)
        };
        run().map_err(|error| self.error(error))
    }

    /// Names what the database said, in terms a caller can act on.
    pub(crate) fn error(&self, error: rusqlite::Error) -> Error {
        store_error(&self.path, error)
    }

    /// The database's file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Lets the database grow by so many pages only, to test a full disk.
    #[cfg(test)]
    pub(crate) fn limit_growth(&self, pages: Option<u32>) {
        let connection = self.writer.lock().unwrap();
        let count: u32 = connection
            .query_row("PRAGMA page_count", [], |row| row.get(0))
            .unwrap();
        let limit = pages.map_or(1 << 30, |pages| count + pages);
        let set = |row: &rusqlite::Row<'_>| row.get::<_, u32>(0);
        connection
            .query_row(&format!("PRAGMA max_page_count = {limit}"), [], set)
            .unwrap();
    }
}

/// The writing connection.
fn open_at(path: &Path, access: Access) -> rusqlite::Result<Connection> {
    let connection = match access {
        Access::Shared => Connection::open(path)?,
        Access::Still => reader(path, access)?,
    };
    configure(&connection)?;
    if access == Access::Shared {
        // A process that was killed while it made the tables leaves a file with our marks and a journal that takes
        // them back, so the file alone does not tell.
        let format: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        match format {
            0 => create(&connection)?,
            1 => migrate(&connection)?,
            _ => {}
        }
        // After the tables exist, so that the header in the file itself carries our marks.
        connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    }
    let sql = "SELECT value FROM meta WHERE name = 'seq'";
    connection.query_row(sql, [], |row| row.get::<_, i64>(0))?;
    Ok(connection)
}

/// A connection that reads.
fn reader(path: &Path, access: Access) -> rusqlite::Result<Connection> {
    let connection = match access {
        Access::Shared => {
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            Connection::open_with_flags(path, flags)?
        }
        Access::Still => {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
            Connection::open_with_flags(access.uri(path), flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?
        }
    };
    configure(&connection)?;
    if access == Access::Still {
        let format: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if format == 1 {
            connection.pragma_update(None, "temp_store", "memory")?;
            connection.execute_batch(WITHOUT_SUMS)?;
        }
    }
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// Whether the database could not be opened for want of the right to write beside it.
fn is_refused(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(
        code,
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied)
    )
}

fn read_on<T>(
    connection: &Connection,
    work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let transaction = connection.unchecked_transaction()?;
    let result = work(&transaction)?;
    transaction.finish()?;
    Ok(result)
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // A damaged or hostile file must not run what its schema names.
    connection.pragma_update(None, "trusted_schema", false)
}

fn create(connection: &Connection) -> rusqlite::Result<()> {
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    let format: u32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    // Another process may have made the tables between our look at the file and this transaction.
    if format == 0 {
        transaction.execute_batch(TABLES)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", FORMAT)?;
    }
    transaction.commit()
}

/// Brings a base of format 1 to the present one.
fn migrate(connection: &Connection) -> rusqlite::Result<()> {
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    let format: u32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    // Another process may have done it between our look at the file and this transaction.
    if format == 1 {
        transaction.execute_batch(SUMS)?;
        sums::add_to_all(&transaction)?;
        transaction.pragma_update(None, "user_version", FORMAT)?;
    }
    transaction.commit()
}

fn store_error(path: &Path, error: rusqlite::Error) -> Error {
    let path = path.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Error::StoreFull { path },
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Error::Damaged {
            path,
            reason: error.to_string(),
        },
        _ if is_wrong_content(&error) => Error::Damaged {
            path,
            reason: match error {
                rusqlite::Error::FromSqlConversionFailure(.., reason) => reason.to_string(),
                error => error.to_string(),
            },
        },
        _ => Error::Store {
            path,
            source: error.into(),
        },
    }
}

/// Whether a value that was read is not of the kind that this library writes.
fn is_wrong_content(error: &rusqlite::Error) -> bool {
    use rusqlite::Error::{
        FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, QueryReturnedNoRows, Utf8Error,
    };
    matches!(
        error,
        FromSqlConversionFailure(..)
            | IntegralValueOutOfRange(..)
            | InvalidColumnType(..)
            | QueryReturnedNoRows
            | Utf8Error(..)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::passages;

    #[test]
    fn a_base_without_sums_that_cannot_be_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(Store::FILE);
        // As a version before this one wrote it, without a journal beside it.
        let connection = Connection::open(&path).unwrap();
        let tables = TABLES.replace("    sum BLOB NOT NULL,\n", "");
        connection.execute_batch(&tables).unwrap();
        let insert = "INSERT INTO documents(id, content_hash, chunker, bytes, metadata, markers)
            VALUES ('tea', x'00', 'a', 3, '{}', '[]'); INSERT INTO texts VALUES (1, 0, x'746561');";
        connection.execute_batch(insert).unwrap();
        connection.pragma_update(None, "user_version", 1).unwrap();
        drop(connection);
        let still = reader(&path, Access::Still).unwrap();
        let text = passages::text_of(&still, "tea", ragtune_core::text::Span::new(0, 2));
        assert_eq!(text.unwrap().as_deref(), Some("te"));
        assert_eq!(passages::info(&still, 1).unwrap().id, "tea");
        drop(still);
        // Where it can be written, it gets its sums; what is not what was stored gets none.
        let connection = open_at(&path, Access::Shared).unwrap();
        assert_eq!(passages::info(&connection, 1).unwrap().id, "tea");
        let text = passages::text_of(&connection, "tea", ragtune_core::text::Span::new(0, 2));
        assert!(text.unwrap_err().to_string().contains("not what was stored"));
    }
}
