//! Models with a head on an encoder, and classifiers on decoders: classes of texts, classes of words, answers in a passage.

mod body;
mod classification;
mod described;
mod labels;
mod new_head;
mod padding;
mod save;
mod sequence;
mod span;
mod token;

pub use classification::HeadPooling;
pub use labels::{Labels, ProblemType};
pub use new_head::NewHead;
pub use sequence::{Classification, SequenceClassifier};
pub use span::{AnswerSpan, SpanOptions, SpanReader, SpanReading};
pub use token::{TokenClassifier, WordTag};
