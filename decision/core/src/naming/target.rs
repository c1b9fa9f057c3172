//! The request target: path segments and query pairs, decoded once and strictly.

use super::error::Malformed;
use super::percent::{self, PercentError};

/// Longest path, and longest query, in bytes as given.
const MAX_BYTES: usize = 8_192;

/// A path, decoded: nothing in a segment can be read as more than one segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RequestPath {
    pub(super) segments: Vec<String>,
    /// Whether a slash stands after the last segment.
    pub(super) trailing_slash: bool,
}

impl RequestPath {
    /// Reads a path as given in the request.
    pub(super) fn parse(path: &str) -> Result<Self, Malformed> {
        if path.len() > MAX_BYTES {
            return Err(Malformed::request(format!("the path may have at most {MAX_BYTES} bytes")));
        }
        let Some(rest) = path.strip_prefix('/') else {
            return Err(Malformed::request("the path must start with a slash"));
        };
        if rest.is_empty() {
            return Ok(Self { segments: Vec::new(), trailing_slash: true });
        }
        let (rest, trailing_slash) = rest.strip_suffix('/').map_or((rest, false), |rest| (rest, true));
        let segments = rest.split('/').map(segment).collect::<Result<_, _>>()?;
        Ok(Self { segments, trailing_slash })
    }
}

fn segment(raw: &str) -> Result<String, Malformed> {
    let decoded = percent::decode(raw, false, percent::is_path_byte)
        .and_then(|text| percent::once(&text).map(|()| text))
        .map_err(|error| Malformed::request(format!("a segment of the path {error}")))?;
    match unsafe_segment(&decoded) {
        Some(reason) => Err(Malformed::request(format!("a segment of the path {reason}"))),
        None => Ok(decoded),
    }
}

/// Why a decoded text may not be a segment: some reader between us and the tool could see another path in it.
pub(crate) fn unsafe_segment(text: &str) -> Option<&'static str> {
    // `..;x` is read as `..` by servers that know path parameters.
    let name = text.split(';').next().unwrap_or_default();
    if text.is_empty() {
        Some("must not be empty")
    } else if name == "." || name == ".." {
        Some("must not be . or ..")
    } else if text.contains(['/', '\\']) {
        Some("must not hold a slash or backslash, encoded or not")
    } else if text.chars().any(char::is_control) {
        Some("must not hold control characters")
    } else if percent::once(text).is_err() {
        Some("must not be encoded twice")
    } else {
        None
    }
}

/// Reads a query as given: names and values in order. A plus sign is a space, as in forms; it is sent on as `%20`.
pub(super) fn query(query: Option<&str>) -> Result<Vec<(String, String)>, Malformed> {
    let Some(query) = query.filter(|query| !query.is_empty()) else { return Ok(Vec::new()) };
    if query.len() > MAX_BYTES {
        return Err(Malformed::request(format!("the query may have at most {MAX_BYTES} bytes")));
    }
    let pair = |pair: &str| {
        let Some((name, value)) = pair.split_once('=') else {
            return Err(Malformed::request("the query must be name=value pairs separated by &"));
        };
        if name.is_empty() {
            return Err(Malformed::request("a query parameter must have a name"));
        }
        Ok((query_text(name)?, query_text(value)?))
    };
    query.split('&').map(pair).collect()
}

fn query_text(raw: &str) -> Result<String, Malformed> {
    percent::decode(raw, true, percent::is_query_byte)
        .and_then(|text| percent::once(&text).map(|()| text))
        .and_then(|text| if text.contains('\0') { Err(PercentError::Control) } else { Ok(text) })
        .map_err(|error| Malformed::request(format!("a query parameter {error}")))
}
