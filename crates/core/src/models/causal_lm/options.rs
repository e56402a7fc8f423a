//! How a language model is loaded.

use crate::weights::Precision;

/// How [`CausalLm::load_with`](super::CausalLm::load_with) loads a model.
///
/// ```
/// use ragtune_core::models::LoadOptions;
/// use ragtune_core::weights::Precision;
/// let options = LoadOptions::default().with_precision(Precision::Int8);
/// assert_eq!(options.precision, Some(Precision::Int8));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoadOptions {
    /// What the weight matrices are kept in; `None` keeps each as its file has it.
    pub precision: Option<Precision>,
}

impl LoadOptions {
    /// Keeps the weight matrices in this precision, on the CPU.
    ///
    /// They are rounded one after another while they are loaded, as
    /// [`quantise_checkpoint`](crate::weights::quantise_checkpoint) rounds them: with int4, tables of words and output
    /// layers become int8; routers of experts and matrices narrower than a group become f32.
    #[must_use]
    pub fn with_precision(mut self, precision: Precision) -> Self {
        self.precision = Some(precision);
        self
    }
}
