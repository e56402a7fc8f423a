//! Rotary position embedding: the angles by which queries and keys are turned, and the ways in which checkpoints stretch
//! them to longer texts.
//!
//! Every kind is written as transformers 5.23 computes it (`modeling_rope_utils.py` and `compute_default_rope_parameters`
//! of the models): in f32, in the same order. Powers are taken in f64 and rounded once, so that no platform's `powf`
//! shows. Letters: `d` rotated components of a head, `r = 2 ceil(d / 2)` components that the tables cover, `t` tokens.

use std::borrow::Cow;
use std::f32::consts::PI;

/// The angles of one kind of attention layer.
///
/// ```
/// use ragtune_core::models::{Rope, RopeRegime};
///
/// let rope = Rope::new(10_000.0, 4);
/// let (cos, sin) = rope.tables(&[0, 1], RopeRegime::Usual);
/// assert_eq!(cos[..2], [1.0, 1.0]);
/// assert_eq!(sin[2], 1f32.sin());
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    theta: f64,
    dim: usize,
    scaling: Scaling,
    /// What cosines and sines are multiplied by.
    attention_factor: f32,
    /// Inverse frequencies of [`RopeRegime::Usual`].
    usual: Vec<f32>,
    /// Inverse frequencies of [`RopeRegime::Long`].
    long: Option<Vec<f32>>,
}

/// Which of its sets of angles a [`Rope`] uses: some kinds of scaling turn all tokens of a text differently once the
/// text is long.
///
/// Keys that were cached under one regime do not fit another: when the regime of a growing text changes, its cache
/// must be computed again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RopeRegime {
    /// The only set of most kinds, and the one for texts within the length of the training.
    #[default]
    Usual,
    /// The set of LongRoPE for texts beyond the length of the training.
    Long,
    /// The set of dynamic NTK scaling for texts of exactly so many tokens, which lie beyond the length of the training.
    Stretched {
        /// Tokens of the text.
        tokens: usize,
    },
}

/// How angles are stretched.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scaling {
    Default,
    /// Positions are divided by a factor (kaiokendev 2023).
    Linear {
        factor: f64,
    },
    /// The base grows with the text (bloc97 and emozilla 2023, "dynamic NTK").
    Dynamic {
        factor: f64,
        trained: usize,
    },
    /// Slow components are interpolated, fast ones kept (Peng et al. 2023, section 3.2, "NTK-by-parts").
    Yarn {
        factor: f64,
        trained: usize,
        beta_fast: f64,
        beta_slow: f64,
        truncate: bool,
    },
    /// A factor for each component, others beyond the length of the training (Ding et al. 2024).
    LongRope {
        trained: usize,
        short: Vec<f64>,
        long: Vec<f64>,
    },
    /// Components of long wavelength are interpolated (Llama 3.1 model card, `apply_scaling`).
    Llama3 {
        factor: f64,
        trained: usize,
        low: f64,
        high: f64,
    },
}

impl Rope {
    /// Angles without any scaling (Su et al. 2021, equation 15): component pair `i` of `dim / 2` turns by
    /// `theta^(-2 i / dim)` per position.
    pub fn new(theta: f64, dim: usize) -> Self {
        Self::scaled(theta, dim, Scaling::Default, 1.0)
    }

    /// Components of a head that are turned; the tables have half as many columns.
    pub fn rotary_dim(&self) -> usize {
        2 * self.usual.len()
    }

    /// Tokens of the longest text for a `config.json` that says `max_position_embeddings`: dynamic NTK scaling stretches
    /// that number, and YaRN the length of the training, which some files leave there; others have the longest text.
    pub fn context(&self, max_position_embeddings: usize) -> usize {
        match &self.scaling {
            Scaling::Dynamic { factor, trained } | Scaling::Yarn { factor, trained, .. } => {
                max_position_embeddings.max((*factor * *trained as f64) as usize)
            }
            _ => max_position_embeddings,
        }
    }

    /// The set of angles for a text of so many tokens (those in its cache included).
    pub fn regime(&self, tokens: usize) -> RopeRegime {
        match &self.scaling {
            Scaling::Dynamic { trained, .. } if tokens > *trained => RopeRegime::Stretched { tokens },
            Scaling::LongRope { trained, .. } if tokens > *trained => RopeRegime::Long,
            _ => RopeRegime::Usual,
        }
    }

    /// Whether every text has the same regime.
    pub fn is_static(&self) -> bool {
        !matches!(self.scaling, Scaling::Dynamic { .. } | Scaling::LongRope { .. })
    }

    /// Cosines and sines of the angles at some positions, each row by row, times the factor on attention that YaRN and
    /// LongRoPE bring.
    ///
    /// # Shapes
    /// `positions [t] -> ([t, r / 2], [t, r / 2])`.
    pub fn tables(&self, positions: &[u32], regime: RopeRegime) -> (Vec<f32>, Vec<f32>) {
        let frequencies = self.frequencies(regime);
        let len = positions.len() * frequencies.len();
        let (mut cos, mut sin) = (Vec::with_capacity(len), Vec::with_capacity(len));
        for &position in positions {
            for &frequency in frequencies.iter() {
                let angle = f64::from(position as f32 * frequency);
                cos.push(angle.cos() as f32 * self.attention_factor);
                sin.push(angle.sin() as f32 * self.attention_factor);
            }
        }
        (cos, sin)
    }

    pub(super) fn scaled(theta: f64, dim: usize, scaling: Scaling, attention_factor: f64) -> Self {
        let powers = powers(theta as f32, dim);
        let plain = || powers.iter().map(|power| 1.0 / power);
        let (usual, long) = match &scaling {
            Scaling::Default | Scaling::Dynamic { .. } => (plain().collect(), None),
            Scaling::Linear { factor } => {
                let factor = *factor as f32;
                (plain().map(|frequency| frequency / factor).collect(), None)
            }
            Scaling::Llama3 {
                factor,
                trained,
                low,
                high,
            } => {
                let frequency = |frequency| llama3(frequency, *factor, *trained, *low, *high);
                (plain().map(frequency).collect(), None)
            }
            Scaling::Yarn {
                factor,
                trained,
                beta_fast,
                beta_slow,
                truncate,
            } => {
                let pair = |rotations: f64| {
                    let wavelengths = (*trained as f64 / (rotations * 2.0 * std::f64::consts::PI)).ln();
                    dim as f64 * wavelengths / (2.0 * theta.ln())
                };
                let (mut first, mut last) = (pair(*beta_fast), pair(*beta_slow));
                if *truncate {
                    (first, last) = (first.floor(), last.ceil());
                }
                let first = first.max(0.0);
                let mut last = last.min(dim as f64 - 1.0);
                if first == last {
                    last += 0.001;
                }
                let (first, width) = (first as f32, (last - first) as f32);
                let frequency = |(i, power): (usize, &f32)| {
                    let kept = 1.0 - ((i as f32 - first) / width).clamp(0.0, 1.0);
                    let interpolated = 1.0 / (*factor as f32 * power);
                    interpolated * (1.0 - kept) + 1.0 / power * kept
                };
                (powers.iter().enumerate().map(frequency).collect(), None)
            }
            Scaling::LongRope { short, long, .. } => {
                let divided = |factors: &[f64]| {
                    let pairs = factors.iter().zip(&powers);
                    pairs
                        .map(|(factor, power)| 1.0 / (*factor as f32 * power))
                        .collect()
                };
                (divided(short), Some(divided(long)))
            }
        };
        Self {
            theta,
            dim,
            scaling,
            attention_factor: attention_factor as f32,
            usual,
            long,
        }
    }

    /// Inverse frequencies, one for each pair of components.
    pub(super) fn frequencies(&self, regime: RopeRegime) -> Cow<'_, [f32]> {
        match (regime, &self.long) {
            (RopeRegime::Stretched { tokens }, _) => Cow::Owned(self.stretched(tokens)),
            (RopeRegime::Long, Some(long)) => Cow::Borrowed(long),
            _ => Cow::Borrowed(&self.usual),
        }
    }

    /// The inverse frequencies of dynamic NTK scaling for a text of so many tokens.
    fn stretched(&self, tokens: usize) -> Vec<f32> {
        let Scaling::Dynamic { factor, trained } = &self.scaling else {
            return self.usual.clone();
        };
        let tokens = tokens.max(*trained) as f32;
        let growth = *factor as f32 * tokens / *trained as f32 - (*factor - 1.0) as f32;
        let exponent = self.dim as f64 / (self.dim as f64 - 2.0);
        let theta = power(growth, exponent as f32) * self.theta as f32;
        powers(theta, self.dim).iter().map(|power| 1.0 / power).collect()
    }
}

/// `theta^(2 i / dim)` of each pair of components.
fn powers(theta: f32, dim: usize) -> Vec<f32> {
    let exponent = |i: usize| (2 * i) as f32 / dim as f32;
    (0..dim.div_ceil(2)).map(|i| power(theta, exponent(i))).collect()
}

/// A power of f32 numbers, rounded once.
fn power(base: f32, exponent: f32) -> f32 {
    f64::from(base).powf(f64::from(exponent)) as f32
}

/// One inverse frequency of Llama 3.1's scaling.
fn llama3(frequency: f32, factor: f64, trained: usize, low: f64, high: f64) -> f32 {
    let (factor, trained) = (factor as f32, trained as f64);
    let (longest, shortest) = ((trained / low) as f32, (trained / high) as f32);
    // Divisions of a number by a tensor are products with its reciprocal there.
    let wavelength = 1.0 / frequency * (2.0 * PI);
    if wavelength > longest {
        frequency / factor
    } else if wavelength < shortest {
        frequency
    } else {
        let smooth = (1.0 / wavelength * trained as f32 - low as f32) / (high - low) as f32;
        (1.0 - smooth) * frequency / factor + smooth * frequency
    }
}
