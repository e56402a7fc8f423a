//! The sentence encoder all-MiniLM-L6-v2 with int8 weights, part 2 of 3: the second third of the weights file. `ragtune-core`
//! puts the parts together and checks them.

/// The middle bytes of `model.safetensors`.
pub static WEIGHTS: &[u8] = include_bytes!("../weights.part-2");
