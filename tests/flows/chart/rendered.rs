//! What the chart renders, as objects.

use anyhow::Result;
use serde_json::Value;

/// The objects of a render, in its order.
pub fn objects(rendered: &str) -> Result<Vec<Value>> {
    let all: Vec<Value> = serde_saphyr::from_multiple(rendered)?;
    Ok(all.into_iter().filter(|object| !object.is_null()).collect())
}

/// `Kind name` of an object.
pub fn title(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    format!("{} {}", text(&object["kind"]), text(&object["metadata"]["name"]))
}
