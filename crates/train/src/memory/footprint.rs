//! What a model keeps of every token between the way forward and the way back.

use ragtune_core::models::{DecoderConfig, EncoderConfig, Transformer};

use crate::objective::Objective;
use crate::tuning::{Parameter, Part, Trainable};

/// The widths of a model, by which its kept states are counted.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Footprint {
    /// Layers.
    pub layers: usize,
    /// Hidden width.
    pub hidden: usize,
    /// Width of all queries of a token.
    pub queries: usize,
    /// Width of all keys of a token; values have the same.
    pub keys: usize,
    /// Heads of queries.
    pub heads: usize,
    /// Width of the feed-forward layer.
    pub intermediate: usize,
    /// Whether the feed-forward layer has a gate beside it.
    pub gated: bool,
    /// Tensors of the hidden width that go from layer to layer: a decoder's sum comes in two parts.
    pub streams: usize,
    /// Rows of the output layer where the loss is over all words; 0 where it is not.
    pub vocabulary: usize,
    /// What the task keeps of its texts where nothing in front of its head trains.
    pub features: Features,
    /// The largest share of a batch's tokens that go through the model at once: 1 but where a loss runs it several times,
    /// such as for questions and for passages.
    pub at_once: f64,
}

/// What is computed once of a text while nothing in front of the head trains, and kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Features {
    /// The hidden state of every token.
    Tokens,
    /// What the head reads of the text.
    Texts,
}

/// Which inputs of a layer's parts are kept, because weights that they meet are trained.
#[derive(Clone, Copy, Debug, Default)]
struct Kept {
    attention: bool,
    feed_forward: bool,
    feed_forward_output: bool,
    /// What (IA)³ and DoRA keep besides, in components of a token and layer.
    extra: usize,
    /// Ranks of all updates of a layer.
    ranks: usize,
}

impl Footprint {
    /// That of a decoder whose loss is over all words.
    #[must_use]
    pub fn decoder(config: &DecoderConfig) -> Self {
        Self {
            layers: config.layers.len(),
            hidden: config.hidden_size,
            queries: config.num_attention_heads * config.head_dim,
            keys: config.num_key_value_heads * config.head_dim,
            heads: config.num_attention_heads,
            intermediate: config.intermediate_size,
            gated: config.is_gated(),
            streams: 2,
            vocabulary: config.vocab_size,
            features: Features::Tokens,
            at_once: 1.0,
        }
    }

    /// That of an encoder.
    #[must_use]
    pub fn encoder(config: &EncoderConfig) -> Self {
        Self {
            layers: config.num_hidden_layers,
            hidden: config.hidden_size,
            queries: config.hidden_size,
            keys: config.hidden_size,
            heads: config.num_attention_heads,
            intermediate: config.intermediate_size,
            gated: false,
            streams: 1,
            vocabulary: 0,
            features: Features::Tokens,
            at_once: 1.0,
        }
    }

    /// That of a transformer under a head over whole texts; `None` for a kind whose widths are not known here.
    #[must_use]
    pub fn classifier(model: &Transformer) -> Option<Self> {
        let of_tokens = match model {
            Transformer::Encoder(model) => Self::encoder(model.shape()),
            Transformer::Decoder(model) => Self::decoder(model.shape()),
            _ => return None,
        };
        Some(Self {
            // The loss of a decoder is not over all words here.
            vocabulary: 0,
            features: Features::Texts,
            ..of_tokens
        })
    }

    /// That of a task's model over examples; `None` where the task does not know it.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "a share of a number of tokens")]
    pub fn of<O: Objective>(objective: &O, examples: &[O::Example]) -> Option<Self> {
        let sum = |tokens: fn(&O, &O::Example) -> usize| -> f64 {
            examples
                .iter()
                .map(|example| tokens(objective, example) as f64)
                .sum()
        };
        let (all, at_once) = (sum(O::tokens), sum(O::tokens_at_once));
        let share = if all > 0.0 { at_once / all } else { 1.0 };
        Some(objective.footprint()?.with_at_once(share))
    }

    /// Another share of a batch's tokens that go through the model at once.
    #[must_use]
    pub fn with_at_once(mut self, share: f64) -> Self {
        self.at_once = share;
        self
    }

    /// The tokens of a batch that go through the model at once.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a number of tokens"
    )]
    pub(super) fn at_once_of(&self, tokens: u64) -> u64 {
        (tokens as f64 * self.at_once.clamp(0.0, 1.0)).ceil() as u64
    }

    /// Components that a layer keeps of a token.
    pub(super) fn layer(&self, trainable: &Trainable) -> usize {
        let kept = Kept::of(trainable, self);
        // What the two norms read; queries, keys, values, the mixed values and a number for each head; what the activation
        // reads. Then the inputs of trained weights.
        let always = 2 * self.hidden + 2 * self.queries + 2 * self.keys + self.heads + self.feed_forward();
        let inputs = usize::from(kept.attention) * self.hidden
            + usize::from(kept.feed_forward) * self.hidden
            + usize::from(kept.feed_forward_output) * self.intermediate;
        always + inputs + kept.extra + kept.ranks
    }

    /// Components that the first layer with trained weights keeps less than the others, because gradients end inside of it:
    /// where its bottlenecks alone train, nothing in front of the first of them is kept.
    pub(super) fn unreached(&self, trainable: &Trainable) -> usize {
        let Some(first) = trainable.first_layer() else {
            return 0;
        };
        let of_first = || {
            let parameters = trainable.parameters().iter();
            parameters.filter(move |parameter| layer_of(parameter.slot()) == Some(first))
        };
        let in_bottleneck = |parameter: &Parameter| {
            let parts = [Part::DownWeight, Part::DownBias, Part::UpWeight, Part::UpBias];
            parts.contains(&parameter.part())
        };
        if of_first().next().is_none() || !of_first().all(in_bottleneck) {
            return 0;
        }
        // A norm in front of a sublayer is in front of its bottleneck, one behind it (an encoder's) is not.
        let norm = if self.streams > 1 { self.hidden } else { 0 };
        let attention = 2 * self.queries + 2 * self.keys + self.heads + norm;
        if of_first().any(|parameter| is_attention(parameter.slot())) {
            return attention;
        }
        let norms_between = self.hidden;
        attention + norms_between + self.feed_forward()
    }

    fn feed_forward(&self) -> usize {
        match self.gated {
            true => 2 * self.intermediate,
            false => self.intermediate,
        }
    }

    /// Components that exist at once while a layer is computed, forward or back, beside what is kept.
    pub(super) fn passing(&self) -> usize {
        let feed_forward = if self.gated {
            4 * self.intermediate
        } else {
            3 * self.intermediate
        };
        feed_forward + 3 * self.hidden
    }
}

impl Kept {
    fn of(trainable: &Trainable, footprint: &Footprint) -> Self {
        let parameters = trainable.parameters();
        let mut kept = Self::default();
        // One layer stands for all: methods treat them alike.
        let layer = parameters
            .iter()
            .filter_map(|parameter| layer_of(parameter.slot()))
            .max();
        for parameter in parameters
            .iter()
            .filter(|parameter| layer_of(parameter.slot()) == layer)
        {
            let [rows, columns] = match parameter.dims()[..] {
                [rows, columns] => [rows, columns],
                _ => [0, parameter.count()],
            };
            match parameter.part() {
                Part::Weight if rows > 0 => kept.input(parameter, columns, footprint),
                Part::LoraA => {
                    kept.ranks += rows;
                    kept.input(parameter, columns, footprint);
                }
                // The base's product and the side path are multiplied by trained factors.
                Part::Magnitude => kept.extra += 2 * columns,
                Part::OutputFactors | Part::InputFactors => kept.extra += columns,
                // What it reads, and its narrow rows before and behind the non-linearity.
                Part::DownWeight => {
                    kept.extra += columns;
                    kept.ranks += 2 * rows;
                }
                _ => {}
            }
        }
        kept
    }

    /// Notes that a weight of so many input columns is trained.
    fn input(&mut self, parameter: &Parameter, columns: usize, footprint: &Footprint) {
        let slot = parameter.slot();
        let mixes = [
            "o_proj",
            "attention.output.dense",
            "attn.c_proj",
            "out_lin",
            "attn.o",
            "attention.dense",
        ];
        match slot {
            _ if mixes.iter().any(|name| slot.ends_with(name)) => {} // attention keeps what it mixed
            _ if columns == footprint.intermediate => self.feed_forward_output = true,
            _ if is_attention(slot) => self.attention = true,
            _ => self.feed_forward = true,
        }
    }
}

fn is_attention(slot: &str) -> bool {
    slot.split('.')
        .any(|part| part.contains("attn") || part.contains("attention"))
}

fn layer_of(slot: &str) -> Option<usize> {
    slot.split('.').find_map(|part| part.parse().ok())
}
