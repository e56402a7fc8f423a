//! Questions of one's own on a command line; every example reads them by the same reader.

use std::error::Error;
use std::path::Path;

use ragtune::evaluate::AnswerSet;
use ragtune::retrieve::measure::QuestionSet;

use crate::number::count;
use crate::output;

/// The questions of a file whose documents are known, to measure retrieval by; says how many others there are.
///
/// # Errors
/// Those of [`AnswerSet::load`], and a file without such a question.
pub fn with_sources(file: &Path) -> Result<QuestionSet, Box<dyn Error>> {
    let set = AnswerSet::load(file)?;
    let questions = set.retrieval();
    if questions.is_empty() {
        return Err(format!(
            "{}: no question names the documents that answer it (\"sources\"), so nothing can be measured by them",
            file.display()
        )
        .into());
    }
    let left = set.len() - questions.len();
    if left > 0 {
        output::note!(
            "{} of {} left out: no document is named that answers",
            count(left, "question"),
            file.display()
        );
    }
    Ok(questions)
}
