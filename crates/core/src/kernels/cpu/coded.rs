//! The number formats that weights are packed in: what stands in the 32-bit words of a column.
//!
//! BF16 and F16 become f32 in registers, by additions, shifts and logic on 32-bit lanes, which every instruction set has:
//! the bits are moved to where f32 has them, so the weight is exact. int8 and int4 are multiplied as integers
//! ([`integer_product`](super::integer_product)).

use half::{bf16, f16};
use pulp::Simd;

/// How weights are coded in words.
///
/// The words of a column stand in blocks: `HEADER` words with its scales, then up to `SECTIONS` sections of up to
/// `SECTION` words, each with `P` weights; the last block may be shorter.
pub trait Code<const P: usize>: Copy + Send + Sync {
    /// Words before the weights of a block.
    const HEADER: usize;
    /// Words of weights in a section, which have one scale in common.
    const SECTION: usize;
    /// Sections of a block.
    const SECTIONS: usize;
    /// Words of a whole block.
    const BLOCK: usize = Self::HEADER + Self::SECTION * Self::SECTIONS;
    /// Weights of a whole block.
    const WEIGHTS: usize = Self::SECTION * Self::SECTIONS * P;

    /// A weight by its header, its section, its word and its position there.
    fn scalar(header: u32, section: usize, word: u32, position: usize) -> f32;

    /// Words of a column of `k` weights.
    fn words(k: usize) -> usize {
        let (whole, rest) = (k / Self::WEIGHTS, k % Self::WEIGHTS);
        let last = match rest {
            0 => 0,
            rest => Self::HEADER + rest.div_ceil(P),
        };
        whole * Self::BLOCK + last
    }

    /// Where weight `index` of a column stands: its header, its section, its word, its position.
    fn place(index: usize) -> (usize, usize, usize, usize) {
        let (block, within) = (index / Self::WEIGHTS, index % Self::WEIGHTS);
        let (word, position) = (within / P, within % P);
        let header = block * Self::BLOCK;
        (
            header,
            word / Self::SECTION,
            header + Self::HEADER + word,
            position,
        )
    }
}

/// Two numbers of 16 bits in a word, the first in the lower half.
pub trait Halves: Code<2> {
    /// Weight `position` of every word.
    fn weight<S: Simd>(simd: S, word: S::u32s, position: usize) -> S::f32s;
}

/// bfloat16.
#[derive(Clone, Copy, Debug)]
pub struct Bf16;

impl Code<2> for Bf16 {
    const HEADER: usize = 0;
    const SECTION: usize = 32;
    const SECTIONS: usize = 1;

    fn scalar(_header: u32, _section: usize, word: u32, position: usize) -> f32 {
        bf16::from_bits((word >> (16 * position)) as u16).to_f32()
    }
}

impl Halves for Bf16 {
    #[inline(always)]
    fn weight<S: Simd>(simd: S, word: S::u32s, position: usize) -> S::f32s {
        simd.transmute_f32s_u32s(match position {
            0 => simd.wrapping_dyn_shl_u32s(word, simd.splat_u32s(16)),
            _ => simd.and_u32s(word, simd.splat_u32s(0xFFFF_0000)),
        })
    }
}

/// IEEE 754 half precision.
#[derive(Clone, Copy, Debug)]
pub struct F16;

impl Code<2> for F16 {
    const HEADER: usize = 0;
    const SECTION: usize = 32;
    const SECTIONS: usize = 1;

    fn scalar(_header: u32, _section: usize, word: u32, position: usize) -> f32 {
        f16::from_bits((word >> (16 * position)) as u16).to_f32()
    }
}

impl Halves for F16 {
    #[inline(always)]
    fn weight<S: Simd>(simd: S, word: S::u32s, position: usize) -> S::f32s {
        half_of(simd, word, position)
    }
}

/// Signed bytes plus 128, four in a word, in groups of 64; the header has the F16 scales of two groups.
#[derive(Clone, Copy, Debug)]
pub struct Int8;

impl Int8 {
    /// What is added to a value so that it is a byte without sign.
    pub const BIAS: i16 = 128;
}

impl Code<4> for Int8 {
    const HEADER: usize = 1;
    const SECTION: usize = 16;
    const SECTIONS: usize = 2;

    fn scalar(header: u32, section: usize, word: u32, position: usize) -> f32 {
        let scale = f16::from_bits((header >> (16 * section)) as u16).to_f32();
        let byte = (word >> (8 * position)) & 0xFF;
        (byte as f32 - f32::from(Self::BIAS)) * scale
    }
}

/// Integers of four bits, eight in a word, in groups of 32; the header has the group's F16 scale and its F16 minimum.
///
/// The lower halves of a word's bytes are its first four values, the upper halves the last four: one mask away from the
/// bytes that integer instructions multiply.
#[derive(Clone, Copy, Debug)]
pub struct Int4;

impl Int4 {
    /// Bits of weight `position` below it in its word.
    const fn shift(position: usize) -> usize {
        8 * (position % 4) + 4 * (position / 4)
    }

    /// A word of eight values.
    pub fn word(values: [u8; 8]) -> u32 {
        let parts = values.into_iter().enumerate();
        parts.fold(0, |word, (position, value)| {
            word | u32::from(value & 0xF) << Self::shift(position)
        })
    }
}

impl Code<8> for Int4 {
    const HEADER: usize = 1;
    const SECTION: usize = 4;
    const SECTIONS: usize = 1;

    fn scalar(header: u32, _section: usize, word: u32, position: usize) -> f32 {
        let [scale, minimum] = [header, header >> 16].map(|bits| f16::from_bits(bits as u16).to_f32());
        let value = (word >> Self::shift(position)) & 0xF;
        value as f32 * scale + minimum
    }
}

/// The lower (0) or upper (1) half of each word as an F16 number.
#[inline(always)]
pub fn half_of<S: Simd>(simd: S, word: S::u32s, which: usize) -> S::f32s {
    // Exponent and mantissa of F16 are those of an f32 that is 2^112 times too small, subnormal numbers included.
    let (magnitude, sign) = match which {
        0 => (
            shift(simd, simd.and_u32s(word, simd.splat_u32s(0x7FFF)), 13),
            shift(simd, word, 16),
        ),
        _ => (
            shift(simd, simd.and_u32s(word, simd.splat_u32s(0x7FFF_0000)), -3),
            word,
        ),
    };
    let sign = simd.and_u32s(sign, simd.splat_u32s(0x8000_0000));
    let small = simd.transmute_f32s_u32s(simd.or_u32s(magnitude, sign));
    simd.mul_f32s(small, simd.splat_f32s(f32::from_bits((127 + 112) << 23)))
}

/// Every word moved left, or right where `by` is negative.
#[inline(always)]
fn shift<S: Simd>(simd: S, word: S::u32s, by: i32) -> S::u32s {
    if by >= 0 {
        simd.wrapping_dyn_shl_u32s(word, simd.splat_u32s(by.unsigned_abs()))
    } else {
        simd.wrapping_dyn_shr_u32s(word, simd.splat_u32s(by.unsigned_abs()))
    }
}
