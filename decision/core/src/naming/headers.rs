//! What an agent's headers may do: name a run, a delegation, an approval, a plan or an idempotency key, and pass a few that have
//! no effect. Everything else is dropped.

use super::error::Malformed;
use crate::call::HttpRequest;

/// The headers of a request that count.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct CallHeaders {
    /// `Aegis-Run`, else the trace id.
    pub(crate) run: Option<String>,
    pub(crate) delegation: Option<String>,
    pub(crate) approval: Option<String>,
    pub(crate) plan: Option<String>,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) traceparent: Option<String>,
    /// Sent on as they are.
    pub(crate) passed: Vec<(String, String)>,
}

/// What a header's value must be.
struct Form {
    name: &'static str,
    max_bytes: usize,
    accept: fn(&str) -> bool,
    /// For people.
    accepted: &'static str,
}

const RUN: Form = Form { name: "aegis-run", max_bytes: 128, accept: is_visible, accepted: "visible ASCII" };
const DELEGATION: Form =
    Form { name: "aegis-delegation", max_bytes: 253, accept: is_name, accepted: "the name of a Delegation" };
const APPROVAL: Form =
    Form { name: "aegis-approval", max_bytes: 253, accept: is_name, accepted: "the name of an ApprovalRequest" };
const PLAN: Form =
    Form { name: "aegis-plan", max_bytes: 32, accept: is_id, accepted: "the id of a plan (32 lower case hex digits)" };
const IDEMPOTENCY_KEY: Form =
    Form { name: "idempotency-key", max_bytes: 255, accept: is_visible, accepted: "visible ASCII" };
const TRACEPARENT: Form =
    Form { name: "traceparent", max_bytes: 55, accept: is_traceparent, accepted: "a W3C trace context of version 00" };
const PASSED: [Form; 3] = [
    Form { name: "accept", max_bytes: 1024, accept: is_text, accepted: "visible ASCII and spaces" },
    Form { name: "accept-language", max_bytes: 256, accept: is_text, accepted: "visible ASCII and spaces" },
    Form { name: "tracestate", max_bytes: 512, accept: is_text, accepted: "visible ASCII and spaces" },
];

impl CallHeaders {
    /// Reads the headers of a request.
    pub(crate) fn read(request: &HttpRequest<'_>) -> Result<Self, Malformed> {
        let traceparent = TRACEPARENT.read(request)?;
        let trace_id = traceparent.as_deref().and_then(|value| value.split('-').nth(1)).map(str::to_owned);
        let mut passed = Vec::new();
        for form in PASSED {
            if let Some(value) = form.read(request)? {
                passed.push((form.name.to_owned(), value));
            }
        }
        if let Some(traceparent) = &traceparent {
            passed.push((TRACEPARENT.name.to_owned(), traceparent.clone()));
        } else {
            // W3C trace context, 3.3: a tracestate without traceparent means nothing.
            passed.retain(|(name, _)| name != "tracestate");
        }
        Ok(Self {
            run: RUN.read(request)?.or(trace_id),
            delegation: DELEGATION.read(request)?,
            approval: APPROVAL.read(request)?,
            plan: PLAN.read(request)?,
            idempotency_key: IDEMPOTENCY_KEY.read(request)?,
            traceparent,
            passed,
        })
    }
}

impl Form {
    fn read(&self, request: &HttpRequest<'_>) -> Result<Option<String>, Malformed> {
        let value = request.single_header(self.name).map_err(|error| Malformed::request(error.to_string()))?;
        let Some(value) = value else { return Ok(None) };
        if value.is_empty() || value.len() > self.max_bytes || !(self.accept)(value) {
            let Self { name, max_bytes, accepted, .. } = self;
            return Err(Malformed::request(format!("header {name} must be {accepted}, 1 to {max_bytes} bytes")));
        }
        Ok(Some(value.to_owned()))
    }
}

fn is_visible(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_graphic())
}

/// An id of a record, as the sidecar makes them: 128 bits.
fn is_id(value: &str) -> bool {
    value.len() == 32 && value.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_text(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
}

/// A Kubernetes object's name: RFC 1123 subdomain.
fn is_name(value: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte != b'-');
    value.split('.').all(|label| label.bytes().all(plain) && edge(label.bytes().next()) && edge(label.bytes().last()))
}

/// `00-<32 hex>-<16 hex>-<2 hex>`, ids not all zero (W3C trace context, 3.2).
fn is_traceparent(value: &str) -> bool {
    let hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let id = |part: &str, length: usize| hex(part, length) && part.bytes().any(|byte| byte != b'0');
    let parts: Vec<_> = value.split('-').collect();
    matches!(parts.as_slice(), ["00", trace, span, flags] if id(trace, 32) && id(span, 16) && hex(flags, 2))
}
