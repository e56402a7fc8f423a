//! Random numbers that are a function of seed, stream and position.
//!
//! The generator is Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3, 2011): a
//! block cipher over a counter, so that any position is reached at once and streams never overlap. The seed is the key;
//! the counter is the block number below and the stream above. The numbers are the same on every machine and stay the
//! same in every version.

/// Rounds of the cipher.
const ROUNDS: usize = 10;
/// Multipliers of the two halves.
const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
/// What is added to the key after each round: the golden ratio and the square root of 3, less one.
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

/// A stream of random numbers.
///
/// ```
/// use ragtune_core::statistics::Random;
/// let mut order: Vec<u32> = (0..5).collect();
/// Random::new(42, 0).shuffle(&mut order);
/// let mut again: Vec<u32> = (0..5).collect();
/// Random::new(42, 0).shuffle(&mut again);
/// assert_eq!(order, again);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Random {
    key: [u32; 2],
    stream: u64,
    /// Number of 32-bit words that were given out.
    position: u64,
    block: [u32; 4],
}

/// What a stream of random numbers is for; streams of different purposes never meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Purpose {
    /// The order of examples; the part is the epoch.
    Order = 1,
    /// Division into training and test.
    Split = 2,
    /// Changed copies of examples; the part is the example.
    Augmentation = 3,
    /// Hash functions of near-duplicate search.
    Hashing = 4,
    /// Weights before the first step; the part is the tensor.
    Initialisation = 5,
    /// Dropout; the part is the step.
    Dropout = 6,
    /// Settings that a search tries.
    Search = 7,
    /// Resampling for intervals.
    Resampling = 8,
    /// Mined negatives and other choices among candidates.
    Mining = 9,
    /// Exchanged pairs of a randomisation test; the part is the permutation.
    Permutation = 10,
}

impl Random {
    /// The stream of a seed. Streams of one seed never overlap.
    pub fn new(seed: u64, stream: u64) -> Self {
        Self {
            key: [seed as u32, (seed >> 32) as u32],
            stream,
            position: 0,
            block: [0; 4],
        }
    }

    /// The stream of a seed for a purpose and a part of it, such as an epoch; parts are counted modulo 2^56.
    pub fn of(seed: u64, purpose: Purpose, part: u64) -> Self {
        Self::new(seed, ((purpose as u64) << 56) | (part & ((1 << 56) - 1)))
    }

    /// Number of 32-bit words that were given out.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The same stream at another position.
    #[must_use]
    pub fn at(mut self, position: u64) -> Self {
        self.position = position;
        if !position.is_multiple_of(4) {
            self.block = self.cipher(position / 4);
        }
        self
    }

    /// The next 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        let lane = (self.position % 4) as usize;
        if lane == 0 {
            self.block = self.cipher(self.position / 4);
        }
        self.position = self.position.wrapping_add(1);
        self.block[lane]
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        let low = u64::from(self.next_u32());
        low | u64::from(self.next_u32()) << 32
    }

    /// A number from 0 to below 1, of 53 random bits.
    pub fn next_f64(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A number from 0 to below 1, of 24 random bits.
    pub fn next_f32(&mut self) -> f32 {
        (self.next_u32() >> 8) as f32 / (1_u32 << 24) as f32
    }

    /// A normally distributed number of mean 0 and variance 1 (Box and Muller 1958, the cosine of the pair).
    pub fn next_normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.next_f64()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.next_f64()).cos()
    }

    /// A whole number from 0 to below `bound`, each as likely as the others; 0 where `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = bound as u64;
        if bound == 0 {
            return 0;
        }
        // Lemire: Fast random integer generation in an interval, 2019, algorithm 5.
        let threshold = bound.wrapping_neg() % bound;
        loop {
            let product = u128::from(self.next_u64()) * u128::from(bound);
            if product as u64 >= threshold {
                return (product >> 64) as usize;
            }
        }
    }

    /// Puts a slice into random order (Fisher and Yates, from the end).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    fn cipher(&self, block: u64) -> [u32; 4] {
        let counter = [
            block as u32,
            (block >> 32) as u32,
            self.stream as u32,
            (self.stream >> 32) as u32,
        ];
        philox(counter, self.key)
    }
}

fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..ROUNDS {
        let first = u64::from(MULTIPLIERS[0]) * u64::from(counter[0]);
        let second = u64::from(MULTIPLIERS[1]) * u64::from(counter[2]);
        counter = [
            (second >> 32) as u32 ^ counter[1] ^ key[0],
            second as u32,
            (first >> 32) as u32 ^ counter[3] ^ key[1],
            first as u32,
        ];
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known answers of Random123 1.14, `tests/kat_vectors`.
    #[test]
    fn known_answers() {
        assert_eq!(
            philox([0; 4], [0; 2]),
            [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]
        );
        assert_eq!(
            philox([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        assert_eq!(
            philox(
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0]
            ),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn any_position_is_reached_at_once() {
        let mut random = Random::new(7, 3);
        let words: Vec<u32> = (0..23).map(|_| random.next_u32()).collect();
        for (position, &word) in words.iter().enumerate() {
            assert_eq!(Random::new(7, 3).at(position as u64).next_u32(), word);
        }
        assert_eq!(random.position(), 23);
        assert_ne!(words[0], Random::new(7, 4).next_u32());
        assert_ne!(words[0], Random::new(8, 3).next_u32());
    }

    #[test]
    fn numbers_are_evenly_spread() {
        let mut random = Random::new(1, 0);
        let mut counts = [0_usize; 7];
        for _ in 0..70_000 {
            counts[random.below(7)] += 1;
        }
        // Six standard deviations.
        assert!(counts.iter().all(|&n| n.abs_diff(10_000) < 560), "{counts:?}");
        let normal: Vec<f64> = (0..50_000).map(|_| random.next_normal()).collect();
        let mean = normal.iter().sum::<f64>() / 50_000.0;
        let variance = normal.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 50_000.0;
        assert!(
            mean.abs() < 0.03 && (variance - 1.0).abs() < 0.04,
            "{mean} {variance}"
        );
        assert!((0..1000).all(|_| (0.0..1.0).contains(&random.next_f32())));
        assert_eq!(random.below(0), 0);
    }

    #[test]
    fn every_order_is_as_likely() {
        let mut counts = std::collections::BTreeMap::new();
        for stream in 0..6_000 {
            let mut items = [0, 1, 2];
            Random::new(5, stream).shuffle(&mut items);
            *counts.entry(items).or_insert(0_usize) += 1;
        }
        assert_eq!(counts.len(), 6);
        assert!(counts.values().all(|&n| n.abs_diff(1000) < 180), "{counts:?}");
    }
}
