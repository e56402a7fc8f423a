//! `--reader DIR` on a command line: answers by a question-answering checkpoint, calibrated on labelled questions.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::PathBuf;

use clap::Args;
use ragtune::core::device;
use ragtune::evaluate::AnswerSet;
use ragtune::reader::{Calibrating, LabelledQuestion, ReaderOptions};
use ragtune::{ExtractiveReader, KnowledgeBase};
use serde_json::{Value, json};

use crate::number::{self, count};
use crate::output;

/// A reader and its calibration.
#[derive(Args, Clone, Debug, Default)]
pub struct ReaderArgs {
    /// Model that marks answers in the passages found: a question-answering checkpoint, such as `finetune --task qa` makes
    #[arg(long, value_name = "DIR")]
    pub reader: Option<PathBuf>,
    /// Labelled questions by which the reader learns how sure it may be, and below which probability it abstains; in the form of
    /// --questions, and none of these
    #[arg(long, value_name = "FILE", requires = "reader")]
    pub calibrate: Option<PathBuf>,
    /// Share of the reader's answers that may be wrong, for --calibrate
    #[arg(long, value_name = "SHARE", default_value_t = 0.2, value_parser = number::share, requires = "calibrate")]
    pub max_error: f64,
    /// Token F1 from which on an answer is right, for --calibrate; 1 is exact match
    #[arg(long, value_name = "F1", default_value_t = 1.0, value_parser = number::share)]
    pub right_from: f64,
    /// The reader was never shown a question without an answer (SQuAD 1.1): go by its scores alone
    #[arg(long, requires = "reader")]
    pub always_answers: bool,
}

impl ReaderArgs {
    /// Every setting that a result depends on; nothing where there is no reader.
    #[must_use]
    pub fn configuration(&self) -> Value {
        match &self.reader {
            None => Value::Null,
            Some(reader) => json!({
                "reader": reader, "calibrate": self.calibrate, "max_error": self.max_error,
                "right_from": self.right_from, "always_answers": self.always_answers,
            }),
        }
    }

    /// Loads the reader.
    ///
    /// # Errors
    /// Those of loading, and that none is named.
    pub fn load(&self) -> Result<ExtractiveReader, Box<dyn Error>> {
        let folder = self
            .reader
            .as_ref()
            .ok_or("no reader is named; name one by --reader")?;
        let options = ReaderOptions::default().with_has_no_answer(!self.always_answers);
        Ok(ExtractiveReader::load(folder, &device::cpu())?.with_options(options))
    }

    /// The questions to calibrate on; none where no file is named.
    ///
    /// # Errors
    /// A file that cannot be read, and a question that is also asked: the threshold would be set by what measures it.
    pub fn labelled(&self, asked: &AnswerSet) -> Result<Vec<LabelledQuestion>, Box<dyn Error>> {
        let Some(file) = &self.calibrate else {
            return Ok(Vec::new());
        };
        let set = AnswerSet::load(file)?;
        let asked: BTreeSet<&str> = asked
            .questions()
            .iter()
            .map(|question| question.question.trim())
            .collect();
        let questions = set.questions().iter();
        let mut both = questions
            .clone()
            .filter(|one| asked.contains(one.question.trim()));
        if let Some(first) = both.next() {
            return Err(format!(
                "{}: {} of the questions are also asked, {:?} first; calibrate on others",
                file.display(),
                both.count() + 1,
                first.question
            )
            .into());
        }
        let known: Vec<LabelledQuestion> = questions
            .filter(|question| !question.answerable || !question.answers.is_empty())
            .map(LabelledQuestion::from)
            .collect();
        let left = set.len() - known.len();
        if left > 0 {
            let left = count(left, "question");
            output::note!("{left} of {} left out: no answer is known", file.display());
        }
        Ok(known)
    }

    /// Calibrates the reader over a base, where there are questions for it.
    ///
    /// # Errors
    /// Those of [`ExtractiveReader::calibrate`].
    pub fn calibrated(
        &self,
        reader: ExtractiveReader,
        base: &KnowledgeBase,
        labelled: &[LabelledQuestion],
        top_k: usize,
    ) -> Result<ExtractiveReader, Box<dyn Error>> {
        if labelled.is_empty() {
            return Ok(reader);
        }
        output::note!("calibrating the reader on {}", count(labelled.len(), "question"));
        let wanted = Calibrating::to(self.max_error)
            .with_min_f1(self.right_from)
            .with_top_k(top_k);
        let reader = reader.calibrate(base, labelled, &wanted)?;
        if let Some(calibration) = reader.calibration() {
            output::note!("{calibration}");
        }
        Ok(reader)
    }
}
