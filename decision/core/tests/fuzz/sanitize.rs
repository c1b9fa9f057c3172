//! Sanitizing and redacting any document by any rules: never a panic, never more than came, the same twice.

use aegis_decision::json::{self, Value};
use aegis_decision::policy::Transform;
use aegis_decision::sanitize::{RESPONSE_LIMITS, Redactor, Unfit};
use aegis_decision::tool::Redaction;
use serde::{Deserialize, Serialize};

/// What is redacted, and by what: the form of this target's corpus.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redacted {
    /// Redactions of an operation.
    pub redact: Vec<Redaction>,
    /// Transforms of `Sanitize` rules, each done alone.
    #[serde(default)]
    pub sanitize: Vec<Transform>,
    /// The answer, or the arguments.
    pub document: Value,
}

/// Panics where what comes out is not less than what went in, or is other the second time.
pub fn check(bytes: &[u8]) {
    let _redacted = redacted(bytes);
}

/// The same; tells whether something was redacted or sanitized.
pub fn redacted(bytes: &[u8]) -> Option<bool> {
    let Redacted { redact, sanitize, document } = json::read(bytes).ok()?;
    let mut changed = false;
    for transform in &sanitize {
        changed |= sanitized(transform, &document);
    }
    let redactor = match Redactor::compile(&redact) {
        Ok(redactor) => redactor?,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return None;
        }
    };
    let came = json::emit(&document);
    let Ok(left) = redactor.redact(Some("application/json"), &came) else { return Some(changed) };
    let tree = json::parse_with(&left, RESPONSE_LIMITS).expect("what is left is strict JSON");
    assert!(values(&tree) <= values(&document), "there are more values than came");
    assert_eq!(redactor.redact(Some("application/json"), &came).as_ref(), Ok(&left), "redacted again");
    let mut reversed = redact.clone();
    reversed.reverse();
    let other = Redactor::compile(&reversed).expect("the same redactions").expect("there are some");
    assert_eq!(other.redact(Some("application/json"), &came).as_ref(), Ok(&left), "in another order");
    Some(changed || left != came)
}

/// One transform, done twice; tells whether it changed anything.
fn sanitized(transform: &Transform, document: &Value) -> bool {
    let mut once = document.clone();
    match transform.apply(&mut once) {
        Ok(changed) => {
            assert_eq!(changed, once != *document, "what is said to have changed");
            let mut twice = once.clone();
            assert_eq!(transform.apply(&mut twice), Ok(false), "twice is once");
            assert_eq!(twice, once);
            let written = json::emit(&once);
            assert_eq!(json::parse_with(&written, RESPONSE_LIMITS).as_ref(), Ok(&once), "written and read again");
            changed
        }
        Err(Unfit::Place | Unfit::NotText | Unfit::NotDecimal) => false,
    }
}

fn values(tree: &Value) -> usize {
    1 + match tree {
        Value::Array(items) => items.iter().map(values).sum(),
        Value::Object(object) => object.iter().map(|(_, value)| values(value)).sum(),
        _ => 0,
    }
}
