//! Which weights of a base a selection names.

use std::collections::{BTreeMap, BTreeSet};

use ragtune_core::adapters::{AdapterBase, ModuleKind};
use ragtune_core::weights::nearest;

use super::{Part, Selection};
use crate::error::{Error, Result};

/// Suggestions for a pattern that fits nothing.
const SUGGESTIONS: usize = 3;

/// A whole weight of a module.
pub(super) type Whole = (String, Part);

/// Where the modules of a base stand: in which of its layers, or before or behind all of them.
pub(super) struct Places {
    layers: BTreeMap<String, Place>,
    pub(super) count: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Before,
    Layer(usize),
    Behind,
}

impl Places {
    pub(super) fn of(base: &dyn AdapterBase) -> Self {
        let mut layers = BTreeMap::new();
        let mut count = 0;
        for module in base.modules() {
            let place = match layer(module.slot()) {
                Some(index) => {
                    count = count.max(index + 1);
                    Place::Layer(index)
                }
                None if count == 0 => Place::Before,
                None => Place::Behind,
            };
            layers.insert(module.slot().to_owned(), place);
        }
        Self { layers, count }
    }

    pub(super) fn get(&self, slot: &str) -> Place {
        let place = self.layers.get(slot).copied();
        // The ends of sublayers are no modules.
        place.or(layer(slot).map(Place::Layer)).unwrap_or(Place::Behind)
    }
}

/// The number of the layer that a slot belongs to.
fn layer(slot: &str) -> Option<usize> {
    slot.split('.').find_map(|part| part.parse().ok())
}

/// Every weight of a base.
pub(super) fn all(base: &dyn AdapterBase) -> BTreeSet<Whole> {
    let tied = base.tied().map(|(_, output)| output);
    let mut weights = BTreeSet::new();
    for module in base.modules().iter().filter(|module| Some(module.slot()) != tied) {
        weights.insert((module.slot().to_owned(), Part::Weight));
        if module.kind().has_bias() {
            weights.insert((module.slot().to_owned(), Part::Bias));
        }
    }
    weights
}

impl Selection {
    /// The weights that the selection names.
    pub(super) fn weights(&self, base: &dyn AdapterBase) -> Result<BTreeSet<Whole>> {
        let all = all(base);
        let mut chosen = BTreeSet::new();
        for pattern in &self.patterns {
            let fits = |(slot, part): &&Whole| fits(slot, pattern) || fits(&name(slot, *part), pattern);
            let found: Vec<&Whole> = all.iter().filter(fits).collect();
            if found.is_empty() {
                return Err(unmatched(pattern, base));
            }
            chosen.extend(found.into_iter().cloned());
        }
        if let Some(last) = self.last_layers {
            let places = Places::of(base);
            if last == 0 || last > places.count {
                return Err(Error::invalid(
                    "last_layers",
                    format!(
                        "{last}; the model has {} layers, name 1 to {}",
                        places.count, places.count
                    ),
                ));
            }
            let first = Place::Layer(places.count - last);
            chosen.extend(all.iter().filter(|(slot, _)| places.get(slot) >= first).cloned());
        }
        for module in base.modules() {
            let is_norm = matches!(module.kind(), ModuleKind::Norm { .. });
            for part in [Part::Weight, Part::Bias] {
                let weight = (module.slot().to_owned(), part);
                let wanted = (self.norms && is_norm) || (self.biases && part == Part::Bias);
                if wanted && all.contains(&weight) {
                    chosen.insert(weight);
                }
            }
        }
        match chosen.len() {
            0 => Err(Error::NothingTrains {
                what: "the selection".to_owned(),
                suggestions: examples(&all),
            }),
            // A selection that is everything is most often a pattern gone wrong; who wants everything says so.
            count if count == all.len() => Err(Error::EverythingTrains { weights: count }),
            _ => Ok(chosen),
        }
    }
}

/// A pattern that fits no module, with what it may have meant.
pub(super) fn unmatched(pattern: &str, base: &dyn AdapterBase) -> Error {
    let shapes = base.module_shapes();
    let wanted = pattern.trim_matches('*').trim_matches('.');
    let mut names: BTreeSet<&str> = shapes.iter().map(|(slot, _)| slot).collect();
    names.extend(shapes.iter().filter_map(|(slot, _)| slot.rsplit('.').next()));
    let mut suggestions = nearest(wanted, names.iter().copied(), SUGGESTIONS);
    if suggestions.is_empty() {
        suggestions = last_parts(shapes.iter().map(|(slot, _)| slot));
    }
    Error::NothingTrains {
        what: format!("{pattern:?}"),
        suggestions,
    }
}

/// The last parts of names, each once.
fn last_parts<'a>(slots: impl Iterator<Item = &'a str>) -> Vec<String> {
    let parts: BTreeSet<&str> = slots.filter_map(|slot| slot.rsplit('.').next()).collect();
    parts.into_iter().map(str::to_owned).collect()
}

fn examples(all: &BTreeSet<Whole>) -> Vec<String> {
    last_parts(all.iter().map(|(slot, _)| slot.as_str()))
}

fn name(slot: &str, part: Part) -> String {
    match part {
        Part::Bias => format!("{slot}.bias"),
        _ => format!("{slot}.weight"),
    }
}

/// Whether a name is what a pattern says: the same, an end behind a dot, or with `*` in the place of anything.
fn fits(name: &str, pattern: &str) -> bool {
    if !pattern.contains('*') {
        return name
            .strip_suffix(pattern)
            .is_some_and(|before| !pattern.is_empty() && (before.is_empty() || before.ends_with('.')));
    }
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let mut pieces: Vec<&str> = pieces.collect();
    let last = pieces.pop().unwrap_or_default();
    for piece in pieces {
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_names_ends_or_stars() {
        let name = "encoder.layer.3.attention.self.query";
        for pattern in [
            name,
            "query",
            "self.query",
            "encoder.layer.3.*",
            "*.3.*query",
            "*",
        ] {
            assert!(fits(name, pattern), "{pattern}");
        }
        for pattern in ["uery", "", "layer.3", "encoder.layer.4.*", "*.key", "query*x"] {
            assert!(!fits(name, pattern), "{pattern}");
        }
    }

    #[test]
    fn layers_are_the_first_number_of_a_slot() {
        assert_eq!(layer("model.layers.12.mlp.experts.3.up_proj"), Some(12));
        assert_eq!(layer("model.norm"), None);
    }
}
