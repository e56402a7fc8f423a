//! Division of a set into parts that keep its classes in proportion or its sources together.

use std::collections::BTreeMap;

use super::dataset::Dataset;
use super::record::Sample;
use crate::batch::{Purpose, Random};
use crate::error::{Error, Result};

/// A set in parts of like size, each of which is held out once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folds {
    parts: Vec<Vec<usize>>,
    examples: usize,
}

impl<R: Sample> Dataset<R> {
    /// Divides the set: what is left for training, and a part of about `fraction` that is held out. Classes
    /// ([`Sample::stratum`]) are in both in proportion, as exactly as whole examples allow; the only example of a class
    /// counts as one of all such. Both parts keep the order of the set.
    ///
    /// ```
    /// use ragtune_train::data::{Dataset, Labelled};
    /// let set: Dataset<_> = (0..100).map(|i| Labelled::new(format!("text {i}"), if i < 80 { "a" } else { "b" })).collect();
    /// let (train, valid) = set.split(0.1, 42)?;
    /// assert_eq!((train.len(), valid.len()), (90, 10));
    /// assert_eq!(valid.values().filter(|value| value.labels == ["b"]).count(), 2);
    /// # Ok::<(), ragtune_train::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a fraction that is not between 0 and 1, and for fewer than two examples.
    pub fn split(self, fraction: f64, seed: u64) -> Result<(Self, Self)> {
        let wanted = self.held_out(fraction)?;
        let mut random = Random::of(seed, Purpose::Split, 0);
        let mut strata = strata(&self);
        let mut remainders: Vec<(usize, usize, f64)> = Vec::new();
        for (number, stratum) in strata.iter_mut().enumerate() {
            random.shuffle(stratum);
            let exact = stratum.len() as f64 * wanted as f64 / self.len() as f64;
            remainders.push((number, exact.floor() as usize, exact.fract()));
        }
        // What whole examples leave over goes to the classes with the largest remainders, by chance among equals.
        let mut missing = wanted - remainders.iter().map(|(_, whole, _)| whole).sum::<usize>();
        random.shuffle(&mut remainders);
        remainders.sort_by(|a, b| b.2.total_cmp(&a.2));
        let mut out = Vec::with_capacity(wanted);
        for (number, whole, _) in remainders {
            let more = usize::from(missing > 0 && whole < strata[number].len());
            missing -= more;
            out.extend_from_slice(&strata[number][..whole + more]);
        }
        Ok(self.divided(out))
    }

    /// Divides the set by sources ([`Sample::group`]): all examples of a source are on one side. The held-out part has
    /// at least about `fraction` of the examples, by whole sources in random order.
    ///
    /// # Errors
    /// As [`Dataset::split`], and [`Error::InvalidArgument`] for fewer than two sources.
    pub fn split_by_group(self, fraction: f64, seed: u64) -> Result<(Self, Self)> {
        let wanted = self.held_out(fraction)?;
        let mut groups = groups(&self)?;
        Random::of(seed, Purpose::Split, 1).shuffle(&mut groups);
        let mut out = Vec::new();
        let last = groups.len() - 1;
        for group in groups.into_iter().take(last) {
            if out.len() >= wanted {
                break;
            }
            out.extend(group);
        }
        Ok(self.divided(out))
    }

    /// Divides the set into `k` parts of like size for cross-validation, in which classes ([`Sample::stratum`]) are in
    /// proportion.
    ///
    /// ```
    /// use ragtune_train::data::{Dataset, Labelled};
    /// let set: Dataset<_> = (0..50).map(|i| Labelled::new(format!("text {i}"), "a")).collect();
    /// let folds = set.folds(5, 42)?;
    /// for fold in 0..folds.len() {
    ///     let (train, test) = folds.divide(&set, fold)?;
    ///     assert_eq!((train.len(), test.len()), (40, 10));
    /// }
    /// # Ok::<(), ragtune_train::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for fewer than two parts, and for more parts than examples.
    pub fn folds(&self, k: usize, seed: u64) -> Result<Folds> {
        self.check_folds(k, self.len(), "examples")?;
        let mut random = Random::of(seed, Purpose::Split, 2);
        let mut parts = vec![Vec::new(); k];
        let mut next = 0;
        for mut stratum in strata(self) {
            random.shuffle(&mut stratum);
            for index in stratum {
                parts[next % k].push(index);
                next += 1;
            }
        }
        Ok(Folds::new(parts, self.len()))
    }

    /// Divides the set into `k` parts of like size, with all examples of a source ([`Sample::group`]) in one part.
    ///
    /// # Errors
    /// As [`Dataset::folds`], and [`Error::InvalidArgument`] for more parts than sources.
    pub fn folds_by_group(&self, k: usize, seed: u64) -> Result<Folds> {
        let mut groups = groups(self)?;
        self.check_folds(k, groups.len(), "sources")?;
        Random::of(seed, Purpose::Split, 3).shuffle(&mut groups);
        groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
        let mut parts: Vec<Vec<usize>> = vec![Vec::new(); k];
        for group in groups {
            if let Some(smallest) = parts.iter_mut().min_by_key(|part| part.len()) {
                smallest.extend(group);
            }
        }
        Ok(Folds::new(parts, self.len()))
    }

    /// Number of examples to hold out.
    fn held_out(&self, fraction: f64) -> Result<usize> {
        if !(fraction > 0.0 && fraction < 1.0) {
            return Err(Error::invalid(
                "fraction",
                format!("{fraction} is not between 0 and 1"),
            ));
        }
        if self.len() < 2 {
            return Err(Error::invalid(
                "fraction",
                format!("{} examples cannot be divided", self.len()),
            ));
        }
        let wanted = (self.len() as f64 * fraction).round() as usize;
        Ok(wanted.clamp(1, self.len() - 1))
    }

    fn check_folds(&self, k: usize, most: usize, what: &str) -> Result<()> {
        if k < 2 {
            return Err(Error::invalid(
                "k",
                format!("{k}; cross-validation has two parts or more"),
            ));
        }
        match k > most {
            true => Err(Error::invalid("k", format!("{k} parts of {most} {what}"))),
            false => Ok(()),
        }
    }
}

impl<R> Dataset<R> {
    /// The examples that are not at these indices, and those that are.
    fn divided(self, out: Vec<usize>) -> (Self, Self) {
        let mut is_out = vec![false; self.len()];
        for index in out {
            is_out[index] = true;
        }
        let mut flags = is_out.into_iter();
        let (out, left) = self
            .records
            .into_iter()
            .partition(|_| flags.next().unwrap_or(false));
        (Self { records: left }, Self { records: out })
    }
}

impl Folds {
    fn new(mut parts: Vec<Vec<usize>>, examples: usize) -> Self {
        for part in &mut parts {
            part.sort_unstable();
        }
        Self { parts, examples }
    }

    /// Number of parts.
    pub fn len(&self) -> usize {
        self.parts.len()
    }

    /// Whether there is no part, which never is.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The indices of the examples of each part, ascending.
    pub fn parts(&self) -> &[Vec<usize>] {
        &self.parts
    }

    /// All but a part of the set that was divided, and the part.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a part that there is not, and for a set of another size.
    pub fn divide<R: Clone>(&self, set: &Dataset<R>, part: usize) -> Result<(Dataset<R>, Dataset<R>)> {
        let Some(held_out) = self.parts.get(part) else {
            return Err(Error::invalid(
                "part",
                format!("{part} of {} (counted from 0)", self.parts.len()),
            ));
        };
        if set.len() != self.examples {
            let reason = format!("{} examples, and {} were divided", set.len(), self.examples);
            return Err(Error::invalid("set", reason));
        }
        Ok(set.clone().divided(held_out.clone()))
    }
}

/// The examples of each class, in the order of the classes' names; classes of one example are one class.
fn strata<R: Sample>(set: &Dataset<R>) -> Vec<Vec<usize>> {
    let mut strata: BTreeMap<Option<String>, Vec<usize>> = BTreeMap::new();
    for (index, value) in set.values().enumerate() {
        strata.entry(value.stratum()).or_default().push(index);
    }
    let (single, mut strata): (Vec<_>, Vec<_>) = strata.into_values().partition(|stratum| stratum.len() == 1);
    if !single.is_empty() {
        strata.push(single.concat());
    }
    strata
}

/// The examples of each source, in the order in which the sources come.
fn groups<R: Sample>(set: &Dataset<R>) -> Result<Vec<Vec<usize>>> {
    let mut number: BTreeMap<&str, usize> = BTreeMap::new();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (index, value) in set.values().enumerate() {
        let Some(group) = value.group() else {
            let origin = &set.records[index].origin;
            return Err(Error::invalid(
                "group",
                format!("{origin} names no source; divide by examples instead"),
            ));
        };
        let number = *number.entry(group).or_insert(groups.len());
        match groups.get_mut(number) {
            Some(group) => group.push(index),
            None => groups.push(vec![index]),
        }
    }
    match groups.len() < 2 {
        true => Err(Error::invalid(
            "group",
            "all examples are from one source, which is not divided",
        )),
        false => Ok(groups),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Labelled, Passage, Question};
    use proptest::prelude::*;

    fn labelled(labels: &[u8]) -> Dataset<Labelled> {
        let example = |(index, label): (usize, &u8)| Labelled::new(index.to_string(), label.to_string());
        labels.iter().enumerate().map(example).collect()
    }

    fn texts(set: &Dataset<Labelled>) -> Vec<usize> {
        set.values().map(|value| value.text.parse().unwrap()).collect()
    }

    proptest! {
        #[test]
        fn splits_keep_classes_in_proportion(
            labels in prop::collection::vec(0_u8..4, 2..200),
            fraction in 0.05_f64..0.95,
            seed in any::<u64>(),
        ) {
            let set = labelled(&labels);
            let (train, valid) = set.clone().split(fraction, seed).unwrap();
            let wanted = ((labels.len() as f64 * fraction).round() as usize).clamp(1, labels.len() - 1);
            prop_assert_eq!(valid.len(), wanted);
            let mut all = [texts(&train), texts(&valid)].concat();
            prop_assert!(texts(&train).is_sorted() && texts(&valid).is_sorted());
            all.sort_unstable();
            prop_assert_eq!(all, (0..labels.len()).collect::<Vec<_>>());
            for class in 0..4_u8 {
                let count = |set: &Dataset<Labelled>| {
                    set.values().filter(|value| value.labels == [class.to_string()]).count()
                };
                let exact = count(&set) as f64 * wanted as f64 / labels.len() as f64;
                if count(&set) > 1 {
                    prop_assert!((count(&valid) as f64 - exact).abs() < 1.0);
                }
            }
            prop_assert_eq!(set.split(fraction, seed).unwrap(), (train, valid));
        }

        #[test]
        fn folds_hold_every_example_out_once(
            labels in prop::collection::vec(0_u8..4, 6..100),
            k in 2_usize..6,
            seed in any::<u64>(),
        ) {
            let set = labelled(&labels);
            let folds = set.folds(k, seed).unwrap();
            let mut all = folds.parts().concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..labels.len()).collect::<Vec<_>>());
            for part in folds.parts() {
                prop_assert!(part.len() == labels.len() / k || part.len() == labels.len().div_ceil(k));
                for class in 0..4_u8 {
                    let of_class = labels.iter().filter(|&&label| label == class).count();
                    let here = part.iter().filter(|&&index| labels[index] == class).count();
                    if of_class > 1 {
                        prop_assert!(here == of_class / k || here == of_class.div_ceil(k));
                    }
                }
            }
        }

        #[test]
        fn sources_stay_together(groups in prop::collection::vec(0_u8..9, 10..80), seed in any::<u64>()) {
            let question = |(index, group): (usize, &u8)| Question {
                id: index.to_string(),
                question: String::new(),
                context: String::new(),
                answers: Vec::new(),
                document: Some(group.to_string()),
            };
            let set: Dataset<Question> = groups.iter().enumerate().map(question).collect();
            let sources: std::collections::BTreeSet<u8> = groups.iter().copied().collect();
            prop_assume!(sources.len() >= 3);
            let folds = set.folds_by_group(3, seed).unwrap();
            let of = |part: &Vec<usize>| part.iter().map(|&i| groups[i]).collect::<std::collections::BTreeSet<u8>>();
            let parts: Vec<_> = folds.parts().iter().map(of).collect();
            prop_assert_eq!(parts.iter().map(|part| part.len()).sum::<usize>(), sources.len());
            prop_assert!(parts.iter().all(|part| !part.is_empty()));
            let (train, test) = set.split_by_group(0.3, seed).unwrap();
            prop_assert!(!train.is_empty() && !test.is_empty());
            let in_train = |document: &Option<String>| train.values().any(|q| q.document == *document);
            prop_assert!(test.values().all(|question| !in_train(&question.document)));
        }
    }

    #[test]
    fn what_cannot_be_divided() {
        let set = labelled(&[0, 1, 2]);
        for fraction in [0.0, 1.0, -1.0, f64::NAN] {
            assert!(set.clone().split(fraction, 0).is_err());
        }
        assert!(labelled(&[0]).split(0.5, 0).is_err());
        assert!(set.folds(1, 0).is_err() && set.folds(4, 0).is_err());
        let folds = set.folds(3, 0).unwrap();
        assert!(folds.divide(&set, 3).is_err() && folds.divide(&labelled(&[0]), 0).is_err());
        assert!(set.clone().split_by_group(0.5, 0).is_err());
        let passages = Dataset::from(vec![Passage { text: "a".into() }, Passage { text: "b".into() }]);
        assert_eq!(passages.split(0.5, 0).unwrap().1.len(), 1);
    }
}
