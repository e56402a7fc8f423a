//! Sets of text pieces, and signatures whose agreement estimates how alike two sets are.
//!
//! A text is the set of its runs of five characters. A signature holds, for each of 128 hash functions, the least hash of
//! the set; two signatures agree in a place with a probability that is the Jaccard index of the sets (Broder: On the
//! resemblance and containment of documents, 1997).

use crate::batch::{Purpose, Random};

/// Characters of a piece.
const SHINGLE_CHARS: usize = 5;
/// Hash functions of a signature.
pub(super) const HASHES: usize = 128;

/// The hashes of a text's pieces, ascending and each once.
pub(super) fn shingles(text: &str) -> Vec<u64> {
    let starts: Vec<usize> = text
        .char_indices()
        .map(|(at, _)| at)
        .chain([text.len()])
        .collect();
    let mut hashes: Vec<u64> = match starts.len() - 1 < SHINGLE_CHARS {
        true => vec![hash(text.as_bytes())],
        false => starts
            .windows(SHINGLE_CHARS + 1)
            .map(|window| hash(&text.as_bytes()[window[0]..window[SHINGLE_CHARS]]))
            .collect(),
    };
    hashes.sort_unstable();
    hashes.dedup();
    hashes
}

/// How alike two sets of hashes are: those in both among those in one of them.
pub(super) fn jaccard(a: &[u64], b: &[u64]) -> f64 {
    let (mut i, mut j, mut both) = (0, 0, 0_usize);
    while let (Some(x), Some(y)) = (a.get(i), b.get(j)) {
        both += usize::from(x == y);
        i += usize::from(x <= y);
        j += usize::from(y <= x);
    }
    match a.len() + b.len() - both {
        0 => 1.0,
        all => both as f64 / all as f64,
    }
}

/// The keys of the hash functions.
pub(super) fn keys() -> [u64; HASHES] {
    let mut random = Random::of(0, Purpose::Hashing, 0);
    std::array::from_fn(|_| random.next_u64())
}

/// For each hash function the least hash of a set.
pub(super) fn signature(shingles: &[u64], keys: &[u64; HASHES]) -> [u64; HASHES] {
    let mut least = [u64::MAX; HASHES];
    for &shingle in shingles {
        for (least, key) in least.iter_mut().zip(keys) {
            *least = (*least).min(mix(shingle ^ key));
        }
    }
    least
}

/// FNV-1a (Fowler, Noll, Vo) of 64 bits, mixed.
fn hash(bytes: &[u8]) -> u64 {
    let mut hash = 0xCBF2_9CE4_8422_2325_u64;
    for &byte in bytes {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
    }
    mix(hash)
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014).
pub(super) fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_estimate_the_jaccard_index() {
        let keys = keys();
        let a: Vec<u64> = (0..1000).map(mix).collect();
        for shared in [0, 250, 500, 900, 1000] {
            let b: Vec<u64> = (1000 - shared..2000 - shared).map(mix).collect();
            let (mut a, mut b) = (a.clone(), b);
            a.sort_unstable();
            b.sort_unstable();
            let exact = jaccard(&a, &b);
            assert!((exact - shared as f64 / (2000 - shared) as f64).abs() < 1e-12);
            let (x, y) = (signature(&a, &keys), signature(&b, &keys));
            let equal = x.iter().zip(&y).filter(|(x, y)| x == y).count() as f64 / HASHES as f64;
            // Four standard deviations at most.
            assert!((equal - exact).abs() < 0.18, "{equal} {exact}");
        }
    }

    #[test]
    fn short_texts_are_one_piece() {
        assert_eq!(shingles("äb").len(), 1);
        assert_eq!(shingles("abcde").len(), 1);
        assert_eq!(shingles("äbcdef").len(), 2);
        assert_eq!(shingles("").len(), 1);
        assert!((jaccard(&shingles("abc"), &shingles("abc")) - 1.0).abs() < 1e-12);
    }
}
