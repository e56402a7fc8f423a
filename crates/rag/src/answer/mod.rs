//! What an answer is: text, citations, sources, or a reason for none; and the trace of how it came about.

mod abstention;
#[expect(clippy::module_inception, reason = "the file is named after its type")]
mod answer;
mod citation;
mod trace;

pub use abstention::Abstention;
pub use answer::Answer;
pub use citation::{Citation, Source};
pub use trace::{
    CitationFault, Component, DropReason, DroppedChunk, ModelCall, RejectedCitation, Timings, Trace,
};
