//! Faults of the model's own files.

use std::collections::BTreeSet;

use ragtune_core::chat::{ChatOptions, ChatTemplate};
use ragtune_core::text::Message;
use ragtune_core::weights::LoadReport;

use super::fault::Fault;
use super::finding::Diagnosis;
use super::inputs::Inputs;

/// Tensors that a detail names.
const NAMED: usize = 4;
/// What is said to a template to see whether it writes it.
const QUESTION: &str = "Qdromedary";
const ANSWER: &str = "Aplatypus";

pub(super) fn examine(inputs: &Inputs<'_>, diagnosis: &mut Diagnosis) {
    if let Some(dropped) = &inputs.dropped {
        diagnosis.looks_for(&[Fault::TemplateDropsText]);
        let detail = format!("of the {}", dropped.join(" and the "));
        diagnosis.add_count(Fault::TemplateDropsText, dropped.len(), detail);
    }
    if let Some(unused) = &inputs.unused_layers {
        diagnosis.looks_for(&[Fault::UnusedLayers]);
        let first: Vec<&str> = unused.iter().take(NAMED).map(String::as_str).collect();
        let more = unused.len().saturating_sub(NAMED);
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        diagnosis.add_count(
            Fault::UnusedLayers,
            unused.len(),
            format!("{}{more}", first.join(", ")),
        );
    }
    if let Some(vocabulary) = &inputs.vocabulary {
        diagnosis.looks_for(&[Fault::StopOutsideVocabulary]);
        let outside = |id: &&u32| **id > vocabulary.last_id || **id as usize >= vocabulary.embedding_rows;
        let outside: Vec<String> = vocabulary
            .stops
            .iter()
            .filter(outside)
            .map(u32::to_string)
            .collect();
        let detail = format!(
            "{}; the last token is {}, the embedding has {} rows",
            outside.join(", "),
            vocabulary.last_id,
            vocabulary.embedding_rows
        );
        diagnosis.add_count(Fault::StopOutsideVocabulary, outside.len(), detail);
    }
}

/// Whose words a template leaves out; `None` for one that refuses a plain conversation, which encoding tells.
pub(super) fn dropped(template: &ChatTemplate) -> Option<Vec<&'static str>> {
    let said = [Message::user(QUESTION), Message::assistant(ANSWER)];
    let options = ChatOptions::default().with_add_generation_prompt(false);
    let rendered = template.render(&said, &options).ok()?;
    let parts = [("user", QUESTION), ("assistant", ANSWER)].into_iter();
    let missing = parts.filter(|(_, text)| !rendered.text().contains(text));
    Some(missing.map(|(role, _)| role).collect())
}

/// Tensors without a place whose names are those of used ones but for a number: weights of further layers.
pub(super) fn unused_layers(report: &LoadReport) -> Vec<String> {
    let form = |name: &str| {
        let parts = name
            .split('.')
            .map(|part| match part.bytes().all(|byte| byte.is_ascii_digit()) {
                true => "#",
                false => part,
            });
        parts.collect::<Vec<_>>().join(".")
    };
    let used: BTreeSet<String> = report.applied.iter().map(|name| form(name)).collect();
    let unused = report.unused.iter().filter(|name| used.contains(&form(name)));
    unused.cloned().collect()
}
