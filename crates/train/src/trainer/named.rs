//! Examples in messages.

use crate::data::Origin;

/// Examples that a message names.
const MAX_NAMED: usize = 8;

/// The first of some examples by number, from 1, and by line; a line in which several of them stand is named once.
pub(super) fn named<'o>(examples: impl ExactSizeIterator<Item = (usize, Option<&'o Origin>)>) -> Vec<String> {
    let all = examples.len();
    let mut lines: Vec<(Option<&Origin>, Vec<String>)> = Vec::new();
    for (index, origin) in examples.take(MAX_NAMED) {
        let number = (index + 1).to_string();
        let known = lines
            .iter_mut()
            .find(|(line, _)| origin.is_some() && *line == origin);
        match known {
            Some((_, numbers)) => numbers.push(number),
            None => lines.push((origin, vec![number])),
        }
    }
    let name = |(origin, numbers): &(Option<&Origin>, Vec<String>)| {
        let numbers = numbers.join(", ");
        match origin {
            Some(origin) if origin.file.is_some() => format!("{origin} (example {numbers})"),
            _ => format!("example {numbers}"),
        }
    };
    let mut names: Vec<String> = lines.iter().map(name).collect();
    if all > MAX_NAMED {
        names.push(format!("{} more", all - MAX_NAMED));
    }
    names
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_line_is_named_once() {
        let origins = [3, 1, 1, 1].map(|line| Origin::new(Path::new("a.json").into(), line));
        let found = named(
            origins
                .iter()
                .enumerate()
                .map(|(index, origin)| (index + 4, Some(origin))),
        );
        assert_eq!(
            found,
            ["a.json, line 3 (example 5)", "a.json, line 1 (example 6, 7, 8)"]
        );
        let found = named((0..10).map(|index| (index, None)));
        assert_eq!(
            (found.len(), found[1].as_str(), found[8].as_str()),
            (9, "example 2", "2 more")
        );
    }
}
