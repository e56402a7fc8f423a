//! Entities found among words: whole or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use super::classification::{nothing, same_length};
use super::scheme::{Scheme, strict_entities};
use super::score_table::ScoreTable;
use super::scores::{Counts, ratio};
use crate::error::{Error, Result};

/// An entity: its kind and its words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Entity {
    /// What it is: `PER`, `LOC`, ...; `_` for tags without a kind.
    pub kind: String,
    /// Its first word.
    pub start: usize,
    /// The word behind its last.
    pub end: usize,
}

/// How well entities were found, as seqeval measures it.
///
/// ```
/// use ragtune_train::metrics::EntityScores;
///
/// let truth = [vec!["B-PER", "I-PER", "O"], vec!["B-LOC", "O", "O"]];
/// let predicted = [vec!["B-PER", "I-PER", "O"], vec!["O", "B-LOC", "O"]];
/// let scores = EntityScores::evaluate(&truth, &predicted, None)?;
/// assert_eq!(scores.table.micro.f1, 0.5);
/// # Ok::<(), ragtune_train::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EntityScores {
    /// Sentences.
    pub sentences: usize,
    /// The share of words whose tag was found.
    pub accuracy: f64,
    /// The scores of each kind of entity and their averages; the micro average is the F1 that is commonly reported.
    pub table: ScoreTable,
}

impl EntityScores {
    /// Measures predicted tags against the true ones, sentence by sentence.
    ///
    /// Without a scheme, tags are read as `conlleval` reads them: an `I-` out of place begins an entity (seqeval's
    /// default). With one, such a tag makes no entity (seqeval's `mode="strict"`).
    ///
    /// # Errors
    /// [`Error::LengthMismatch`] where sentences or their words differ in number, [`Error::InvalidTag`] for a tag
    /// that cannot be read, [`Error::Empty`] without words.
    pub fn evaluate<T, P, S, Q>(truth: &[T], predicted: &[P], scheme: Option<Scheme>) -> Result<Self>
    where
        T: AsRef<[S]>,
        P: AsRef<[Q]>,
        S: AsRef<str>,
        Q: AsRef<str>,
    {
        same_length("entities", truth.len(), predicted.len())?;
        let mut kinds: BTreeMap<String, Counts> = BTreeMap::new();
        let (mut words, mut right) = (0, 0);
        for (truth, predicted) in truth.iter().zip(predicted) {
            let (truth, predicted) = (truth.as_ref(), predicted.as_ref());
            if truth.len() != predicted.len() {
                return Err(Error::LengthMismatch {
                    metric: "entities of a sentence",
                    truths: truth.len(),
                    predictions: predicted.len(),
                });
            }
            words += truth.len();
            right += truth
                .iter()
                .zip(predicted)
                .filter(|(a, b)| a.as_ref() == b.as_ref())
                .count();
            let actual = read(truth, scheme)?;
            let found = read(predicted, scheme)?;
            for entity in &actual {
                let counts = kinds.entry(entity.kind.clone()).or_default();
                counts.actual += 1;
                counts.correct += usize::from(found.contains(entity));
            }
            for entity in &found {
                kinds.entry(entity.kind.clone()).or_default().predicted += 1;
            }
        }
        if words == 0 {
            return Err(nothing("entities"));
        }
        Ok(Self {
            sentences: truth.len(),
            accuracy: ratio(right, words),
            table: ScoreTable::new(kinds),
        })
    }
}

impl fmt::Display for EntityScores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "entity F1 {:.4}, tag accuracy {:.4} over {} sentences",
            self.table.micro.f1, self.accuracy, self.sentences
        )?;
        write!(f, "{}", self.table)
    }
}

/// The entities of one sentence's tags, read with tolerance as `conlleval` does: `I-PER` after `O` begins a `PER`.
///
/// The rules are those of seqeval 1.2.2, `get_entities`; they read BIO, BIOES and IOB1 alike.
///
/// # Errors
/// [`Error::InvalidTag`] for an empty tag.
pub fn conll_entities<S: AsRef<str>>(tags: &[S]) -> Result<Vec<Entity>> {
    let mut entities = Vec::new();
    let mut begin = 0;
    let (mut last, mut last_kind) = ('O', "");
    let closing = std::iter::once("O");
    for (word, tag) in tags.iter().map(AsRef::as_ref).chain(closing).enumerate() {
        let (letter, rest) = tag_parts(tag).ok_or_else(|| Error::InvalidTag {
            word,
            tag: tag.to_owned(),
            expected: "BIOES",
        })?;
        let kind = match rest.split_once('-').map_or(rest, |(_, kind)| kind) {
            "" => "_",
            kind => kind,
        };
        let changed = last_kind != kind;
        let ends = matches!(last, 'E' | 'S')
            || matches!((last, letter), ('B' | 'I', 'B' | 'S' | 'O'))
            || (!matches!(last, 'O' | '.') && changed);
        let starts = matches!(letter, 'B' | 'S')
            || matches!((last, letter), ('E' | 'S' | 'O', 'E' | 'I'))
            || (!matches!(letter, 'O' | '.') && changed);
        if ends {
            entities.push(Entity {
                kind: last_kind.to_owned(),
                start: begin,
                end: word,
            });
        }
        if starts {
            begin = word;
        }
        (last, last_kind) = (letter, kind);
    }
    Ok(entities)
}

/// A tag's first letter and the rest.
pub(super) fn tag_parts(tag: &str) -> Option<(char, &str)> {
    let letter = tag.chars().next()?;
    tag.get(letter.len_utf8()..).map(|rest| (letter, rest))
}

fn read<S: AsRef<str>>(tags: &[S], scheme: Option<Scheme>) -> Result<BTreeSet<Entity>> {
    let entities = match scheme {
        Some(scheme) => strict_entities(tags, scheme)?,
        None => conll_entities(tags)?,
    };
    Ok(entities.into_iter().collect())
}
