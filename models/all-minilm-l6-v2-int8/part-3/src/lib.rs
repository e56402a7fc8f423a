//! The sentence encoder all-MiniLM-L6-v2 with int8 weights, part 3 of 3: the last third of the weights file. `ragtune-core`
//! puts the parts together and checks them.

/// The last bytes of `model.safetensors`.
pub static WEIGHTS: &[u8] = include_bytes!("../weights.part-3");
