//! The answer to a question.

use std::fmt;

use ragtune_core::text::Usage;
use serde::{Deserialize, Serialize};

use super::citation::OneLine;
use super::{Abstention, Citation, Source, Trace};

/// An answer with what it rests on, or the reason why there is none.
///
/// Its `Display` is for people: the text and the numbered sources that it cites.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Answer {
    /// The question as it was asked.
    pub question: String,
    /// The answer, with the numbers of its sources in square brackets; empty when there is none.
    pub text: String,
    /// Checked links from parts of the text to stored documents, in the order of the text.
    pub citations: Vec<Citation>,
    /// What was given to the answerer, best first.
    pub sources: Vec<Source>,
    /// Why there is no answer.
    pub abstention: Option<Abstention>,
    /// How likely the answer is right, 0 to 1, where the answerer says so; also where it abstained because that was too
    /// little. Which probability it is, and on what it was calibrated, is the answerer's to tell.
    #[serde(default)]
    pub confidence: Option<f32>,
    /// How it came about.
    pub trace: Trace,
    /// Tokens that language models read and wrote for it.
    pub usage: Usage,
}

impl Answer {
    /// Whether there is no answer.
    pub fn is_abstention(&self) -> bool {
        self.abstention.is_some()
    }

    /// The source of this number.
    pub fn source(&self, number: usize) -> Option<&Source> {
        self.sources.get(number.checked_sub(1)?)
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.abstention {
            Some(abstention) => write!(f, "No answer: {abstention}.")?,
            None => f.write_str(self.text.trim_end())?,
        }
        let cited: Vec<_> = self.sources.iter().filter(|source| source.cited).collect();
        if !cited.is_empty() {
            f.write_str("\n\nSources:")?;
        }
        for source in cited {
            let first = self
                .citations
                .iter()
                .filter(|citation| citation.source == source.number)
                .min_by_key(|citation| citation.span.start);
            match first.and_then(|citation| citation.locator.line) {
                Some(line) => write!(f, "\n[{}] {}:{line}", source.number, OneLine(source.path()))?,
                None => write!(f, "\n{source}")?,
            }
        }
        Ok(())
    }
}
