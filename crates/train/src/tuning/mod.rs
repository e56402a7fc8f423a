//! What of a model trains: the methods, and the weights that they make trainable.
//!
//! Whatever the method, what trains is an [`AdapterSet`](ragtune_core::adapters::AdapterSet) beside an immutable base: the
//! pairs of LoRA, the factors of (IA)³, bottlenecks behind sublayers, rows before texts, or whole weights that take the place of the base's. So a frozen weight never has a
//! gradient, and optimiser, checkpoints and files see the trained weights only.

mod adapter;
mod initial;
mod leaves;
mod method;
mod parameter;
mod prompt;
mod select;
mod trainable;

pub use adapter::Adapter;
pub use leaves::Leaves;
pub use method::{Lora, Selection, Tuning};
pub use parameter::{Parameter, Part};
pub use prompt::{Prompt, PromptStart};
pub use trainable::Trainable;
pub(crate) use trainable::like;
