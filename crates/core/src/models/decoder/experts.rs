//! A sparse mixture of experts (Jiang et al. 2024, arXiv:2401.04088, section 2.1).
//!
//! Letters: `t` tokens of all texts, `h` hidden width, `e` experts, `s` tokens that one expert gets.

use burn::tensor::{IndexingUpdateOp, Tensor, TensorData, activation};

use super::config::{DecoderConfig, ExpertsConfig};
use super::mlp::GatedMlp;
use super::model::{Parts, indices};
use super::names::MlpNames;
use crate::adapters::{Module, ModuleMut};
use crate::error::{Error, Result};
use crate::nn::{Context, Linear};

/// Feed-forward layers side by side, of which each token goes through the few that the router gives most weight.
#[derive(Clone, Debug)]
pub(super) struct Experts {
    router: Linear,
    experts: Vec<GatedMlp>,
    per_token: usize,
}

impl Experts {
    pub(super) fn load(config: &DecoderConfig, index: usize, parts: &Parts<'_, '_>) -> Result<Self> {
        let (
            MlpNames::Experts {
                router,
                expert,
                gate,
                up,
                down,
            },
            Some(ExpertsConfig {
                num_local_experts,
                num_experts_per_tok,
            }),
        ) = (config.names.mlp, config.experts)
        else {
            return Err(Error::Config {
                path: config.path.clone(),
                field: "num_local_experts".to_owned(),
                found: "missing".to_owned(),
                expected: "the number of experts".to_owned(),
            });
        };
        let (h, f) = (config.hidden_size, config.intermediate_size);
        let layer = format!("{}.{index}", config.names.layers);
        let one = |number: usize| -> Result<GatedMlp> {
            let dense = |name: &str, i: usize, o: usize| {
                parts.linear(&format!("{layer}.{expert}.{number}.{name}"), i, o, false)
            };
            Ok(GatedMlp {
                gate_proj: dense(gate, h, f)?,
                up_proj: dense(up, h, f)?,
                hidden_act: config.hidden_act,
                down_proj: dense(down, f, h)?,
            })
        };
        Ok(Self {
            router: parts.linear(&format!("{layer}.{router}"), h, num_local_experts, false)?,
            experts: (0..num_local_experts).map(one).collect::<Result<_>>()?,
            per_token: num_experts_per_tok,
        })
    }

    /// # Shapes
    /// `[t, h] -> [t, h]`.
    ///
    /// # Errors
    /// [`Error::NotFinite`] when the router's numbers are not finite.
    pub(super) fn forward(&self, x: Tensor<2>, context: &Context) -> Result<Tensor<2>> {
        let ([t, h], e) = (x.dims(), self.experts.len());
        if t == 0 {
            return Ok(x);
        }
        let device = x.device();
        // 1. Which experts each token goes to, decided on the host.
        let probabilities = activation::softmax(self.router.forward(x.clone(), context), 1); // [t, e]
        let chosen = self.choose(&probabilities)?;
        // 2. Their weights, which sum to 1 for each token; the choice itself has no gradient.
        let mut mask = vec![0.0f32; t * e];
        for (token, experts) in chosen.iter().enumerate() {
            experts.iter().for_each(|expert| mask[token * e + expert] = 1.0);
        }
        let kept = probabilities * Tensor::from_data(TensorData::new(mask, [t, e]), &device);
        let weights = kept.clone() / kept.sum_dim(1); // [t, e]
        // 3. Every expert with its tokens.
        let mut out = Tensor::zeros([t, h], &device);
        for (number, expert) in self.experts.iter().enumerate() {
            let tokens: Vec<usize> = (0..t).filter(|token| chosen[*token].contains(&number)).collect();
            if tokens.is_empty() {
                continue;
            }
            let ids = indices(&tokens, &device);
            let y = expert.forward(x.clone().select(0, ids.clone()), &context.gathered(&tokens)); // [s, h]
            let weight = weights
                .clone()
                .select(0, ids.clone())
                .slice([0..tokens.len(), number..number + 1]);
            out = out.select_assign(0, ids, y * weight, IndexingUpdateOp::Add);
        }
        Ok(out)
    }

    /// The modules that adapters can change, in the order of the data flow.
    pub(super) fn modules<'a>(&'a self, into: &mut Vec<Module<'a>>) {
        into.push(Module::Linear(&self.router));
        self.experts.iter().for_each(|expert| expert.modules(into));
    }

    /// The same modules, to be changed.
    pub(super) fn modules_mut<'a>(&'a mut self, into: &mut Vec<ModuleMut<'a>>) {
        into.push(ModuleMut::Linear(&mut self.router));
        self.experts
            .iter_mut()
            .for_each(|expert| expert.modules_mut(into));
    }

    /// The experts with the largest probabilities, ties going to the lower number.
    fn choose(&self, probabilities: &Tensor<2>) -> Result<Vec<Vec<usize>>> {
        let e = self.experts.len();
        let rows: Vec<f32> = probabilities.clone().into_data().iter::<f32>().collect();
        if let Some(value) = rows.iter().find(|value| !value.is_finite()) {
            return Err(Error::NotFinite {
                what: format!("a probability of {}", self.router.slot()),
                value: *value,
            });
        }
        Ok(rows
            .chunks_exact(e)
            .map(|row| {
                let mut order: Vec<usize> = (0..e).collect();
                order.sort_by(|a, b| row[*b].total_cmp(&row[*a]).then(a.cmp(b)));
                order.truncate(self.per_token);
                order
            })
            .collect())
    }
}
