//! From bytes to a request that can be named. What is not plainly one call is refused, never passed on.
//!
//! hyper reads the framing; here only HTTP/1.1 in origin form is taken, without upgrade or tunnel, with one Host that
//! is this listener. The first path segment is the tool; of the headers only those that mean something are kept.

use std::net::SocketAddr;
use std::time::Duration;

use aegis_decision::call::HttpRequest;
use aegis_decision::codes::Code;
use aegis_decision::contract::HttpInput;
use aegis_decision::naming::Malformed;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, Version, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use tokio::time::timeout;

/// Time for a whole body: a slow agent holds its own connection only so long.
const BODY_TIME: Duration = Duration::from_secs(30);
/// Headers that mean something to a call; `aegis-*` is consumed, all others are dropped here.
const KEPT: [&str; 7] =
    ["accept", "accept-language", "content-encoding", "content-type", "idempotency-key", "traceparent", "tracestate"];

/// A request that came in whole, after the tool's segment was taken off its path.
#[derive(Debug, Clone)]
pub struct Arrived {
    head: Head,
    body: Bytes,
}

/// A request's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// First path segment.
    pub tool: String,
    method: String,
    path: String,
    query: Option<String>,
    headers: Vec<(String, String)>,
}

impl Arrived {
    /// Puts head and body together.
    pub fn new(head: Head, body: Bytes) -> Self {
        Self { head, body }
    }

    /// The tool that is called.
    pub fn tool(&self) -> &str {
        &self.head.tool
    }

    /// For naming.
    pub fn http(&self) -> HttpRequest<'_> {
        HttpRequest {
            method: &self.head.method,
            path: &self.head.path,
            query: self.head.query.as_deref(),
            headers: &self.head.headers,
            body: &self.body,
        }
    }

    /// For the control service, which decides again. None when the body is no text; such a call is never held.
    pub fn input(&self) -> Option<HttpInput> {
        Some(HttpInput {
            method: self.head.method.clone(),
            path: self.head.path.clone(),
            query: self.head.query.clone(),
            headers: self.head.headers.clone(),
            body: String::from_utf8(self.body.to_vec()).ok()?,
        })
    }
}

/// Reads a head. `listen` is where the connection came in.
pub fn head(parts: &Parts, listen: SocketAddr) -> Result<Head, Malformed> {
    let refuse = |detail: &str| malformed(Code::MalformedRequest, detail);
    if parts.version != Version::HTTP_11 {
        return Err(refuse("use HTTP/1.1"));
    }
    if parts.method == Method::CONNECT || parts.headers.contains_key(header::UPGRADE) {
        return Err(refuse("no tunnels and no protocol upgrades: send the call itself"));
    }
    if parts.uri.authority().is_some() || !parts.uri.path().starts_with('/') {
        return Err(refuse("send the path only, as /<tool>/..."));
    }
    // hyper also reads `gzip, chunked` as chunked, and would hand over what is still compressed.
    let mut codings = parts.headers.get_all(header::TRANSFER_ENCODING).iter();
    if codings.any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked")) {
        return Err(malformed(Code::UnsupportedMediaType, "bodies are accepted without content encoding only"));
    }
    host(&parts.headers, listen)?;
    let rest = parts.uri.path().strip_prefix('/').unwrap_or_default();
    let (tool, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let mut headers = Vec::new();
    for (name, value) in &parts.headers {
        let name = name.as_str();
        if KEPT.contains(&name) || name.starts_with("aegis-") {
            // What `to_str` refuses is neither a token nor a quoted string of any of these headers.
            let value = value.to_str().map_err(|_| refuse(&format!("header {name} is not visible ASCII")))?;
            headers.push((name.to_owned(), value.to_owned()));
        }
    }
    Ok(Head {
        tool: tool.to_owned(),
        method: parts.method.as_str().to_owned(),
        path: path.to_owned(),
        query: parts.uri.query().map(str::to_owned),
        headers,
    })
}

/// One Host header, and it is this listener: else a page in a browser of the same pod could call by a name of its own
/// that resolves to 127.0.0.1.
fn host(headers: &HeaderMap, listen: SocketAddr) -> Result<(), Malformed> {
    let mut values = headers.get_all(header::HOST).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(malformed(Code::MalformedRequest, "send exactly one Host header"));
    };
    let misdirected = || malformed(Code::Misdirected, &format!("this is {listen}; the Host header says otherwise"));
    let text = value.to_str().map_err(|_| misdirected())?;
    let name = match text.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => {
            if port != listen.port().to_string() {
                return Err(misdirected());
            }
            name
        }
        _ if listen.port() == 80 => text,
        _ => return Err(misdirected()),
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    if name.eq_ignore_ascii_case("localhost") || bare.parse() == Ok(listen.ip()) { Ok(()) } else { Err(misdirected()) }
}

/// Reads a body whole, up to the tool's limit (INV-4: a partial body is never judged).
pub async fn body(body: Incoming, max_bytes: u32) -> Result<Bytes, Malformed> {
    let too_large = || malformed(Code::BodyTooLarge, &format!("the body may have at most {max_bytes} bytes"));
    if body.size_hint().lower() > u64::from(max_bytes) {
        return Err(too_large());
    }
    let limit = usize::try_from(max_bytes).unwrap_or(usize::MAX);
    match timeout(BODY_TIME, Limited::new(body, limit).collect()).await {
        Ok(Ok(collected)) if collected.trailers().is_some() => {
            Err(malformed(Code::MalformedRequest, "no trailers: they would be judged by nobody"))
        }
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(malformed(Code::MalformedRequest, "the body broke off")),
        Err(_) => Err(malformed(Code::MalformedRequest, "the body did not arrive within 30 seconds")),
    }
}

/// Something that cannot be named.
pub fn malformed(code: Code, detail: &str) -> Malformed {
    Malformed { code, detail: detail.to_owned(), operation: None, class: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;
    use proptest::prelude::*;

    const LISTEN: &str = "127.0.0.1:15080";

    fn parts(request: http::request::Builder) -> Parts {
        request.body(()).unwrap().into_parts().0
    }

    fn listen() -> SocketAddr {
        LISTEN.parse().unwrap()
    }

    fn read(request: http::request::Builder) -> Result<Head, Code> {
        head(&parts(request), listen()).map_err(|malformed| malformed.code)
    }

    fn get(target: &str) -> http::request::Builder {
        Request::get(target).header("host", LISTEN)
    }

    #[test]
    fn the_first_segment_is_the_tool() {
        for (target, tool, path, query) in [
            ("/erp/orders/7?f=a", "erp", "/orders/7", Some("f=a")),
            ("/erp", "erp", "/", None),
            ("/erp/", "erp", "/", None),
            ("/erp//x", "erp", "//x", None),
            ("/erp/%2e%2e/x", "erp", "/%2e%2e/x", None),
            ("/", "", "/", None),
            ("//erp/x", "", "/erp/x", None),
        ] {
            let head = read(get(target)).unwrap();
            assert_eq!(
                (head.tool.as_str(), head.path.as_str(), head.query.as_deref()),
                (tool, path, query),
                "{target}"
            );
        }
    }

    #[test]
    fn only_headers_with_a_meaning_are_kept() {
        let request = get("/erp/x")
            .header("authorization", "Bearer mine")
            .header("cookie", "a=b")
            .header("x-forwarded-for", "1.2.3.4")
            .header("Accept", "application/json")
            .header("Aegis-Run", "r1")
            .header("Connection", "keep-alive")
            .header("content-type", "a")
            .header("content-type", "b");
        let names: Vec<_> = read(request).unwrap().headers.into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["accept", "aegis-run", "content-type", "content-type"]);
    }

    #[test]
    fn tunnels_upgrades_and_other_forms_are_refused() {
        let malformed = Err(Code::MalformedRequest);
        assert_eq!(read(Request::connect("erp:443").header("host", LISTEN)), malformed);
        assert_eq!(read(get("/erp/x").header("upgrade", "websocket")), malformed);
        assert_eq!(read(get("http://127.0.0.1:15080/erp/x")), malformed);
        assert_eq!(read(Request::options("*").header("host", LISTEN)), malformed);
        assert_eq!(read(get("/erp/x").version(Version::HTTP_10)), malformed);
        assert_eq!(read(get("/erp/x").version(Version::HTTP_2)), malformed);
        assert_eq!(read(get("/erp/x").header("aegis-run", "caf\u{e9}")), malformed);
        assert_eq!(read(get("/erp/x").header("transfer-encoding", "gzip, chunked")), Err(Code::UnsupportedMediaType));
        assert!(read(get("/erp/x").header("transfer-encoding", "Chunked")).is_ok());
    }

    #[test]
    fn the_host_is_this_listener_once() {
        let with = |host: &str| read(Request::get("/erp/x").header("host", host)).map(|_| ());
        for host in ["127.0.0.1:15080", "localhost:15080", "LOCALHOST:15080"] {
            assert_eq!(with(host), Ok(()), "{host}");
        }
        for host in [
            "127.0.0.1",
            "localhost",
            "evil.example:15080",
            "127.0.0.1:80",
            "127.0.0.2:15080",
            "[::1]:15080",
            "",
            ":15080",
        ] {
            assert_eq!(with(host), Err(Code::Misdirected), "{host}");
        }
        assert_eq!(read(Request::get("/erp/x")), Err(Code::MalformedRequest));
        assert_eq!(read(get("/erp/x").header("host", LISTEN)), Err(Code::MalformedRequest));
    }

    proptest! {
        #[test]
        fn any_head_is_read_or_refused_and_nothing_unkept_survives(
            method in "[!-~]{1,8}",
            target in proptest::collection::vec(any::<u8>(), 0..64),
            headers in proptest::collection::vec((".{0,16}", proptest::collection::vec(any::<u8>(), 0..32)), 0..8),
        ) {
            let mut request = Request::builder().method(method.as_bytes()).header("host", LISTEN);
            if let Ok(uri) = http::Uri::try_from(target) {
                request = request.uri(uri);
            }
            for (name, value) in headers {
                let name = http::HeaderName::from_bytes(name.as_bytes());
                if let (Ok(name), Ok(value)) = (name, http::HeaderValue::from_bytes(&value)) {
                    request = request.header(name, value);
                }
            }
            if let Ok(request) = request.body(())
                && let Ok(head) = head(&request.into_parts().0, listen())
            {
                prop_assert!(head.path.starts_with('/') && !head.tool.contains('/'));
                prop_assert!(head.headers.iter().all(|(name, _)| KEPT.contains(&name.as_str()) || name.starts_with("aegis-")));
            }
        }
    }
}
