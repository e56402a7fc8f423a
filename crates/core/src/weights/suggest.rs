//! "Did you mean": the names nearest to one that was not found.

/// Names longer than this are compared by their first characters only.
const MAX_NAME_BYTES: usize = 256;
/// Most names that are compared.
const MAX_CANDIDATES: usize = 16_384;
/// A suggestion differs from the name in at most this share of its characters.
const MAX_DISTANCE_SHARE: f32 = 0.34;

/// The nearest candidates by edit distance, nearest first, ties by name; at most `limit`.
///
/// ```
/// use ragtune_core::weights::nearest;
/// assert_eq!(nearest("q_prj", ["q_proj", "down_proj"], 3), ["q_proj"]);
/// ```
#[must_use]
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>, limit: usize) -> Vec<String> {
    let name = bytes(name);
    let allowed = (name.len() as f32 * MAX_DISTANCE_SHARE).ceil() as usize;
    let mut near: Vec<(usize, &str)> = candidates
        .into_iter()
        .take(MAX_CANDIDATES)
        .filter(|candidate| bytes(candidate).len().abs_diff(name.len()) <= allowed)
        .map(|candidate| (distance(name, bytes(candidate)), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .collect();
    near.sort_unstable();
    near.truncate(limit);
    near.into_iter()
        .map(|(_, candidate)| candidate.to_owned())
        .collect()
}

fn bytes(name: &str) -> &[u8] {
    let bytes = name.as_bytes();
    &bytes[..bytes.len().min(MAX_NAME_BYTES)]
}

/// Levenshtein distance on bytes (Wagner and Fischer 1974, two rows).
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut above: Vec<usize> = (0..=b.len()).collect();
    let mut row = vec![0; b.len() + 1];
    for (i, x) in a.iter().enumerate() {
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            row[j + 1] = (above[j] + usize::from(x != y))
                .min(above[j + 1] + 1)
                .min(row[j] + 1);
        }
        std::mem::swap(&mut above, &mut row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_edits() {
        assert_eq!(distance(b"kitten", b"sitting"), 3);
        assert_eq!(distance(b"", b"abc"), 3);
        assert_eq!(distance(b"same", b"same"), 0);
    }

    #[test]
    fn suggests_what_is_near_and_nothing_else() {
        let names = [
            "encoder.layer.0.attention.self.query.weight",
            "encoder.layer.0.attention.self.query.bias",
            "pooler.dense.bias",
        ];
        assert_eq!(
            nearest("encoder.layer.0.attention.self.querry.weight", names, 2),
            [names[0], names[1]]
        );
        assert_eq!(nearest("lm_head", names, 2), Vec::<String>::new());
    }
}
