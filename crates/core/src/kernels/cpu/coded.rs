//! The number formats that weights are packed in: how one 32-bit word of a lane becomes several f32 weights.
//!
//! Only additions, shifts and logic on 32-bit lanes are used, which every instruction set has: the bits of a stored
//! integer are moved into the mantissa of a known power of two, so that they are an f32 without a conversion. What a
//! weight is worth is exact to the last bit or to one rounding, and the same as in the scalar form.

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
    /// What a section's weights have in common.
    type Scale<S: Simd>: Copy;

    /// Reads the scale of a section out of its block's header.
    fn scale<S: Simd>(simd: S, header: S::u32s, section: usize) -> Self::Scale<S>;

    /// Weight `position` of a word.
    fn weight<S: Simd>(simd: S, word: S::u32s, position: usize, scale: Self::Scale<S>) -> S::f32s;

    /// The scalar form of both.
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

/// bfloat16, two in a word, the first in the lower half.
#[derive(Clone, Copy, Debug)]
pub struct Bf16;

impl Code<2> for Bf16 {
    const HEADER: usize = 0;
    const SECTION: usize = 32;
    const SECTIONS: usize = 1;
    type Scale<S: Simd> = ();

    #[inline(always)]
    fn scale<S: Simd>(_simd: S, _header: S::u32s, _section: usize) {}

    #[inline(always)]
    fn weight<S: Simd>(simd: S, word: S::u32s, position: usize, (): ()) -> S::f32s {
        simd.transmute_f32s_u32s(match position {
            0 => simd.wrapping_dyn_shl_u32s(word, simd.splat_u32s(16)),
            _ => simd.and_u32s(word, simd.splat_u32s(0xFFFF_0000)),
        })
    }

    fn scalar(_header: u32, _section: usize, word: u32, position: usize) -> f32 {
        bf16::from_bits((word >> (16 * position)) as u16).to_f32()
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
    /// The scale, and -384 times it.
    type Scale<S: Simd> = (S::f32s, S::f32s);

    #[inline(always)]
    fn scale<S: Simd>(simd: S, header: S::u32s, section: usize) -> (S::f32s, S::f32s) {
        let scale = half_of(simd, header, section);
        (scale, simd.mul_f32s(scale, simd.splat_f32s(-384.0)))
    }

    #[inline(always)]
    fn weight<S: Simd>(simd: S, word: S::u32s, position: usize, scale: (S::f32s, S::f32s)) -> S::f32s {
        // 256 + byte: in the binade of 256 the last mantissa bit but 14 is worth 1.
        let moved = shift(simd, word, 15 - 8 * position as i32);
        let byte = exponent(simd, moved, 0xFF << 15, 256.0);
        simd.mul_add_e_f32s(byte, scale.0, scale.1)
    }

    fn scalar(header: u32, section: usize, word: u32, position: usize) -> f32 {
        let scale = f16::from_bits((header >> (16 * section)) as u16).to_f32();
        let byte = (word >> (8 * position)) & 0xFF;
        (byte as f32 - f32::from(Self::BIAS)) * scale
    }
}

/// Integers of four bits, eight in a word, in groups of 32; the header has the group's F16 scale and its F16 minimum.
#[derive(Clone, Copy, Debug)]
pub struct Int4;

impl Code<8> for Int4 {
    const HEADER: usize = 1;
    const SECTION: usize = 4;
    const SECTIONS: usize = 1;
    /// The scale, and the minimum less 16 times the scale.
    type Scale<S: Simd> = (S::f32s, S::f32s);

    #[inline(always)]
    fn scale<S: Simd>(simd: S, header: S::u32s, _section: usize) -> (S::f32s, S::f32s) {
        let (scale, minimum) = (half_of(simd, header, 0), half_of(simd, header, 1));
        (scale, simd.mul_add_e_f32s(scale, simd.splat_f32s(-16.0), minimum))
    }

    #[inline(always)]
    fn weight<S: Simd>(simd: S, word: S::u32s, position: usize, scale: (S::f32s, S::f32s)) -> S::f32s {
        // 16 + value: in the binade of 16 the upper four mantissa bits are worth 8, 4, 2 and 1.
        let moved = shift(simd, word, 19 - 4 * position as i32);
        let value = exponent(simd, moved, 0xF << 19, 16.0);
        simd.mul_add_e_f32s(value, scale.0, scale.1)
    }

    fn scalar(header: u32, _section: usize, word: u32, position: usize) -> f32 {
        let [scale, minimum] = [header, header >> 16].map(|bits| f16::from_bits(bits as u16).to_f32());
        let value = (word >> (4 * position)) & 0xF;
        (16.0 + value as f32).mul_add(scale, scale.mul_add(-16.0, minimum))
    }
}

/// The lower (0) or upper (1) half of each word as an F16 number.
#[inline(always)]
fn half_of<S: Simd>(simd: S, word: S::u32s, which: usize) -> S::f32s {
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

/// The number with the masked bits as mantissa and the exponent of `power`.
#[inline(always)]
fn exponent<S: Simd>(simd: S, word: S::u32s, mask: u32, power: f32) -> S::f32s {
    let mantissa = simd.and_u32s(word, simd.splat_u32s(mask));
    simd.transmute_f32s_u32s(simd.or_u32s(mantissa, simd.splat_u32s(power.to_bits())))
}
