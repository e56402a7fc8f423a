//! What the doctor asks of a record.

use crate::data::{Instruction, Judged, Labelled, Pair, Passage, Preference, Question, Sample, Tagged};

use super::fault::Fault;

/// A record that can be examined; a task of one's own needs no more than `impl Subject for MyRecord {}`.
pub trait Subject: Sample {
    /// The labels of a classification, or the tags of words.
    fn labels(&self) -> Vec<&str> {
        Vec::new()
    }

    /// A label that is everywhere by its nature, as `O` is among tags: balance is not asked of it.
    fn background(&self) -> Option<&'static str> {
        None
    }

    /// Faults that the record alone shows.
    fn own_faults(&self) -> Vec<Fault> {
        Vec::new()
    }

    /// The faults that [`Subject::own_faults`] looks for.
    fn looked_for(&self) -> &'static [Fault] {
        &[]
    }
}

impl Subject for Labelled {
    fn labels(&self) -> Vec<&str> {
        self.labels.iter().map(String::as_str).collect()
    }
}

impl Subject for Tagged {
    fn labels(&self) -> Vec<&str> {
        self.tags.iter().map(String::as_str).collect()
    }

    fn background(&self) -> Option<&'static str> {
        Some("O")
    }

    fn own_faults(&self) -> Vec<Fault> {
        if is_broken(&self.tags) {
            vec![Fault::BrokenTag]
        } else {
            Vec::new()
        }
    }

    fn looked_for(&self) -> &'static [Fault] {
        &[Fault::BrokenTag]
    }
}

impl Subject for Question {
    fn own_faults(&self) -> Vec<Fault> {
        let stands = |answer: &crate::data::Answer| {
            let end = answer.start.checked_add(answer.text.len());
            let found = end.and_then(|end| self.context.get(answer.start..end));
            !answer.text.is_empty() && found == Some(answer.text.as_str())
        };
        if self.answers.iter().all(stands) {
            Vec::new()
        } else {
            vec![Fault::AnswerNotInContext]
        }
    }

    fn looked_for(&self) -> &'static [Fault] {
        &[Fault::AnswerNotInContext]
    }
}

impl Subject for Preference {
    fn own_faults(&self) -> Vec<Fault> {
        if self.chosen.trim() == self.rejected.trim() {
            vec![Fault::EqualPreference]
        } else {
            Vec::new()
        }
    }

    fn looked_for(&self) -> &'static [Fault] {
        &[Fault::EqualPreference]
    }
}

impl Subject for Pair {
    fn own_faults(&self) -> Vec<Fault> {
        let positive = self.positive.trim();
        if self.negatives.iter().any(|negative| negative.trim() == positive) {
            vec![Fault::PositiveAmongNegatives]
        } else {
            Vec::new()
        }
    }

    fn looked_for(&self) -> &'static [Fault] {
        &[Fault::PositiveAmongNegatives]
    }
}

impl Subject for Judged {
    fn own_faults(&self) -> Vec<Fault> {
        if (0.0..=1.0).contains(&self.label) {
            Vec::new()
        } else {
            vec![Fault::JudgementOutOfRange]
        }
    }

    fn looked_for(&self) -> &'static [Fault] {
        &[Fault::JudgementOutOfRange]
    }
}

impl Subject for Instruction {}

impl Subject for Passage {}

/// Does an entity of BIO or BIOES go on that has not begun? Tags of other schemes are not judged: one is known to be of
/// these two by a beginning where no entity of its kind comes before.
fn is_broken(tags: &[String]) -> bool {
    let parts: Vec<(&str, &str)> = tags
        .iter()
        .map(|tag| tag.split_once('-').unwrap_or((tag, "")))
        .collect();
    let follows = |index: usize, letters: &[&str]| {
        let before = index.checked_sub(1).and_then(|before| parts.get(before));
        let this = parts.get(index).map(|part| part.1);
        before.is_some_and(|before| letters.contains(&before.0) && this == Some(before.1))
    };
    let all = || parts.iter().enumerate();
    let begins = all().any(|(index, part)| match part.0 {
        "S" => true,
        "B" => !follows(index, &["B", "I"]),
        _ => false,
    });
    let bilou = parts.iter().any(|part| matches!(part.0, "L" | "U"));
    begins && !bilou && all().any(|(index, part)| matches!(part.0, "I" | "E") && !follows(index, &["B", "I"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(tags: &[&str]) -> bool {
        is_broken(&tags.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn only_what_never_began_is_broken() {
        assert!(!broken(&["B-PER", "I-PER", "O", "B-LOC", "I-LOC", "I-LOC"]));
        assert!(!broken(&["B-PER", "E-PER", "S-LOC", "O"]));
        assert!(!broken(&["I-PER", "I-PER", "O"]), "a scheme without beginnings");
        assert!(!broken(&["O", "O"]) && !broken(&[]));
        assert!(!broken(&["I-PER", "B-PER", "O", "I-LOC"]), "IOB1");
        assert!(broken(&["B-PER", "O", "I-PER"]));
        assert!(broken(&["B-PER", "I-LOC"]));
        assert!(broken(&["S-PER", "I-PER"]));
    }
}
