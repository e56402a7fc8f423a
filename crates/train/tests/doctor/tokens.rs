//! Tokens, vocabulary and template.

use ragtune_train::doctor::Fault;

use crate::run::{Plant, START, UNKNOWN};

pub const PLANTS: &[Plant] = &[
    (
        Fault::DoubledStart,
        |run| {
            for sequence in &mut run.sequences {
                sequence.ids.insert(0, START);
                sequence.trained.insert(0, false);
            }
        },
        90,
    ),
    (
        Fault::MissingStart,
        |run| {
            run.sequences[6].ids.remove(0);
            run.sequences[6].trained.remove(0);
        },
        1,
    ),
    (
        Fault::TokenOutsideEmbedding,
        |run| run.vocabulary.last_id = 1030,
        7,
    ),
    (
        Fault::TokenOutsideEmbedding,
        |run| run.sequences[1].ids[3] = 5000,
        1,
    ),
    (
        Fault::ForeignEmbedding,
        |run| run.vocabulary.embedding_rows = 50_257,
        49_257,
    ),
    (
        Fault::UnknownTokens,
        |run| {
            for sequence in &mut run.sequences[..40] {
                sequence.ids[2] = UNKNOWN;
            }
        },
        40,
    ),
    (
        Fault::LongerThanContext,
        |run| run.vocabulary.context = Some(9),
        90,
    ),
    (
        Fault::StopOutsideVocabulary,
        |run| run.vocabulary.stops.push(1500),
        1,
    ),
    (
        Fault::TemplateDropsText,
        |run| {
            run.chat = "{% for m in messages if m.role == 'assistant' %}{{ m.content }}{% endfor %}".into();
        },
        1,
    ),
    (
        Fault::UnusedLayers,
        |run| run.loaded.unused.push("layers.2.mlp.weight".into()),
        1,
    ),
    (
        Fault::ForeignTemplate,
        |run| run.template = "<|im_start|>{{ q }}<|im_end|>".into(),
        1,
    ),
];
