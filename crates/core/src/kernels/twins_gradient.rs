//! Each operation's own way back beside the one that burn finds through its composed twin, on random values.

use burn::tensor::{Device, Tensor, TensorData};
use proptest::prelude::*;

use super::norm_gradient::{self, NormGradients};
use super::{
    Activation, AttentionOptions, LinearWeight, attention, attention_gradient, embedding, embedding_gradient,
    gated, layer_norm, linear, pointwise_gradient, rms_norm, rotary,
};
use crate::device;

const ACTIVATIONS: [Activation; 5] = [
    Activation::Gelu,
    Activation::GeluTanh,
    Activation::Relu,
    Activation::Silu,
    Activation::Tanh,
];

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
        let ours = total(rms_norm::rms_norm(x.clone(), added.clone(), &weight, 1e-5)).backward();
        let theirs = total(rms_norm::composed(x.clone(), added.clone(), &weight, 1e-5)).backward();
        let mut pairs = vec![x.clone()];
        pairs.extend(added.clone());
        for x in &pairs {
            close("rms", &x.grad(&ours).unwrap(), &x.grad(&theirs).unwrap())?;
        }
        if !frozen {
            close("rms weight", &weight.grad(&ours).unwrap(), &weight.grad(&theirs).unwrap())?;
        }
        // 2. Layer norm.
        let y = layer_norm::layer_norm(x.clone(), added.clone(), &weight, &bias, 1e-5);
        let twin = layer_norm::composed(x.clone(), added.clone(), &weight, &bias, 1e-5);
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
            norm_gradient::rms_norm_backward(y.clone(), weight.clone(), 1e-5, dy.clone(), true),
            norm_gradient::composed_rms_norm_backward(y, weight, 1e-5, dy),
        )?;
        let (y, weight, dy) = inputs();
        agree(
            norm_gradient::layer_norm_backward(y.clone(), weight.clone(), 1e-5, dy.clone(), true),
            norm_gradient::composed_layer_norm_backward(y, weight, 1e-5, dy),
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
