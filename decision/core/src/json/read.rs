//! Reading our own types from bytes with the strict parser, and showing a tree to crates that know `serde_json` only.

use serde::de::DeserializeOwned;

use super::{ParseError, Value, parse};

/// Why bytes are no document of a type.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Not strict JSON.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// Strict JSON, but not of the type.
    #[error("{0}")]
    Shape(#[from] serde_json::Error),
}

/// Reads a document of a type. Unlike `serde_json::from_slice` it refuses duplicate keys and numbers that would not
/// survive everywhere in it.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ReadError> {
    Ok(serde_json::from_value(to_serde(&parse(bytes)?))?)
}

/// The same tree in the types of `serde_json`. Numbers stay exact: integers within ±2^53 stay integers, the others are
/// doubles that give back their digits.
pub fn to_serde(value: &Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(value) => (*value).into(),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => integer.into(),
            None => number.as_f64().into(),
        },
        Value::String(text) => text.as_str().into(),
        Value::Array(items) => items.iter().map(to_serde).collect(),
        Value::Object(object) => object
            .iter()
            .map(|(key, value)| (key.to_owned(), to_serde(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
    }
}
