//! Where each family keeps what: module paths under the names of the checkpoint.

/// Module paths. Those inside a layer follow `layers` and the layer's number.
#[derive(Clone, Copy, Debug)]
pub(in crate::models) struct DecoderNames {
    /// The bare model, with its dot; checkpoints of the bare model leave it out.
    pub(in crate::models) model: &'static str,
    pub(in crate::models) embed_tokens: &'static str,
    /// The table of positions, in families that learn it.
    pub(in crate::models) embed_positions: &'static str,
    pub(in crate::models) layers: &'static str,
    pub(in crate::models) input_norm: &'static str,
    pub(in crate::models) attention: AttentionNames,
    /// A norm of what attention gives, before it is added.
    pub(in crate::models) attention_output_norm: Option<&'static str>,
    pub(in crate::models) mlp_norm: &'static str,
    pub(in crate::models) mlp: MlpNames,
    /// A norm of what the feed-forward layer gives, before it is added.
    pub(in crate::models) mlp_output_norm: Option<&'static str>,
    pub(in crate::models) norm: &'static str,
    /// The output layer, outside the bare model.
    pub(in crate::models) lm_head: &'static str,
    pub(in crate::models) biases: Biases,
    /// Whether linear weights are stored `[in, out]`, as GPT-2's Conv1D has them.
    pub(in crate::models) transposed: bool,
}

#[derive(Clone, Copy, Debug)]
pub(in crate::models) struct AttentionNames {
    pub(in crate::models) projections: Projections,
    pub(in crate::models) output: &'static str,
    /// Norms of each head's query and key, before their rotation.
    pub(in crate::models) head_norms: Option<(&'static str, &'static str)>,
}

/// Query, key and value.
#[derive(Clone, Copy, Debug)]
pub(in crate::models) enum Projections {
    Separate(&'static str, &'static str, &'static str),
    /// One matrix whose rows are all queries, then all keys, then all values.
    Stacked(&'static str),
    /// One matrix whose rows are query, key and value of the first head, then of the second, and so on.
    Interleaved(&'static str),
}

#[derive(Clone, Copy, Debug)]
pub(in crate::models) enum MlpNames {
    Plain {
        up: &'static str,
        down: &'static str,
    },
    Gated {
        gate: &'static str,
        up: &'static str,
        down: &'static str,
    },
    /// One matrix whose rows are the gate, then the other half.
    GatedStacked {
        gate_up: &'static str,
        down: &'static str,
    },
    /// The paths inside an expert follow `expert` and its number.
    Experts {
        router: &'static str,
        expert: &'static str,
        gate: &'static str,
        up: &'static str,
        down: &'static str,
    },
}

/// Which linear layers have biases.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::models) struct Biases {
    pub(in crate::models) projections: bool,
    pub(in crate::models) attention_output: bool,
    pub(in crate::models) mlp: bool,
    pub(in crate::models) lm_head: bool,
}
