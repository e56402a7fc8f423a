//! What a sync of a folder did, in lines for people.

use std::path::Path;

use ragtune::retrieve::SyncReport;

use crate::output::on_one_line;

/// Files that are named of those that were skipped, and of those that were read in part.
const FILES_SHOWN: usize = 10;

/// The lines of a report; `names_all` names every file that was skipped or read in part.
pub fn lines(report: &SyncReport, names_all: bool) -> Vec<String> {
    let SyncReport {
        added,
        changed,
        unchanged,
        removed,
        skipped,
        partly_read,
        embedding,
        ..
    } = report;
    let mut lines = vec![format!(
        "files: {added} new, {changed} changed, {unchanged} unchanged, {removed} removed, {} skipped; passages embedded: {}",
        skipped.len(),
        embedding.embedded
    )];
    let skipped = skipped
        .iter()
        .map(|file| format!("{}: {}", file.path, file.reason));
    let partly_read = partly_read.iter().map(|file| format!("{}: {file}", file.path));
    for (what, files) in [
        ("skipped", skipped.collect::<Vec<_>>()),
        ("read in part", partly_read.collect()),
    ] {
        let shown = if names_all { files.len() } else { FILES_SHOWN };
        let named = files.iter().take(shown);
        lines.extend(named.map(|file| format!("  {what}: {}", on_one_line(file))));
        if files.len() > shown {
            lines.push(format!(
                "  {what}: {} more, which --all-skipped names",
                files.len() - shown
            ));
        }
    }
    lines
}

/// What is said where another process writes the index, in which so many documents are stored so far.
///
/// # Errors
/// None is, so that there is nothing to answer from.
pub fn written_by_another(documents: usize) -> Result<String, String> {
    match documents {
        0 => Err(
            "another process is building this index and has stored nothing yet: ask again in a while, or with --in-memory"
                .to_owned(),
        ),
        documents => Ok(format!(
            "another process is writing this index: answering from the {documents} documents stored so far"
        )),
    }
}

/// What is said of a folder in which no text was found.
pub fn nothing_found(folder: &Path) -> String {
    let folder = on_one_line(&folder.display().to_string());
    format!("the index is empty: no text was found in {folder}")
}

#[cfg(test)]
mod tests {
    use ragtune::retrieve::Skipped;

    use super::*;

    #[test]
    fn files_are_named_on_a_line_each_and_all_on_request() {
        let mut report = SyncReport::default();
        report.skipped = (0..12)
            .map(|number| Skipped {
                path: format!("{number}\n.pdf"),
                reason: "damaged\u{1b}[2J".to_owned(),
                kept: false,
            })
            .collect();
        let few = lines(&report, false);
        assert_eq!((few.len(), lines(&report, true).len()), (12, 13));
        assert_eq!(few[1], "  skipped: 0\\n.pdf: damaged\\u{1b}[2J");
        assert!(
            few[11].contains("2 more") && few[11].contains("--all-skipped"),
            "{}",
            few[11]
        );
    }

    #[test]
    fn an_index_that_is_being_built_is_no_answer() {
        assert!(written_by_another(0).is_err_and(|error| error.contains("building this index")));
        assert!(written_by_another(3).is_ok_and(|note| note.contains("3 documents")));
    }
}
