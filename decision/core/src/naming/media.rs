//! The body: which media types are judged, and how each becomes a tree and bytes again.
//!
//! A form (`application/x-www-form-urlencoded`) becomes an object of strings with one member per field. It is sent on as
//! a form again, written from that object.

use std::sync::Arc;

use super::error::Malformed;
use super::percent::{self, Kept};
use crate::call::{Encoding, HttpRequest};
use crate::codes::Code;
use crate::json::{self, Limits, Object, Value};

/// Methods whose requests have no body. RFC 9110 (9.3.1, 9.3.2, 9.3.5) gives a body there no meaning, and servers differ
/// on what they do with it.
pub(super) const WITHOUT_BODY: [&str; 3] = ["GET", "HEAD", "DELETE"];

/// Reads the body; none when there is none.
pub(super) fn read(request: &HttpRequest<'_>, max_bytes: u32) -> Result<Option<(Arc<Value>, Encoding)>, Malformed> {
    let declared = declared(request)?;
    if request.body.is_empty() {
        return Ok(None);
    }
    if WITHOUT_BODY.contains(&request.method) {
        return Err(Malformed::request("a GET, HEAD or DELETE request must not have a body"));
    }
    if u64::try_from(request.body.len()).unwrap_or(u64::MAX) > u64::from(max_bytes) {
        return Err(Malformed::new(Code::BodyTooLarge, format!("the body may have at most {max_bytes} bytes")));
    }
    let encoding = declared.ok_or_else(|| {
        let detail = format!("accepted content types are {} and {}, in UTF-8", Encoding::Json, Encoding::Form);
        Malformed::new(Code::UnsupportedMediaType, detail)
    })?;
    let tree = match encoding {
        Encoding::Json => json::parse(request.body).map_err(|error| malformed_body(error.to_string()))?,
        Encoding::Form => read_form(request.body)?,
    };
    Ok(Some((Arc::new(tree), encoding)))
}

/// The encoding that the headers name; none for one that is not accepted.
pub(crate) fn declared(request: &HttpRequest<'_>) -> Result<Option<Encoding>, Malformed> {
    let header = |name| request.single_header(name).map_err(|error| Malformed::request(error.to_string()));
    if header("content-encoding")?.is_some_and(|coding| !coding.trim().eq_ignore_ascii_case("identity")) {
        return Err(Malformed::new(Code::UnsupportedMediaType, "bodies are accepted without content encoding only"));
    }
    Ok(header("content-type")?.and_then(encoding))
}

/// The encoding that a content type names. The only parameter accepted is `charset=utf-8`.
fn encoding(content_type: &str) -> Option<Encoding> {
    let mut parts = content_type.split(';').map(str::trim);
    let media_type = parts.next()?;
    let utf8 = |part: &str| {
        part.split_once('=').is_some_and(|(name, value)| {
            name.eq_ignore_ascii_case("charset") && value.trim_matches('"').eq_ignore_ascii_case("utf-8")
        })
    };
    if parts.next().is_some_and(|part| !utf8(part)) || parts.next().is_some() {
        return None;
    }
    [Encoding::Json, Encoding::Form].into_iter().find(|known| media_type.eq_ignore_ascii_case(known.media_type()))
}

fn read_form(body: &[u8]) -> Result<Value, Malformed> {
    let text = std::str::from_utf8(body).map_err(|_| malformed_body("a form is accepted in ASCII only"))?;
    let mut form = Object::new();
    let Limits { nodes, key_bytes, .. } = Limits::STRICT;
    for (count, pair) in text.split('&').enumerate() {
        // Looking each name up is quadratic, so a form has fewer fields than a tree has values.
        if count >= nodes / 10 {
            return Err(malformed_body(format!("a form may have at most {} fields", nodes / 10)));
        }
        let Some((name, value)) = pair.split_once('=') else {
            return Err(malformed_body("a form must be name=value pairs separated by &"));
        };
        let decode = |raw| {
            percent::decode(raw, true, |byte| percent::is_query_byte(byte) && byte != b'=')
                .map_err(|error| malformed_body(format!("a form field {error}")))
        };
        let (name, value) = (decode(name)?, decode(value)?);
        if name.is_empty() || name.len() > key_bytes {
            return Err(malformed_body(format!("a form field's name must have 1 to {key_bytes} bytes")));
        }
        if form.insert(name, Value::String(value.into())).is_err() {
            return Err(malformed_body("a form field may be given once, one is repeated"));
        }
    }
    Ok(Value::Object(form))
}

/// A form's bytes. Members that are no strings cannot occur; they are written as JSON.
pub(crate) fn form_bytes(tree: &Value) -> Vec<u8> {
    let mut text = String::new();
    let members = tree.as_object().into_iter().flat_map(Object::iter);
    for (index, (name, value)) in members.enumerate() {
        if index > 0 {
            text.push('&');
        }
        percent::encode(name, Kept::Form, &mut text);
        text.push('=');
        match value {
            Value::String(value) => percent::encode(value, Kept::Form, &mut text),
            other => percent::encode(&String::from_utf8_lossy(&json::emit(other)), Kept::Form, &mut text),
        }
    }
    text.into_bytes()
}

fn malformed_body(detail: impl Into<String>) -> Malformed {
    Malformed::new(Code::MalformedBody, detail)
}
