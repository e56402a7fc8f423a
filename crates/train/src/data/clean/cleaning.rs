//! What cleaning is asked to do.

use std::ops::RangeInclusive;

use super::report::CleaningReport;
use super::work::Work;
use crate::data::{Dataset, Sample};
use crate::error::{Error, Result};

/// What is taken out of a set before training; see [`CleaningRule`](super::CleaningRule) for the order.
///
/// Without more said these are examples with a missing value, those that contradict each other, and exact duplicates of
/// an earlier example. Inputs are compared in lower case and with single spaces.
///
/// ```
/// use ragtune_train::data::{Cleaning, CleaningRule, Dataset, Labelled};
/// let mut set = Dataset::from(vec![
///     Labelled::new("Where is my card?", "card"),
///     Labelled::new("where is  my card?", "card"),
///     Labelled::new("", "card"),
///     Labelled::new("Who are you?", "other"),
/// ]);
/// let report = Cleaning::default().with_near_duplicates(0.9).run(&mut set)?;
/// assert_eq!(set.len(), 2);
/// assert_eq!(report.count(CleaningRule::Duplicate), 1);
/// assert_eq!(report.to_string(), "2 of 4 examples kept; 1 without a value; 1 duplicates");
/// # Ok::<(), ragtune_train::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Cleaning {
    /// Whether examples with a missing value go.
    pub missing: bool,
    /// What happens to equal inputs with different outputs, in tasks where an input has one output.
    pub conflicts: Conflicts,
    /// Whether exact duplicates of an earlier example go.
    pub duplicates: bool,
    /// From which Jaccard index of runs of five characters on an example goes that is like an earlier one; in tasks where
    /// an input has one output, only if its output is equal.
    pub near_duplicates: Option<f64>,
    /// The characters that inputs may have.
    pub chars: Option<RangeInclusive<usize>>,
    /// How many interquartile ranges the length of an input may lie below the first quartile or above the third, counted
    /// on logarithms of characters (Tukey's fences; 3 is far out).
    pub length_fences: Option<f64>,
}

/// What happens to equal inputs with different outputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Conflicts {
    /// All of them go: none is trusted.
    #[default]
    Drop,
    /// Those with an output that more than half of them have stay; without such an output all go.
    Majority,
    /// They stay.
    Keep,
}

impl Default for Cleaning {
    fn default() -> Self {
        Self {
            missing: true,
            conflicts: Conflicts::Drop,
            duplicates: true,
            near_duplicates: None,
            chars: None,
            length_fences: None,
        }
    }
}

impl Cleaning {
    /// No rule at all, to add single ones to.
    pub fn none() -> Self {
        Self {
            missing: false,
            conflicts: Conflicts::Keep,
            duplicates: false,
            ..Self::default()
        }
    }

    /// Whether examples with a missing value go.
    #[must_use]
    pub fn with_missing(mut self, remove: bool) -> Self {
        self.missing = remove;
        self
    }

    /// What happens to equal inputs with different outputs.
    #[must_use]
    pub fn with_conflicts(mut self, conflicts: Conflicts) -> Self {
        self.conflicts = conflicts;
        self
    }

    /// Whether exact duplicates go.
    #[must_use]
    pub fn with_duplicates(mut self, remove: bool) -> Self {
        self.duplicates = remove;
        self
    }

    /// From which Jaccard index on near duplicates go.
    #[must_use]
    pub fn with_near_duplicates(mut self, threshold: f64) -> Self {
        self.near_duplicates = Some(threshold);
        self
    }

    /// The characters that inputs may have.
    #[must_use]
    pub fn with_chars(mut self, chars: RangeInclusive<usize>) -> Self {
        self.chars = Some(chars);
        self
    }

    /// How far out the length of an input may lie.
    #[must_use]
    pub fn with_length_fences(mut self, fences: f64) -> Self {
        self.length_fences = Some(fences);
        self
    }

    /// Applies the rules to a set.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a threshold outside 0 to 1 or negative fences, and [`Error::Empty`] when nothing is
    /// left, in which case the set is as it was.
    pub fn run<R: Sample + Sync>(&self, set: &mut Dataset<R>) -> Result<CleaningReport> {
        let report = self.find(set)?;
        remove(set, &report)?;
        Ok(report)
    }

    /// What the rules would take out of a set.
    ///
    /// # Errors
    /// As [`Cleaning::run`], except for [`Error::Empty`].
    pub fn find<R: Sample + Sync>(&self, set: &Dataset<R>) -> Result<CleaningReport> {
        self.check()?;
        let mut work = Work::new(set);
        if self.missing {
            work.missing();
        }
        work.lengths(self.chars.as_ref(), self.length_fences);
        work.conflicts(self.conflicts);
        if self.duplicates {
            work.duplicates();
        }
        if let Some(threshold) = self.near_duplicates {
            work.near_duplicates(threshold);
        }
        Ok(work.report())
    }

    /// Takes out of a set what another set has: equal inputs, and near duplicates of them where
    /// [`Cleaning::near_duplicates`] is set. Usually the set is for training, and the other one for tests.
    ///
    /// # Errors
    /// As [`Cleaning::run`].
    pub fn run_against<R: Sample + Sync>(
        &self,
        set: &mut Dataset<R>,
        held_out: &Dataset<R>,
    ) -> Result<CleaningReport> {
        let report = self.find_against(set, held_out)?;
        remove(set, &report)?;
        Ok(report)
    }

    /// What [`Cleaning::run_against`] would take out.
    ///
    /// # Errors
    /// As [`Cleaning::run`], except for [`Error::Empty`].
    pub fn find_against<R: Sample + Sync>(
        &self,
        set: &Dataset<R>,
        held_out: &Dataset<R>,
    ) -> Result<CleaningReport> {
        self.check()?;
        let mut work = Work::new(set);
        work.leaks(held_out, self.near_duplicates);
        Ok(work.report())
    }

    fn check(&self) -> Result<()> {
        if let Some(threshold) = self.near_duplicates
            && !(threshold > 0.0 && threshold <= 1.0)
        {
            return Err(Error::invalid(
                "near_duplicates",
                format!("{threshold} is no index above 0 and up to 1"),
            ));
        }
        match self.length_fences {
            Some(fences) if fences.is_nan() || fences < 0.0 => Err(Error::invalid(
                "length_fences",
                format!("{fences} is negative or no number"),
            )),
            _ => Ok(()),
        }
    }
}

fn remove<R>(set: &mut Dataset<R>, report: &CleaningReport) -> Result<()> {
    if report.kept() == 0 {
        return Err(Error::Empty {
            what: "the cleaned set".to_owned(),
            hint: report.to_string(),
        });
    }
    let mut gone = report.removed.iter().map(|removed| removed.index).peekable();
    let mut index = 0;
    set.records.retain(|_| {
        let keep = gone.next_if_eq(&index).is_none();
        index += 1;
        keep
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::report::CleaningRule;
    use super::*;
    use crate::data::{Instruction, Labelled};

    fn set(examples: &[(&str, &str)]) -> Dataset<Labelled> {
        examples
            .iter()
            .map(|(text, label)| Labelled::new(*text, *label))
            .collect()
    }

    #[test]
    fn conflicts_are_dropped_or_decided() {
        let examples = [("a b", "x"), ("A  b", "y"), ("a b ", "x"), ("c", "x")];
        let mut dropped = set(&examples);
        let report = Cleaning::default().run(&mut dropped).unwrap();
        assert_eq!((dropped.len(), report.count(CleaningRule::Conflict)), (1, 3));
        assert_eq!(
            report.removed[1].to_string(),
            "example 2: contradicting others (y), see example 1"
        );
        let mut decided = set(&examples);
        let report = Cleaning::default()
            .with_conflicts(Conflicts::Majority)
            .run(&mut decided)
            .unwrap();
        assert_eq!(report.count(CleaningRule::Conflict), 1);
        assert_eq!(report.count(CleaningRule::Duplicate), 1);
        assert_eq!(decided.records[0].value.labels, ["x"]);
        // Two answers to one prompt are no conflict.
        let mut answers = Dataset::from(vec![Instruction::new("Q", "A"), Instruction::new("Q", "B")]);
        assert!(Cleaning::default().run(&mut answers).unwrap().removed.is_empty());
    }

    #[test]
    fn near_duplicates_need_the_same_output() {
        let long = "the quick brown fox jumps over the lazy dog and runs away from the old farm house";
        let mut examples = set(&[
            (long, "x"),
            (&format!("{long}!"), "x"),
            (&format!("{long}?"), "y"),
            ("something else", "x"),
        ]);
        let report = Cleaning::default()
            .with_near_duplicates(0.9)
            .run(&mut examples)
            .unwrap();
        assert_eq!(report.count(CleaningRule::NearDuplicate), 1);
        assert_eq!(report.removed[0].index, 1);
        assert!(
            Cleaning::default()
                .with_near_duplicates(1.5)
                .run(&mut examples)
                .is_err()
        );
        assert!(
            Cleaning::default()
                .with_near_duplicates(f64::NAN)
                .run(&mut examples)
                .is_err()
        );
    }

    #[test]
    fn lengths() {
        let texts: Vec<String> = (0..20)
            .map(|i| "w ".repeat(10 + i % 3) + &i.to_string())
            .collect();
        let mut examples: Vec<(&str, &str)> = texts.iter().map(|text| (text.as_str(), "x")).collect();
        let long = "w ".repeat(5000);
        examples.push((&long, "x"));
        let report = Cleaning::none()
            .with_length_fences(3.0)
            .run(&mut set(&examples))
            .unwrap();
        assert_eq!(report.removed.len(), 1);
        assert_eq!(report.removed[0].detail, "9999 characters");
        let report = Cleaning::none()
            .with_chars(1..=22)
            .run(&mut set(&examples))
            .unwrap();
        assert!(report.removed.len() > 1);
        assert!(
            Cleaning::none()
                .run(&mut set(&examples))
                .unwrap()
                .removed
                .is_empty()
        );
    }

    #[test]
    fn leaks_and_nothing_left() {
        let held_out = set(&[("Where is my card today, I wonder?", "x"), ("b", "y")]);
        let mut train = set(&[("B", "x"), ("c", "x"), ("where is my card today, I wonder", "x")]);
        let report = Cleaning::default().find_against(&train, &held_out).unwrap();
        assert_eq!(report.removed.len(), 1);
        let near = Cleaning::default().with_near_duplicates(0.8);
        let report = near.run_against(&mut train, &held_out).unwrap();
        assert_eq!((train.len(), report.count(CleaningRule::Leak)), (1, 2));
        let mut empty = set(&[("", "x")]);
        let error = Cleaning::default().run(&mut empty).unwrap_err().to_string();
        assert!(
            error.contains("0 of 1 examples kept; 1 without a value"),
            "{error}"
        );
        assert_eq!(empty.len(), 1);
    }
}
