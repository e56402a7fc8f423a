//! Rows in int8, for the product with weights that are integers.
//!
//! A group of 32 components is its largest magnitude over 127, and for each component the nearest integer of what it is in
//! that unit (absmax quantisation, Dettmers et al. 2022, arXiv:2208.07339, section 2, in groups instead of rows).
//!
//! Letters: `t` rows, `i` their width.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::rows::Rows;

/// Components of a group.
pub const GROUP: usize = 32;
/// Words of a group, each with four components.
pub const GROUP_WORDS: usize = GROUP / 4;
/// The largest integer.
const MAX_VALUE: f32 = 127.0;
/// Groups whose components are all smaller count as zeros: the inverse of their unit would be no f32.
const SMALLEST: f32 = 1e-30;
/// 1.5 x 2^23: added to a small integer it leaves that integer in the low bits, and rounds a fraction to even.
pub const MAGIC: f32 = 12_582_912.0;
/// Rows from which on the threads share the work.
const PARALLEL_ROWS: usize = 16;

/// What the components of a group have in common.
#[derive(Clone, Copy, Debug, Default)]
pub struct Group {
    /// The unit; NaN where a component is not finite.
    pub scale: f32,
    /// The unit times the sum of the integers.
    pub offset: f32,
    /// The bits of [`MAGIC`], less 128 times the sum of the integers: what a sum of products begins with whose weights
    /// are 128 too large.
    pub biased: u32,
}

/// Rows in int8.
#[derive(Debug)]
pub struct CodedRows {
    words: Vec<[u32; GROUP_WORDS]>,
    groups: Vec<Group>,
    /// Groups of a row.
    width: usize,
}

/// Some rows in int8, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct CodedPart<'a> {
    words: &'a [[u32; GROUP_WORDS]],
    groups: &'a [Group],
    width: usize,
    len: usize,
}

impl CodedRows {
    /// Rounds rows.
    ///
    /// # Shapes
    ///
    /// `[t, i]`.
    pub fn new(x: Rows<'_>) -> Self {
        let width = x.width().div_ceil(GROUP);
        let mut coded = Self {
            words: vec![[0; GROUP_WORDS]; x.len() * width],
            groups: vec![Group::default(); x.len() * width],
            width,
        };
        if width == 0 {
            return coded;
        }
        let each = match x.len() {
            len if len >= PARALLEL_ROWS => len.div_ceil(2 * rayon::current_num_threads()),
            len => len.max(1),
        };
        let parts = coded.words.chunks_mut(each * width);
        let tasks: Vec<Task<'_>> = parts
            .zip(coded.groups.chunks_mut(each * width))
            .enumerate()
            .map(|(index, (words, groups))| Task {
                x,
                first: index * each,
                width,
                words,
                groups,
            })
            .collect();
        match tasks.len() {
            1 => tasks.into_iter().for_each(|task| Arch::new().dispatch(task)),
            _ => tasks.into_par_iter().for_each(|task| Arch::new().dispatch(task)),
        }
        coded
    }

    /// `len` rows from row `first` on.
    pub fn part(&self, first: usize, len: usize) -> CodedPart<'_> {
        let range = first * self.width..(first + len) * self.width;
        CodedPart {
            words: &self.words[range.clone()],
            groups: &self.groups[range],
            width: self.width,
            len,
        }
    }
}

impl<'a> CodedPart<'a> {
    /// No rows.
    pub const NONE: CodedPart<'static> = CodedPart {
        words: &[],
        groups: &[],
        width: 0,
        len: 0,
    };

    /// Number of rows.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.len
    }

    /// The groups of a row: their integers, and what they have in common.
    #[inline(always)]
    pub fn row(&self, index: usize) -> (&'a [[u32; GROUP_WORDS]], &'a [Group]) {
        let first = index * self.width;
        (
            &self.words[first..][..self.width],
            &self.groups[first..][..self.width],
        )
    }
}

/// Rows that one thread rounds.
struct Task<'a> {
    x: Rows<'a>,
    first: usize,
    width: usize,
    words: &'a mut [[u32; GROUP_WORDS]],
    groups: &'a mut [Group],
}

impl WithSimd for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let rows = self.words.chunks_exact_mut(self.width);
        for (row, (words, groups)) in rows.zip(self.groups.chunks_exact_mut(self.width)).enumerate() {
            let (whole, rest) = self.x.row(self.first + row).as_chunks::<GROUP>();
            for ((x, words), group) in whole.iter().zip(words.iter_mut()).zip(groups.iter_mut()) {
                *group = encode(x, words);
            }
            if let (false, Some(words), Some(group)) = (rest.is_empty(), words.last_mut(), groups.last_mut())
            {
                let mut x = [0.0; GROUP];
                x[..rest.len()].copy_from_slice(rest);
                *group = encode(&x, words);
            }
        }
    }
}

/// Rounds a group. Plain loops over arrays, which the compiler turns into vectors.
#[inline(always)]
fn encode(x: &[f32; GROUP], words: &mut [u32; GROUP_WORDS]) -> Group {
    // As integers, magnitudes have the order of their values, with infinity and NaN above all.
    let mut largest = 0;
    for x in x {
        largest = largest.max(x.to_bits() & 0x7FFF_FFFF);
    }
    let largest = f32::from_bits(largest);
    if !largest.is_finite() {
        *words = [0; GROUP_WORDS];
        return Group {
            scale: f32::NAN,
            offset: f32::NAN,
            biased: MAGIC.to_bits(),
        };
    }
    let inverse = match largest < SMALLEST {
        true => 0.0,
        false => MAX_VALUE / largest,
    };
    let mut values = [0u32; GROUP];
    let mut sum = 0u32;
    for (value, x) in values.iter_mut().zip(x) {
        *value = (x * inverse + MAGIC).to_bits().wrapping_sub(MAGIC.to_bits());
        sum = sum.wrapping_add(*value);
    }
    for (word, four) in words.iter_mut().zip(values.as_chunks::<4>().0) {
        let [a, b, c, d] = four.map(|value| value & 0xFF);
        *word = a | b << 8 | c << 16 | d << 24;
    }
    let scale = match largest < SMALLEST {
        true => 0.0,
        false => largest / MAX_VALUE,
    };
    Group {
        scale,
        offset: scale * sum.cast_signed() as f32,
        biased: MAGIC.to_bits().wrapping_sub(sum.wrapping_mul(128)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows as they were rounded.
    fn decoded(part: CodedPart<'_>, width: usize) -> Vec<f32> {
        let row = |index: usize| {
            let (words, groups) = part.row(index);
            let groups = words.iter().zip(groups);
            let values = groups.flat_map(|(words, group)| {
                let bytes = words.iter().flat_map(|word| word.to_le_bytes());
                bytes.map(|byte| f32::from(byte.cast_signed()) * group.scale)
            });
            values.take(width).collect::<Vec<_>>()
        };
        (0..part.len()).flat_map(row).collect()
    }

    #[test]
    fn components_are_within_half_a_unit() {
        for (width, count) in [(1, 1), (32, 2), (70, 3), (129, 40)] {
            let data: Vec<f32> = (0..width * count)
                .map(|i| (i as f32 * 0.7).sin() * 3f32.powi(i as i32 % 5))
                .collect();
            let coded = CodedRows::new(Rows::new(&data, width, count, width));
            let found = decoded(coded.part(0, count), width);
            for (row, (found, x)) in found.chunks(width).zip(data.chunks(width)).enumerate() {
                let groups = coded.part(row, 1).row(0).1;
                for ((found, x), group) in found.chunks(GROUP).zip(x.chunks(GROUP)).zip(groups) {
                    let mut sum = 0.0;
                    for (found, x) in found.iter().zip(x) {
                        assert!((found - x).abs() <= 0.501 * group.scale, "{found} for {x}");
                        sum += found;
                    }
                    assert!((group.offset - sum).abs() <= 1e-4 * group.scale * 32.0);
                }
            }
        }
    }

    #[test]
    fn extremes_stay_numbers_and_what_is_none_spreads() {
        for (x, expected) in [(0.0, 0.0), (1e-38, 0.0), (-3e38, -3e38), (2e-20, 2e-20)] {
            let data = [x; 32];
            let coded = CodedRows::new(Rows::new(&data, 32, 1, 32));
            for found in decoded(coded.part(0, 1), 32) {
                assert!(
                    (found - expected).abs() <= 1e-6 * expected.abs(),
                    "{found} for {x}"
                );
            }
        }
        for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut data = [1.0; 64];
            data[40] = wrong;
            let coded = CodedRows::new(Rows::new(&data, 64, 1, 64));
            let (_, groups) = coded.part(0, 1).row(0);
            assert!(groups[0].scale.is_finite() && groups[1].scale.is_nan());
        }
    }
}
