//! What came back from an upstream, and what is passed on of it.

use aegis_decision::record::{ErrorClass, RecordedExecution};
use aegis_decision::sanitize::RedactError;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode, header};
use hyper::body::Incoming;

use super::credential::Injection;
use crate::budget::{Budget, Held, Unread, Whole};

/// Headers of an answer that reach the agent. No cookies, no `Location` (a redirect is returned, never followed, and
/// where it points is the upstream's business), nothing about the connection.
const PASSED: [HeaderName; 8] = [
    header::CONTENT_TYPE,
    header::CONTENT_LANGUAGE,
    header::CONTENT_DISPOSITION,
    header::CACHE_CONTROL,
    header::ETAG,
    header::EXPIRES,
    header::LAST_MODIFIED,
    header::RETRY_AFTER,
];

/// A whole answer, free of the credential.
#[derive(Debug, Clone)]
pub struct UpstreamAnswer {
    /// Status.
    pub status: StatusCode,
    /// The headers that are passed on.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// What the body takes of the budget for answers.
    pub held: Held,
}

/// No answer that could be passed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What went wrong.
    pub error: ErrorClass,
    /// Whether any byte of the request may have been written.
    pub sent: bool,
    /// One plain sentence for the agent.
    pub detail: String,
}

/// The end of one exchange.
#[derive(Debug, Clone)]
pub enum Exchange {
    /// The upstream answered.
    Answered(UpstreamAnswer),
    /// It answered, and nothing of the answer may be passed on.
    Withheld {
        /// Status of the answer.
        status: StatusCode,
        /// Why it cannot be redacted.
        reason: RedactError,
    },
    /// It did not.
    Fault(Fault),
}

impl Exchange {
    /// How the call ended: 2xx succeeded, 3xx and 4xx failed, nothing sent is known as such; nobody knows otherwise.
    pub fn execution(&self) -> RecordedExecution {
        match self {
            Self::Answered(UpstreamAnswer { status, .. }) | Self::Withheld { status, .. } => match status.as_u16() {
                200..=299 => RecordedExecution::Succeeded,
                300..=499 => RecordedExecution::Failed,
                _ => RecordedExecution::Indeterminate,
            },
            Self::Fault(fault) if fault.sent => RecordedExecution::Indeterminate,
            Self::Fault(_) => RecordedExecution::NotSent,
        }
    }

    /// Whether any byte of the request may have been written.
    pub fn sent(&self) -> bool {
        match self {
            Self::Answered(_) | Self::Withheld { .. } => true,
            Self::Fault(fault) => fault.sent,
        }
    }

    /// The upstream's status.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Answered(UpstreamAnswer { status, .. }) | Self::Withheld { status, .. } => Some(status.as_u16()),
            Self::Fault(_) => None,
        }
    }

    /// What kind of error it was; none for 2xx that is passed on.
    pub fn error(&self) -> Option<ErrorClass> {
        match self {
            Self::Answered(answer) => match answer.status.as_u16() {
                200..=299 => None,
                300..=499 => Some(ErrorClass::Refused),
                _ => Some(ErrorClass::Upstream),
            },
            Self::Withheld { .. } => Some(ErrorClass::Redaction),
            Self::Fault(fault) => Some(fault.error),
        }
    }
}

/// Reads an answer whole, within `max_bytes` and what the budget has left.
pub async fn read(
    response: http::Response<Incoming>,
    max_bytes: usize,
    injection: Option<&Injection>,
    budget: &Budget,
) -> Result<UpstreamAnswer, (ErrorClass, &'static str)> {
    let (head, body) = response.into_parts();
    if head.status.is_informational() {
        // 101 would end HTTP on this connection; nobody asked for that.
        return Err((ErrorClass::Receive, "the upstream's answer is not a final one"));
    }
    // Nothing else was asked for; a compressed answer could not be searched for the credential.
    let identity = |value: &http::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    if !head.headers.get_all(header::CONTENT_ENCODING).iter().all(identity) {
        return Err((ErrorClass::Receive, "the upstream's answer is encoded"));
    }
    let Whole { bytes, held, has_trailers: _ } = match budget.read(body, max_bytes).await {
        Ok(whole) => whole,
        Err(Unread::TooLarge) => {
            return Err((ErrorClass::TooLarge, "the upstream's answer is larger than the tool allows"));
        }
        Err(Unread::NoRoom) => {
            return Err((ErrorClass::TooLarge, "the answers of all calls take the memory that there is for them"));
        }
        Err(Unread::BrokeOff) => return Err((ErrorClass::Receive, "the upstream's answer broke off")),
    };
    let mut headers = HeaderMap::new();
    for name in PASSED {
        // A repeated header is ambiguous: only its first value counts.
        if let Some(value) = head.headers.get(&name) {
            let clean = match injection {
                Some(injection) => injection.scrub(value.as_bytes().to_vec()),
                None => value.as_bytes().to_vec(),
            };
            if let Ok(value) = http::HeaderValue::from_bytes(&clean) {
                headers.insert(name, value);
            }
        }
    }
    let body = match injection {
        Some(injection) => injection.scrub(bytes),
        None => bytes,
    };
    Ok(UpstreamAnswer { status: head.status, headers, body: body.into(), held })
}
