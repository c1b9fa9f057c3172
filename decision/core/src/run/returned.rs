//! Earlier calls of a run as somebody tells them, in a line of `aegis eval` or in a test of a policy.

use jiff::Timestamp;
use serde::Deserialize;

use super::answer::Answer;
use super::fingerprint::Fingerprinter;
use super::index::{Ended, Limits, RunIndex};
use super::said::Said;
use crate::json::Value;

/// A call that was done, and what the tool returned.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Returned {
    /// Name of the tool.
    pub tool: String,
    /// Name of the operation.
    pub operation: String,
    /// JSON, or a text that is read as the bytes of an answer. None: it returned nothing.
    #[serde(default)]
    pub content: Option<Value>,
    /// Arguments of the call: what the answer only repeats of them, it does not supply.
    #[serde(default)]
    pub arguments: Option<Value>,
}

impl RunIndex {
    /// A memory whose key is no secret: for one that ends with this process and is shown to nobody.
    pub fn unkeyed() -> Self {
        Self::new(Fingerprinter::new([0; 32]), Limits::default())
    }

    /// Takes what was told of a run for a call that succeeded `at` that time.
    pub fn returned(&mut self, run: &str, returned: &Returned, at: Timestamp) {
        let Returned { tool, operation, content, arguments } = returned;
        self.sent(run, operation, at);
        self.ended(run, operation, Ended::Succeeded, at);
        let Some(content) = content else { return };
        let fingerprinter = self.fingerprinter();
        let answer = match content {
            Value::String(text) => Answer::of_bytes(text.as_bytes(), fingerprinter),
            content => Answer::of_value(content, fingerprinter),
        };
        let answer = match arguments {
            Some(arguments) => answer.to(&Said::of_value(arguments, fingerprinter)),
            None => answer,
        };
        self.learn(run, tool, operation, answer, at);
    }
}
