//! Runs as files in TREC's format: `question Q0 document rank score name`.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::qrels::{Run, trec_order};
use crate::error::{Error, Result};

/// Writes a run that [`read_run`], trec_eval and other tools read.
///
/// The fields are divided by tabs, so that ids may hold spaces here; for trec_eval they may not.
///
/// # Errors
/// [`Error::Io`], and `InvalidArgument` for an id that is empty or holds a tab or a line break.
pub fn write_run(path: &Path, run: &Run, name: &str) -> Result<()> {
    let mut text = String::new();
    for id in run
        .iter()
        .flat_map(|(question, ranking)| std::iter::once(question).chain(ranking.iter().map(|(id, _)| id)))
        .map(String::as_str)
        .chain([name])
    {
        if id.is_empty() || id.contains(['\t', '\n', '\r']) {
            return Err(Error::Core(ragtune_core::Error::InvalidArgument {
                argument: "run",
                reason: format!(
                    "the id {id:?} cannot stand in a run file, whose fields tabs and line breaks divide"
                ),
            }));
        }
    }
    for (question, ranking) in run {
        let mut ranking = ranking.clone();
        trec_order(&mut ranking);
        for (rank, (document, score)) in (1..).zip(ranking) {
            // Writing to a text cannot fail.
            let _ = writeln!(text, "{question}\tQ0\t{document}\t{rank}\t{score}\t{name}");
        }
    }
    let temporary = path.with_extension("run-in-writing");
    fs::write(&temporary, text).map_err(|source| Error::io(&temporary, source))?;
    fs::rename(&temporary, path).map_err(|source| Error::io(path, source))
}

/// Reads a run in TREC's format; the fields are divided by tabs, or by any white space where a line has no tab. As for
/// trec_eval, the scores decide the order, not the ranks.
///
/// ```
/// use ragtune_retrieve::measure::{Run, read_run, write_run};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("dense.run");
/// let run = Run::from([("1".into(), vec![("a tea.md".into(), 0.5), ("b.md".into(), 0.25)])]);
/// write_run(&path, &run, "dense")?;
/// assert_eq!(read_run(&path)?, run);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Io`]; [`Error::Malformed`] with the line for fields that are missing, a score that is no finite number, and a
/// document that a question has twice.
pub fn read_run(path: &Path) -> Result<Run> {
    let text = fs::read_to_string(path).map_err(|source| Error::io(path, source))?;
    let mut run = Run::new();
    let mut seen = std::collections::HashSet::new();
    for (number, line) in (1..).zip(text.lines()) {
        let malformed = |reason: String| Error::Malformed {
            path: path.to_owned(),
            line: number,
            reason,
        };
        if line.trim().is_empty() {
            continue;
        }
        let fields: Vec<&str> = match line.contains('\t') {
            true => line.split('\t').map(str::trim).collect(),
            false => line.split_whitespace().collect(),
        };
        let [question, _, document, _, score, _] = fields.as_slice() else {
            return Err(malformed(format!(
                "{} fields where question, Q0, document, rank, score and name are expected",
                fields.len()
            )));
        };
        let score = match score.parse::<f32>() {
            Ok(score) if score.is_finite() => score,
            _ => return Err(malformed(format!("the score {score:?} is not a finite number"))),
        };
        if !seen.insert((*question, *document)) {
            return Err(malformed(format!(
                "{document:?} was already ranked for {question:?}"
            )));
        }
        run.entry((*question).to_owned())
            .or_default()
            .push(((*document).to_owned(), score));
    }
    Ok(run)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_other_tools_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("other.run");
        fs::write(
            &path,
            "q1 Q0 d1 2 0.5 bm25\nq1 Q0  d2 1 1.5e0 bm25\n\nq2 Q0 d1 1 -3 bm25\n",
        )
        .unwrap();
        let run = read_run(&path).unwrap();
        assert_eq!(run["q1"], [("d1".to_owned(), 0.5), ("d2".to_owned(), 1.5)]);
        assert_eq!(run["q2"], [("d1".to_owned(), -3.0)]);
    }

    #[test]
    fn damage_names_the_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bad.run");
        for (text, at, says) in [
            ("q Q0 d 1 0.5 x\nq Q0 d\n", 2, "3 fields"),
            ("q Q0 d 1 high x\n", 1, "finite"),
            ("q Q0 d 1 NaN x\n", 1, "finite"),
            ("q Q0 d 1 1 x\nq Q0 d 2 0.5 x\n", 2, "already"),
        ] {
            fs::write(&path, text).unwrap();
            match read_run(&path) {
                Err(Error::Malformed { line, reason, .. }) => {
                    assert!(line == at && reason.contains(says), "{line} {reason}");
                }
                other => panic!("{other:?}"),
            }
        }
        let odd = Run::from([("q".to_owned(), vec![("a\tb".to_owned(), 1.0)])]);
        assert!(write_run(&path, &odd, "x").is_err());
    }
}
