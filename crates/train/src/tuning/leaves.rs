//! The trained weights of one pass: where gradients end.

use std::sync::Arc;

use burn::tensor::{Gradients, Tensor};
use ragtune_core::Result;
use ragtune_core::adapters::{
    AdapterBase, AdapterSet, EmbeddingChange, LinearChange, LowRank, LowRankEmbedding, Module, NormChange,
    Rescaling,
};
use ragtune_core::kernels::LinearWeight;

use super::{Parameter, Part, Trainable};

/// The trained weights as an adapter set, and each as the tensor that its gradient is asked for with.
#[derive(Clone, Debug)]
pub struct Leaves {
    set: Arc<AdapterSet>,
    leaves: Vec<Leaf>,
}

#[derive(Clone, Debug)]
enum Leaf {
    Matrix(Tensor<2>),
    Vector(Tensor<1>),
}

impl Leaves {
    /// With `record`, operations on the weights are recorded, so that gradients can be computed.
    pub(super) fn new(trainable: &Trainable, base: &dyn AdapterBase, record: bool) -> Result<Self> {
        let leaves = trainable
            .parameters()
            .iter()
            .map(|parameter| Leaf::new(parameter, record));
        let leaves: Vec<Leaf> = leaves.collect();
        let mut set = AdapterSet::new().with_config(trainable.config().clone());
        let tied = base.tied();
        for module in base.modules() {
            let slot = module.slot();
            let parts = Parts::of(slot, trainable.parameters(), &leaves);
            set = match module {
                _ if parts.is_empty() => set,
                Module::Linear(layer) => {
                    let pair = parts.pair().map(|(a, b)| {
                        let pair =
                            LowRank::new(a, b, trainable.scaling(slot)).with_dropout(trainable.dropout());
                        match parts.vector(Part::Magnitude) {
                            Some(magnitude) => pair.with_magnitude(magnitude, layer.weight()),
                            None => pair,
                        }
                    });
                    let of_input = parts.vector(Part::InputFactors).map(Rescaling::Input);
                    let of_output = parts.vector(Part::OutputFactors).map(Rescaling::Output);
                    let change = LinearChange {
                        weight: parts.matrix(Part::Weight).map(LinearWeight::new),
                        bias: parts.vector(Part::Bias),
                        low_rank: pair,
                        rescaling: of_input.or(of_output),
                    };
                    set.with_linear(slot, change)
                }
                Module::Embedding(table) => {
                    let weight = parts.matrix(Part::Weight);
                    // One weight is both the table of words and the output layer.
                    if let (Some((words, output)), Some(weight)) = (tied, &weight)
                        && words == slot
                    {
                        let change = LinearChange {
                            weight: Some(LinearWeight::new(weight.clone())),
                            ..LinearChange::default()
                        };
                        set = set.with_linear(output, change);
                    }
                    let pair = parts.pair().map(|(a, b)| {
                        let pair = LowRankEmbedding::new(a, b, trainable.scaling(slot));
                        match parts.vector(Part::Magnitude) {
                            Some(magnitude) => pair.with_magnitude(magnitude, table.weight()),
                            None => pair,
                        }
                    });
                    set.with_embedding(
                        slot,
                        EmbeddingChange {
                            weight,
                            low_rank: pair,
                            prompt: parts.matrix(Part::Prompt),
                        },
                    )
                }
                Module::RmsNorm(_) | Module::LayerNorm(_) => {
                    let change = NormChange {
                        weight: parts.vector(Part::Weight),
                        bias: parts.vector(Part::Bias),
                    };
                    set.with_norm(slot, change)
                }
                _ => set,
            };
        }
        let settings = trainable.config().bottleneck.as_ref();
        for (slot, _) in base.module_shapes().sublayers() {
            let parts = Parts::of(slot, trainable.parameters(), &leaves);
            if let (Some(settings), Some((down, up))) = (settings, parts.bottleneck()) {
                set = set.with_bottleneck(slot, settings.of(down, up));
            }
        }
        Ok(Self {
            set: Arc::new(set.beside(base)?),
            leaves,
        })
    }

    /// The adapter set.
    #[must_use]
    pub fn set(&self) -> &Arc<AdapterSet> {
        &self.set
    }

    /// Takes the gradients of all weights, in their order, row by row; `None` for a weight that the loss does not depend on.
    #[must_use]
    pub fn take(&self, gradients: &mut Gradients) -> Vec<Option<Tensor<1>>> {
        let take = |leaf: &Leaf| match leaf {
            Leaf::Matrix(leaf) => leaf.grad_remove(gradients).map(|gradient| {
                let [rows, columns] = gradient.dims();
                gradient.reshape([rows * columns])
            }),
            Leaf::Vector(leaf) => leaf.grad_remove(gradients),
        };
        self.leaves.iter().map(take).collect()
    }
}

impl Leaf {
    fn new(parameter: &Parameter, record: bool) -> Self {
        match parameter.dims[..] {
            [rows, columns] => {
                let matrix = parameter.values.clone().reshape([rows, columns]);
                Self::Matrix(if record {
                    matrix.autodiff().require_grad()
                } else {
                    matrix
                })
            }
            _ => {
                let vector = parameter.values.clone();
                Self::Vector(if record {
                    vector.autodiff().require_grad()
                } else {
                    vector
                })
            }
        }
    }
}

/// The trained parts of one module.
struct Parts<'a>(Vec<(Part, &'a Leaf)>);

impl<'a> Parts<'a> {
    fn of(slot: &str, parameters: &[Parameter], leaves: &'a [Leaf]) -> Self {
        let parts = parameters
            .iter()
            .zip(leaves)
            .filter(|(parameter, _)| parameter.slot == slot);
        Self(parts.map(|(parameter, leaf)| (parameter.part, leaf)).collect())
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn leaf(&self, part: Part) -> Option<&'a Leaf> {
        self.0
            .iter()
            .find(|(other, _)| *other == part)
            .map(|(_, leaf)| *leaf)
    }

    fn matrix(&self, part: Part) -> Option<Tensor<2>> {
        match self.leaf(part)? {
            Leaf::Matrix(matrix) => Some(matrix.clone()),
            Leaf::Vector(_) => None,
        }
    }

    fn vector(&self, part: Part) -> Option<Tensor<1>> {
        match self.leaf(part)? {
            Leaf::Vector(vector) => Some(vector.clone()),
            Leaf::Matrix(_) => None,
        }
    }

    #[allow(clippy::type_complexity, reason = "weight and bias of both ways")]
    fn bottleneck(&self) -> Option<((Tensor<2>, Tensor<1>), (Tensor<2>, Tensor<1>))> {
        let down = (self.matrix(Part::DownWeight)?, self.vector(Part::DownBias)?);
        let up = (self.matrix(Part::UpWeight)?, self.vector(Part::UpBias)?);
        Some((down, up))
    }

    fn pair(&self) -> Option<(Tensor<2>, Tensor<2>)> {
        Some((self.matrix(Part::LoraA)?, self.matrix(Part::LoraB)?))
    }
}
