//! What can be wrong with a tool's declaration, and with a request.

use crate::codes::Code;
use crate::tool::{Class, Operation};

/// Why a tool's operations cannot be told apart or are not well formed. Names the field; never a request's value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BindingError {
    /// Two operations of one name.
    #[error("operations: two are named {0}")]
    DuplicateOperation(String),
    /// A method that is not known.
    #[error("operations[{0}].http.method: must be GET, HEAD, POST, PUT, PATCH or DELETE")]
    Method(String),
    /// A path template that is not well formed.
    #[error("operations[{operation}].http.path: {reason}")]
    Path {
        /// Operation.
        operation: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// Two parameters of one name.
    #[error("operations[{operation}].http: two parameters are named {name}")]
    DuplicateParameter {
        /// Operation.
        operation: String,
        /// Parameter.
        name: String,
    },
    /// A body discriminator that is not well formed.
    #[error("operations[{operation}].http.body[{path}]: {reason}")]
    Body {
        /// Operation.
        operation: String,
        /// The discriminator's path.
        path: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// `argumentsFrom` is no pointer into a body.
    #[error("operations[{operation}].argumentsFrom: {reason}")]
    ArgumentsFrom {
        /// Operation.
        operation: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// A fact that cannot be read as declared.
    #[error("operations[{operation}].facts[{fact}]: {reason}")]
    Fact {
        /// Operation.
        operation: String,
        /// Fact.
        fact: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// A constant header that Aegis sets itself, or that is not well formed.
    #[error("headers[{name}]: {reason}")]
    Header {
        /// Name as written.
        name: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// One request could be both.
    #[error(
        "operations {first} and {second} can match the same request; change a path, or tell them apart in http.body"
    )]
    Ambiguous {
        /// The one declared first.
        first: String,
        /// The other.
        second: String,
    },
}

/// A request that cannot be named: it is refused before any rule is looked at, and recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// Stable code.
    pub code: Code,
    /// What is accepted, in one sentence; names declared things only, never a value of the request.
    pub detail: String,
    /// The operation, as far as it was recognised.
    pub operation: Option<String>,
    /// Its class.
    pub class: Option<Class>,
}

impl Malformed {
    /// Of no operation that was recognised.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), operation: None, class: None }
    }

    pub(crate) fn request(detail: impl Into<String>) -> Self {
        Self::new(Code::MalformedRequest, detail)
    }

    /// The same, once the operation is known.
    pub(crate) fn of(self, operation: &Operation) -> Self {
        Self { operation: Some(operation.name.clone()), class: Some(operation.class), ..self }
    }
}
