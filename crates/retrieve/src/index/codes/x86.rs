//! Products of codes by the instructions of AVX-512 VNNI and of AVX2.
//!
//! Three things are `unsafe` here: to call a function that is compiled for instructions of which only the running
//! processor can say whether it has them, which takes a value of [`Vnni`] or [`Avx2`] that only exists where they were
//! found; to load a register, always from a reference to as many bytes; and the hint to fetch memory, which takes a plain
//! address. The tests of `instructions.rs` compare every function with its scalar twin.
#![allow(unsafe_code, reason = "see the module's first lines")]
#![allow(
    clippy::needless_range_loop,
    reason = "one index runs through several arrays of equal length"
)]

use std::arch::x86_64::*;

use super::instructions;
use super::line::{LINE_BYTES, Line};

/// Rows whose codes are asked for before they are multiplied.
const AHEAD: usize = 6;
/// Rows that share their sums' last steps, and queries that share the loading of rows.
const TILE: usize = 4;

/// Asks for memory that will be read soon.
#[inline(always)]
pub(super) fn fetch<T>(values: &[T]) {
    let address = values.as_ptr().cast::<i8>();
    for line in (0..size_of_val(values)).step_by(LINE_BYTES) {
        // SAFETY: a hint reads nothing and may name any address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.wrapping_add(line)) };
    }
}

/// Where the processor has AVX-512 and VNNI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Vnni(());

impl Vnni {
    pub(super) fn find() -> Option<Self> {
        let found = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vnni");
        found.then_some(Self(()))
    }

    #[inline]
    pub(super) fn gather(self, rows: &[Line], query: &[Line], query_sum: i32, ids: &[u32], sums: &mut [i32]) {
        // SAFETY: `self` says that the processor has the instructions.
        unsafe {
            match query.len() {
                6 => vnni_gather::<6>(rows, query, query_sum, ids, sums),
                8 => vnni_gather::<8>(rows, query, query_sum, ids, sums),
                12 => vnni_gather::<12>(rows, query, query_sum, ids, sums),
                16 => vnni_gather::<16>(rows, query, query_sum, ids, sums),
                _ => vnni_gather_any(rows, query, query_sum, ids, sums),
            }
        }
    }

    pub(super) fn scan(
        self,
        rows: &[Line],
        lines: usize,
        queries: &[Line],
        query_sums: &[i32],
        sums: &mut [i32],
    ) {
        // SAFETY: `self` says that the processor has the instructions.
        unsafe {
            match lines {
                6 => vnni_scan::<6>(rows, queries, query_sums, sums),
                12 => vnni_scan::<12>(rows, queries, query_sums, sums),
                16 => vnni_scan::<16>(rows, queries, query_sums, sums),
                _ => vnni_scan_any(rows, lines, queries, query_sums, sums),
            }
        }
    }

    #[inline]
    pub(super) fn dot(self, a: &[f32], b: &[f32]) -> f32 {
        // SAFETY: `self` says that the processor has the instructions.
        unsafe { dot_512(a, b) }
    }

    #[inline]
    pub(super) fn squared_distance(self, a: &[f32], b: &[f32]) -> f32 {
        // SAFETY: `self` says that the processor has the instructions.
        unsafe { squared_distance_512(a, b) }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
fn load_512(line: &Line) -> __m512i {
    // SAFETY: a line is 64 bytes, aligned so.
    unsafe { _mm512_load_si512(line.0.as_ptr().cast()) }
}

/// The query's line in signed bytes.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
fn signed_512(line: &Line) -> __m512i {
    _mm512_xor_si512(load_512(line), _mm512_set1_epi8(-128))
}

/// Stored bytes are values plus 128, so that a sum is too large by 128 times the query's sum.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
fn row_512(row: &[Line], query: &[__m512i]) -> __m512i {
    let (mut even, mut odd) = (_mm512_setzero_si512(), _mm512_setzero_si512());
    for (row, query) in row.chunks(2).zip(query.chunks(2)) {
        even = _mm512_dpbusd_epi32(even, load_512(&row[0]), query[0]);
        if let ([_, row], [_, query]) = (row, query) {
            odd = _mm512_dpbusd_epi32(odd, load_512(row), *query);
        }
    }
    _mm512_add_epi32(even, odd)
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn vnni_gather<const N: usize>(rows: &[Line], query: &[Line], query_sum: i32, ids: &[u32], sums: &mut [i32]) {
    let (rows, _) = rows.as_chunks::<N>();
    let mut registers = [_mm512_setzero_si512(); N];
    for (register, line) in registers.iter_mut().zip(query) {
        *register = signed_512(line);
    }
    for id in ids.iter().take(AHEAD) {
        fetch(&rows[*id as usize]);
    }
    for (at, (id, sum)) in ids.iter().zip(sums).enumerate() {
        if let Some(next) = ids.get(at + AHEAD) {
            fetch(&rows[*next as usize]);
        }
        *sum = _mm512_reduce_add_epi32(row_512(&rows[*id as usize], &registers)) - 128 * query_sum;
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn vnni_gather_any(rows: &[Line], query: &[Line], query_sum: i32, ids: &[u32], sums: &mut [i32]) {
    let lines = query.len();
    for (at, (id, sum)) in ids.iter().zip(sums).enumerate() {
        if let Some(next) = ids.get(at + 1) {
            fetch(&rows[*next as usize * lines..][..lines]);
        }
        let row = &rows[*id as usize * lines..][..lines];
        let mut total = _mm512_setzero_si512();
        for (row, query) in row.iter().zip(query) {
            total = _mm512_dpbusd_epi32(total, load_512(row), signed_512(query));
        }
        *sum = _mm512_reduce_add_epi32(total) - 128 * query_sum;
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn vnni_scan<const N: usize>(rows: &[Line], queries: &[Line], query_sums: &[i32], sums: &mut [i32]) {
    let (rows, _) = rows.as_chunks::<N>();
    let (queries, _) = queries.as_chunks::<N>();
    let count = rows.len();
    let (groups, rest) = queries.as_chunks::<TILE>();
    let (grouped_sums, rest_sums) = query_sums.split_at(groups.len() * TILE);
    let (grouped, others) = sums.split_at_mut(groups.len() * TILE * count);
    for (at, group) in groups.iter().enumerate() {
        let sums = &mut grouped[at * TILE * count..(at + 1) * TILE * count];
        vnni_product(rows, group, &grouped_sums[at * TILE..(at + 1) * TILE], sums);
    }
    for (at, query) in rest.iter().enumerate() {
        vnni_rows(
            rows,
            query,
            128 * rest_sums[at],
            &mut others[at * count..(at + 1) * count],
        );
    }
}

/// All rows with one query.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
fn vnni_rows<const N: usize>(rows: &[[Line; N]], query: &[Line; N], too_much: i32, sums: &mut [i32]) {
    let mut registers = [_mm512_setzero_si512(); N];
    for (register, line) in registers.iter_mut().zip(query) {
        *register = signed_512(line);
    }
    let (tiles, rest) = rows.as_chunks::<TILE>();
    let (tile_sums, rest_sums) = sums.as_chunks_mut::<TILE>();
    for (tile, sums) in tiles.iter().zip(tile_sums) {
        let a = row_512(&tile[0], &registers);
        let b = row_512(&tile[1], &registers);
        let c = row_512(&tile[2], &registers);
        let d = row_512(&tile[3], &registers);
        *sums = reduce_4([a, b, c, d], too_much);
    }
    for (row, sum) in rest.iter().zip(rest_sums) {
        *sum = _mm512_reduce_add_epi32(row_512(row, &registers)) - too_much;
    }
}

/// All rows with four queries, in tiles of four by four: a product of matrices.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
fn vnni_product<const N: usize>(
    rows: &[[Line; N]],
    queries: &[[Line; N]; TILE],
    query_sums: &[i32],
    sums: &mut [i32],
) {
    let count = rows.len();
    let (tiles, rest) = rows.as_chunks::<TILE>();
    for (at, tile) in tiles.iter().enumerate() {
        let mut totals = [[_mm512_setzero_si512(); TILE]; TILE];
        for line in 0..N {
            let mut stored = [_mm512_setzero_si512(); TILE];
            for r in 0..TILE {
                stored[r] = load_512(&tile[r][line]);
            }
            for q in 0..TILE {
                let query = signed_512(&queries[q][line]);
                for r in 0..TILE {
                    totals[q][r] = _mm512_dpbusd_epi32(totals[q][r], stored[r], query);
                }
            }
        }
        for q in 0..TILE {
            let found = reduce_4(totals[q], 128 * query_sums[q]);
            sums[q * count + at * TILE..][..TILE].copy_from_slice(&found);
        }
    }
    let first = tiles.len() * TILE;
    for q in 0..TILE {
        vnni_rows(
            rest,
            &queries[q],
            128 * query_sums[q],
            &mut sums[q * count + first..(q + 1) * count],
        );
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn vnni_scan_any(rows: &[Line], lines: usize, queries: &[Line], query_sums: &[i32], sums: &mut [i32]) {
    let count = rows.len() / lines;
    for (at, query) in queries.chunks_exact(lines).enumerate() {
        for (row, sum) in rows.chunks_exact(lines).zip(&mut sums[at * count..]) {
            let mut total = _mm512_setzero_si512();
            for (row, query) in row.iter().zip(query) {
                total = _mm512_dpbusd_epi32(total, load_512(row), signed_512(query));
            }
            *sum = _mm512_reduce_add_epi32(total) - 128 * query_sums[at];
        }
    }
}

/// The sums of four registers.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
fn reduce_4([a, b, c, d]: [__m512i; TILE], too_much: i32) -> [i32; TILE] {
    let ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    let cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    let abcd = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    let half = _mm256_add_epi32(_mm512_castsi512_si256(abcd), _mm512_extracti64x4_epi64::<1>(abcd));
    let sum = _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256::<1>(half));
    let sum = _mm_sub_epi32(sum, _mm_set1_epi32(too_much));
    [
        _mm_extract_epi32::<0>(sum),
        _mm_extract_epi32::<1>(sum),
        _mm_extract_epi32::<2>(sum),
        _mm_extract_epi32::<3>(sum),
    ]
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn dot_512(a: &[f32], b: &[f32]) -> f32 {
    instructions::dot(a, b)
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn squared_distance_512(a: &[f32], b: &[f32]) -> f32 {
    instructions::squared_distance(a, b)
}

/// Where the processor has AVX2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Avx2(());

impl Avx2 {
    pub(super) fn find() -> Option<Self> {
        is_x86_feature_detected!("avx2").then_some(Self(()))
    }

    #[inline]
    pub(super) fn gather(self, rows: &[Line], query: &[Line], ids: &[u32], sums: &mut [i32]) {
        // SAFETY: `self` says that the processor has the instructions.
        unsafe { avx2_gather(rows, query, ids, sums) }
    }

    pub(super) fn scan(self, rows: &[Line], lines: usize, queries: &[Line], sums: &mut [i32]) {
        // SAFETY: `self` says that the processor has the instructions.
        unsafe { avx2_scan(rows, lines, queries, sums) }
    }

    #[inline]
    pub(super) fn dot(self, a: &[f32], b: &[f32]) -> f32 {
        // SAFETY: `self` says that the processor has the instructions.
        unsafe { dot_256(a, b) }
    }

    #[inline]
    pub(super) fn squared_distance(self, a: &[f32], b: &[f32]) -> f32 {
        // SAFETY: `self` says that the processor has the instructions.
        unsafe { squared_distance_256(a, b) }
    }
}

/// Both halves of a line in signed bytes.
#[target_feature(enable = "avx2")]
#[inline]
fn signed_256(line: &Line) -> [__m256i; 2] {
    let address = line.0.as_ptr().cast::<__m256i>();
    // SAFETY: a line is 64 bytes, aligned so.
    let halves = unsafe { [_mm256_load_si256(address), _mm256_load_si256(address.add(1))] };
    let flip = _mm256_set1_epi8(-128);
    [
        _mm256_xor_si256(halves[0], flip),
        _mm256_xor_si256(halves[1], flip),
    ]
}

/// The sign of a stored value goes over to the query's, so that the products are of unsigned and signed bytes. A pair is
/// at most 2 x 127 x 127, which fits 16 bits.
#[target_feature(enable = "avx2")]
#[inline]
fn product_256(row: &[Line], query: &[Line]) -> i32 {
    let ones = _mm256_set1_epi16(1);
    let mut sum = _mm256_setzero_si256();
    for (row, query) in row.iter().zip(query) {
        let (row, query) = (signed_256(row), signed_256(query));
        for half in 0..2 {
            let signed = _mm256_sign_epi8(query[half], row[half]);
            let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(row[half]), signed);
            sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, ones));
        }
    }
    let half = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum));
    let pair = _mm_add_epi32(half, _mm_shuffle_epi32::<0b01_00_11_10>(half));
    _mm_cvtsi128_si32(_mm_add_epi32(pair, _mm_shuffle_epi32::<0b10_11_00_01>(pair)))
}

#[target_feature(enable = "avx2")]
fn avx2_gather(rows: &[Line], query: &[Line], ids: &[u32], sums: &mut [i32]) {
    let lines = query.len();
    for (at, (id, sum)) in ids.iter().zip(sums).enumerate() {
        if let Some(next) = ids.get(at + 2) {
            fetch(&rows[*next as usize * lines..][..lines]);
        }
        *sum = product_256(&rows[*id as usize * lines..][..lines], query);
    }
}

#[target_feature(enable = "avx2")]
fn avx2_scan(rows: &[Line], lines: usize, queries: &[Line], sums: &mut [i32]) {
    let count = rows.len() / lines;
    for (at, query) in queries.chunks_exact(lines).enumerate() {
        for (row, sum) in rows.chunks_exact(lines).zip(&mut sums[at * count..]) {
            *sum = product_256(row, query);
        }
    }
}

#[target_feature(enable = "avx2")]
fn dot_256(a: &[f32], b: &[f32]) -> f32 {
    instructions::dot(a, b)
}

#[target_feature(enable = "avx2")]
fn squared_distance_256(a: &[f32], b: &[f32]) -> f32 {
    instructions::squared_distance(a, b)
}
