//! Each fused operation against its composed twin: random shapes, ragged texts, strided inputs, extremes.

use burn::tensor::{Distribution, Tensor, TensorData};
use proptest::prelude::*;

use super::{
    Activation, AttentionOptions, LayerCache, LinearWeight, activation, attention, embedding, gated,
    layer_norm, linear, rms_norm, rotary,
};
use crate::device::{self, Device};
use crate::weights::{Precision, StoredMatrix};

const ACTIVATIONS: [Activation; 5] = [
    Activation::Gelu,
    Activation::GeluTanh,
    Activation::Relu,
    Activation::Silu,
    Activation::Tanh,
];

/// Reproducible components between -1 and 1.
fn random<const D: usize>(shape: [usize; D], seed: u64) -> Tensor<D> {
    let mut state = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let data: Vec<f32> = (0..shape.iter().product())
        .map(|_| {
            // SplitMix64 (Steele, Lea and Flood 2014, OOPSLA, figure 16).
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            ((z ^ (z >> 31)) >> 40) as f32 / (1u32 << 23) as f32 - 1.0
        })
        .collect();
    Tensor::from_data(TensorData::new(data, shape), &device::cpu())
}

/// The same values, stored so that rows are not where a contiguous tensor has them.
fn strided(x: Tensor<2>, how: u8) -> Tensor<2> {
    let [rows, columns] = x.dims();
    match how {
        0 => x,
        // columns of a wider matrix
        1 => Tensor::cat(vec![random([rows, 3], 1), x, random([rows, 2], 2)], 1)
            .slice([0..rows, 3..3 + columns]),
        // rows of a longer matrix
        2 => Tensor::cat(vec![random([2, columns], 1), x, random([1, columns], 2)], 0)
            .slice([2..2 + rows, 0..columns]),
        // a transposed view
        _ => {
            let device: Device = x.device();
            let transposed = x.transpose().into_data();
            Tensor::<2>::from_data(transposed, &device).transpose()
        }
    }
}

fn values<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().iter::<f32>().collect()
}

/// The rows as the product with a weight of this precision takes them: with integers they are rounded, in groups of 32.
fn as_multiplied(x: Tensor<2>, precision: Precision) -> Tensor<2> {
    if !matches!(precision, Precision::Int8 | Precision::Int4) {
        return x;
    }
    let dims = x.dims();
    let mut data = values(x);
    for group in data.chunks_mut(dims[1]).flat_map(|row| row.chunks_mut(32)) {
        let largest = group.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
        if largest > 0.0 {
            let rounded = |x: f32| (x * (127.0 / largest)).round_ties_even() * (largest / 127.0);
            group.iter_mut().for_each(|x| *x = rounded(*x));
        }
    }
    Tensor::from_data(TensorData::new(data, dims), &device::cpu())
}

fn close<const D: usize>(found: Tensor<D>, expected: Tensor<D>, tolerance: f32) {
    assert_eq!(found.dims(), expected.dims());
    for (at, (found, expected)) in values(found).into_iter().zip(values(expected)).enumerate() {
        assert!(
            (found - expected).abs() <= tolerance * expected.abs().max(1.0)
                || found.to_bits() == expected.to_bits(),
            "component {at}: {found} and {expected}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn linear_matches(t in 0usize..90, i in 1usize..70, o in 1usize..130, how in 0u8..4, bias: bool, act in 0usize..6, seed: u64) {
        let x = if t == 0 { random([0, i], seed) } else { strided(random([t, i], seed), how) };
        let tensor = strided(random([o, i], seed ^ 1), how);
        let weight = LinearWeight::new(tensor.clone());
        let bias = bias.then(|| random([o], seed ^ 2));
        let act = ACTIVATIONS.get(act).copied();
        close(
            linear::linear(x.clone(), &weight, bias.as_ref(), act),
            linear::composed(x, &weight, bias.as_ref(), act),
            1e-5,
        );
        prop_assert_eq!(values(weight.to_tensor()), values(tensor));
    }

    #[test]
    fn attention_matches(
        lengths in prop::collection::vec(0usize..40, 0..5),
        long in prop::option::of(120usize..150),
        heads in 1usize..4,
        d in 1usize..37,
        how in 0u8..4,
        bias: bool,
        dropped in prop::option::of(0.05f64..0.9),
        seed: u64,
    ) {
        let lengths: Vec<usize> = lengths.into_iter().chain(long).collect();
        let offsets = offsets_of(&lengths);
        let t: usize = lengths.iter().sum();
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let input = |seed| {
            let x = random([t, heads * d], seed) * 3.0;
            if t == 0 { x } else { strided(x, how) }
        };
        let (q, k, v) = (input(seed), input(seed ^ 1), input(seed ^ 2));
        let bias = bias.then(|| random([heads, longest + 2, longest + 2], seed ^ 3));
        let options = AttentionOptions {
            dropout: dropped.map(|probability| (probability, seed)),
            ..AttentionOptions::new(heads, 0.3)
        };
        close(
            attention::attention(q.clone(), k.clone(), v.clone(), bias.as_ref(), &offsets, options),
            attention::composed(q, k, v, bias.as_ref(), &offsets, options),
            1e-5,
        );
    }

    #[test]
    fn layer_norm_matches(t in 0usize..150, h in 1usize..80, how in 0u8..4, residual: bool, shift in -50f32..50.0, seed: u64) {
        let input = |seed| if t == 0 { random([0, h], seed) } else { strided(random([t, h], seed), how) };
        let (x, residual) = (input(seed) + shift, residual.then(|| input(seed ^ 1)));
        let (weight, bias) = (random([h], seed ^ 2), random([h], seed ^ 3));
        // The rounding of the mean grows with the shift.
        let tolerance = 1e-4 + 1e-4 * shift.abs();
        close(
            layer_norm::layer_norm(x.clone(), residual.clone(), &weight, &bias, 1e-3),
            layer_norm::composed(x, residual, &weight, &bias, 1e-3),
            tolerance,
        );
    }

    #[test]
    fn activation_matches(t in 0usize..70, h in 1usize..600, how in 0u8..4, act in 0usize..5, seed: u64) {
        let x = if t == 0 { random([0, h], seed) } else { strided(random([t, h], seed) * 8.0, how) };
        close(activation::activate(x.clone(), ACTIVATIONS[act]), activation::composed(x, ACTIVATIONS[act]), 2e-6);
    }

    #[test]
    fn embedding_matches(v in 1usize..50, h in 1usize..40, how in 0u8..4, ids in prop::collection::vec(0u32..50, 0..60)) {
        let ids: Vec<u32> = ids.into_iter().map(|id| id % v as u32).collect();
        let table = strided(random([v, h], 7), how);
        close(embedding::embedding(&table, &ids), embedding::composed(&table, &ids), 0.0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn products_of_stored_weights_match(
        t in 0usize..40, i in 1usize..200, o in 1usize..110, precision in 0usize..5, bias: bool, act in 0usize..6, seed: u64,
    ) {
        let precision = Precision::ALL[precision];
        let stored = StoredMatrix::new("w", values(random([o, i], seed ^ 1)), [o, i], precision).unwrap();
        let weight = LinearWeight::from_stored(&stored, &device::cpu());
        prop_assert_eq!((weight.dims(), weight.precision()), ([o, i], precision));
        // 1. What is packed is what is stored.
        let plain = Tensor::<2>::from_data(TensorData::new(stored.to_f32(), [o, i]), &device::cpu());
        close(weight.to_tensor(), plain.clone(), 1e-6);
        let ids: Vec<u32> = (0..o as u32).rev().collect();
        close(weight.rows(&ids), plain.clone().flip([0]), 1e-6);
        // 2. The product is that of the decoded weight, against f64.
        let original = random([t, i], seed);
        let x = as_multiplied(original.clone(), precision);
        let bias = bias.then(|| random([o], seed ^ 2));
        let y = linear::linear(original.clone(), &weight, bias.as_ref(), None);
        let (xs, ws) = (values(x.clone()), values(plain));
        let bs = bias.clone().map_or(vec![0.0; o], values);
        for (at, y) in values(y).into_iter().enumerate() {
            let (row, column) = (at / o, at % o);
            let products = xs[row * i..][..i].iter().zip(&ws[column * i..][..i]);
            let exact: f64 = products.map(|(x, w)| f64::from(*x) * f64::from(*w)).sum::<f64>() + f64::from(bs[column]);
            prop_assert!((f64::from(y) - exact).abs() < 2e-5, "{precision}: {y} for {exact}");
        }
        // 3. Activation.
        let act = ACTIVATIONS.get(act).copied();
        close(
            linear::linear(original, &weight, bias.as_ref(), act),
            linear::composed(x, &weight, bias.as_ref(), act),
            2e-5,
        );
    }

    #[test]
    fn several_maps_of_the_same_rows_match(
        t in 0usize..90, i in 1usize..70, widths in prop::array::uniform3(1usize..130), precisions in prop::array::uniform3(0usize..5),
        how in 0u8..4, biases in prop::array::uniform3(any::<bool>()), act in 0usize..5, seed: u64,
    ) {
        let x = if t == 0 { random([0, i], seed) } else { strided(random([t, i], seed), how) };
        let weight = |index: usize, o: usize| {
            let tensor = random([o, i], seed ^ (index as u64 + 1));
            LinearWeight::with_precision(tensor, Precision::ALL[precisions[index]]).unwrap()
        };
        let bias = |index: usize, o: usize| biases[index].then(|| random([o], seed ^ (index as u64 + 10)));
        let weights: [_; 3] = std::array::from_fn(|index| weight(index, widths[index]));
        let added: [_; 3] = std::array::from_fn(|index| bias(index, widths[index]));
        let maps: [_; 3] = std::array::from_fn(|index| (&weights[index], added[index].as_ref()));
        let seen = |weight: &LinearWeight| as_multiplied(x.clone(), weight.precision());
        for (found, (weight, bias)) in linear::linear_each(x.clone(), maps).into_iter().zip(maps) {
            close(found, linear::composed(seen(weight), weight, bias, None), 2e-5);
        }
        let (up, up_bias) = (weight(1, widths[0]), bias(1, widths[0]));
        let pair = (maps[0], (&up, up_bias.as_ref()));
        close(
            linear::linear_gated(x.clone(), pair.0, pair.1, ACTIVATIONS[act]),
            gated::composed(
                linear::composed(seen(pair.0.0), pair.0.0, pair.0.1, None),
                linear::composed(seen(&up), &up, up_bias.as_ref(), None),
                ACTIVATIONS[act],
            ),
            5e-5,
        );
    }

    #[test]
    fn rms_norm_matches(t in 0usize..150, h in 1usize..80, how in 0u8..4, residual: bool, seed: u64) {
        let input = |seed| if t == 0 { random([0, h], seed) } else { strided(random([t, h], seed), how) };
        let (x, residual, weight) = (input(seed), residual.then(|| input(seed ^ 1)), random([h], seed ^ 2));
        let (normed, sum) = rms_norm::rms_norm(x.clone(), residual.clone(), &weight, 1e-5);
        let (expected, expected_sum) = rms_norm::composed(x, residual, &weight, 1e-5);
        close(sum, expected_sum, 0.0);
        close(normed, expected, 1e-5);
    }

    #[test]
    fn rotary_matches(t in 0usize..90, heads in 1usize..5, half in 0usize..40, rest in 0usize..9, how in 0u8..4, seed: u64) {
        let width = heads * (2 * half + rest).max(1);
        let half = half.min(width / heads / 2);
        let input = |width: usize, seed| if t == 0 { random([0, width], seed) } else { strided(random([t, width], seed), how) };
        let x = input(width, seed);
        let (cos, sin) = (random([t, half], seed ^ 1), random([t, half], seed ^ 2));
        close(rotary::rotary(x.clone(), heads, &cos, &sin), rotary::composed(x, heads, &cos, &sin), 1e-6);
    }

    #[test]
    fn gated_matches(t in 0usize..70, f in 1usize..300, how in 0u8..4, act in 0usize..5, seed: u64) {
        let input = |seed| if t == 0 { random([0, f], seed) } else { strided(random([t, f], seed), how) * 4.0 };
        let (gate, up) = (input(seed), input(seed ^ 1));
        close(
            gated::gated(gate.clone(), up.clone(), ACTIVATIONS[act]),
            gated::composed(gate, up, ACTIVATIONS[act]),
            4e-6,
        );
    }

    #[test]
    fn causal_attention_matches(
        lengths in prop::collection::vec(0usize..40, 0..5),
        long in prop::option::of(120usize..180),
        kv_heads in 1usize..4,
        group in 1usize..4,
        d in 1usize..37,
        window in prop::option::of(1usize..150),
        how in 0u8..4,
        seed: u64,
    ) {
        let lengths: Vec<usize> = lengths.into_iter().chain(long).collect();
        let offsets = offsets_of(&lengths);
        let t = offsets[offsets.len() - 1];
        let input = |heads: usize, seed| {
            let x = random([t, heads * d], seed) * 3.0;
            if t == 0 { x } else { strided(x, how) }
        };
        let (q, k, v) = (input(kv_heads * group, seed), input(kv_heads, seed ^ 1), input(kv_heads, seed ^ 2));
        let options = AttentionOptions::new(kv_heads * group, 0.3).with_kv_heads(kv_heads).with_causal(window);
        close(
            attention::attention(q.clone(), k.clone(), v.clone(), None, &offsets, options),
            attention::composed(q, k, v, None, &offsets, options),
            1e-5,
        );
    }

    #[test]
    fn cached_attention_matches(
        steps in prop::collection::vec(prop::array::uniform3(0usize..9), 1..5),
        prompt in prop::option::of(60usize..700),
        kv_heads in 1usize..4,
        group in 1usize..5,
        d in 1usize..70,
        window in prop::option::of(1usize..80),
        seed: u64,
    ) {
        let options = AttentionOptions::new(kv_heads * group, 0.3).with_kv_heads(kv_heads).with_causal(window);
        let new = || -> Vec<LayerCache> {
            (0..3).map(|_| LayerCache::new(kv_heads * d, 640, window, &device::cpu())).collect()
        };
        let (mut fused, mut plain) = (new(), new());
        let mut held: [[Vec<f32>; 2]; 3] = Default::default();
        let first = prompt.map(|n| [n, 0, 3]);
        for (step, lengths) in first.into_iter().chain(steps).enumerate() {
            let offsets = offsets_of(&lengths);
            let t = offsets[3];
            let input = |heads: usize, which: u64| random([t, heads * d], seed ^ which ^ (step as u64) << 8) * 3.0;
            let (q, k, v) = (input(kv_heads * group, 1), input(kv_heads, 2), input(kv_heads, 3));
            let mut caches: Vec<&mut LayerCache> = fused.iter_mut().collect();
            let found = attention::attention_cached(q.clone(), k.clone(), v.clone(), &mut caches, &offsets, options);
            let mut caches: Vec<&mut LayerCache> = plain.iter_mut().collect();
            let twin = attention::composed_cached(q.clone(), k.clone(), v.clone(), &mut caches, &offsets, options);
            let [q, k, v] = [q, k, v].map(values);
            let [found, twin] = [found, twin].map(values);
            for (text, held) in held.iter_mut().enumerate() {
                let range = offsets[text]..offsets[text + 1];
                for (held, new) in held.iter_mut().zip([&k, &v]) {
                    held.extend_from_slice(&new[range.start * kv_heads * d..range.end * kv_heads * d]);
                }
                for row in range.clone() {
                    let width = kv_heads * group * d;
                    let at = held[0].len() / (kv_heads * d) - (range.end - row);
                    let exact = exact_attention(&q[row * width..][..width], held, at, [kv_heads, d], 0.3, window);
                    for (column, (exact, tolerance)) in exact.into_iter().enumerate() {
                        for found in [found[row * width + column], twin[row * width + column]] {
                            prop_assert!((f64::from(found) - exact).abs() <= tolerance, "{found} for {exact}, up to {tolerance}");
                        }
                    }
                }
            }
        }
    }
}

/// The attention of the query at position `at` to the keys and values that its text holds, in f64, and what rounding to
/// f32 may change of each component.
fn exact_attention(
    q: &[f32],
    [k, v]: &[Vec<f32>; 2],
    at: usize,
    [kv_heads, d]: [usize; 2],
    scale: f64,
    window: Option<usize>,
) -> Vec<(f64, f64)> {
    const UNIT: f64 = f32::EPSILON as f64 / 2.0;
    let rows = at + 1;
    let seen = window.map_or(0, |window| rows.saturating_sub(window))..rows;
    let group = q.len() / (kv_heads * d);
    let mut out = Vec::new();
    for (head, q) in q.chunks(d).enumerate() {
        let part = |all: &'_ [f32], row: usize| -> Vec<f64> {
            let first = (row * kv_heads + head / group) * d;
            all[first..first + d].iter().map(|x| f64::from(*x)).collect()
        };
        let products = |row: usize| -> Vec<f64> {
            let key = part(k, row);
            q.iter()
                .zip(key)
                .map(|(q, k)| f64::from(*q) * k * scale)
                .collect()
        };
        let scores: Vec<f64> = seen.clone().map(|row| products(row).iter().sum()).collect();
        let size = seen
            .clone()
            .map(|row| products(row).iter().map(|x| x.abs()).sum::<f64>());
        let size = size.fold(0.0, f64::max);
        let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = scores.iter().map(|score| (score - largest).exp()).collect();
        let sum: f64 = weights.iter().sum();
        let mut mixed = vec![0.0; d];
        let mut most = 0.0f64;
        for (row, weight) in seen.clone().zip(&weights) {
            for (mixed, v) in mixed.iter_mut().zip(part(v, row)) {
                *mixed += weight / sum * v;
                most = most.max(v.abs());
            }
        }
        // A score is off by some units of the sum of its products' magnitudes, a weight by that part of itself; the sum
        // over the keys adds its own rounding (Higham 2002, section 4.2, with statistical constants).
        let tolerance = 2.0 * most * UNIT * (16.0 * size + 2.0 * (rows as f64).sqrt() + 16.0);
        out.extend(mixed.into_iter().map(|mixed| (mixed, tolerance)));
    }
    out
}

/// Where texts of these lengths begin, and the end of the last.
fn offsets_of(lengths: &[usize]) -> Vec<usize> {
    let mut offsets = vec![0];
    offsets.extend(lengths.iter().scan(0, |end, n| {
        *end += n;
        Some(*end)
    }));
    offsets
}

#[test]
fn a_row_does_not_depend_on_how_many_there_are() {
    for precision in Precision::ALL {
        let weight = LinearWeight::with_precision(random([50, 150], 1), precision).unwrap();
        let x = random([40, 150], 2);
        let whole = values(linear::linear(x.clone(), &weight, None, None));
        for t in [1, 2, 5, 15, 16, 33] {
            let some = values(linear::linear(
                x.clone().slice([0..t, 0..150]),
                &weight,
                None,
                None,
            ));
            assert_eq!(some, whole[..t * 50], "{t} rows in {precision}");
        }
    }
}

#[test]
fn a_long_cache_is_divided_and_put_together() {
    // Enough keys that every thread gets a part, with scores that differ widely between the parts.
    let (heads, d) = (4, 16);
    let options = AttentionOptions::new(heads, 1.0)
        .with_kv_heads(2)
        .with_causal(None);
    let cache = || LayerCache::new(2 * d, 4096, None, &device::cpu());
    let (mut fused, mut plain) = (cache(), cache());
    for (step, t) in [3000, 1, 2].into_iter().enumerate() {
        let input = |heads: usize, which: u64| random([t, heads * d], which + 10 * step as u64) * 4.0;
        let (q, k, v) = (input(heads, 1), input(2, 2), input(2, 3));
        let offsets = [0, t];
        let found = attention::attention_cached(
            q.clone(),
            k.clone(),
            v.clone(),
            &mut [&mut fused],
            &offsets,
            options,
        );
        close(
            found,
            attention::composed_cached(q, k, v, &mut [&mut plain], &offsets, options),
            1e-5,
        );
    }
}

#[test]
fn a_nan_stays_a_nan_and_stays_in_its_row() {
    let mut data = vec![0.5f32; 4 * 20];
    data[20 + 3] = f32::NAN;
    let x = Tensor::<2>::from_data(TensorData::new(data, [4, 20]), &device::cpu());
    let rows_of_nan = |y: Tensor<2>| -> Vec<bool> {
        let width = y.dims()[1];
        values(y)
            .chunks(width)
            .map(|row| row.iter().all(|y| y.is_nan()))
            .collect()
    };
    let only_second = [false, true, false, false];
    for precision in Precision::ALL {
        let weight = LinearWeight::with_precision(random([30, 20], 1), precision).unwrap();
        for act in ACTIVATIONS {
            assert_eq!(
                rows_of_nan(linear::linear(x.clone(), &weight, None, Some(act))),
                only_second
            );
        }
    }
    let (ones, zeros) = (
        Tensor::ones([20], &device::cpu()),
        Tensor::zeros([20], &device::cpu()),
    );
    assert_eq!(
        rows_of_nan(layer_norm::layer_norm(x.clone(), None, &ones, &zeros, 1e-12)),
        only_second
    );
    assert_eq!(
        rows_of_nan(rms_norm::rms_norm(x.clone(), None, &ones, 1e-12).0),
        only_second
    );
    // A key that is NaN spoils its own text and no other.
    let options = AttentionOptions::new(1, 1.0);
    let fine = random([4, 20], 2);
    let y = attention::attention(fine.clone(), x, fine, None, &[0, 2, 4], options);
    assert_eq!(rows_of_nan(y), [true, true, false, false]);
}

#[test]
fn huge_scores_do_not_overflow() {
    let q = random([5, 8], 1) * 1e18;
    let v = random([5, 8], 2);
    let options = AttentionOptions::new(2, 1.0);
    let y = attention::attention(q.clone(), q, v, None, &[0, 5], options);
    assert!(values(y).iter().all(|y| y.is_finite() && y.abs() <= 1.0));
}

#[test]
fn a_text_does_not_depend_on_its_neighbours() {
    let [a, b] = [random([37, 24], 1), random([90, 24], 2)];
    let weight = LinearWeight::new(random([24, 24], 3));
    let options = AttentionOptions::new(2, 0.3);
    let run = |x: Tensor<2>, offsets: &[usize]| {
        let y = linear::linear(x, &weight, None, Some(Activation::Gelu));
        attention::attention(y.clone(), y.clone(), y, None, offsets, options)
    };
    let together = run(Tensor::cat(vec![b, a.clone()], 0), &[0, 90, 127]);
    close(together.slice([90..127, 0..24]), run(a, &[0, 37]), 1e-6);
}

#[test]
fn memory_that_others_hold_is_not_changed() {
    let device = device::cpu();
    let x = Tensor::<2>::random([3, 16], Distribution::Default, &device);
    let before = values(x.clone());
    let _ = activation::activate(x.clone(), Activation::Tanh);
    let (ones, zeros) = (Tensor::ones([16], &device), Tensor::zeros([16], &device));
    let _ = layer_norm::layer_norm(x.clone(), Some(x.clone()), &ones, &zeros, 1e-5);
    assert_eq!(values(x), before);
}

#[test]
fn dropped_weights_of_attention_leave_its_mean() {
    let options = AttentionOptions::new(2, 0.4);
    let [q, k, v] = [0, 1, 2].map(|seed| random([9, 12], seed));
    let attend = |dropout| {
        let options = AttentionOptions { dropout, ..options };
        let y = attention::attention(q.clone(), k.clone(), v.clone(), None, &[0, 4, 9], options);
        y.into_data().try_into_vec::<f32>().unwrap()
    };
    let plain = attend(None);
    let keys = 3000;
    let mut mean = vec![0.0; plain.len()];
    for key in 0..keys {
        for (mean, y) in mean.iter_mut().zip(attend(Some((0.3, key)))) {
            *mean += y / keys as f32;
        }
    }
    assert_eq!(attend(Some((0.3, 5))), attend(Some((0.3, 5))));
    assert_ne!(attend(Some((0.3, 5))), attend(Some((0.3, 6))));
    for (mean, plain) in mean.iter().zip(&plain) {
        assert!((mean - plain).abs() < 0.05, "{mean} and {plain}");
    }
}
