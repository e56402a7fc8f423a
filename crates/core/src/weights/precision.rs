//! In how many bits weights are kept.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How a weight matrix is kept in memory and in files.
///
/// With f32, bf16 and f16 products are computed in f32. With int8 and int4 the rows are rounded to int8 as well, in
/// groups of 32, and products are sums of integers within a group and of f32 over the groups.
///
/// ```
/// use ragtune_core::weights::Precision;
/// assert_eq!("int8".parse::<Precision>()?, Precision::Int8);
/// assert_eq!(Precision::Int4.to_string(), "int4");
/// assert!("int3".parse::<Precision>().is_err());
/// # Ok::<(), ragtune_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Precision {
    /// 32-bit floating point.
    F32,
    /// bfloat16: 8 bits of exponent, 7 of mantissa.
    Bf16,
    /// IEEE 754 half precision: 5 bits of exponent, 10 of mantissa.
    F16,
    /// 8-bit integers, symmetric, in groups of 64 along the input axis with an F16 scale each.
    Int8,
    /// 4-bit integers in groups of 32 along the input axis with an F16 scale and an F16 minimum each.
    Int4,
}

impl Precision {
    /// Every precision, the largest first.
    pub const ALL: [Self; 5] = [Self::F32, Self::Bf16, Self::F16, Self::Int8, Self::Int4];

    /// Bits that a weight takes, with its share of its group: a scale for 64 weights in int8, a scale and a minimum for 32
    /// in int4, 16 bits each.
    #[must_use]
    pub fn bits(self) -> f64 {
        match self {
            Self::F32 => 32.0,
            Self::Bf16 | Self::F16 => 16.0,
            Self::Int8 => 8.25,
            Self::Int4 => 5.0,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
            Self::Int8 => "int8",
            Self::Int4 => "int4",
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Precision {
    type Err = Error;

    /// # Errors
    ///
    /// [`Error::InvalidArgument`] lists the names that exist.
    fn from_str(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|precision| precision.name() == name);
        found.ok_or_else(|| Error::InvalidArgument {
            argument: "precision",
            reason: format!("{name:?} is none of f32, bf16, f16, int8, int4"),
        })
    }
}
