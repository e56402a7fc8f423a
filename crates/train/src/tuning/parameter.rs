//! One trained weight.

use burn::tensor::Tensor;

/// What a trained weight is of its module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Part {
    /// The whole weight.
    Weight,
    /// The whole bias.
    Bias,
    /// The first matrix of a low-rank update.
    LoraA,
    /// Its second matrix.
    LoraB,
    /// DoRA's lengths of the rows.
    Magnitude,
    /// (IA)³'s factors of the input.
    InputFactors,
    /// (IA)³'s factors of the output.
    OutputFactors,
    /// The weight of a bottleneck's way down.
    DownWeight,
    /// Its bias.
    DownBias,
    /// The weight of a bottleneck's way up.
    UpWeight,
    /// Its bias.
    UpBias,
    /// The rows of a tuned prompt.
    Prompt,
}

/// A weight that trains, on its device and without a record of what it was computed from.
#[derive(Clone, Debug)]
pub struct Parameter {
    pub(crate) slot: String,
    pub(crate) part: Part,
    pub(crate) dims: Vec<usize>,
    /// Row by row.
    pub(crate) values: Tensor<1>,
    pub(crate) decays: bool,
    pub(crate) rate: f64,
}

impl Parameter {
    /// Module and part, as checkpoints and PEFT's files name them.
    #[must_use]
    pub fn name(&self) -> String {
        let part = match self.part {
            // It stands before texts, and belongs to no module of its own.
            Part::Prompt => return "prompt_embeddings".to_owned(),
            Part::Weight => "weight",
            Part::Bias => "bias",
            Part::LoraA => "lora_A.weight",
            Part::LoraB => "lora_B.weight",
            Part::Magnitude => "lora_magnitude_vector",
            Part::InputFactors | Part::OutputFactors => "ia3_l",
            Part::DownWeight => "adapter_down.0.weight",
            Part::DownBias => "adapter_down.0.bias",
            Part::UpWeight => "adapter_up.weight",
            Part::UpBias => "adapter_up.bias",
        };
        format!("{}.{part}", self.slot)
    }

    /// The module path in the checkpoint.
    #[must_use]
    pub fn slot(&self) -> &str {
        &self.slot
    }

    /// What it is of the module.
    #[must_use]
    pub fn part(&self) -> Part {
        self.part
    }

    /// Its shape.
    #[must_use]
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// Number of weights.
    #[must_use]
    pub fn count(&self) -> usize {
        self.dims.iter().product()
    }

    /// Whether weight decay applies: to all but biases and norms (transformers 5.23, `Trainer`), also to DoRA's lengths and
    /// (IA)³'s factors.
    #[must_use]
    pub fn decays(&self) -> bool {
        self.decays
    }

    /// What the learning rate is multiplied by.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// The values row by row.
    #[must_use]
    pub fn values(&self) -> Vec<f32> {
        self.values.clone().into_data().iter::<f32>().collect()
    }
}
