//! What a forward pass carries through the blocks besides the activations.

use super::Segments;

/// The circumstances of one forward pass, handed to every block that depends on them.
///
/// # Example
///
/// ```
/// use ragtune_core::nn::{Context, Segments};
///
/// let context = Context::new(Segments::from_lengths([7, 4]));
/// assert_eq!(context.segments().tokens(), 11);
/// ```
#[derive(Clone, Debug)]
pub struct Context {
    segments: Segments,
}

impl Context {
    /// A pass over texts packed as `segments` say.
    #[must_use]
    pub fn new(segments: Segments) -> Self {
        Self { segments }
    }

    /// Where each text of the batch begins and ends.
    #[must_use]
    pub fn segments(&self) -> &Segments {
        &self.segments
    }
}
