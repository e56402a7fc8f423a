//! Which instructions multiply codes, chosen once at run time; each beside its scalar twin.

use super::line::Line;

/// Components that are summed side by side in f32.
const LANES: usize = 16;

/// The instructions that products are computed by. All give the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Instructions {
    /// Whatever the compiler makes of plain loops.
    Scalar,
    /// AVX2.
    #[cfg(target_arch = "x86_64")]
    Avx2(super::x86::Avx2),
    /// AVX-512 with VNNI.
    #[cfg(target_arch = "x86_64")]
    Vnni(super::x86::Vnni),
}

impl Instructions {
    /// The fastest that this processor has.
    pub(crate) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if let Some(vnni) = super::x86::Vnni::find() {
                return Self::Vnni(vnni);
            }
            if let Some(avx2) = super::x86::Avx2::find() {
                return Self::Avx2(avx2);
            }
        }
        Self::Scalar
    }

    /// Products of a query with the rows of these numbers. What lies behind the last row that `ids` names is never read.
    ///
    /// # Shapes
    /// `rows [n, l]`, `query [l]` lines, `ids [i] -> sums [i]`.
    #[inline]
    pub(crate) fn gather(
        self,
        rows: &[Line],
        query: &[Line],
        query_sum: i32,
        ids: &[u32],
        sums: &mut Vec<i32>,
    ) {
        sums.clear();
        sums.resize(ids.len(), 0);
        match self {
            Self::Scalar => gather_scalar(rows, query, ids, sums),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(avx2) => avx2.gather(rows, query, ids, sums),
            #[cfg(target_arch = "x86_64")]
            Self::Vnni(vnni) => vnni.gather(rows, query, query_sum, ids, sums),
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = query_sum;
    }

    /// Products of several queries with rows that lie one behind the other; the sums of a query stand together.
    ///
    /// # Shapes
    /// `rows [n, l]`, `queries [q, l]` lines, `query_sums [q] -> sums [q, n]`.
    pub(crate) fn scan(
        self,
        rows: &[Line],
        lines: usize,
        queries: &[Line],
        query_sums: &[i32],
        sums: &mut [i32],
    ) {
        if lines == 0 {
            return sums.fill(0);
        }
        match self {
            Self::Scalar => scan_scalar(rows, lines, queries, sums),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(avx2) => avx2.scan(rows, lines, queries, sums),
            #[cfg(target_arch = "x86_64")]
            Self::Vnni(vnni) => vnni.scan(rows, lines, queries, query_sums, sums),
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = query_sums;
    }

    /// The product of two vectors, summed in [`LANES`] lanes and then over them, whatever the instructions.
    #[inline]
    pub(crate) fn dot(self, a: &[f32], b: &[f32]) -> f32 {
        match self {
            Self::Scalar => dot(a, b),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(avx2) => avx2.dot(a, b),
            #[cfg(target_arch = "x86_64")]
            Self::Vnni(vnni) => vnni.dot(a, b),
        }
    }

    /// The squared distance of two vectors, summed as [`Instructions::dot`] does.
    #[inline]
    pub(crate) fn squared_distance(self, a: &[f32], b: &[f32]) -> f32 {
        match self {
            Self::Scalar => squared_distance(a, b),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(avx2) => avx2.squared_distance(a, b),
            #[cfg(target_arch = "x86_64")]
            Self::Vnni(vnni) => vnni.squared_distance(a, b),
        }
    }

    /// Asks for memory that will be read soon.
    #[inline]
    pub(crate) fn fetch<T>(self, values: &[T]) {
        #[cfg(target_arch = "x86_64")]
        super::x86::fetch(values);
        #[cfg(not(target_arch = "x86_64"))]
        let _ = values;
    }
}

/// Product of a row with a query, whose lines hold codes in the same form.
fn product(row: &[Line], query: &[Line]) -> i32 {
    let pairs = row
        .iter()
        .flat_map(|line| line.0)
        .zip(query.iter().flat_map(|line| line.0));
    pairs
        .map(|(a, b)| (i32::from(a) - 128) * (i32::from(b) - 128))
        .sum()
}

fn gather_scalar(rows: &[Line], query: &[Line], ids: &[u32], sums: &mut [i32]) {
    let lines = query.len();
    for (id, sum) in ids.iter().zip(sums) {
        let at = *id as usize * lines;
        *sum = product(&rows[at..at + lines], query);
    }
}

fn scan_scalar(rows: &[Line], lines: usize, queries: &[Line], sums: &mut [i32]) {
    let count = rows.len() / lines;
    for (query, sums) in queries
        .chunks_exact(lines)
        .zip(sums.chunks_exact_mut(count.max(1)))
    {
        for (row, sum) in rows.chunks_exact(lines).zip(sums) {
            *sum = product(row, query);
        }
    }
}

#[inline(always)]
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    lanes(a, b, |x, y| x * y)
}

#[inline(always)]
pub(super) fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
    lanes(a, b, |x, y| (x - y) * (x - y))
}

/// Sums `term` over both slices, lane by lane and then over the lanes.
#[inline(always)]
fn lanes(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let mut sums = [0.0f32; LANES];
    let (a_blocks, a_rest) = a.as_chunks::<LANES>();
    let (b_blocks, b_rest) = b.as_chunks::<LANES>();
    for (x, y) in a_blocks.iter().zip(b_blocks) {
        for lane in 0..LANES {
            sums[lane] += term(x[lane], y[lane]);
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(x, y)| term(*x, *y)).sum();
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every form that this processor can run.
    fn all() -> Vec<Instructions> {
        let mut all = vec![Instructions::Scalar];
        #[cfg(target_arch = "x86_64")]
        {
            all.extend(super::super::x86::Avx2::find().map(Instructions::Avx2));
            all.extend(super::super::x86::Vnni::find().map(Instructions::Vnni));
        }
        all
    }

    fn code(seed: u64, extreme: bool) -> u8 {
        let bits = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
        if extreme {
            [1, 255, 128][bits as usize % 3]
        } else {
            (bits % 255 + 1) as u8
        }
    }

    fn lines(count: usize, seed: u64, extreme: bool) -> Vec<Line> {
        let byte = |line: usize, at: usize| code(seed.wrapping_add((line * 64 + at) as u64), extreme);
        (0..count)
            .map(|line| Line(std::array::from_fn(|at| byte(line, at))))
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_instruction_set_gives_the_bits_of_the_scalar_form(
            per_row in 1usize..27, rows in 0usize..23, queries in 0usize..6, extreme: bool, seed: u64,
        ) {
            let (table, asked) = (lines(rows * per_row, seed, extreme), lines(queries * per_row, !seed, extreme));
            let sum = |query: &[Line]| query.iter().flat_map(|line| line.0).map(|b| i32::from(b) - 128).sum::<i32>();
            let query_sums: Vec<i32> = asked.chunks_exact(per_row).map(sum).collect();
            let mut wanted = vec![0; queries * rows];
            Instructions::Scalar.scan(&table, per_row, &asked, &query_sums, &mut wanted);
            for own in all() {
                let mut sums = vec![7; queries * rows];
                own.scan(&table, per_row, &asked, &query_sums, &mut sums);
                prop_assert_eq!(&sums, &wanted, "{:?}", own);
                let ids: Vec<u32> = (0..rows as u32).rev().collect();
                for (at, query) in asked.chunks_exact(per_row).enumerate() {
                    let mut sums = Vec::new();
                    own.gather(&table, query, query_sums[at], &ids, &mut sums);
                    sums.reverse();
                    prop_assert_eq!(&sums, &wanted[at * rows..(at + 1) * rows], "{:?}", own);
                }
            }
        }

        #[test]
        fn sums_in_f32_have_the_same_bits_everywhere(
            pairs in prop::collection::vec((-1e3f32..1e3, -1e3f32..1e3), 0..200),
        ) {
            let (a, b): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
            for own in all() {
                prop_assert_eq!(own.dot(&a, &b).to_bits(), dot(&a, &b).to_bits());
                prop_assert_eq!(own.squared_distance(&a, &b).to_bits(), squared_distance(&a, &b).to_bits());
            }
        }
    }
}
