//! One JSON line on standard output for each thing that happened.
use std::io::Write;

use serde_json::Value;

/// Prints a line and flushes it. A reader that went away is no reason to stop.
pub fn line(value: &Value) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{value}").and_then(|()| out.flush());
}
