//! What can be wrong with an adapter.

/// What is wrong with an adapter; [`crate::Error::Adapter`] names the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdapterError {
    /// The adapter is of a method that is not supported.
    #[error("peft_type {found:?} is not supported; supported are {}", supported.join(", "))]
    Kind {
        /// The value of `peft_type`.
        found: String,
        /// The methods that are supported.
        supported: &'static [&'static str],
    },
    /// The adapter uses a part of its method that is not supported.
    #[error("{field} is {found}, which is not supported: {remedy}")]
    Feature {
        /// The field of `adapter_config.json`.
        field: &'static str,
        /// Its value.
        found: String,
        /// What to do about it.
        remedy: &'static str,
    },
    /// A pattern of `adapter_config.json` is no regular expression.
    #[error("the field {field:?} has the pattern {pattern:?}, which cannot be used: {reason}")]
    Pattern {
        /// The field.
        field: &'static str,
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// `adapter_config.json` names modules, and the base has none of them.
    #[error(
        "the field {field:?} is {found}, which names no module of the base model{}: the adapter is for another base",
        suggestion(did_you_mean)
    )]
    NoTarget {
        /// The field.
        field: &'static str,
        /// Its value.
        found: String,
        /// Names of modules that the base has.
        did_you_mean: Vec<String>,
    },
    /// The adapter changes a module that the base does not have.
    #[error(
        "the base model has no module {module:?}{}: the adapter is for another base",
        suggestion(did_you_mean)
    )]
    MissingModule {
        /// The module path.
        module: String,
        /// The nearest paths of the base.
        did_you_mean: Vec<String>,
    },
    /// A module that the configuration targets lacks tensors.
    #[error(
        "{module} is targeted by adapter_config.json, and the tensor {tensor:?} is missing{}: the adapter was saved \
         only in part, or its two files are not of one adapter",
        suggestion(did_you_mean)
    )]
    MissingTensor {
        /// The module path.
        module: String,
        /// The tensor that is due.
        tensor: String,
        /// The nearest unused names of the file.
        did_you_mean: Vec<String>,
    },
    /// Tensors that no module takes.
    #[error(
        "the tensors {} are not used: adapter_config.json and the base model call for no tensors of these names{}",
        listed(tensors),
        suggestion(did_you_mean)
    )]
    Unused {
        /// Their names.
        tensors: Vec<String>,
        /// Names that the configuration calls for and that are near the first of them.
        did_you_mean: Vec<String>,
    },
    /// Two tensors are for the same place, as in a file with two adapters.
    #[error(
        "the tensors {first:?} and {second:?} are for the same place: save every adapter in its own folder"
    )]
    Twice {
        /// One of them.
        first: String,
        /// The other.
        second: String,
    },
    /// A tensor does not fit the base, or the rank of the configuration.
    #[error(
        "{tensor} has shape {found:?} where {expected:?} is expected: the adapter is for another base model, or \
         adapter_config.json (r, rank_pattern) is not of these tensors"
    )]
    Shape {
        /// The tensor.
        tensor: String,
        /// The shape that base and configuration ask for.
        expected: Vec<usize>,
        /// The shape found.
        found: Vec<usize>,
    },
    /// DoRA brings rows to a length, and a row of the adapted weight has none.
    #[error(
        "a row of the adapted weight of {module} is zero or too large for f32, so DoRA cannot bring it to a length: \
         the adapter is damaged, or for another base model"
    )]
    NoLength {
        /// The module path.
        module: String,
    },
    /// The adapter is more than a change of weights, so no weights can take its place.
    #[error(
        "the adapter has bottlenecks or a prompt, which are more than a change of weights and cannot be folded into them: \
         keep it beside the base, or train LoRA, which can"
    )]
    NotMergeable,
    /// A tuned prompt is for a model that texts are not continued by.
    #[error(
        "virtual tokens before texts, beside {slot:?}, fit language models only: train LoRA or bottleneck adapters beside \
         an encoder"
    )]
    NoWords {
        /// The slot of the table that they should stand beside.
        slot: String,
    },
    /// A set of adapters cannot be written in PEFT's format.
    #[error("the adapter cannot be written: {reason}")]
    NotWritable {
        /// Why not.
        reason: String,
    },
}

/// Names that a message lists.
const MAX_LISTED: usize = 6;

fn suggestion(names: &[String]) -> String {
    match names.is_empty() {
        true => String::new(),
        false => format!(" (did you mean {}?)", names.join(" or ")),
    }
}

fn listed(names: &[String]) -> String {
    let mut text = names
        .iter()
        .take(MAX_LISTED)
        .map(|name| format!("{name:?}"))
        .collect::<Vec<_>>()
        .join(", ");
    if let more @ 1.. = names.len().saturating_sub(MAX_LISTED) {
        text.push_str(&format!(" and {more} more"));
    }
    text
}
