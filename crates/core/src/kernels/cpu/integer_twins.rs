//! Integer products of every instruction set that this processor has, beside their scalar form: the same bits.

use half::f16;
use proptest::prelude::*;
use pulp::{Arch, Scalar, Simd, WithSimd};

use super::coded::{Code, Int4, Int8};
use super::coded_rows::{CodedPart, CodedRows, GROUP};
use super::integer_product::{Integers, Portable, Product, integer_product};
use super::panels::{PANEL_VECTORS, Panels};
use super::rows::Rows;

/// SplitMix64 (Steele, Lea and Flood 2014, OOPSLA, figure 16).
fn mixed(seed: u64) -> u32 {
    let z = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (z ^ (z >> 31)) as u32
}

/// A matrix of any integers there are, often the extreme ones, and finite scales.
fn matrix(integers: Integers, lanes: usize, k: usize, n: usize, seed: u64) -> Panels<u32> {
    let (words, block) = match integers {
        Integers::Int8 => (Int8::words(k), Int8::BLOCK),
        Integers::Int4 => (Int4::words(k), Int4::BLOCK),
    };
    Panels::of_words_in(lanes, words, n, |column, index| {
        let bits = mixed(seed ^ ((column * 4096 + index) as u64) << 8);
        if index % block == 0 {
            let half = |bits: u32| u32::from(f16::from_f32((bits & 0xFFF) as f32 / 512.0 - 4.0).to_bits());
            return half(bits) | half(bits >> 12) << 16;
        }
        match bits % 5 {
            0 => 0,
            1 => u32::MAX,
            2 => 0x01FF_00FE,
            _ => bits,
        }
    })
}

/// The scalar form.
fn twin(integers: Integers, rows: CodedPart<'_>, matrix: &Panels<u32>, k: usize, n: usize) -> Vec<f32> {
    let value = |words: &[u32], index: usize| match integers {
        Integers::Int8 => {
            let (_, _, word, position) = Int8::place(index);
            ((words[word] >> (8 * position)) & 0xFF).cast_signed() - 128
        }
        Integers::Int4 => {
            let (_, _, word, position) = Int4::place(index);
            let nibble = words[word] >> (8 * (position % 4) + 4 * (position / 4));
            (nibble & 0xF).cast_signed()
        }
    };
    let mut sums = Vec::new();
    for row in 0..rows.len() {
        let (coded, groups) = rows.row(row);
        for column in 0..n {
            let words: Vec<u32> = matrix.column(column).collect();
            let mut total = 0.0f32;
            for (first, (coded, group)) in (0..k).step_by(GROUP).zip(coded.iter().zip(groups)) {
                let bytes: Vec<u8> = coded.iter().flat_map(|word| word.to_le_bytes()).collect();
                let products = (first..k.min(first + GROUP)).zip(bytes);
                let sum: i32 = products
                    .map(|(index, byte)| value(&words, index) * i32::from(byte.cast_signed()))
                    .sum();
                let half = |bits: u32| f16::from_bits(bits as u16).to_f32();
                match integers {
                    Integers::Int8 => {
                        let (header, section, ..) = Int8::place(first);
                        let scale = half(words[header] >> (16 * section));
                        total = (sum as f32).mul_add(scale * group.scale, total);
                    }
                    Integers::Int4 => {
                        let header = words[Int4::place(first).0];
                        total = (sum as f32).mul_add(half(header) * group.scale, total);
                        total = half(header >> 16).mul_add(group.offset, total);
                    }
                }
            }
            sums.push(total);
        }
    }
    sums
}

/// What all panels give, without the columns that only fill the last one up.
fn product(
    lanes: usize,
    rows: CodedPart<'_>,
    n: usize,
    panels: usize,
    mut panel: impl FnMut(usize, &mut [f32]),
) -> Vec<f32> {
    let width = PANEL_VECTORS * lanes;
    let mut sums = vec![0.0; rows.len() * n];
    for index in 0..panels {
        let mut part = vec![0.0; rows.len() * width];
        panel(index, &mut part);
        for (row, part) in part.chunks(width).enumerate() {
            let columns = index * width..n.min((index + 1) * width);
            sums[row * n..][columns.clone()].copy_from_slice(&part[..columns.len()]);
        }
    }
    sums
}

struct Lanes;

impl WithSimd for Lanes {
    type Output = usize;

    fn with_simd<S: Simd>(self, _simd: S) -> usize {
        S::F32_LANES
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_instruction_set_gives_the_bits_of_the_scalar_form(
        t in 1usize..12, k in 1usize..300, n in 1usize..120, four: bool, extreme: bool, seed: u64,
    ) {
        let integers = if four { Integers::Int4 } else { Integers::Int8 };
        let data: Vec<f32> = (0..t * k).map(|i| match (extreme, mixed(seed ^ i as u64)) {
            (true, bits) => if bits & 1 == 0 { 1.0 } else { -1.0 },
            (false, bits) => (bits >> 8) as f32 / (1u32 << 23) as f32 - 1.0,
        }).collect();
        let coded = CodedRows::new(Rows::new(&data, k, t, k));
        let rows = coded.part(0, t);
        let run = |lanes: usize, fastest: bool| {
            let matrix = matrix(integers, lanes, k, n, seed);
            let expected = twin(integers, rows, &matrix, k, n);
            let found = product(lanes, rows, n, matrix.panels(), |panel, sums| match fastest {
                true => integer_product(integers, rows, &matrix, panel, sums),
                false => {
                    let matrix = &matrix;
                    let product = Product { dot: Portable, integers, rows, matrix, panel, sums };
                    match lanes {
                        1 => product.run(Scalar),
                        _ => Arch::new().dispatch(product),
                    }
                }
            });
            (found, expected)
        };
        let own = Arch::new().dispatch(Lanes);
        let mut exact = vec![run(own, true), run(own, false)];
        #[cfg(target_arch = "x86_64")]
        if pulp::x86::V3::try_new().is_some() {
            exact.push(run(8, true));
        }
        for (found, expected) in exact {
            for (found, expected) in found.iter().zip(&expected) {
                prop_assert_eq!(found.to_bits(), expected.to_bits(), "{} and {}", found, expected);
            }
        }
        // One lane may round a product before it is added.
        let (found, expected) = run(1, false);
        for (found, expected) in found.iter().zip(&expected) {
            prop_assert!((found - expected).abs() <= 1e-3 * expected.abs().max(10.0), "{found} and {expected}");
        }
    }
}
