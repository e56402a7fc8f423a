//! The product of rows in int8 with one panel of weights in int8 or int4.
//!
//! Within a group of 32 inner indices the integers are multiplied and summed, which is exact; then the sum is scaled and
//! added to the total, group after group. So a row's result depends neither on how many others there are nor on the
//! instructions that multiplied: those of AVX-512 VNNI, of AVX2, or the f32 arithmetic that every processor has.
//!
//! With weights `v s + m`, components `q u` and sums over a group: total += (sum v q) s u + m (u sum q).

#![allow(
    clippy::needless_range_loop,
    reason = "one index runs through several arrays of equal length"
)]

use pulp::{Arch, Simd, WithSimd};

use super::coded::{Code, Int4, Int8, half_of};
use super::coded_rows::{CodedPart, GROUP_WORDS, Group, MAGIC};
use super::panels::{PANEL_VECTORS, Panels};

/// Vectors of words that lie side by side in a panel.
pub type Words<S> = [<S as Simd>::u32s; PANEL_VECTORS];
/// Sums or totals of as many columns.
type Totals<S> = [<S as Simd>::f32s; PANEL_VECTORS];
/// The lower half of every byte.
const LOWER: u32 = 0x0F0F_0F0F;

/// The two ways in which weights are integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Integers {
    Int8,
    Int4,
}

/// How an instruction set multiplies the four bytes of every word with four components, and sums the products.
///
/// What a sum is in between is its own affair: lanes of 32 bits.
pub trait Dot<S: Simd>: Copy {
    /// Asks for the memory some way behind a block of weights, which is read once and in order: from memory a product takes as
    /// long as reading does.
    #[inline(always)]
    fn fetch(self, block: &[Words<S>]) {
        let _ = block;
    }

    /// What a sum with weights in int8 begins with.
    fn start_bytes(self, simd: S, group: &Group) -> S::u32s;

    /// Adds the products with bytes, each a weight plus 128.
    fn bytes(self, simd: S, sum: S::u32s, word: S::u32s, x: u32) -> S::u32s;

    /// The sum of [`bytes`](Self::bytes) as a number.
    fn bytes_sum(self, simd: S, sum: S::u32s) -> S::f32s;

    /// What a sum with weights in int4 begins with.
    fn start_nibbles(self, simd: S) -> S::u32s;

    /// Adds the products with bytes of 0 to 15, up to 32 of them.
    fn nibbles(self, simd: S, sum: S::u32s, word: S::u32s, x: u32) -> S::u32s;

    /// The sum of [`nibbles`](Self::nibbles) as a number.
    fn nibbles_sum(self, simd: S, sum: S::u32s) -> S::f32s;
}

/// Sums one panel with the fastest instructions.
///
/// # Shapes
///
/// `rows [r, k]`, `matrix [k, n] -> sums [r, columns of a whole panel]`.
pub fn integer_product(
    integers: Integers,
    rows: CodedPart<'_>,
    matrix: &Panels<u32>,
    panel: usize,
    sums: &mut [f32],
) {
    #[cfg(target_arch = "x86_64")]
    let sums = match super::integer_x86::run(integers, rows, matrix, panel, sums) {
        Ok(()) => return,
        Err(sums) => sums,
    };
    Arch::new().dispatch(Product {
        dot: Portable,
        integers,
        rows,
        matrix,
        panel,
        sums,
    });
}

/// The product with one panel.
pub struct Product<'a, D> {
    pub dot: D,
    pub integers: Integers,
    pub rows: CodedPart<'a>,
    pub matrix: &'a Panels<u32>,
    pub panel: usize,
    pub sums: &'a mut [f32],
}

impl WithSimd for Product<'_, Portable> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        self.run(simd);
    }
}

impl<D> Product<'_, D> {
    #[inline(always)]
    pub fn run<S: Simd>(self, simd: S)
    where
        D: Dot<S>,
    {
        let words = self.matrix.words(simd, self.panel);
        let (targets, _) = S::as_mut_simd_f32s(self.sums);
        let (targets, _) = targets.as_chunks_mut::<PANEL_VECTORS>();
        let mut row = 0;
        if S::REGISTER_COUNT >= 32 {
            while row + 4 <= self.rows.len() {
                let targets = &mut targets[row..row + 4];
                tile::<S, D, 4>(simd, self.dot, self.integers, words, self.rows, row, targets);
                row += 4;
            }
        }
        while row + 2 <= self.rows.len() {
            let targets = &mut targets[row..row + 2];
            tile::<S, D, 2>(simd, self.dot, self.integers, words, self.rows, row, targets);
            row += 2;
        }
        while row < self.rows.len() {
            let targets = &mut targets[row..=row];
            tile::<S, D, 1>(simd, self.dot, self.integers, words, self.rows, row, targets);
            row += 1;
        }
    }
}

/// `MR` rows with one panel.
#[inline(always)]
fn tile<S: Simd, D: Dot<S>, const MR: usize>(
    simd: S,
    dot: D,
    integers: Integers,
    words: &[Words<S>],
    rows: CodedPart<'_>,
    first: usize,
    targets: &mut [Totals<S>],
) {
    let x: [(&[[u32; GROUP_WORDS]], &[Group]); MR] = std::array::from_fn(|r| rows.row(first + r));
    let totals = match integers {
        Integers::Int8 => int8_tile(simd, dot, words, x),
        Integers::Int4 => int4_tile(simd, dot, words, x),
    };
    targets.copy_from_slice(&totals);
}

#[inline(always)]
fn int8_tile<S: Simd, D: Dot<S>, const MR: usize>(
    simd: S,
    dot: D,
    words: &[Words<S>],
    x: [(&[[u32; GROUP_WORDS]], &[Group]); MR],
) -> [Totals<S>; MR] {
    let mut totals = [[simd.splat_f32s(0.0); PANEL_VECTORS]; MR];
    let mut group = 0;
    for block in words.chunks(Int8::BLOCK) {
        if MR == 1 {
            dot.fetch(block);
        }
        let (header, body) = block.split_at(Int8::HEADER);
        let header = &header[0];
        for (section, body) in body.chunks(Int8::SECTION).enumerate() {
            // No closures around vectors: one that is not inlined would be compiled without their instructions.
            let mut scales = [half_of(simd, header[0], section); PANEL_VECTORS];
            for v in 1..PANEL_VECTORS {
                scales[v] = half_of(simd, header[v], section);
            }
            for body in body.chunks(GROUP_WORDS) {
                let mut sums = [[simd.splat_u32s(0); PANEL_VECTORS]; MR];
                for r in 0..MR {
                    sums[r] = [dot.start_bytes(simd, &x[r].1[group]); PANEL_VECTORS];
                }
                let factors: [&[u32; GROUP_WORDS]; MR] = std::array::from_fn(|r| &x[r].0[group]);
                for index in 0..body.len().min(GROUP_WORDS) {
                    for r in 0..MR {
                        for v in 0..PANEL_VECTORS {
                            sums[r][v] = dot.bytes(simd, sums[r][v], body[index][v], factors[r][index]);
                        }
                    }
                }
                for r in 0..MR {
                    let unit = simd.splat_f32s(x[r].1[group].scale);
                    for v in 0..PANEL_VECTORS {
                        let scale = simd.mul_f32s(scales[v], unit);
                        let sum = dot.bytes_sum(simd, sums[r][v]);
                        totals[r][v] = simd.mul_add_e_f32s(sum, scale, totals[r][v]);
                    }
                }
                group += 1;
            }
        }
    }
    totals
}

#[inline(always)]
fn int4_tile<S: Simd, D: Dot<S>, const MR: usize>(
    simd: S,
    dot: D,
    words: &[Words<S>],
    x: [(&[[u32; GROUP_WORDS]], &[Group]); MR],
) -> [Totals<S>; MR] {
    let mut totals = [[simd.splat_f32s(0.0); PANEL_VECTORS]; MR];
    let (lower, four) = (simd.splat_u32s(LOWER), simd.splat_u32s(4));
    for (group, block) in words.chunks(Int4::BLOCK).enumerate() {
        if MR == 1 {
            dot.fetch(block);
        }
        let (header, body) = block.split_at(Int4::HEADER);
        let header = &header[0];
        let mut sums = [[dot.start_nibbles(simd); PANEL_VECTORS]; MR];
        let factors: [&[u32; GROUP_WORDS]; MR] = std::array::from_fn(|r| &x[r].0[group]);
        for index in 0..body.len().min(GROUP_WORDS / 2) {
            for v in 0..PANEL_VECTORS {
                let word = body[index][v];
                let first = simd.and_u32s(word, lower);
                let second = simd.and_u32s(simd.wrapping_dyn_shr_u32s(word, four), lower);
                for r in 0..MR {
                    let sum = dot.nibbles(simd, sums[r][v], first, factors[r][2 * index]);
                    sums[r][v] = dot.nibbles(simd, sum, second, factors[r][2 * index + 1]);
                }
            }
        }
        for v in 0..PANEL_VECTORS {
            let scale = half_of(simd, header[v], 0);
            let minimum = half_of(simd, header[v], 1);
            for r in 0..MR {
                let group = &x[r].1[group];
                let scale = simd.mul_f32s(scale, simd.splat_f32s(group.scale));
                let sum = dot.nibbles_sum(simd, sums[r][v]);
                let total = simd.mul_add_e_f32s(sum, scale, totals[r][v]);
                totals[r][v] = simd.mul_add_e_f32s(minimum, simd.splat_f32s(group.offset), total);
            }
        }
    }
    totals
}

/// f32 arithmetic, which is exact here: every sum of a group is an integer below 2^24.
#[derive(Clone, Copy, Debug)]
pub struct Portable;

impl Portable {
    /// The four products: 2^23 plus a byte is that byte in the lower bits of an f32.
    #[inline(always)]
    fn add<S: Simd>(simd: S, sum: S::u32s, word: S::u32s, x: u32, bias: f32) -> S::u32s {
        let (mask, power) = (simd.splat_u32s(0xFF), simd.splat_u32s(8_388_608f32.to_bits()));
        let bias = simd.splat_f32s(8_388_608.0 + bias);
        let mut sum = simd.transmute_f32s_u32s(sum);
        for p in 0..4 {
            let byte = simd.and_u32s(simd.wrapping_dyn_shr_u32s(word, simd.splat_u32s(8 * p)), mask);
            let value = simd.sub_f32s(simd.transmute_f32s_u32s(simd.or_u32s(byte, power)), bias);
            let factor = f32::from((x >> (8 * p)) as u8 as i8);
            sum = simd.mul_add_e_f32s(value, simd.splat_f32s(factor), sum);
        }
        simd.transmute_u32s_f32s(sum)
    }
}

impl<S: Simd> Dot<S> for Portable {
    #[inline(always)]
    fn start_bytes(self, simd: S, _group: &Group) -> S::u32s {
        simd.splat_u32s(0)
    }

    #[inline(always)]
    fn bytes(self, simd: S, sum: S::u32s, word: S::u32s, x: u32) -> S::u32s {
        Self::add(simd, sum, word, x, f32::from(Int8::BIAS))
    }

    #[inline(always)]
    fn bytes_sum(self, simd: S, sum: S::u32s) -> S::f32s {
        simd.transmute_f32s_u32s(sum)
    }

    #[inline(always)]
    fn start_nibbles(self, simd: S) -> S::u32s {
        simd.splat_u32s(0)
    }

    #[inline(always)]
    fn nibbles(self, simd: S, sum: S::u32s, word: S::u32s, x: u32) -> S::u32s {
        Self::add(simd, sum, word, x, 0.0)
    }

    #[inline(always)]
    fn nibbles_sum(self, simd: S, sum: S::u32s) -> S::f32s {
        simd.transmute_f32s_u32s(sum)
    }
}

/// A sum that was counted from the bits of [`MAGIC`], as a number.
#[inline(always)]
pub fn from_magic<S: Simd>(simd: S, sum: S::u32s) -> S::f32s {
    simd.sub_f32s(simd.transmute_f32s_u32s(sum), simd.splat_f32s(MAGIC))
}
