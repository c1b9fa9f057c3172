//! What "the same value" means between readers of JSON, as a text: two values are the same when their forms are equal.
//!
//! | value | form | same when |
//! | --- | --- | --- |
//! | null, booleans | `n`, `t`, `f` | they are equal |
//! | number | `#` and the 16 hex digits of its double; with `exact` also `=` and its decimal | the bits are equal, zero having no sign; with `exact` also the decimals, without rounding |
//! | text | `"` and the hex digits of its UTF-8 | it has the same Unicode scalar values in the same order, with no normalisation |
//! | array | `[..]` | it has the same values in the same order |
//! | object | `{name:value,..}`, names as hex digits and sorted | it has the same members; their order is no part of the value |
//!
//! A name given twice has no form: no value has it.

use aegis_decision::json::Value;

use crate::number::exact;

/// The form of a value of ours.
pub fn ours(value: &Value, with_decimals: bool) -> String {
    match value {
        Value::Null => "n".to_owned(),
        Value::Bool(true) => "t".to_owned(),
        Value::Bool(false) => "f".to_owned(),
        Value::Number(number) if with_decimals => {
            let (negative, digits, power) = exact(&number.to_string());
            let decimal = match digits.as_str() {
                "" => "0".to_owned(),
                digits => format!("{}{digits}e{power}", if negative { "-" } else { "" }),
            };
            format!("{}={decimal}", double(number.as_f64()))
        }
        Value::Number(number) => double(number.as_f64()),
        Value::String(string) => text(string),
        Value::Array(items) => array(items.iter().map(|item| ours(item, with_decimals))),
        Value::Object(object) => {
            object_of(object.iter().map(|(name, value)| (name, ours(value, with_decimals))).collect())
        }
    }
}

/// The form of what `serde_json` read.
pub fn theirs(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Null => "n".to_owned(),
        serde_json::Value::Bool(true) => "t".to_owned(),
        serde_json::Value::Bool(false) => "f".to_owned(),
        serde_json::Value::Number(number) => double(number.as_f64().expect("a number is a double")),
        serde_json::Value::String(string) => text(string),
        serde_json::Value::Array(items) => array(items.iter().map(theirs)),
        serde_json::Value::Object(members) => {
            object_of(members.iter().map(|(name, value)| (name.as_str(), theirs(value))).collect())
        }
    }
}

fn double(value: f64) -> String {
    // Zero has no sign.
    format!("#{:016x}", (value + 0.0).to_bits())
}

fn text(text: &str) -> String {
    format!("\"{}\"", hexed(text))
}

fn array(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}

fn object_of(members: Vec<(&str, String)>) -> String {
    let mut members: Vec<_> = members.into_iter().map(|(name, form)| (hexed(name), form)).collect();
    members.sort_unstable();
    let members: Vec<_> = members.into_iter().map(|(name, form)| format!("{name}:{form}")).collect();
    format!("{{{}}}", members.join(","))
}

fn hexed(text: &str) -> String {
    text.bytes().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}
