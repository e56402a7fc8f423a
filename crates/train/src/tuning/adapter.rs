//! The settings of bottleneck adapters, and the weights that they begin with.

use ragtune_core::adapters::{AdapterBase, BottleneckConfig, BottleneckTarget};
use ragtune_core::nn::Activation;
use serde_json::{Value, json};

use super::{Parameter, Part, initial};
use crate::error::{Error, Result};

/// Settings of bottleneck adapters.
///
/// ```
/// use ragtune_core::nn::Activation;
/// use ragtune_train::tuning::{Adapter, Tuning};
///
/// let tuning = Tuning::Bottleneck(Adapter::default().with_reduction(8.0).with_activation(Activation::Gelu));
/// assert_eq!(tuning.name(), "adapter");
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Adapter {
    /// Places, widths and kinds as `adapter_config.json` of AdapterHub's library has them.
    pub config: BottleneckConfig,
    /// The width of every bottleneck, instead of the reduction in the configuration.
    pub width: Option<usize>,
}

impl Adapter {
    /// Bottlenecks of a width of the hidden width over `factor`; 16 without this.
    #[must_use]
    pub fn with_reduction(mut self, factor: f64) -> Self {
        (self.config.reduction_factor, self.width) = (factor, None);
        self
    }

    /// Bottlenecks of this width.
    #[must_use]
    pub fn with_width(mut self, width: usize) -> Self {
        self.width = Some(width);
        self
    }

    /// Another non-linearity than ReLU.
    #[must_use]
    pub fn with_activation(mut self, activation: Activation) -> Self {
        self.config.non_linearity = activation;
        self
    }

    /// Behind attention as well as behind the feed-forward layer (Houlsby et al. 2019), instead of behind the latter alone
    /// (Pfeiffer et al. 2020).
    #[must_use]
    pub fn behind_attention(mut self) -> Self {
        self.config.mh_adapter = true;
        self
    }

    /// The share of a bottleneck's output that a training step leaves out, from 0 to below 1.
    #[must_use]
    pub fn with_dropout(mut self, dropout: f64) -> Self {
        self.config.dropout = dropout;
        self
    }

    pub(super) fn to_json(&self) -> Value {
        let config = &self.config;
        json!({
            "method": "adapter",
            "reduction": config.reduction_factor,
            "reductions": config.reduction_factors,
            "width": self.width,
            "activation": config.non_linearity.name(),
            "attention": config.mh_adapter,
            "feed_forward": config.output_adapter,
            "reads_stream": config.original_ln_before,
            "scaling": config.scaling,
            "dropout": config.dropout,
            "without_layers": config.leave_out,
        })
    }

    /// The configuration with the reduction that makes the width, and the weights of all bottlenecks: the way down evenly
    /// spread within `1 / sqrt(hidden)`, the way up 0, so that the model is as it was (adapters 1.3, `methods/modeling.py`,
    /// `mam_adapter`).
    pub(super) fn weights(
        &self,
        base: &dyn AdapterBase,
        seed: u64,
    ) -> Result<(BottleneckConfig, Vec<Parameter>)> {
        let mut config = self.config.clone();
        let shapes = base.module_shapes();
        if let (Some(width), Some((_, shape))) = (self.width, shapes.sublayers().next()) {
            if width == 0 || width > shape.width {
                return Err(Error::invalid(
                    "width",
                    format!(
                        "{width}; a bottleneck is from 1 to the hidden width of {}",
                        shape.width
                    ),
                ));
            }
            config.reduction_factor = BottleneckConfig::reduction_to(shape.width, width);
            config.reduction_factors.clear();
        }
        let reductions = config.reduction_factors.iter().map(|(_, factor)| *factor);
        for factor in reductions.chain([config.reduction_factor]) {
            if !(factor.is_finite() && factor >= 1.0) {
                return Err(Error::invalid(
                    "reduction",
                    format!("{factor}; the hidden width is divided by 1 or more, 16 is usual"),
                ));
            }
        }
        if !(0.0..1.0).contains(&config.dropout) {
            return Err(Error::invalid(
                "dropout",
                format!("{}; it is from 0 to below 1", config.dropout),
            ));
        }
        let targets = config.resolve(shapes);
        if targets.is_empty() {
            let remedy = match shapes.sublayers().len() {
                0 => "the model has no layers with attention; choose another method",
                _ => {
                    "place adapters behind feed-forward layers (`output_adapter`) or attention (`mh_adapter`)"
                }
            };
            return Err(Error::NothingTrains {
                what: "bottleneck adapters".to_owned(),
                suggestions: vec![remedy.to_owned()],
            });
        }
        let device = base.device();
        let weights = |BottleneckTarget {
                           slot, hidden, width, ..
                       }: &BottleneckTarget| {
            let zero = |part, dims: &[usize]| initial::constant(slot, part, dims, 0.0, device);
            let bias = |part, width| Parameter {
                decays: false,
                ..zero(part, &[width])
            };
            [
                initial::spread(slot, Part::DownWeight, [*width, *hidden], seed, device),
                bias(Part::DownBias, *width),
                zero(Part::UpWeight, &[*hidden, *width]),
                bias(Part::UpBias, *hidden),
            ]
        };
        let parameters = targets.iter().flat_map(weights).collect();
        Ok((config, parameters))
    }
}
