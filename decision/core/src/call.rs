//! A call: what the agent asked for, named and parsed, before anything is decided.

use std::sync::Arc;

use crate::json::Value;
use crate::sanitize::Sanitation;
use crate::tool::Class;

/// A request as it came in, after the tool's base path was taken off.
#[derive(Debug, Clone)]
pub struct HttpRequest<'a> {
    /// Method as given.
    pub method: &'a str,
    /// Path after the tool's segment, percent-encoded as given; starts with `/`.
    pub path: &'a str,
    /// Query without `?`, as given.
    pub query: Option<&'a str>,
    /// Headers, names in lower case, in the order received.
    pub headers: &'a [(String, String)],
    /// The whole body.
    pub body: &'a [u8],
}

impl HttpRequest<'_> {
    /// The only value of a header; `None` when it is absent, `Err` when it is given more than once.
    pub fn single_header(&self, name: &str) -> Result<Option<&str>, RepeatedHeader> {
        // Names come in lower case from the wire; a person who writes a test case may not.
        let named = self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        let mut values = named.map(|(_, value)| value.as_str());
        match (values.next(), values.next()) {
            (first, None) => Ok(first),
            _ => Err(RepeatedHeader(name.to_owned())),
        }
    }
}

/// A header that must be given once was given more than once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("header {0} is given more than once")]
pub struct RepeatedHeader(pub String);

/// A call that was named and parsed. What is judged, hashed and sent is made from this value only.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCall {
    /// Tool.
    pub tool: String,
    /// Operation.
    pub operation: String,
    /// What the operation can do.
    pub class: Class,
    /// What would be sent, where the call came as HTTP (or was made by the bundle). None for a call given by operation
    /// and arguments only, which has no effect digest and cannot be sent.
    pub request: Option<Emitted>,
    /// The arguments by name: always an object. Sanitized, as all of the request is. Where they are the whole body, the
    /// two are one tree.
    pub arguments: Arc<Value>,
    /// What `Sanitize` rules made of the arguments that came.
    pub sanitation: Sanitation,
    /// Delegation that the agent names.
    pub delegation: Option<String>,
    /// Run that the agent names.
    pub run: Option<String>,
    /// Approval that the agent names (`Aegis-Approval`).
    pub approval: Option<String>,
    /// Id of the plan that the agent says the call is a step of (`Aegis-Plan`). It is kept in the record, and has no say in
    /// the verdict.
    pub plan: Option<String>,
    /// The agent's own idempotency key.
    pub idempotency_key: Option<String>,
    /// W3C trace context, passed on.
    pub traceparent: Option<String>,
}

/// A request as it will be sent, made from parsed parts: nothing of the agent's bytes is in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Emitted {
    /// Method.
    pub method: String,
    /// Full URL: scheme, authority, path and query, percent-encoded canonically.
    pub url: String,
    /// Effect-bearing headers: the tool's constants and the content type. Names in lower case, in order.
    pub headers: Vec<(String, String)>,
    /// Headers that are passed on and have no effect: accept, accept-language, traceparent, tracestate.
    pub passed: Vec<(String, String)>,
    /// The body tree as emitted; none for a request without body.
    pub body: Option<Arc<Value>>,
    /// How the body is written; the content type among the headers says the same.
    pub encoding: Encoding,
}

impl Emitted {
    /// The body's bytes: the tree in canonical tokens, keys in the order received.
    pub fn body_bytes(&self) -> Vec<u8> {
        match (&self.body, self.encoding) {
            (None, _) => Vec::new(),
            (Some(body), Encoding::Json) => crate::json::emit(body),
            (Some(body), Encoding::Form) => crate::naming::form_bytes(body),
        }
    }
}

/// How a body tree is written. A body goes out in the encoding that it came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// JSON, see [`crate::json::emit`].
    #[default]
    Json,
    /// A form: an object of strings as `name=value` pairs (WHATWG URL standard, form serialiser).
    Form,
}

impl Encoding {
    /// The media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Form => "application/x-www-form-urlencoded",
        }
    }
}

impl std::fmt::Display for Encoding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.media_type())
    }
}
