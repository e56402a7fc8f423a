//! The largest numbers of a `config.json` that are believed, so that a hostile one cannot ask for all memory.

/// The widest hidden state.
pub(super) const MAX_HIDDEN_SIZE: usize = 1 << 16;
/// The widest feed-forward layer.
pub(super) const MAX_INTERMEDIATE_SIZE: usize = 1 << 20;
/// The most layers.
pub(super) const MAX_LAYERS: usize = 1 << 10;
/// The most attention heads.
pub(super) const MAX_HEADS: usize = 1 << 12;
/// The widest head.
pub(super) const MAX_HEAD_DIM: usize = 1 << 13;
/// The most experts of a layer.
pub(super) const MAX_EXPERTS: usize = 1 << 10;
/// The largest vocabulary, and the most positions.
pub(super) const MAX_TABLE_ROWS: usize = 1 << 24;
