//! Metadata as JSON that gives every value back exactly.
//!
//! A JSON number alone would not: parsers round the last bit, and 3.0 and 3 look the same to some. So a float is an
//! object with its shortest decimal text, `{"float": "0.1"}`, which the standard library reads exactly.

use std::collections::BTreeMap;

use ragtune_core::text::{Metadata, Value};
use rusqlite::{Result, Row};
use serde::{Deserialize, Serialize};

use super::documents::parse;
use super::passages::json;
use super::vectors::wrong;

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Stored {
    Bool(bool),
    Int(i64),
    Text(String),
    Float { float: String },
    List(Vec<Stored>),
}

impl Stored {
    fn new(value: &Value) -> Self {
        match value {
            Value::Bool(value) => Self::Bool(*value),
            Value::Int(value) => Self::Int(*value),
            Value::Float(value) => Self::Float {
                float: format!("{value:?}"),
            },
            Value::Text(value) => Self::Text(value.clone()),
            Value::List(values) => Self::List(values.iter().map(Self::new).collect()),
        }
    }

    fn value(self) -> Result<Value> {
        Ok(match self {
            Self::Bool(value) => Value::Bool(value),
            Self::Int(value) => Value::Int(value),
            Self::Float { float } => {
                let value = float
                    .parse()
                    .map_err(|_| wrong(format!("{float:?} is no number")))?;
                Value::Float(value)
            }
            Self::Text(value) => Value::Text(value),
            Self::List(values) => Value::List(values.into_iter().map(Self::value).collect::<Result<_>>()?),
        })
    }
}

/// The JSON of metadata.
pub(super) fn to_json(metadata: &Metadata) -> Result<String> {
    let stored: BTreeMap<&str, Stored> = metadata
        .iter()
        .map(|(name, value)| (name.as_str(), Stored::new(value)))
        .collect();
    json(&stored)
}

/// Metadata from a column with their JSON.
pub(super) fn read(row: &Row<'_>, column: usize) -> Result<Metadata> {
    let stored: BTreeMap<String, Stored> = parse(row, column)?;
    let values = stored.into_iter();
    values.map(|(name, value)| Ok((name, value.value()?))).collect()
}
