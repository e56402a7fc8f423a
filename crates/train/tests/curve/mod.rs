//! A task that is small enough to train in a test, and has all that a large one has: two layers, dropout, adapters.

use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use ragtune_core::adapters::{AdapterBase, AdapterStack, Module, ModuleShapes};
use ragtune_core::device;
use ragtune_core::nn::{Activation, Linear, Segments};
use ragtune_train::batch::Random;
use ragtune_train::objective::{Objective, Pass, Scores};

/// Two layers that learn a curve.
pub struct Curve {
    first: Linear,
    second: Linear,
    shapes: Arc<ModuleShapes>,
    device: Device,
}

pub struct Point {
    pub x: [f32; 2],
    pub y: f32,
    pub length: usize,
}

impl Curve {
    pub fn new(seed: u64) -> Self {
        let device = device::cpu();
        let mut random = Random::new(seed, 0);
        let mut weight = |o: usize, i: usize| {
            let values: Vec<f32> = (0..o * i).map(|_| random.next_f32() - 0.5).collect();
            Tensor::<2>::from_data(TensorData::new(values, [o, i]), &device)
        };
        let first = Linear::new("layers.0.up", weight(16, 2), Some(Tensor::zeros([16], &device))).unwrap();
        let second = Linear::new("layers.1.down", weight(1, 16), Some(Tensor::zeros([1], &device))).unwrap();
        let shapes = ModuleShapes::new(
            &[Module::Linear(&first), Module::Linear(&second)],
            |_| false,
            None,
        );
        Self {
            first,
            second,
            shapes: Arc::new(shapes),
            device,
        }
    }

    pub fn points(count: usize, seed: u64) -> Vec<Point> {
        let mut random = Random::new(seed, 1);
        let point = |_| {
            let x = [random.next_f32() * 2.0 - 1.0, random.next_f32() * 2.0 - 1.0];
            Point {
                x,
                y: (2.0 * x[0]).sin() + x[1] * x[1],
                length: 1 + random.below(20),
            }
        };
        (0..count).map(point).collect()
    }
}

impl AdapterBase for Curve {
    fn module_shapes(&self) -> &Arc<ModuleShapes> {
        &self.shapes
    }

    fn modules(&self) -> Vec<Module<'_>> {
        vec![Module::Linear(&self.first), Module::Linear(&self.second)]
    }

    fn device(&self) -> &Device {
        &self.device
    }
}

impl Objective for Curve {
    type Example = Point;

    fn base(&self) -> &dyn AdapterBase {
        self
    }

    fn tokens(&self, point: &Point) -> usize {
        point.length
    }

    fn weight(&self, point: &Point) -> f64 {
        point.length as f64
    }

    fn digest(&self, point: &Point, into: &mut dyn FnMut(&[u8])) {
        for value in [point.x[0], point.x[1], point.y, point.length as f32] {
            into(&value.to_le_bytes());
        }
    }

    fn loss(&self, batch: &[&Point], pass: &mut Pass<'_>) -> ragtune_train::Result<Tensor<1>> {
        let n = batch.len();
        let x: Vec<f32> = batch.iter().flat_map(|point| point.x).collect();
        let y: Vec<f32> = batch.iter().map(|point| point.y).collect();
        let weights: Vec<f32> = batch.iter().map(|point| point.length as f32).collect();
        let column = |values: Vec<f32>| Tensor::<2>::from_data(TensorData::new(values, [n, 1]), &self.device);
        let context = pass.context(Segments::from_lengths(batch.iter().map(|_| 1)));
        let x = Tensor::<2>::from_data(TensorData::new(x, [n, 2]), &self.device);
        let hidden = self.first.forward_activated(x, Activation::Tanh, &context);
        let error = self.second.forward(hidden, &context) - column(y);
        Ok((error.clone() * error * column(weights)).sum())
    }

    fn evaluate(&self, points: &[Point], adapters: &AdapterStack) -> ragtune_train::Result<Scores> {
        let mut pass = Pass::forward(adapters);
        let loss = self.loss(&points.iter().collect::<Vec<_>>(), &mut pass)?;
        let weight: f64 = points.iter().map(|point| point.length as f64).sum();
        Ok(Scores::lower(
            "squared_error",
            f64::from(loss.into_scalar::<f32>()) / weight,
        ))
    }
}
