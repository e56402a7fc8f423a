//! The rules of cleaning, one by one.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;

use super::cleaning::Conflicts;
use super::near::NearIndex;
use super::normal::normal;
use super::report::{CleaningReport, CleaningRule, Removed};
use crate::data::{Dataset, Origin, Sample};

/// A set on its way through the rules.
pub(super) struct Work<'s, R> {
    set: &'s Dataset<R>,
    inputs: Vec<String>,
    outputs: Vec<String>,
    removed: BTreeMap<usize, Removed>,
}

impl<'s, R: Sample + Sync> Work<'s, R> {
    pub(super) fn new(set: &'s Dataset<R>) -> Self {
        Self {
            set,
            inputs: set.values().map(|value| normal(&value.input())).collect(),
            outputs: set.values().map(|value| normal(&value.output())).collect(),
            removed: BTreeMap::new(),
        }
    }

    pub(super) fn report(self) -> CleaningReport {
        CleaningReport {
            examples: self.set.len(),
            removed: self.removed.into_values().collect(),
        }
    }

    pub(super) fn missing(&mut self) {
        for (index, value) in self.set.values().enumerate() {
            if let Some(field) = value.missing() {
                self.remove(index, CleaningRule::Missing, None, field.to_owned());
            }
        }
    }

    pub(super) fn lengths(&mut self, chars: Option<&RangeInclusive<usize>>, fences: Option<f64>) {
        let left = self.left();
        let length = |index: usize| self.inputs[index].chars().count();
        let lengths: Vec<(usize, usize)> = left.into_iter().map(|index| (index, length(index))).collect();
        let fenced = fences.and_then(|fences| fence(&lengths, fences));
        for (index, length) in lengths {
            let outside = chars.is_some_and(|chars| !chars.contains(&length))
                || fenced
                    .as_ref()
                    .is_some_and(|fenced| !fenced.contains(&(length.max(1) as f64).ln()));
            if outside {
                self.remove(index, CleaningRule::Length, None, format!("{length} characters"));
            }
        }
    }

    pub(super) fn conflicts(&mut self, conflicts: Conflicts) {
        let single = self.set.values().next().is_some_and(Sample::is_single_valued);
        if conflicts == Conflicts::Keep || !single {
            return;
        }
        let mut by_input: HashMap<&str, Vec<usize>> = HashMap::new();
        for index in self.left() {
            by_input.entry(&self.inputs[index]).or_default().push(index);
        }
        let mut contradicting: Vec<(usize, usize)> = Vec::new();
        for indices in by_input.into_values() {
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            for &index in &indices {
                *counts.entry(&self.outputs[index]).or_default() += 1;
            }
            if counts.len() < 2 {
                continue;
            }
            let trusted = counts
                .iter()
                .find(|(_, count)| conflicts == Conflicts::Majority && **count * 2 > indices.len())
                .map(|(output, _)| *output);
            for &index in indices
                .iter()
                .filter(|&&index| trusted != Some(self.outputs[index].as_str()))
            {
                let differs = |other: &&usize| self.outputs[**other] != self.outputs[index];
                let other = indices.iter().find(differs).copied().unwrap_or(index);
                contradicting.push((index, other));
            }
        }
        for (index, other) in contradicting {
            let detail = self.set.records[index].value.output().replace('\n', ", ");
            self.remove(index, CleaningRule::Conflict, Some(other), detail);
        }
    }

    pub(super) fn duplicates(&mut self) {
        let mut first: HashMap<(&str, &str), usize> = HashMap::new();
        let mut found = Vec::new();
        for index in self.left() {
            let key = (self.inputs[index].as_str(), self.outputs[index].as_str());
            match first.get(&key) {
                Some(&other) => found.push((index, other)),
                None => {
                    first.insert(key, index);
                }
            }
        }
        for (index, other) in found {
            self.remove(index, CleaningRule::Duplicate, Some(other), String::new());
        }
    }

    pub(super) fn near_duplicates(&mut self, threshold: f64) {
        let left = self.left();
        let texts: Vec<String> = left.iter().map(|&index| self.compared(index)).collect();
        let single = self.set.values().next().is_some_and(Sample::is_single_valued);
        let mut index = NearIndex::new(threshold);
        let mut found = Vec::new();
        for (sketch, number) in index.sketches(&texts).into_iter().zip(left) {
            let accepts = |other: usize| !single || self.outputs[other] == self.outputs[number];
            match index.find(&sketch, accepts) {
                Some((other, alike)) => found.push((number, other, alike)),
                None => index.insert(number, sketch),
            }
        }
        for (number, other, alike) in found {
            self.remove(
                number,
                CleaningRule::NearDuplicate,
                Some(other),
                format!("{alike:.2} alike"),
            );
        }
    }

    pub(super) fn leaks(&mut self, held_out: &Dataset<R>, threshold: Option<f64>) {
        let inputs: Vec<String> = held_out.values().map(|value| normal(&value.input())).collect();
        let equal: HashMap<&str, usize> = inputs
            .iter()
            .enumerate()
            .rev()
            .map(|(number, input)| (input.as_str(), number))
            .collect();
        let mut found: BTreeMap<usize, (usize, String)> = BTreeMap::new();
        for (index, input) in self.inputs.iter().enumerate() {
            if let Some(&number) = equal.get(input.as_str()) {
                found.insert(index, (number, "equal".to_owned()));
            }
        }
        if let Some(threshold) = threshold {
            let mut near = NearIndex::new(threshold);
            for (number, sketch) in near.sketches(&inputs).into_iter().enumerate() {
                near.insert(number, sketch);
            }
            for (index, sketch) in near.sketches(&self.inputs).into_iter().enumerate() {
                if !found.contains_key(&index)
                    && let Some((number, alike)) = near.find(&sketch, |_| true)
                {
                    found.insert(index, (number, format!("{alike:.2} alike")));
                }
            }
        }
        for (index, (number, detail)) in found {
            let other = held_out.records.get(number).map(|record| record.origin.clone());
            self.remove_for(index, CleaningRule::Leak, other, detail);
        }
    }

    /// What near duplicates are compared by: with the output, where one input may have many.
    fn compared(&self, index: usize) -> String {
        match self.set.records[index].value.is_single_valued() || self.outputs[index].is_empty() {
            true => self.inputs[index].clone(),
            false => format!("{}\n{}", self.inputs[index], self.outputs[index]),
        }
    }

    fn left(&self) -> Vec<usize> {
        (0..self.set.len())
            .filter(|index| !self.removed.contains_key(index))
            .collect()
    }

    fn remove(&mut self, index: usize, rule: CleaningRule, other: Option<usize>, detail: String) {
        let other = other.map(|other| self.set.records[other].origin.clone());
        self.remove_for(index, rule, other, detail);
    }

    fn remove_for(&mut self, index: usize, rule: CleaningRule, other: Option<Origin>, detail: String) {
        let origin = self.set.records[index].origin.clone();
        self.removed.insert(
            index,
            Removed {
                index,
                origin,
                rule,
                other,
                detail,
            },
        );
    }
}

/// The logarithms of lengths that are not far out; none for fewer than four examples.
fn fence(lengths: &[(usize, usize)], fences: f64) -> Option<RangeInclusive<f64>> {
    let mut logs: Vec<f64> = lengths
        .iter()
        .map(|(_, length)| (*length.max(&1) as f64).ln())
        .collect();
    logs.sort_by(f64::total_cmp);
    let quartile = |part: usize| logs.get(logs.len() * part / 4).copied();
    let (first, third) = (quartile(1)?, quartile(3)?);
    let reach = fences * (third - first);
    (logs.len() >= 4).then_some(first - reach..=third + reach)
}
