//! Training against PyTorch, transformers, PEFT and sentence-transformers: the gradients of the first step, and the losses,
//! rates and gradient norms of ten steps (`fixtures/parity/make.py`).
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_precision_loss,
    reason = "a test that meets them fails"
)]

mod bottlenecks;
mod checkpointing;
mod embedding;
mod heads;
mod language;
mod model_dropout;
mod preference;
mod reference;
