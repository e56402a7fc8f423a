//! Adapters: small weights beside an immutable base model.
//!
//! An [`AdapterSet`] holds what was trained, by the slot (module path) of the layer that it belongs to. A forward pass
//! carries an [`AdapterStack`] for each text in its [`Context`](crate::nn::Context), and every layer adds the side path
//! of its slot to its own product. So the base is never copied or changed, and one batch can mix adapters.

mod low_rank;
mod set;
mod stack;

pub use low_rank::LowRank;
pub use set::AdapterSet;
pub use stack::AdapterStack;
