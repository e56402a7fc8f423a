//! Division of a set into parts that keep its classes in proportion or its sources together.

use std::collections::BTreeMap;

use super::clean::normal;
use super::dataset::{Dataset, Record};
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
    /// Divides the set: what is left for training, and a part of about `fraction` that is held out. Examples that belong
    /// together are on one side ([`Sample::group`], and examples of equal input, letters' case and spaces aside), so that
    /// nothing of the one part is in the other. Classes ([`Sample::stratum`]) are in both in proportion, as exactly as
    /// whole groups allow; the only group of a class counts as one of all such. Where all examples are of one source, only
    /// those of equal input are kept together. Both parts keep the order of the set.
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
    /// [`Error::InvalidArgument`] for a fraction that is not between 0 and 1, for fewer than two examples, and where all
    /// are equal.
    pub fn split(self, fraction: f64, seed: u64) -> Result<(Self, Self)> {
        let kin = kin(&self);
        self.split_kin(fraction, seed, kin)
    }

    /// As [`Dataset::split`], with all examples on one side that have the same value of a field, such as an author or a
    /// day; `None` stands alone. [`fields`](super::fields) reads a column that the examples themselves do not keep.
    ///
    /// ```
    /// use ragtune_train::data::{Dataset, Labelled};
    /// let set: Dataset<_> = (0..100).map(|i| Labelled::new(format!("{}: text {i}", i % 7), "a")).collect();
    /// let author = |text: &str| text.split(':').next().map(str::to_owned);
    /// let (train, valid) = set.split_by(0.1, 42, |record| author(&record.value.text))?;
    /// assert!(valid.values().all(|v| train.values().all(|t| author(&t.text) != author(&v.text))));
    /// # Ok::<(), ragtune_train::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Dataset::split`], and [`Error::InvalidArgument`] where all examples have one value.
    pub fn split_by(
        self,
        fraction: f64,
        seed: u64,
        field: impl Fn(&Record<R>) -> Option<String>,
    ) -> Result<(Self, Self)> {
        let values: Vec<Option<String>> = self.records.iter().map(field).collect();
        let kin = joined(self.len(), [values, inputs(&self)]);
        self.split_kin(fraction, seed, kin)
    }

    fn split_kin(self, fraction: f64, seed: u64, kin: Vec<Vec<usize>>) -> Result<(Self, Self)> {
        let wanted = self.held_out(fraction)?;
        if kin.len() < 2 {
            return Err(Error::invalid(
                "fraction",
                "all examples belong together, and are not divided; give a validation set of other ones",
            ));
        }
        let mut random = Random::of(seed, Purpose::Split, 0);
        let mut strata = strata(&self, &kin);
        let mut remainders: Vec<(usize, usize, f64)> = Vec::new();
        for (number, stratum) in strata.iter_mut().enumerate() {
            random.shuffle(stratum);
            let examples: usize = stratum.iter().map(|group| kin[*group].len()).sum();
            let exact = examples as f64 * wanted as f64 / self.len() as f64;
            remainders.push((number, exact.floor() as usize, exact.fract()));
        }
        // What whole examples leave over goes to the classes with the largest remainders, by chance among equals.
        let mut missing = wanted - remainders.iter().map(|(_, whole, _)| whole).sum::<usize>();
        random.shuffle(&mut remainders);
        remainders.sort_by(|a, b| b.2.total_cmp(&a.2));
        let mut out: Vec<usize> = Vec::with_capacity(wanted);
        let mut groups = 0;
        // What whole groups leave over, or have too much, is made up for by the next class.
        let mut owed = 0_isize;
        for (number, whole, _) in remainders {
            let more = usize::from(missing > 0 && whole < strata[number].len());
            missing -= more;
            owed += (whole + more).cast_signed();
            for group in &strata[number] {
                let size = kin[*group].len().cast_signed();
                // A group is taken where that comes nearer, and one is left for training.
                if size < 2 * owed && groups + 1 < kin.len() {
                    out.extend_from_slice(&kin[*group]);
                    owed -= size;
                    groups += 1;
                }
            }
        }
        // Where every group is far larger than what is wanted, the smallest is held out.
        if out.is_empty() {
            out.extend(kin.iter().min_by_key(|group| group.len()).into_iter().flatten());
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
    /// proportion. Examples of equal input are in one part.
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
        let kin = joined(self.len(), [inputs(self)]);
        self.check_folds(k, kin.len(), "examples that differ")?;
        let mut random = Random::of(seed, Purpose::Split, 2);
        let mut parts: Vec<Vec<usize>> = vec![Vec::new(); k];
        let mut next = 0;
        for mut stratum in strata(self, &kin) {
            random.shuffle(&mut stratum);
            for group in stratum {
                parts[next % k].extend_from_slice(&kin[group]);
                next += kin[group].len();
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

    /// Divides the set into `k` parts of like size, with all examples in one part that have the same value of a field, such as
    /// an author or a day (`None` stands alone), or equal inputs. Classes ([`Sample::stratum`]) are in proportion as exactly
    /// as whole groups allow.
    ///
    /// ```
    /// use ragtune_train::data::{Dataset, Labelled};
    /// let set: Dataset<_> = (0..50).map(|i| Labelled::new(format!("{}: text {i}", i % 10), "a")).collect();
    /// let author = |text: &str| text.split(':').next().map(str::to_owned);
    /// let folds = set.folds_by(5, 42, |record| author(&record.value.text))?;
    /// let (train, test) = folds.divide(&set, 0)?;
    /// assert_eq!((train.len(), test.len()), (40, 10));
    /// assert!(test.values().all(|v| train.values().all(|t| author(&t.text) != author(&v.text))));
    /// # Ok::<(), ragtune_train::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Dataset::folds`], and [`Error::InvalidArgument`] for more parts than groups.
    pub fn folds_by(
        &self,
        k: usize,
        seed: u64,
        field: impl Fn(&Record<R>) -> Option<String>,
    ) -> Result<Folds> {
        let values: Vec<Option<String>> = self.records.iter().map(field).collect();
        let kin = joined(self.len(), [values, inputs(self)]);
        self.check_folds(k, kin.len(), "groups of examples that belong together")?;
        let mut random = Random::of(seed, Purpose::Split, 4);
        let mut parts: Vec<Vec<usize>> = vec![Vec::new(); k];
        for mut stratum in strata(self, &kin) {
            random.shuffle(&mut stratum);
            stratum.sort_by_key(|group| std::cmp::Reverse(kin[*group].len()));
            // Each group to the part that has least of the class, and of such parts to the smallest.
            let mut of_class = vec![0; k];
            for group in stratum {
                let smallest = (0..k).min_by_key(|part| (of_class[*part], parts[*part].len()));
                let smallest = smallest.unwrap_or_default();
                parts[smallest].extend_from_slice(&kin[group]);
                of_class[smallest] += kin[group].len();
            }
        }
        // Few groups in many classes may all have gone to the same parts.
        while let Some(empty) = parts.iter().position(Vec::is_empty) {
            let largest = (0..k).max_by_key(|part| parts[*part].len()).unwrap_or_default();
            let moved = kin.iter().filter(|group| parts[largest].contains(&group[0]));
            let Some(moved) = moved.min_by_key(|group| group.len()) else {
                break;
            };
            parts[largest].retain(|index| !moved.contains(index));
            parts[empty].extend_from_slice(moved);
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

/// The groups of each class, in the order of the classes' names; a group is of the class of its first example, and classes
/// of one group are one class.
fn strata<R: Sample>(set: &Dataset<R>, kin: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut strata: BTreeMap<Option<String>, Vec<usize>> = BTreeMap::new();
    for (number, group) in kin.iter().enumerate() {
        let first = group.first().and_then(|index| set.records.get(*index));
        let class = first.and_then(|record| record.value.stratum());
        strata.entry(class).or_default().push(number);
    }
    let (single, mut strata): (Vec<_>, Vec<_>) = strata.into_values().partition(|stratum| stratum.len() == 1);
    if !single.is_empty() {
        strata.push(single.concat());
    }
    strata
}

/// The examples that belong together: of one source or of equal input; of equal input where there is only one source.
fn kin<R: Sample>(set: &Dataset<R>) -> Vec<Vec<usize>> {
    let sources = set.values().map(|value| value.group().map(str::to_owned));
    let kin = joined(set.len(), [sources.collect(), inputs(set)]);
    match kin.len() < 2 {
        true => joined(set.len(), [inputs(set)]),
        false => kin,
    }
}

/// The inputs of all examples, without what does not tell them apart.
fn inputs<R: Sample>(set: &Dataset<R>) -> Vec<Option<String>> {
    let inputs = set.values().map(|value| Some(normal(&value.input())));
    inputs.collect()
}

/// Examples that have a key in common, directly or through others, each in the order of the set and by their first.
fn joined<const N: usize>(examples: usize, keys: [Vec<Option<String>>; N]) -> Vec<Vec<usize>> {
    // Disjoint sets; the smallest index stands for its set.
    let mut above: Vec<usize> = (0..examples).collect();
    let find = |above: &mut Vec<usize>, mut index: usize| {
        while above[index] != index {
            above[index] = above[above[index]];
            index = above[index];
        }
        index
    };
    for keys in keys {
        let mut first: BTreeMap<String, usize> = BTreeMap::new();
        for (index, key) in keys.into_iter().enumerate() {
            let Some(key) = key else { continue };
            let other = *first.entry(key).or_insert(index);
            let (a, b) = (find(&mut above, other), find(&mut above, index));
            above[a.max(b)] = a.min(b);
        }
    }
    let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for index in 0..examples {
        groups.entry(find(&mut above, index)).or_default().push(index);
    }
    groups.into_values().collect()
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
