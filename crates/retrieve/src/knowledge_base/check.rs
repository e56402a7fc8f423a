//! Looking through a base for damage.

use ragtune_core::text::Document;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::base::Base;
use super::prepare::Lines;
use super::view::View;
use crate::error::{Error, Result};
use crate::index::accept;
use crate::store::sums::{content_hash, text_hash};
use crate::store::vectors::{self, from_bytes};
use crate::store::{Generation, StoredDocument, documents, meta, passages};

/// What a check of a base found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CheckReport {
    /// Documents looked at.
    pub documents: usize,
    /// Chunks looked at.
    pub chunks: usize,
    /// What is wrong, a sentence each.
    pub problems: Vec<String>,
}

impl CheckReport {
    /// Whether nothing is wrong.
    pub fn is_whole(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Checks a base.
pub(super) fn check(base: &Base) -> Result<CheckReport> {
    let mut report = CheckReport::default();
    let seq = base.store.read(|connection| {
        check_database(connection, &mut report)?;
        check_documents(connection, &mut report)?;
        check_vectors(connection, &mut report)?;
        meta::seq(connection)
    })?;
    // What searches are kept from by damage is a line of the report too.
    match check_searches(base, seq, &mut report) {
        Err(Error::Damaged { reason, .. }) => {
            report.problems.push(format!("it cannot be searched: {reason}"));
            Ok(report)
        }
        searched => searched.map(|()| report),
    }
}

/// What searches see against what the store has.
fn check_searches(base: &Base, seq: i64, report: &mut CheckReport) -> Result<()> {
    let view = base.view()?;
    if view.seq == seq && view.chunks.len() != report.chunks {
        let problem = format!("searches see {} chunks of {}", view.chunks.len(), report.chunks);
        report.problems.push(problem);
    }
    // A view that grew with the base must equal one that is made at once.
    let afresh = base.read_view(None)?;
    check_index(base, &afresh, report)?;
    if view.seq == afresh.seq && report.is_whole() {
        check_index(base, &view, report)?;
    }
    if view.seq == afresh.seq && view.chunks != afresh.chunks {
        report
            .problems
            .push("searches see the chunks in another order than the store has them".to_owned());
    }
    let lexical = base.lexical.current(&base.store, &base.lock, seq)?;
    if i64::try_from(lexical.stamp()) == Ok(seq) && lexical.len() != report.chunks {
        let problem = format!(
            "the lexical index holds {} chunks of {}",
            lexical.len(),
            report.chunks
        );
        report.problems.push(problem);
    } else if i64::try_from(lexical.stamp()) == Ok(seq) && view.seq == seq {
        for key in &view.chunks {
            if !lexical.contains(key.chunk)? {
                report
                    .problems
                    .push(format!("the lexical index lacks chunk {}", key.chunk));
            }
        }
    }
    Ok(())
}

/// The vector that searches compare for each chunk against the one in the store.
fn check_index(base: &Base, view: &View, report: &mut CheckReport) -> Result<()> {
    let (Some(generation), Some(index)) = (&view.generation, &view.index) else {
        return Ok(());
    };
    base.store.read(|connection| {
        let mut vector = Vec::new();
        for (slot, key) in (0..).zip(&view.chunks) {
            if vectors::read_of(connection, generation, key.chunk, &mut vector).is_err() {
                continue;
            }
            let found = accept(&mut vector, generation.metric, generation.dim, || {
                format!("the vector of chunk {}", key.chunk)
            })
            .and_then(|()| index.row(slot));
            match found {
                Ok(row) if row.iter().zip(&vector).all(|(a, b)| a.to_bits() == b.to_bits()) => {}
                Ok(_) => report.problems.push(format!(
                    "searches compare another vector for chunk {} than the store has",
                    key.chunk
                )),
                Err(error) => report.problems.push(format!("chunk {}: {error}", key.chunk)),
            }
        }
        Ok(())
    })
}

/// The database's own consistency.
fn check_database(connection: &Connection, report: &mut CheckReport) -> rusqlite::Result<()> {
    let mut statement = connection.prepare("PRAGMA integrity_check")?;
    let lines: Vec<String> = statement
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    report
        .problems
        .extend(lines.into_iter().filter(|line| line != "ok"));
    let mut statement = connection.prepare("PRAGMA foreign_key_check")?;
    let tables: Vec<String> = statement
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let orphans = tables
        .into_iter()
        .map(|table| format!("a row of {table} belongs to nothing"));
    report.problems.extend(orphans);
    let sql = "SELECT (SELECT max(seq) FROM chunks), (SELECT max(seq) FROM tombstones)";
    let newest = connection.query_row(sql, [], |row| Ok([row.get::<_, Option<i64>>(0)?, row.get(1)?]))?;
    let seq = meta::seq(connection)?;
    if newest.into_iter().flatten().any(|newest| newest > seq) {
        report
            .problems
            .push(format!("rows are newer than the last transaction, {seq}"));
    }
    Ok(())
}

/// Every document's hash, and every chunk as an exact span of its text.
fn check_documents(connection: &Connection, report: &mut CheckReport) -> rusqlite::Result<()> {
    for id in documents::ids(connection)? {
        report.documents += 1;
        let (Some(stored), Some(document)) = (
            StoredDocument::find(connection, &id)?,
            documents::load_unchecked(connection, &id)?,
        ) else {
            report.problems.push(format!("{id:?} is listed and missing"));
            continue;
        };
        if content_hash(&document).ok() != Some(stored.content_hash) {
            report
                .problems
                .push(format!("the content of {id:?} is not what was stored"));
        }
        check_chunks(connection, stored.key, &document, report)?;
    }
    Ok(())
}

fn check_chunks(
    connection: &Connection,
    key: i64,
    document: &Document,
    report: &mut CheckReport,
) -> rusqlite::Result<()> {
    let mut lines = Lines::new(document);
    for (place, chunk) in passages::of_document(connection, key)?.iter().enumerate() {
        report.chunks += 1;
        let whose = || format!("chunk {place} of {:?}", document.id);
        if lines.locate(chunk.span, chunk.locator.headings.clone()) != chunk.locator {
            report
                .problems
                .push(format!("{} names another place than its span has", whose()));
        }
        if chunk.ordinal as usize != place {
            report
                .problems
                .push(format!("{} is numbered {}", whose(), chunk.ordinal));
        }
        match chunk.span.of(&document.text) {
            None => report
                .problems
                .push(format!("{} covers {}, which the text lacks", whose(), chunk.span)),
            Some("") => report.problems.push(format!("{} is empty", whose())),
            Some(text) if text_hash(&chunk.locator.headings, text) != chunk.hash => {
                report
                    .problems
                    .push(format!("{} is not the text that was embedded", whose()));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// One sound vector for each chunk, where the base has vectors.
fn check_vectors(connection: &Connection, report: &mut CheckReport) -> rusqlite::Result<()> {
    let Some(generation) = Generation::active(connection)? else {
        return Ok(());
    };
    let mut vector = Vec::new();
    passages::each_since(connection, -1, Some(generation.id), |key, bytes| {
        match bytes.map(|bytes| from_bytes(bytes, generation.dim, &mut vector)) {
            None => report.problems.push(format!("chunk {} has no vector", key.chunk)),
            Some(Err(error)) => report.problems.push(format!("chunk {}: {error}", key.chunk)),
            Some(Ok(())) if vector.iter().any(|component| !component.is_finite()) => {
                report
                    .problems
                    .push(format!("the vector of chunk {} is not finite", key.chunk));
            }
            Some(Ok(())) => {}
        }
        Ok(())
    })
}
