//! The layers that make classes of a text's hidden states.
//!
//! Letters: `t` tokens of a batch, `b` texts of a batch, `h` hidden width, `p` width of pooled vectors, `c` classes.

use burn::tensor::Tensor;

use super::super::sentence::{SentenceHead, first_tokens, last_tokens};
use super::body::{DecoderHeadLoader, Head, HeadLoader};
use super::described::{SEQUENCE, is_tuned};
use crate::adapters::Module;
use crate::error::{Error, Result};
use crate::generation::Random;
use crate::nn::{Activation, Context, Dropout, Linear, Segments};
use crate::weights::{LoadReport, ModelFiles};

/// What a classification head reads of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HeadPooling {
    /// The first token, through a layer of its own: the head of `...ForSequenceClassification` in transformers.
    FirstToken,
    /// The last token, through one layer without a bias: the head of `...ForSequenceClassification` on decoders, where no
    /// other token has seen the whole text.
    LastToken,
    /// The vector that a sentence encoder makes of the text (its pooling, and the layers behind it), brought to length 1
    /// or left as the pooling makes it. One linear layer follows. Such a model is a sentence-transformers folder whose
    /// last module is that layer.
    Sentence {
        /// Whether vectors have length 1.
        normalised: bool,
    },
}

/// The head of decoders.
const SCORE: &str = "score";

/// A classification head of any kind.
#[derive(Clone, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "a model has one, which stays where it was made"
)]
pub(super) enum ClassificationHead {
    /// `out_proj(activation(dense(first token)))`.
    FirstToken {
        dense: Linear,
        dense_in_model: bool,
        activation: Activation,
        out_proj: Linear,
        /// Before `dense`, where the family has it, and before `out_proj`.
        dropout: [Dropout; 2],
    },
    /// `score(last token)`.
    LastToken(Linear),
    /// Pooling and further steps, of which the last is a linear layer.
    Sentence(SentenceHead),
}

impl ClassificationHead {
    /// Takes the head of a checkpoint: of a sentence-transformers folder that ends in a linear layer that one, else the
    /// family's own.
    pub(super) fn load(
        files: &ModelFiles,
        c: usize,
        parts: &HeadLoader<'_, '_>,
    ) -> Result<(Self, LoadReport)> {
        let h = parts.config.hidden_size;
        if let Some((head, report)) = SentenceHead::classifier(files, h, parts.device())? {
            let found = head.dim();
            return match found == c {
                true => Ok((Self::Sentence(head), report)),
                false => Err(Error::Dimension {
                    what: "the last module of the folder (in classes)".to_owned(),
                    expected: c,
                    found,
                }),
            };
        }
        let names = parts.family.head;
        let head = Self::FirstToken {
            dense: parts.linear(names.dense, names.dense_in_model, (h, h))?,
            dense_in_model: names.dense_in_model,
            activation: names.activation,
            out_proj: parts.linear(names.out_proj, false, (h, c))?,
            dropout: dropout(parts),
        };
        Ok((head, LoadReport::default()))
    }

    /// A new head. Of the family's own, the first layer is taken where the checkpoint has it, as transformers does.
    pub(super) fn new(
        files: &ModelFiles,
        c: usize,
        pooling: Option<HeadPooling>,
        seed: u64,
        parts: &HeadLoader<'_, '_>,
    ) -> Result<(Self, LoadReport)> {
        let h = parts.config.hidden_size;
        let mut random = Random::new(seed);
        let is_sentence = SentenceHead::is_folder(files);
        let pooling = pooling.unwrap_or(match is_sentence {
            true => HeadPooling::Sentence { normalised: true },
            false => HeadPooling::FirstToken,
        });
        match pooling {
            HeadPooling::LastToken => Err(Error::InvalidArgument {
                argument: "pooling",
                reason: "the last token of an encoder has seen no more than the first; read the first token, or sentence \
                         vectors"
                    .to_owned(),
            }),
            HeadPooling::FirstToken => {
                let names = parts.family.head;
                let (dense, in_model) = (names.dense, names.dense_in_model);
                let head = Self::FirstToken {
                    dense: match parts.contains(dense, in_model) {
                        true => parts.linear(dense, in_model, (h, h))?,
                        false => parts.new_linear(dense, (h, h), &mut random)?,
                    },
                    dense_in_model: in_model,
                    activation: names.activation,
                    out_proj: parts.new_linear(names.out_proj, (h, c), &mut random)?,
                    dropout: dropout(parts),
                };
                Ok((head, LoadReport::default()))
            }
            HeadPooling::Sentence { normalised } => {
                let (body, report) =
                    SentenceHead::pooled(files, h, (normalised, is_tuned(files, SEQUENCE)?), parts.device())?;
                let (slot, p) = (body.next_slot(), body.dim());
                let head = body.followed_by(parts.new_linear(&slot, (p, c), &mut random)?);
                Ok((Self::Sentence(head), report))
            }
        }
    }

    /// Takes the head of a decoder.
    pub(super) fn load_decoders(c: usize, parts: &DecoderHeadLoader<'_, '_>) -> Result<Self> {
        Ok(Self::LastToken(parts.projection(SCORE, c)?))
    }

    /// A new head on a decoder.
    pub(super) fn new_decoders(
        c: usize,
        pooling: Option<HeadPooling>,
        seed: u64,
        parts: &DecoderHeadLoader<'_, '_>,
    ) -> Result<Self> {
        match pooling {
            None | Some(HeadPooling::LastToken) => {
                let score = parts.new_projection(SCORE, c, &mut Random::new(seed))?;
                Ok(Self::LastToken(score))
            }
            Some(HeadPooling::FirstToken | HeadPooling::Sentence { .. }) => Err(Error::InvalidArgument {
                argument: "pooling",
                reason: "only the last token of a decoder has seen the whole text; read that".to_owned(),
            }),
        }
    }

    /// What the head reads.
    pub(super) fn pooling(&self) -> HeadPooling {
        match self {
            Self::FirstToken { .. } => HeadPooling::FirstToken,
            Self::LastToken(_) => HeadPooling::LastToken,
            Self::Sentence(head) => HeadPooling::Sentence {
                normalised: head.is_normalised(),
            },
        }
    }

    /// # Shapes
    /// `[t, h] -> [b, p]`.
    pub(super) fn pool(&self, hidden: &Tensor<2>, segments: &Segments, context: &Context) -> Tensor<2> {
        match self {
            Self::FirstToken { .. } => first_tokens(hidden, segments),
            Self::LastToken(_) => last_tokens(hidden, segments),
            Self::Sentence(head) => head.before_last(hidden, segments, context),
        }
    }

    /// # Shapes
    /// `[b, p] -> [b, c]`.
    pub(super) fn logits(&self, pooled: Tensor<2>, context: &Context) -> Tensor<2> {
        match self {
            Self::FirstToken {
                dense,
                activation,
                out_proj,
                dropout: [before_dense, before_last],
                ..
            } => {
                let pooled = before_dense.forward(pooled, context);
                let x = dense.forward_activated(pooled, *activation, context); // [b, h]
                out_proj.forward(before_last.forward(x, context), context)
            }
            Self::LastToken(score) => score.forward(pooled, context),
            Self::Sentence(head) => head.last(pooled, context),
        }
    }
}

/// What a head drops in passes that train.
fn dropout(parts: &HeadLoader<'_, '_>) -> [Dropout; 2] {
    let probability = parts.config.dropout.sequence_head;
    let first = match parts.family.head.drops_input {
        true => probability,
        false => 0.0,
    };
    [
        Dropout::new("classifier.dropout.input", first),
        Dropout::new("classifier.dropout", probability),
    ]
}

impl Head for ClassificationHead {
    fn modules<'a>(&'a self, into: &mut Vec<Module<'a>>) {
        match self {
            Self::FirstToken { dense, out_proj, .. } => into.extend([dense, out_proj].map(Module::Linear)),
            Self::LastToken(score) => into.push(Module::Linear(score)),
            Self::Sentence(head) => into.extend(head.linears().map(Module::Linear)),
        }
    }

    fn in_model(&self) -> Option<&str> {
        match self {
            Self::FirstToken {
                dense,
                dense_in_model: true,
                ..
            } => Some(dense.slot()),
            _ => None,
        }
    }

    fn is_apart(&self) -> bool {
        matches!(self, Self::Sentence(_))
    }
}
