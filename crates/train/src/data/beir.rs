//! Retrieval collections in the layout of BEIR: `corpus.jsonl`, `queries.jsonl`, `qrels/*.tsv`.

use std::collections::HashMap;
use std::path::Path;

use super::dataset::{Dataset, Record};
use super::judged::{self, JudgedColumns};
use super::record::{Judged, Pair};
use super::source::Source;
use super::table::{Dialect, Table, Wanted};
use crate::error::Result;

/// Reads the judgements of a collection, with the texts that they are on; `split` is the name of the file in `qrels`
/// without its extension. A title stands on a line of its own before the text, unless the text begins with it.
///
/// # Errors
/// Those of [`Source::read`]; [`Error::Malformed`](crate::Error::Malformed) with the line of a judgement on a query or
/// document that is not there; [`Error::MissingColumn`](crate::Error::MissingColumn),
/// [`Error::Empty`](crate::Error::Empty).
pub fn read(folder: impl AsRef<Path>, split: &str) -> Result<Dataset<Judged>> {
    let folder = folder.as_ref();
    let corpus = texts(&Source::read(folder.join("corpus.jsonl"))?)?;
    let queries = texts(&Source::read(folder.join("queries.jsonl"))?)?;
    let source = Source::read(folder.join("qrels").join(format!("{split}.tsv")))?;
    let columns = JudgedColumns::default()
        .with_query("query-id")
        .with_passage("corpus-id")
        .with_label("score");
    let mut set = judged::parse(&source, &columns)?;
    for Record { value, origin } in &mut set.records {
        let found = (queries.get(&value.query), corpus.get(&value.passage));
        let (Some(query), Some(passage)) = found else {
            let reason = match found.0 {
                None => format!("no query {:?} in queries.jsonl", value.query),
                Some(_) => format!("no document {:?} in corpus.jsonl", value.passage),
            };
            return Err(crate::Error::Malformed {
                path: source.path().to_path_buf(),
                line: origin.line,
                column: 1,
                reason,
            });
        };
        value.query.clone_from(query);
        value.passage.clone_from(passage);
    }
    Ok(set)
}

/// Reads the query and passage of every judgement above 0; see [`read`].
///
/// # Errors
/// As [`read`].
pub fn read_pairs(folder: impl AsRef<Path>, split: &str) -> Result<Dataset<Pair>> {
    let judged = read(folder, split)?;
    let relevant = judged
        .records
        .into_iter()
        .filter(|record| record.value.label > 0.0);
    let pairs = relevant.map(|record| Record {
        value: Pair::new(record.value.query, record.value.passage),
        origin: record.origin,
    });
    Ok(pairs.collect())
}

/// Texts by identifier.
fn texts(source: &Source) -> Result<HashMap<String, String>> {
    let table = Table::read(source, &Dialect::default())?;
    let column = |field, name| {
        table.require(&Wanted {
            field,
            option: "the file's own name",
            name: Some(name),
            usual: &[],
        })
    };
    let (id, text) = (column("identifier", "_id")?, column("text", "text")?);
    let title = column("title", "title").ok();
    let mut texts = HashMap::new();
    for row in table.rows() {
        let mut whole = row.text(&table, &text)?;
        if let Some(title) = &title {
            let title = row.text(&table, title)?;
            if !title.is_empty() && !whole.starts_with(&title) {
                whole = format!("{title}\n{whole}");
            }
        }
        let name = row.text(&table, &id)?;
        if texts.insert(name.clone(), whole).is_some() {
            return Err(table.malformed(row, &id, &format!("{name:?} is there twice")));
        }
    }
    Ok(texts)
}
