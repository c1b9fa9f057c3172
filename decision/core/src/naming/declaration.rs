//! Reading one operation's declaration, with every wrong field named.

use std::collections::BTreeSet;

use super::error::BindingError;
use super::media::WITHOUT_BODY;
use super::router::Route;
use super::template::Template;
use crate::path::{Path, Root, Step};
use crate::tool::{Operation, Tool};

/// Methods that an operation may have. CONNECT, TRACE and OPTIONS call no operation.
const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

/// Headers that are written by Aegis or by the HTTP library, never by a constant.
const RESERVED_HEADERS: [&str; 16] = [
    "accept",
    "accept-language",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "idempotency-key",
    "keep-alive",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Checks the tool's constant headers.
pub(super) fn check_headers(tool: &Tool) -> Result<(), BindingError> {
    let mut names = BTreeSet::new();
    for header in &tool.headers {
        let name = header.name.as_str();
        let wrong = |reason| Err(BindingError::Header { name: header.name.clone(), reason });
        // RFC 9110, 5.6.2: a token; in lower case, as HTTP/2 wants it.
        let token = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(token) {
            return wrong("must be a header name in lower case");
        }
        if RESERVED_HEADERS.contains(&name) || name.starts_with("aegis-") {
            return wrong("is set by Aegis");
        }
        if tool.credential.as_ref().is_some_and(|credential| credential.header == name) {
            return wrong("is the credential's header");
        }
        if !names.insert(name) {
            return wrong("is given twice");
        }
        let visible = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
        if !header.value.bytes().all(visible) || header.value.trim() != header.value {
            return wrong("must have a value of visible ASCII without spaces at its ends");
        }
    }
    Ok(())
}

/// Compiles one operation's binding.
pub(super) fn route(index: usize, operation: &Operation) -> Result<Route, BindingError> {
    let name = &operation.name;
    let http = &operation.http;
    if !METHODS.contains(&http.method.as_str()) {
        return Err(BindingError::Method(name.clone()));
    }
    let template =
        Template::parse(&http.path).map_err(|reason| BindingError::Path { operation: name.clone(), reason })?;
    let mut parameters = BTreeSet::new();
    for parameter in template.parameters().chain(http.query.iter().map(|parameter| parameter.name.as_str())) {
        if !parameters.insert(parameter) {
            return Err(BindingError::DuplicateParameter { operation: name.clone(), name: parameter.to_owned() });
        }
    }
    let discriminators = discriminators(operation)?;
    let arguments_from = arguments_from(operation)?;
    Ok(Route { operation: index, method: http.method.clone(), template, discriminators, arguments_from })
}

fn discriminators(operation: &Operation) -> Result<Vec<(Path, String)>, BindingError> {
    let read = |(text, value): (&String, &String)| {
        let wrong = |reason| BindingError::Body { operation: operation.name.clone(), path: text.clone(), reason };
        if WITHOUT_BODY.contains(&operation.http.method.as_str()) {
            return Err(wrong("this method has no body"));
        }
        let path: Path = text.parse().map_err(|_| wrong("must be a path such as `method` or `action.type`"))?;
        if path.root != Root::Arguments || path.quantifiers() > 0 {
            return Err(wrong("must name one field of the body"));
        }
        Ok((path, value.clone()))
    };
    let mut read: Vec<_> = operation.http.body.iter().map(read).collect::<Result<_, _>>()?;
    read.sort_unstable();
    // `a` and `["a"]` are one path; with two values nothing would match.
    match read.iter().zip(read.iter().skip(1)).find(|(one, next)| one.0 == next.0) {
        None => Ok(read),
        Some(((path, _), _)) => Err(BindingError::Body {
            operation: operation.name.clone(),
            path: path.to_string(),
            reason: "is given twice",
        }),
    }
}

fn arguments_from(operation: &Operation) -> Result<Vec<String>, BindingError> {
    let wrong = |reason| BindingError::ArgumentsFrom { operation: operation.name.clone(), reason };
    let pointer = &operation.arguments_from;
    if pointer.is_empty() {
        return Ok(Vec::new());
    }
    if WITHOUT_BODY.contains(&operation.http.method.as_str()) {
        return Err(wrong("this method has no body"));
    }
    let tokens = pointer.strip_prefix('/').ok_or_else(|| wrong("must be empty or start with a slash (RFC 6901)"))?;
    let token = |token: &str| {
        let mut escapes = token.split('~');
        escapes.next();
        if escapes.all(|rest| rest.starts_with(['0', '1'])) {
            Ok(token.replace("~1", "/").replace("~0", "~"))
        } else {
            Err(wrong("must write ~ as ~0 and / as ~1 (RFC 6901)"))
        }
    };
    tokens.split('/').map(token).collect()
}

/// Whether a path, its alias replaced, names one value of the arguments.
pub(super) fn names_one_argument(path: &Path, operation: &Operation) -> bool {
    let (root, alias, rest) = crate::facts::resolve(path, operation);
    *root == Root::Arguments && alias.iter().chain(rest).all(|step| matches!(step, Step::Key(_) | Step::Index(_)))
}
