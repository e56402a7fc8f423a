//! Changed copies of examples: words left out, words exchanged, synonyms.

use std::collections::BTreeMap;
use std::path::Path;

use super::dataset::{Dataset, Record};
use super::record::{Judged, Labelled, Pair};
use super::source::Source;
use crate::batch::{Purpose, Random};
use crate::error::{Error, Result};

/// How copies of examples are changed. With the same seed the same copies come out.
///
/// Word drop and swap are those of EDA (Wei and Zou 2019); synonyms are only those of the user's table.
///
/// ```
/// use ragtune_train::data::{Augmentation, Dataset, Labelled, Source, Synonyms};
/// let set = Dataset::from(vec![Labelled::new("Where is my card?", "card_arrival")]);
/// let synonyms = Synonyms::parse(&Source::from_text("s.txt", "card, debit card, bank card\n"))?;
/// let more = Augmentation::default().with_copies(1).with_synonyms(synonyms, 1.0).run(&set)?;
/// assert_eq!(more.len(), 2);
/// assert!(more.records[1].value.text.ends_with(" card?"));
/// assert_eq!(more.records[1].origin, more.records[0].origin);
/// # Ok::<(), ragtune_train::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Augmentation {
    /// Copies of each example at most; a copy that did not change is left out.
    pub copies: usize,
    /// The probability with which a word is left out; one always stays.
    pub drop: f64,
    /// Exchanges of two words.
    pub swaps: usize,
    /// Words that stand for each other.
    pub synonyms: Synonyms,
    /// The probability with which a word of the table is replaced.
    pub replace: f64,
    /// The seed of all choices.
    pub seed: u64,
}

/// Groups of words that stand for each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Synonyms {
    /// For each word, in lower case, the others of its groups.
    others: BTreeMap<String, Vec<String>>,
}

/// An example whose wording may change without changing what is to be learned.
pub trait Reworded {
    /// Changes the texts that may change.
    fn reword(&mut self, change: &mut dyn FnMut(&str) -> String);
}

impl Default for Augmentation {
    fn default() -> Self {
        Self {
            copies: 1,
            drop: 0.0,
            swaps: 0,
            synonyms: Synonyms::default(),
            replace: 0.0,
            seed: 42,
        }
    }
}

impl Augmentation {
    /// Copies of each example at most.
    #[must_use]
    pub fn with_copies(mut self, copies: usize) -> Self {
        self.copies = copies;
        self
    }

    /// The probability with which a word is left out.
    #[must_use]
    pub fn with_drop(mut self, probability: f64) -> Self {
        self.drop = probability;
        self
    }

    /// Exchanges of two words.
    #[must_use]
    pub fn with_swaps(mut self, swaps: usize) -> Self {
        self.swaps = swaps;
        self
    }

    /// Words that stand for each other, and the probability with which one is replaced.
    #[must_use]
    pub fn with_synonyms(mut self, synonyms: Synonyms, probability: f64) -> Self {
        self.synonyms = synonyms;
        self.replace = probability;
        self
    }

    /// Another seed.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The examples of a set and, behind them, their changed copies, which keep the origins.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a probability outside 0 to 1.
    pub fn run<R: Reworded + Clone + PartialEq>(&self, set: &Dataset<R>) -> Result<Dataset<R>> {
        for (argument, probability) in [("drop", self.drop), ("replace", self.replace)] {
            if !(0.0..=1.0).contains(&probability) {
                return Err(Error::invalid(
                    argument,
                    format!("{probability} is no probability"),
                ));
            }
        }
        let mut more = set.clone();
        for copy in 0..self.copies {
            for (index, record) in set.records.iter().enumerate() {
                let part = copy as u64 * set.len() as u64 + index as u64;
                let mut random = Random::of(self.seed, Purpose::Augmentation, part);
                let mut value = record.value.clone();
                value.reword(&mut |text| self.changed(text, &mut random));
                if value != record.value {
                    let origin = record.origin.clone();
                    more.records.push(Record { value, origin });
                }
            }
        }
        Ok(more)
    }

    fn changed(&self, text: &str, random: &mut Random) -> String {
        let mut words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        if words.is_empty() {
            return text.to_owned();
        }
        let before = words.clone();
        for word in &mut words {
            if random.next_f64() < self.replace
                && let Some(other) = self.synonyms.replaced(word, random)
            {
                *word = other;
            }
        }
        for _ in 0..self.swaps {
            let (a, b) = (random.below(words.len()), random.below(words.len()));
            words.swap(a, b);
        }
        let kept = random.below(words.len());
        let mut number = 0;
        words.retain(|_| {
            let keep = random.next_f64() >= self.drop || number == kept;
            number += 1;
            keep
        });
        // White space stays as it was where nothing changed.
        match words == before {
            true => text.to_owned(),
            false => words.join(" "),
        }
    }
}

impl Synonyms {
    /// Reads a table: on each line words or expressions that stand for each other, with commas between them. Blank lines
    /// and lines that begin with `#` are left out.
    ///
    /// # Errors
    /// Those of [`Source::read`] and [`Synonyms::parse`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        Self::parse(&Source::read(path)?)
    }

    /// Reads a table from a text; see [`Synonyms::read`].
    ///
    /// # Errors
    /// [`Error::Malformed`] for a line with fewer than two words, [`Error::Empty`] for a table without a line.
    pub fn parse(source: &Source) -> Result<Self> {
        let mut others: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut at = 0;
        for line in source.text().split_inclusive('\n') {
            let start = at;
            at += line.len();
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let words: Vec<&str> = line
                .split(',')
                .map(str::trim)
                .filter(|word| !word.is_empty())
                .collect();
            if words.len() < 2 {
                return Err(source.malformed(start, "fewer than two words; write `word, other word`"));
            }
            for word in &words {
                let known = others.entry(word.to_lowercase()).or_default();
                known.extend(
                    words
                        .iter()
                        .filter(|other| *other != word)
                        .map(|&other| other.to_owned()),
                );
            }
        }
        match others.is_empty() {
            true => Err(source.empty("it has no line of words")),
            false => Ok(Self { others }),
        }
    }

    /// Another word for this one, with its punctuation and its capital; none where the table has none.
    fn replaced(&self, word: &str, random: &mut Random) -> Option<String> {
        let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
        let others = self.others.get(&bare.to_lowercase())?;
        let other = others.get(random.below(others.len()))?;
        let (before, behind) = word.split_once(bare)?;
        let mut chars = other.chars();
        let other = match (bare.chars().next(), chars.next()) {
            (Some(capital), Some(first)) if capital.is_uppercase() => {
                first.to_uppercase().chain(chars).collect::<String>()
            }
            _ => other.clone(),
        };
        Some(format!("{before}{other}{behind}"))
    }
}

impl Reworded for Labelled {
    fn reword(&mut self, change: &mut dyn FnMut(&str) -> String) {
        self.text = change(&self.text);
        self.pair = self.pair.as_deref().map(change);
    }
}

impl Reworded for Pair {
    /// The anchor changes, what is to be found does not.
    fn reword(&mut self, change: &mut dyn FnMut(&str) -> String) {
        self.anchor = change(&self.anchor);
    }
}

impl Reworded for Judged {
    /// The query changes, the passage does not.
    fn reword(&mut self, change: &mut dyn FnMut(&str) -> String) {
        self.query = change(&self.query);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(set: &Dataset<Labelled>) -> Vec<&str> {
        set.values().map(|value| value.text.as_str()).collect()
    }

    #[test]
    fn copies_are_changed_and_repeatable() {
        let set: Dataset<Labelled> = (0..50)
            .map(|i| Labelled::new(format!("one  two three four five {i}"), "x"))
            .collect();
        let dropping = Augmentation::default().with_copies(2).with_drop(0.3);
        let more = dropping.run(&set).unwrap();
        assert_eq!(more, dropping.run(&set).unwrap());
        assert_ne!(more, dropping.clone().with_seed(1).run(&set).unwrap());
        assert_eq!(more.records[..50], set.records[..]);
        assert!(more.len() > 130 && more.len() <= 150);
        assert!(texts(&more).iter().all(|text| !text.is_empty()));
        let all = Augmentation::default().with_drop(1.0).run(&set).unwrap();
        assert!(texts(&all)[50..].iter().all(|text| !text.contains(' ')));
        let swapped = Augmentation::default().with_swaps(2).run(&set).unwrap();
        for value in swapped.values().skip(50) {
            let mut words: Vec<&str> = value.text.split(' ').collect();
            words.sort_unstable();
            assert_eq!(words[1..], ["five", "four", "one", "three", "two"]);
        }
        assert_eq!(Augmentation::default().run(&set).unwrap(), set);
        assert!(Augmentation::default().with_drop(1.1).run(&set).is_err());
    }

    #[test]
    fn synonyms_keep_punctuation_and_capitals() {
        let table = Synonyms::parse(&Source::from_text("s", "# x\nbig, large\n\n")).unwrap();
        let set = Dataset::from(vec![
            Labelled::new("(Big!) dogs", "x"),
            Labelled::new("dogs", "x"),
        ]);
        let more = Augmentation::default()
            .with_synonyms(table, 1.0)
            .run(&set)
            .unwrap();
        assert_eq!(texts(&more)[2..], ["(Large!) dogs"]);
        let error = Synonyms::parse(&Source::from_text("s", "a, b\nalone\n")).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("s, line 2, column 1: fewer than two words")
        );
        assert!(Synonyms::parse(&Source::from_text("s", "\n")).is_err());
    }
}
