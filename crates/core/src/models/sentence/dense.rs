//! A linear layer behind the pooling (sentence-transformers 6.2, `modules/dense.py`).

use burn::tensor::{Device, Tensor};
use serde_json::{Value, json};

use super::super::config_file::ConfigFile;
use crate::error::{Error, Result};
use crate::nn::{Activation, Context, Linear};
use crate::weights::{Checkpoint, LoadReport, ModelFiles};

/// The widest layer that is believed.
const MAX_FEATURES: usize = 1 << 16;
const ACTIVATIONS: &[&str] = &["Identity", "Tanh", "ReLU", "GELU", "SiLU"];

/// A linear layer and its non-linearity.
#[derive(Clone, Debug)]
pub(super) struct Dense {
    linear: Linear,
    activation: Option<Activation>,
}

impl Dense {
    /// Reads a dense module's folder; also gives the checkpoint, for the fingerprint.
    pub(super) fn load(
        files: &ModelFiles,
        slot: &str,
        in_features: usize,
        device: &Device,
    ) -> Result<(Self, Checkpoint, LoadReport)> {
        let file = ConfigFile::require(files, "config.json", "a Dense module has its sizes there")?;
        if file.size("in_features", 1..=MAX_FEATURES)? != in_features {
            let expected = format!("the width of the vectors before it, {in_features}");
            return Err(file.wrong("in_features", expected));
        }
        let out_features = file.size("out_features", 1..=MAX_FEATURES)?;
        let activation = activation(&file)?;
        if file.flag("use_residual", false)? {
            return Err(file.wrong("use_residual", "false"));
        }
        for field in ["module_input_name", "module_output_name"] {
            if file.text(field)?.is_some_and(|name| name != "sentence_embedding") {
                return Err(file.wrong(field, "\"sentence_embedding\""));
            }
        }
        let bias = file.flag("bias", true)?;
        let checkpoint = files.checkpoint()?;
        let (linear, report) = checkpoint.load(device, |loader| {
            let weight = loader.tensor("linear.weight", [out_features, in_features])?;
            let bias = match bias {
                true => Some(loader.tensor("linear.bias", [out_features])?),
                false => None,
            };
            Linear::new(slot, weight, bias)
        })?;
        Ok((Self { linear, activation }, checkpoint, report))
    }

    /// What a dense module's folder says that it gives.
    pub(super) fn width(files: &ModelFiles) -> Result<usize> {
        let file = ConfigFile::require(files, "config.json", "a Dense module has its sizes there")?;
        file.size("out_features", 1..=MAX_FEATURES)
    }

    /// A layer without non-linearity.
    pub(super) fn new(linear: Linear) -> Self {
        Self {
            linear,
            activation: None,
        }
    }

    pub(super) fn linear(&self) -> &Linear {
        &self.linear
    }

    /// The module's `config.json`.
    pub(super) fn to_json(&self) -> Value {
        let class = match self.activation {
            None => "torch.nn.modules.linear.Identity",
            Some(Activation::Tanh) => "torch.nn.modules.activation.Tanh",
            Some(Activation::Relu) => "torch.nn.modules.activation.ReLU",
            Some(Activation::Silu) => "torch.nn.modules.activation.SiLU",
            Some(_) => "torch.nn.modules.activation.GELU",
        };
        json!({
            "in_features": self.linear.in_features(),
            "out_features": self.linear.out_features(),
            "bias": self.linear.bias().is_some(),
            "activation_function": class,
        })
    }

    pub(super) fn out_features(&self) -> usize {
        self.linear.out_features()
    }

    pub(super) fn activation(&self) -> Option<Activation> {
        self.activation
    }

    /// # Shapes
    /// `[b, in_features] -> [b, out_features]`.
    pub(super) fn forward(&self, x: Tensor<2>, context: &Context) -> Tensor<2> {
        match self.activation {
            Some(activation) => self.linear.forward_activated(x, activation, context),
            None => self.linear.forward(x, context),
        }
    }
}

/// The class that `activation_function` names; Tanh where it is absent, as in sentence-transformers.
fn activation(file: &ConfigFile) -> Result<Option<Activation>> {
    let class = file.text("activation_function")?.unwrap_or("Tanh");
    match class.rsplit('.').next() {
        Some("Identity") => Ok(None),
        Some("Tanh") => Ok(Some(Activation::Tanh)),
        Some("ReLU") => Ok(Some(Activation::Relu)),
        Some("GELU") => Ok(Some(Activation::Gelu)),
        Some("SiLU") => Ok(Some(Activation::Silu)),
        _ => Err(Error::Unsupported {
            path: file.path().to_owned(),
            field: "activation_function".to_owned(),
            found: class.to_owned(),
            supported: ACTIVATIONS,
        }),
    }
}
