//! Each operation's own way back beside the one that burn finds through its composed twin, on random values.

use burn::tensor::{Device, Tensor, TensorData};
use proptest::prelude::*;

use super::{LinearWeight, linear};
use crate::device;

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
