//! Integer products by the instructions of AVX-512 VNNI and of AVX2.
//!
//! `vpdpbusd` is missing in pulp, and the standard library's form of it is `unsafe` to call where the compiler cannot see
//! that the processor has it; the hint to fetch memory takes a plain address. These two calls are all the unsafe code here. The first needs a value of [`Vnni`], which only exists
//! where the instruction was found. The scalar form in the tests guards it: every instruction set has to give its bits.
#![allow(unsafe_code)]

use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch, _mm512_dpbusd_epi32};

use pulp::x86::{V3, V4};
use pulp::{NullaryFnOnce, Simd, cast};

use super::coded_rows::{CodedPart, Group, MAGIC};
use super::integer_product::{Dot, Integers, Product, Words, from_magic};
use super::panels::Panels;

/// Bytes between what is read and what is asked for.
const AHEAD: usize = 4096;
const CACHE_LINE: usize = 64;

pulp::simd_type! {
    /// What [`V4`] stands for, and VNNI.
    pub struct Instructions {
        pub sse: "sse",
        pub sse2: "sse2",
        pub fxsr: "fxsr",
        pub sse3: "sse3",
        pub ssse3: "ssse3",
        pub sse4_1: "sse4.1",
        pub sse4_2: "sse4.2",
        pub popcnt: "popcnt",
        pub avx: "avx",
        pub avx2: "avx2",
        pub bmi1: "bmi1",
        pub bmi2: "bmi2",
        pub fma: "fma",
        pub lzcnt: "lzcnt",
        pub avx512f: "avx512f",
        pub avx512bw: "avx512bw",
        pub avx512cd: "avx512cd",
        pub avx512dq: "avx512dq",
        pub avx512vl: "avx512vl",
        pub avx512vnni: "avx512vnni",
    }
}

/// The product of one panel, or `sums` back where neither VNNI nor AVX2 can do it.
pub fn run<'a>(
    integers: Integers,
    rows: CodedPart<'_>,
    matrix: &Panels<u32>,
    panel: usize,
    sums: &'a mut [f32],
) -> Result<(), &'a mut [f32]> {
    if matrix.lanes() == V4::F32_LANES
        && let (Some(dot), Some(simd)) = (Vnni::find(), V4::try_new())
    {
        dot.0.vectorize(Run {
            simd,
            product: Product {
                dot,
                integers,
                rows,
                matrix,
                panel,
                sums,
            },
        });
        return Ok(());
    }
    if matrix.lanes() == V3::F32_LANES
        && let Some(simd) = V3::try_new()
    {
        V3::vectorize(
            simd,
            Run {
                simd,
                product: Product {
                    dot: Pairs(simd),
                    integers,
                    rows,
                    matrix,
                    panel,
                    sums,
                },
            },
        );
        return Ok(());
    }
    Err(sums)
}

/// A product with the vectors that it is computed in.
struct Run<'a, S, D> {
    simd: S,
    product: Product<'a, D>,
}

impl<S: Simd, D: Dot<S>> NullaryFnOnce for Run<'_, S, D> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        self.product.run(self.simd);
    }
}

/// `vpdpbusd`: four products of unsigned with signed bytes, added to 32 bits.
#[derive(Clone, Copy, Debug)]
pub struct Vnni(Instructions);

impl Vnni {
    /// Where the processor has it.
    pub fn find() -> Option<Self> {
        Instructions::try_new().map(Self)
    }

    #[inline(always)]
    fn add(self, simd: V4, sum: pulp::u32x16, word: pulp::u32x16, x: u32) -> pulp::u32x16 {
        let x = simd.splat_u32s(x);
        // SAFETY: `self` says that the processor has AVX-512 VNNI.
        cast(unsafe { _mm512_dpbusd_epi32(cast(sum), cast(word), cast(x)) })
    }
}

impl Dot<V4> for Vnni {
    #[inline(always)]
    fn fetch(self, block: &[Words<V4>]) {
        let address = block.as_ptr().cast::<i8>().wrapping_add(AHEAD);
        for line in (0..size_of_val(block)).step_by(CACHE_LINE) {
            // SAFETY: a hint reads nothing and may name any address.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(address.wrapping_add(line)) };
        }
    }

    #[inline(always)]
    fn start_bytes(self, simd: V4, group: &Group) -> pulp::u32x16 {
        simd.splat_u32s(group.biased)
    }

    #[inline(always)]
    fn bytes(self, simd: V4, sum: pulp::u32x16, word: pulp::u32x16, x: u32) -> pulp::u32x16 {
        self.add(simd, sum, word, x)
    }

    #[inline(always)]
    fn bytes_sum(self, simd: V4, sum: pulp::u32x16) -> pulp::f32x16 {
        from_magic(simd, sum)
    }

    #[inline(always)]
    fn start_nibbles(self, simd: V4) -> pulp::u32x16 {
        simd.splat_u32s(MAGIC.to_bits())
    }

    #[inline(always)]
    fn nibbles(self, simd: V4, sum: pulp::u32x16, word: pulp::u32x16, x: u32) -> pulp::u32x16 {
        self.add(simd, sum, word, x)
    }

    #[inline(always)]
    fn nibbles_sum(self, simd: V4, sum: pulp::u32x16) -> pulp::f32x16 {
        from_magic(simd, sum)
    }
}

/// `vpmaddubsw` and `vpmaddwd`: products in pairs of 16 bits, which saturate, and pairs of these.
///
/// With weights in int8 the sign of each goes over to its component, so that a pair is at most 2 x 128 x 127 and never
/// saturates. With int4 eight pairs of 2 x 15 x 127 fit 16 bits, and are summed there.
#[derive(Clone, Copy, Debug)]
pub struct Pairs(V3);

impl Dot<V3> for Pairs {
    #[inline(always)]
    fn start_bytes(self, simd: V3, _group: &Group) -> pulp::u32x8 {
        simd.splat_u32s(MAGIC.to_bits())
    }

    #[inline(always)]
    fn bytes(self, simd: V3, sum: pulp::u32x8, word: pulp::u32x8, x: u32) -> pulp::u32x8 {
        let avx2 = self.0.avx2;
        let weights = cast(simd.xor_u32s(word, simd.splat_u32s(0x8080_8080)));
        let x = avx2._mm256_sign_epi8(cast(simd.splat_u32s(x)), weights);
        let pairs = avx2._mm256_maddubs_epi16(avx2._mm256_abs_epi8(weights), x);
        let ones = cast(simd.splat_u32s(0x0001_0001));
        simd.add_u32s(sum, cast(avx2._mm256_madd_epi16(pairs, ones)))
    }

    #[inline(always)]
    fn bytes_sum(self, simd: V3, sum: pulp::u32x8) -> pulp::f32x8 {
        from_magic(simd, sum)
    }

    #[inline(always)]
    fn start_nibbles(self, simd: V3) -> pulp::u32x8 {
        simd.splat_u32s(0)
    }

    #[inline(always)]
    fn nibbles(self, simd: V3, sum: pulp::u32x8, word: pulp::u32x8, x: u32) -> pulp::u32x8 {
        let avx2 = self.0.avx2;
        let pairs = avx2._mm256_maddubs_epi16(cast(word), cast(simd.splat_u32s(x)));
        cast(avx2._mm256_add_epi16(cast(sum), pairs))
    }

    #[inline(always)]
    fn nibbles_sum(self, simd: V3, sum: pulp::u32x8) -> pulp::f32x8 {
        let ones = cast(simd.splat_u32s(0x0001_0001));
        let sum = cast(self.0.avx2._mm256_madd_epi16(cast(sum), ones));
        from_magic(simd, simd.add_u32s(sum, simd.splat_u32s(MAGIC.to_bits())))
    }
}
