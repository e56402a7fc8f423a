//! The examination: each group of faults in its file.

use super::finding::Diagnosis;
use super::inputs::Inputs;
use super::{labels, masks, model, settings, texts, tokens};

/// Looks for every fault that the inputs can show.
pub fn examine(inputs: &Inputs<'_>) -> Diagnosis {
    let mut diagnosis = Diagnosis::default();
    masks::examine(inputs, &mut diagnosis);
    tokens::examine(inputs, &mut diagnosis);
    model::examine(inputs, &mut diagnosis);
    texts::examine(inputs, &mut diagnosis);
    labels::examine(inputs, &mut diagnosis);
    settings::examine(inputs, &mut diagnosis);
    diagnosis.sorted()
}
