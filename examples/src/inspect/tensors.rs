//! The tensors of a checkpoint, counted from its headers.

use std::collections::BTreeMap;

use ragtune::core::weights::Checkpoint;
use serde_json::{Value, json};

/// The tensors of one dtype.
#[derive(Clone, Copy, Default)]
pub struct OfDtype {
    pub tensors: usize,
    pub parameters: u64,
    pub bytes: u64,
}

/// All tensors of a checkpoint. Scales and minima of quantised tensors count as bytes, not as parameters.
pub struct Tensors {
    pub dtypes: BTreeMap<String, OfDtype>,
    /// Parameters in matrices, which can be kept in every precision.
    pub matrices: u64,
    /// Parameters of matrices that are tables of words or the output layer.
    pub tables: u64,
    /// Parameters of everything else: norms, biases.
    pub rest: u64,
}

impl Tensors {
    /// Counts; `is_table` tells tables of words and output layers by name, `skip` tensors that a model does not load.
    pub fn count(
        checkpoint: &Checkpoint,
        is_table: impl Fn(&str) -> bool,
        skip: impl Fn(&str) -> bool,
    ) -> Self {
        let mut counted = Self {
            dtypes: BTreeMap::new(),
            matrices: 0,
            tables: 0,
            rest: 0,
        };
        for name in checkpoint.names().filter(|name| !skip(name)) {
            let (Some(shape), Some(dtype)) = (checkpoint.shape(name), checkpoint.dtype(name)) else {
                continue;
            };
            let elements: u64 = shape.iter().map(|side| *side as u64).product();
            let parameters = match dtype.as_str() {
                _ if is_companion(checkpoint, name) => 0,
                // Two weights of four bits in a byte.
                "U8" => elements * 2,
                // Lists of positions, which nobody trains.
                "I64" | "I32" | "I16" | "U64" | "U32" | "U16" | "BOOL" => 0,
                _ => elements,
            };
            let of_dtype = counted.dtypes.entry(dtype.clone()).or_default();
            of_dtype.tensors += 1;
            of_dtype.parameters += parameters;
            of_dtype.bytes += (elements * bits(&dtype)).div_ceil(8);
            *match shape.len() {
                0 | 1 => &mut counted.rest,
                _ if is_table(name) => &mut counted.tables,
                _ => &mut counted.matrices,
            } += parameters;
        }
        counted
    }

    pub fn tensors(&self) -> usize {
        self.dtypes.values().map(|of| of.tensors).sum()
    }

    pub fn parameters(&self) -> u64 {
        self.dtypes.values().map(|of| of.parameters).sum()
    }

    pub fn bytes(&self) -> u64 {
        self.dtypes.values().map(|of| of.bytes).sum()
    }

    pub fn json(&self) -> Value {
        let dtypes: BTreeMap<_, _> = self
            .dtypes
            .iter()
            .map(|(dtype, of)| {
                let of = json!({"tensors": of.tensors, "parameters": of.parameters, "bytes": of.bytes});
                (dtype, of)
            })
            .collect();
        json!({"tensors": self.tensors(), "parameters": self.parameters(), "bytes": self.bytes(), "dtypes": dtypes})
    }

    /// Two lines: parameters, and how they are stored.
    pub fn text(&self) -> String {
        let dtypes: Vec<String> = self
            .dtypes
            .iter()
            .map(|(dtype, of)| format!("{dtype} {} in {} tensors", size(of.bytes), of.tensors))
            .collect();
        format!(
            "parameters    {} in {} tensors\nstored        {}\n",
            thousands(self.parameters()),
            self.tensors(),
            dtypes.join(", ")
        )
    }
}

/// Whether a tensor holds the scales or minima of a quantised one.
fn is_companion(checkpoint: &Checkpoint, name: &str) -> bool {
    ["_scale", "_minimum"].iter().any(|suffix| {
        name.strip_suffix(suffix)
            .and_then(|base| checkpoint.dtype(base))
            .is_some_and(|dtype| matches!(dtype.as_str(), "I8" | "U8"))
    })
}

/// Bits of an element of a safetensors dtype.
fn bits(dtype: &str) -> u64 {
    match dtype {
        "F64" | "I64" | "U64" | "C64" => 64,
        "F32" | "I32" | "U32" => 32,
        "F16" | "BF16" | "I16" | "U16" => 16,
        "F4" => 4,
        "F6_E2M3" | "F6_E3M2" => 6,
        _ => 8,
    }
}

/// A size in decimal units.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}

/// A number with a comma before every three digits.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
