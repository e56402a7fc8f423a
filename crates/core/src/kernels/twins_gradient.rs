//! Each operation's own way back beside the one that burn finds through its composed twin, on random values.

use burn::tensor::{Device, Tensor, TensorData};
use proptest::prelude::*;

use super::norm_gradient::{self, NormGradients};
use super::{
    Activation, AttentionOptions, CrossEntropyOptions, IGNORED, LinearWeight, SidePath, attention,
    attention_gradient, cross_entropy, dropout, embedding, embedding_gradient, gated, layer_norm, linear,
    log_probabilities, low_rank, pointwise_gradient, rms_norm, rotary,
};
use crate::device;
use crate::weights::Precision;

const ACTIVATIONS: [Activation; 5] = [
    Activation::Gelu,
    Activation::GeluTanh,
    Activation::Relu,
    Activation::Silu,
    Activation::Tanh,
];

/// Of norms: large, because rows of few components that nearly cancel make both forms lose their last digits.
const EPSILON: f64 = 1e-2;

/// A number for each component, from a seed: cheap to shrink, and no value is special.
fn values(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn tracked<const D: usize>(seed: u64, shape: [usize; D]) -> Tensor<D> {
    let device: Device = device::cpu().autodiff();
    let data = TensorData::new(values(seed, shape.iter().product()), shape);
    Tensor::from_data(data, &device).require_grad()
}

fn close<const D: usize>(what: &str, ours: &Tensor<D>, theirs: &Tensor<D>) -> Result<(), TestCaseError> {
    prop_assert_eq!(ours.dims(), theirs.dims());
    let [ours, theirs] = [ours, theirs].map(|side| side.clone().inner().into_data());
    let largest = theirs
        .iter::<f32>()
        .fold(1.0, |most: f32, value| most.max(value.abs()));
    for (mine, other) in ours.iter::<f32>().zip(theirs.iter::<f32>()) {
        prop_assert!(
            (mine - other).abs() <= 2e-5 * largest,
            "{what}: {mine} and {other}"
        );
    }
    Ok(())
}

/// The loss whose gradient reaches every component differently.
fn loss<const D: usize>(y: &Tensor<D>, seed: u64) -> Tensor<1> {
    let weights = tracked(seed, y.dims()).inner();
    (y.clone() * weights).sum()
}

/// The gradient that [`loss`] sends back.
fn upstream<const D: usize>(shape: [usize; D], seed: u64) -> Tensor<D> {
    tracked(seed, shape).inner()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn attention_goes_back_as_its_twin(
        lengths in prop::collection::vec(0usize..40, 1..4),
        long in prop::option::of(60usize..100),
        kv_heads in 1usize..4,
        group in 1usize..4,
        d in 1usize..37,
        how in 0usize..3,
        window in 1usize..70,
        with_bias: bool,
        dropped in prop::option::of(0.05f64..0.9),
        seed in 0u64..1000,
    ) {
        let lengths: Vec<usize> = lengths.into_iter().chain(long).collect();
        let mut offsets = vec![0];
        for n in &lengths {
            offsets.push(offsets[offsets.len() - 1] + n);
        }
        let (t, longest) = (offsets[lengths.len()], lengths.iter().copied().max().unwrap_or(0));
        prop_assume!(t > 0);
        let heads = kv_heads * group;
        let options = AttentionOptions::new(heads, 0.7).with_kv_heads(kv_heads);
        let options = match how {
            0 => options,
            1 => options.with_causal(None),
            _ => options.with_causal(Some(window)),
        };
        let options = AttentionOptions {
            dropout: dropped.map(|probability| (probability, seed)),
            ..options
        };
        let bias = with_bias.then(|| upstream([heads, longest + 1, longest + 1], seed + 4));
        let [q, k, v] = [heads, kv_heads, kv_heads].map(|heads| heads * d);
        let (q, k, v) = (tracked(seed, [t, q]), tracked(seed + 1, [t, k]), tracked(seed + 2, [t, v]));
        let y = attention::attention(q.clone(), k.clone(), v.clone(), bias.as_ref(), &offsets, options);
        let twin = attention::composed(q.clone(), k.clone(), v.clone(), bias.as_ref(), &offsets, options);
        close("y", &y, &twin)?;
        let (grads, twins) = (loss(&y, seed + 3).backward(), loss(&twin, seed + 3).backward());
        let inputs = [&q, &k, &v];
        let plain = attention_gradient::composed_backward(
            inputs.map(|x| x.clone().inner()), bias.as_ref(), upstream([t, heads * d], seed + 3), &offsets, options,
        );
        for (x, plain) in inputs.into_iter().zip(&plain) {
            let expected = x.grad(&twins).unwrap();
            close("composed", plain, &expected)?;
            close("fused", &x.grad(&grads).unwrap(), &expected)?;
        }
    }

    #[test]
    fn a_tracked_position_bias_gets_its_gradient(n in 1usize..20, heads in 1usize..4, d in 1usize..20, seed in 0u64..1000) {
        let options = AttentionOptions::new(heads, 0.7);
        let [q, k, v] = [0, 1, 2].map(|which| tracked(seed + which, [n, heads * d]));
        let bias = tracked(seed + 3, [heads, n, n]);
        let y = attention::attention(q, k, v, Some(&bias), &[0, n], options);
        prop_assert!(bias.grad(&loss(&y, seed + 4).backward()).is_some());
    }

    #[test]
    fn norms_go_back_as_their_twins(
        t in 1usize..90, h in 1usize..80, residual: bool, frozen: bool, other_use: bool, seed in 0u64..1000,
    ) {
        let parameter = |seed| {
            let parameter = tracked(seed, [h]);
            if frozen { parameter.inner() } else { parameter }
        };
        let (x, added) = (tracked(seed, [t, h]), residual.then(|| tracked(seed + 1, [t, h])));
        let (weight, bias) = (parameter(seed + 2), parameter(seed + 3));
        // 1. RMS, whose sum may be used beside it.
        let total = |(normed, sum): (Tensor<2>, Tensor<2>)| match other_use {
            true => loss(&normed, seed + 4) + loss(&sum, seed + 5),
            false => loss(&normed, seed + 4),
        };
        let ours = total(rms_norm::rms_norm(x.clone(), added.clone(), &weight, EPSILON)).backward();
        let theirs = total(rms_norm::composed(x.clone(), added.clone(), &weight, EPSILON)).backward();
        let mut pairs = vec![x.clone()];
        pairs.extend(added.clone());
        for x in &pairs {
            close("rms", &x.grad(&ours).unwrap(), &x.grad(&theirs).unwrap())?;
        }
        if !frozen {
            close("rms weight", &weight.grad(&ours).unwrap(), &weight.grad(&theirs).unwrap())?;
        }
        // 2. Layer norm.
        let y = layer_norm::layer_norm(x.clone(), added.clone(), &weight, &bias, EPSILON);
        let twin = layer_norm::composed(x.clone(), added.clone(), &weight, &bias, EPSILON);
        close("y", &y, &twin)?;
        let (ours, theirs) = (loss(&y, seed + 4).backward(), loss(&twin, seed + 4).backward());
        for x in &pairs {
            close("layer norm", &x.grad(&ours).unwrap(), &x.grad(&theirs).unwrap())?;
        }
        for parameter in [&weight, &bias] {
            if !frozen {
                close("parameter", &parameter.grad(&ours).unwrap(), &parameter.grad(&theirs).unwrap())?;
            }
        }
    }

    #[test]
    fn the_two_ways_back_of_norms_agree(t in 1usize..90, h in 1usize..80, seed in 0u64..1000) {
        let (y, weight, dy) = (upstream([t, h], seed), upstream([h], seed + 1), upstream([t, h], seed + 2));
        let inputs = || (y.clone(), weight.clone(), dy.clone());
        let agree = |ours: NormGradients, theirs: NormGradients| {
            close("y", &ours.y, &theirs.y)?;
            close("weight", &ours.weight.unwrap(), &theirs.weight.unwrap())?;
            match (ours.bias, theirs.bias) {
                (Some(ours), Some(theirs)) => close("bias", &ours, &theirs),
                _ => Ok(()),
            }
        };
        let (y, weight, dy) = inputs();
        agree(
            norm_gradient::rms_norm_backward(y.clone(), weight.clone(), EPSILON, dy.clone(), true),
            norm_gradient::composed_rms_norm_backward(y, weight, EPSILON, dy),
        )?;
        let (y, weight, dy) = inputs();
        agree(
            norm_gradient::layer_norm_backward(y.clone(), weight.clone(), EPSILON, dy.clone(), true),
            norm_gradient::composed_layer_norm_backward(y, weight, EPSILON, dy),
        )?;
    }

    #[test]
    fn activations_and_gates_go_back_as_their_twins(t in 1usize..40, f in 1usize..300, act in 0usize..5, seed in 0u64..1000) {
        let kind = ACTIVATIONS[act];
        let (gate, up) = (tracked(seed, [t, f]) * 4.0, tracked(seed + 1, [t, f]));
        let (gate, up) = (gate.inner(), up.inner());
        let device = device::cpu().autodiff();
        let [gate, up] = [gate, up].map(|x| Tensor::<2>::from_data(x.into_data(), &device).require_grad());
        // 1. The activation alone.
        let (y, twin) = (
            super::activate(gate.clone(), kind),
            super::activation::composed(gate.clone(), kind),
        );
        let (ours, theirs) = (loss(&y, seed + 2).backward(), loss(&twin, seed + 2).backward());
        let expected = gate.grad(&theirs).unwrap();
        close("activation", &gate.grad(&ours).unwrap(), &expected)?;
        let dy = upstream([t, f], seed + 2);
        let plain = pointwise_gradient::composed_activate_backward(gate.clone().inner(), dy.clone(), kind);
        close("activation, composed", &plain, &expected)?;
        // 2. With the gate.
        let (y, twin) = (
            gated::gated(gate.clone(), up.clone(), kind),
            gated::composed(gate.clone(), up.clone(), kind),
        );
        let (ours, theirs) = (loss(&y, seed + 2).backward(), loss(&twin, seed + 2).backward());
        let (dgate, dup) =
            pointwise_gradient::composed_gated_backward(gate.clone().inner(), up.clone().inner(), dy, kind);
        for (x, plain) in [(&gate, dgate), (&up, dup)] {
            let expected = x.grad(&theirs).unwrap();
            close("gate", &x.grad(&ours).unwrap(), &expected)?;
            close("gate, composed", &plain, &expected)?;
        }
    }

    #[test]
    fn rotations_go_back_as_their_twin(
        t in 1usize..40, heads in 1usize..4, half in 1usize..20, rest in 0usize..5, seed in 0u64..1000,
    ) {
        let x = tracked(seed, [t, heads * (2 * half + rest)]);
        let (cos, sin) = (upstream([t, half], seed + 1), upstream([t, half], seed + 2));
        let (y, twin) = (rotary::rotary(x.clone(), heads, &cos, &sin), rotary::composed(x.clone(), heads, &cos, &sin));
        let (ours, theirs) = (loss(&y, seed + 3).backward(), loss(&twin, seed + 3).backward());
        close("x", &x.grad(&ours).unwrap(), &x.grad(&theirs).unwrap())?;
    }

    #[test]
    fn losses_from_hidden_states_match_whole_logits(
        t in 1usize..90, h in 1usize..40, v in 2usize..90, frozen: bool, with_bias: bool, softcap: bool, smoothing: bool,
        ignored in 0usize..4, seed in 0u64..1000,
    ) {
        let options = CrossEntropyOptions::default()
            .with_scale(0.25)
            .with_softcap(softcap.then_some(1.5))
            .with_label_smoothing(if smoothing { 0.1 } else { 0.0 });
        let (hidden, w, b) = (tracked(seed, [t, h]), tracked(seed + 1, [v, h]), tracked(seed + 2, [v]));
        let weight = LinearWeight::new(if frozen { w.clone().inner() } else { w.clone() });
        let bias = with_bias.then_some(&b);
        let target = |row: usize| ((seed as usize + row * 7) % v) as u32;
        let targets: Vec<u32> = (0..t).map(|row| if row % 4 < ignored { IGNORED } else { target(row) }).collect();
        let (loss, nll) = cross_entropy(hidden.clone(), &weight, bias, &targets, options);
        // The twin, of whole logits.
        let device = device::cpu().autodiff();
        let counts: Vec<f32> = targets.iter().map(|id| f32::from(*id != IGNORED)).collect();
        let counts = Tensor::<1>::from_data(TensorData::new(counts, [t]), &device);
        let ids: Vec<i32> = (0..t).map(|row| target(row) as i32).collect();
        let ids = Tensor::<2, burn::tensor::Int>::from_data(TensorData::new(ids, [t, 1]), &device);
        let twin = || {
            let logits = hidden.clone().matmul(w.clone().transpose());
            let logits = if with_bias { logits + b.clone().unsqueeze() } else { logits };
            let logits = if softcap { (logits / 1.5).tanh() * 1.5 } else { logits };
            let log_p = burn::tensor::activation::log_softmax(logits, 1);
            let nll: Tensor<1> = log_p.clone().gather(1, ids.clone()).neg().squeeze_dim(1) * counts.clone();
            let share = options.label_smoothing;
            let smooth: Tensor<1> = log_p.mean_dim(1).neg().squeeze_dim(1) * counts.clone();
            let loss = (nll.clone() * (1.0 - share) + smooth * share).sum() * 0.25;
            (loss, nll)
        };
        let (twin_loss, twin_nll) = twin();
        close("nll", &nll, &twin_nll)?;
        close("loss", &loss, &twin_loss)?;
        let (ours, theirs) = ((loss * 3.0).backward(), (twin_loss * 3.0).backward());
        close("hidden", &hidden.grad(&ours).unwrap(), &hidden.grad(&theirs).unwrap())?;
        match frozen {
            true => prop_assert!(w.grad(&ours).is_none()),
            false => close("weight", &w.grad(&ours).unwrap(), &w.grad(&theirs).unwrap())?,
        }
        if with_bias {
            close("bias", &b.grad(&ours).unwrap(), &b.grad(&theirs).unwrap())?;
        }
        // The logarithms of the probabilities, each row with a gradient of its own.
        let of_each = |y: &Tensor<1>| self::loss(y, seed);
        let found = log_probabilities(hidden.clone(), &weight, bias, &targets, options);
        let twin_nll = twin().1;
        close("log probabilities", &found, &twin_nll.clone().neg())?;
        let (ours, theirs) = (of_each(&found).backward(), of_each(&twin_nll.neg()).backward());
        close("hidden", &hidden.grad(&ours).unwrap(), &hidden.grad(&theirs).unwrap())?;
        if !frozen {
            close("weight", &w.grad(&ours).unwrap(), &w.grad(&theirs).unwrap())?;
        }
    }

    #[test]
    fn the_two_ways_of_row_losses_agree(
        c in 1usize..20, v in 2usize..90, softcap: bool, smoothing: bool, seed in 0u64..1000,
    ) {
        let options = CrossEntropyOptions::default()
            .with_softcap(softcap.then_some(1.5))
            .with_label_smoothing(if smoothing { 0.1 } else { 0.0 });
        let targets: Vec<u32> = (0..c).map(|row| ((seed as usize + row * 7) % v) as u32).collect();
        let (logits, factors) = (upstream([c, v], seed) * 3.0, upstream([c], seed + 1));
        let ours = super::cross_entropy::row_losses(logits.clone(), &targets, Some(factors.clone()), options);
        let theirs = super::cross_entropy::composed_row_losses(logits, &targets, Some(factors), options);
        close("nll", &ours.nll, &theirs.nll)?;
        close("losses", &ours.losses, &theirs.losses)?;
        close("gradients", &ours.gradients.unwrap(), &theirs.gradients.unwrap())?;
    }

    #[test]
    fn side_paths_go_back_as_their_twin(
        t in 1usize..40, i in 1usize..60, o in 1usize..60, r in 1usize..10, beside: bool, dropped: bool, frozen_input: bool,
        seed in 0u64..1000,
    ) {
        let (x, y) = (tracked(seed, [t, i]), tracked(seed + 1, [t, o]));
        let x = if frozen_input { x.inner() } else { x };
        let (a, b) = (tracked(seed + 2, [r, i]), tracked(seed + 3, [o, r]));
        let pair = [&a, &b].map(|side| LinearWeight::new(side.clone()));
        let path = SidePath::new(&pair[0], &pair[1], 0.5).with_dropout(dropped.then_some((0.3, seed)));
        let sum = low_rank(x.clone(), beside.then(|| y.clone()), path);
        let input = if dropped { dropout(x.clone(), 0.3, seed) } else { x.clone() };
        let twin = input.matmul(a.clone().transpose()).matmul(b.clone().transpose()) * 0.5;
        let twin = if beside { y.clone() + twin } else { twin };
        close("sum", &sum, &twin)?;
        let (ours, theirs) = (loss(&sum, seed + 4).backward(), loss(&twin, seed + 4).backward());
        let inputs = [(&x, !frozen_input), (&y, beside), (&a, true), (&b, true)];
        for (input, _) in inputs.into_iter().filter(|(_, used)| *used) {
            close("input", &input.grad(&ours).unwrap(), &input.grad(&theirs).unwrap())?;
        }
    }

    #[test]
    fn dropout_goes_back_through_its_own_mask(t in 1usize..40, h in 1usize..300, seed in 0u64..1000) {
        let x = tracked(seed, [t, h]);
        let y = dropout(x.clone(), 0.4, seed);
        let mask = super::dropout::composed(Tensor::ones([t, h], &device::cpu()), super::Mask::new(0.4, seed));
        close("y", &y, &(x.clone().inner() * mask.clone()))?;
        let found = x.grad(&loss(&y, seed + 1).backward()).unwrap();
        close("x", &found, &(upstream([t, h], seed + 1) * mask))?;
    }

    #[test]
    fn every_precision_goes_back(t in 1usize..40, i in 1usize..200, o in 1usize..110, precision in 0usize..4, seed in 0u64..1000) {
        let precision = Precision::ALL[precision % Precision::ALL.len()];
        let weight = LinearWeight::with_precision(upstream([o, i], seed + 1), precision).unwrap();
        let dy = upstream([t, o], seed);
        close("x", &weight.times(dy.clone()), &dy.matmul(weight.to_tensor()))?;
    }

    #[test]
    fn look_ups_go_back_as_their_twin(
        v in 1usize..30, h in 1usize..30, ids in prop::collection::vec(0u32..30, 1..60), seed in 0u64..1000,
    ) {
        let ids: Vec<u32> = ids.into_iter().map(|id| id % v as u32).collect();
        let table = tracked(seed, [v, h]);
        let (y, twin) = (embedding::embedding(&table, &ids), embedding::composed(&table, &ids));
        let (ours, theirs) = (loss(&y, seed + 1).backward(), loss(&twin, seed + 1).backward());
        let expected = table.grad(&theirs).unwrap();
        close("table", &table.grad(&ours).unwrap(), &expected)?;
        let plain = embedding_gradient::composed_scatter(upstream([ids.len(), h], seed + 1), &ids, v);
        close("table, composed", &plain, &expected)?;
    }
}

proptest! {
    #[test]
    fn linear_goes_back_as_its_twin(t in 1usize..90, i in 1usize..70, o in 1usize..70, seed in 0u64..1000) {
        let (x, w, b) = (tracked(seed, [t, i]), tracked(seed + 1, [o, i]), tracked(seed + 2, [o]));
        let weight = LinearWeight::new(w.clone());
        let (y, twin) = (
            linear(x.clone(), &weight, Some(&b), None),
            super::linear::composed(x.clone(), &weight, Some(&b), None),
        );
        close("y", &y, &twin)?;
        let (grads, twins) = (loss(&y, seed + 3).backward(), loss(&twin, seed + 3).backward());
        close("x", &x.grad(&grads).unwrap(), &x.grad(&twins).unwrap())?;
        close("weight", &w.grad(&grads).unwrap(), &w.grad(&twins).unwrap())?;
        close("bias", &b.grad(&grads).unwrap(), &b.grad(&twins).unwrap())?;
    }

    #[test]
    fn a_step_of_the_optimiser_is_its_twin(n in 1usize..40_000, step in 1usize..50, seed in 0u64..1000) {
        let plain = |offset: u64| tracked::<1>(seed + offset, [n]).inner();
        let step = super::AdamWStep {
            rate: 1e-2, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.1, step, scale: 0.5,
        };
        let second = plain(3).abs();
        let ours = super::adamw(plain(0), plain(1), plain(2), second.clone(), step);
        let twin = super::adamw::composed(plain(0), plain(1), plain(2), second, step);
        close("weights", &ours.0, &twin.0)?;
        close("first", &ours.1, &twin.1)?;
        close("second", &ours.2, &twin.2)?;
        let exact: f64 = values(seed, n).iter().map(|value| f64::from(*value).powi(2)).sum();
        prop_assert!((super::square_sum(&plain(0)) - exact).abs() < 1e-9 * exact);
    }

    #[test]
    fn a_frozen_weight_gets_no_gradient(t in 1usize..20, i in 1usize..70, o in 1usize..70, seed in 0u64..1000) {
        let (x, w) = (tracked(seed, [t, i]), tracked(seed + 1, [o, i]));
        let frozen = LinearWeight::new(w.clone().inner());
        let grads = loss(&linear(x.clone(), &frozen, None, None), seed + 2).backward();
        let twin = x.clone().matmul(w.clone().inner().transpose());
        let twins = loss(&twin, seed + 2).backward();
        close("x", &x.grad(&grads).unwrap(), &x.grad(&twins).unwrap())?;
        prop_assert!(w.grad(&grads).is_none());
    }
}

#[test]
fn gradients_do_not_depend_on_the_number_of_threads() {
    let run = || {
        let (t, d, v) = (300, 16, 500);
        let x = tracked(1, [t, 4 * d]);
        let [wq, wk, wv] = [4, 2, 2].map(|heads| tracked(heads as u64, [heads * d, 4 * d]));
        let [q, k, value] =
            [&wq, &wk, &wv].map(|w| linear(x.clone(), &LinearWeight::new(w.clone()), None, None));
        let options = AttentionOptions::new(4, 0.3).with_kv_heads(2).with_causal(None);
        let y = super::attention(q, k, value, None, &[0, 170, 300], options);
        let (scale, head) = (tracked(8, [4 * d]), tracked(9, [v, 4 * d]));
        let (normed, _) = super::rms_norm(y, Some(x.clone()), &scale, 1e-5);
        let targets: Vec<u32> = (0..t as u32).collect();
        let head_weight = LinearWeight::new(head.clone());
        let (loss, _) = cross_entropy(
            normed,
            &head_weight,
            None,
            &targets,
            CrossEntropyOptions::default(),
        );
        let grads = loss.backward();
        let of = |w: &Tensor<2>| w.grad(&grads).unwrap().into_data();
        (
            [&x, &wq, &wk, &wv, &head].map(of),
            scale.grad(&grads).unwrap().into_data(),
        )
    };
    let [one, three] = [1, 3].map(|threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(run)
    });
    assert_eq!(one, three);
}

#[test]
fn a_loss_without_rows_that_count_is_zero_and_goes_back_as_zeros() {
    let (hidden, w) = (tracked(1, [3, 4]), tracked(2, [5, 4]));
    let weight = LinearWeight::new(w.clone());
    let (loss, nll) = cross_entropy(
        hidden.clone(),
        &weight,
        None,
        &[IGNORED; 3],
        CrossEntropyOptions::default(),
    );
    assert_eq!(loss.clone().into_scalar::<f32>(), 0.0);
    assert_eq!(nll.into_data().iter::<f32>().collect::<Vec<_>>(), [0.0; 3]);
    let grads = (loss + hidden.clone().sum() * 0.0).backward();
    assert!(
        w.grad(&grads)
            .unwrap()
            .into_data()
            .iter::<f32>()
            .all(|value| value == 0.0)
    );
}

#[test]
fn products_of_several_blocks_go_back_as_well() {
    let (t, i, o) = (1100, 50, 1030);
    let (x, w) = (tracked(1, [t, i]), tracked(2, [o, i]));
    let twin = x.clone().matmul(w.clone().transpose());
    let theirs = loss(&twin, 3).backward();
    for weight in [LinearWeight::new(w.clone()), LinearWeight::new(w.clone().inner())] {
        let frozen = weight.tracked().is_none();
        let ours = loss(&linear(x.clone(), &weight, None, None), 3).backward();
        close("x", &x.grad(&ours).unwrap(), &x.grad(&theirs).unwrap()).unwrap();
        if !frozen {
            close("weight", &w.grad(&ours).unwrap(), &w.grad(&theirs).unwrap()).unwrap();
        }
    }
}

#[test]
fn a_loss_of_many_rows_is_computed_in_chunks() {
    // Of 200 rows with a vocabulary of 300,000 at most 64 have logits at once.
    let (t, h, v) = (200, 3, 300_000);
    let (hidden, w) = (tracked(1, [t, h]), tracked(2, [v, h]));
    let weight = LinearWeight::new(w.clone());
    let targets: Vec<u32> = (0..t as u32)
        .map(|row| if row == 70 { IGNORED } else { row * 997 })
        .collect();
    let (loss, _) = cross_entropy(
        hidden.clone(),
        &weight,
        None,
        &targets,
        CrossEntropyOptions::default(),
    );
    // Row by row it is the same.
    let grads = loss.clone().backward();
    let found = hidden.grad(&grads).unwrap();
    let mut total = 0.0;
    for row in [0, 63, 64, 70, 130, 199] {
        let one = hidden.clone().inner().slice([row..row + 1, 0..h]);
        let one = Tensor::<2>::from_data(one.into_data(), &device::cpu().autodiff()).require_grad();
        let target = &targets[row..=row];
        let (loss, _) = cross_entropy(one.clone(), &weight, None, target, CrossEntropyOptions::default());
        total += loss.clone().into_scalar::<f32>();
        let expected = match target[0] {
            IGNORED => Tensor::zeros([1, h], &device::cpu()),
            _ => one.grad(&loss.backward()).unwrap(),
        };
        close("row", &found.clone().slice([row..row + 1, 0..h]), &expected).unwrap();
    }
    assert!(total > 0.0 && loss.into_scalar::<f32>() > total);
}
