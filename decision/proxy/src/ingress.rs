//! From bytes to a request that can be named. What is not plainly one call is refused, never passed on.
//!
//! hyper reads the framing; here only HTTP/1.1 is taken, without upgrade or tunnel. Which tool is meant is said by the
//! first path segment, where Host is this listener; else by the host and path of a proxied or captured request. Of the
//! headers only those that mean something are kept.

use std::net::SocketAddr;
use std::time::Duration;

use aegis_decision::call::HttpRequest;
use aegis_decision::codes::Code;
use aegis_decision::contract::HttpInput;
use aegis_decision::naming::Malformed;
use aegis_decision::tool::{Scheme, Tool};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, Version, header};
use hyper::body::{Body, Incoming};
use tokio::time::timeout;

use crate::budget::{Budget, Unread};
use crate::ways::site::Site;
use crate::ways::{Door, route};

/// Time for a call's head, for its whole body, and for a connection to be idle, but in tests: a slow agent holds its own
/// connection only so long.
pub const ARRIVAL_TIME: Duration = Duration::from_secs(30);
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
    /// Name of the tool that is called; any text where the first path segment says it.
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

/// Reads a head that came in at this door. `tools` are those that a proxied or captured request may mean.
pub fn head(parts: &Parts, door: Door, tools: &[Tool]) -> Result<Head, Malformed> {
    let refuse = |detail: &str| Malformed::new(Code::MalformedRequest, detail);
    if parts.version != Version::HTTP_11 {
        return Err(refuse("use HTTP/1.1"));
    }
    if parts.method == Method::CONNECT || parts.headers.contains_key(header::UPGRADE) {
        return Err(refuse("no tunnels and no protocol upgrades: send the call itself"));
    }
    let form = match (parts.uri.scheme_str(), parts.uri.authority()) {
        (None, None) if parts.uri.path().starts_with('/') => Form::Origin,
        (Some("http"), Some(authority)) => Form::Absolute(Scheme::Http, authority.as_str()),
        (Some("https"), Some(authority)) => Form::Absolute(Scheme::Https, authority.as_str()),
        _ => return Err(refuse("send a path, or the whole URL of a tool")),
    };
    // hyper also reads `gzip, chunked` as chunked, and would hand over what is still compressed.
    let mut codings = parts.headers.get_all(header::TRANSFER_ENCODING).iter();
    if codings.any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked")) {
        return Err(Malformed::new(Code::UnsupportedMediaType, "bodies are accepted without content encoding only"));
    }
    let (tool, path) = match (door, form) {
        (Door::Calls(listen), Form::Origin) => {
            host(&parts.headers, listen)?;
            by_name(parts.uri.path())
        }
        (Door::Calls(_), Form::Absolute(scheme, authority)) => {
            let default_port = if scheme == Scheme::Http { 80 } else { 443 };
            let site = Site::parse(authority, Some(default_port));
            let site = site.map_err(|_| refuse("the URL does not plainly name one host"))?;
            if named(&parts.headers, default_port)? != site {
                return Err(Malformed::new(Code::Misdirected, "the URL and the Host header name different hosts"));
            }
            at(tools, scheme, &site, parts.uri.path())?
        }
        (Door::Captured(original), Form::Origin) => {
            let site = named(&parts.headers, original.port())?;
            if site.port != original.port() {
                return Err(Malformed::new(
                    Code::Misdirected,
                    "the connection is to another port than the Host header says",
                ));
            }
            at(tools, Scheme::Http, &site, parts.uri.path())?
        }
        // The relay proved itself, by its key and its token: there is no host to compare.
        (Door::Gateway, Form::Origin) => by_name(parts.uri.path()),
        (Door::Captured(_) | Door::Gateway, Form::Absolute(..)) => {
            return Err(refuse("send the path only: this is no proxy"));
        }
    };
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

/// The tool that the first segment names, and the path after it.
fn by_name(path: &str) -> (&str, &str) {
    let rest = path.strip_prefix('/').unwrap_or_default();
    rest.find('/').map_or((rest, "/"), |at| rest.split_at(at))
}

/// How a request names its target (RFC 9112, 3.2).
enum Form<'a> {
    Origin,
    Absolute(Scheme, &'a str),
}

/// Name of the tool at a host, and the path below its base path.
fn at<'a>(tools: &'a [Tool], scheme: Scheme, site: &Site, path: &'a str) -> Result<(&'a str, &'a str), Malformed> {
    let found = route::tool(tools, scheme, site, path).map(|(tool, path)| (tool.name.as_str(), path));
    let url = scheme.as_str();
    found.ok_or_else(|| {
        Malformed::new(Code::UnknownHost, format!("{url}://{site} with this path is no tool of this agent"))
    })
}

/// The site of the one Host header.
fn named(headers: &HeaderMap, default_port: u16) -> Result<Site, Malformed> {
    let text = one_host(headers)?.to_str().ok();
    text.and_then(|text| Site::parse(text, Some(default_port)).ok())
        .ok_or_else(|| Malformed::new(Code::Misdirected, "the Host header does not plainly name one host"))
}

fn one_host(headers: &HeaderMap) -> Result<&http::HeaderValue, Malformed> {
    let mut values = headers.get_all(header::HOST).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(value),
        _ => Err(Malformed::new(Code::MalformedRequest, "send exactly one Host header")),
    }
}

/// One Host header, and it is this listener: else a page in a browser of the same pod could call by a name of its own
/// that resolves to 127.0.0.1.
fn host(headers: &HeaderMap, listen: SocketAddr) -> Result<(), Malformed> {
    let text = one_host(headers)?.to_str().unwrap_or_default();
    match Site::parse(text, Some(80)) {
        Ok(site)
            if site.port == listen.port() && (site.host == "localhost" || site.is_host(&listen.ip().to_string())) =>
        {
            Ok(())
        }
        _ => Err(Malformed::new(Code::Misdirected, format!("this is {listen}; the Host header says otherwise"))),
    }
}

/// Reads a body whole, up to the tool's limit, what the budget has left and `time` (INV-4: a partial body is never judged).
pub async fn body(body: Incoming, max_bytes: u32, budget: &Budget, time: Duration) -> Result<Bytes, Malformed> {
    let too_large = || Malformed::new(Code::BodyTooLarge, format!("the body may have at most {max_bytes} bytes"));
    if body.size_hint().lower() > u64::from(max_bytes) {
        return Err(too_large());
    }
    let limit = usize::try_from(max_bytes).unwrap_or(usize::MAX);
    match timeout(time, budget.read(body, limit)).await {
        Ok(Ok(whole)) if whole.has_trailers => {
            Err(Malformed::new(Code::MalformedRequest, "no trailers: they would be judged by nobody"))
        }
        Ok(Ok(whole)) => Ok(whole.held.around(whole.bytes.into())),
        Ok(Err(Unread::TooLarge)) => Err(too_large()),
        Ok(Err(Unread::NoRoom)) => {
            let detail =
                "the bodies of all calls under way take the memory that there is for them: try again with fewer";
            Err(Malformed::new(Code::TooManyCalls, detail))
        }
        Ok(Err(Unread::BrokeOff)) => Err(Malformed::new(Code::MalformedRequest, "the body broke off")),
        Err(_) => {
            let detail = format!("the body did not arrive within {} seconds", time.as_secs());
            Err(Malformed::new(Code::MalformedRequest, detail))
        }
    }
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
        head(&parts(request), Door::Calls(listen()), &[]).map_err(|malformed| malformed.code)
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
        assert_eq!(read(get("http://127.0.0.1:15080/erp/x")), Err(Code::UnknownHost), "no base URL through the proxy");
        assert_eq!(read(get("ftp://127.0.0.1:15080/erp/x")), malformed);
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
            "[127.0.0.1]:15080",
            "127.0.0.1]:15080",
            "127.0.0.1:015080",
            "127.1:15080",
            "localhost.:15080",
            "",
            ":15080",
        ] {
            assert_eq!(with(host), Err(Code::Misdirected), "{host}");
        }
        assert_eq!(read(Request::get("/erp/x")), Err(Code::MalformedRequest));
        assert_eq!(read(get("/erp/x").header("host", LISTEN)), Err(Code::MalformedRequest));
    }

    fn erp() -> Vec<Tool> {
        let tool = serde_json::json!({
            "name": "erp", "allowPrivateAddresses": false, "operations": [],
            "endpoint": {"scheme": "http", "host": "erp.example", "port": 8000, "basePath": "/v1"},
            "limits": {"requestBytes": 1, "responseBytes": 1, "concurrency": 1},
        });
        vec![serde_json::from_value(tool).unwrap()]
    }

    fn read_at(door: Door, request: http::request::Builder) -> Result<(String, String), Code> {
        head(&parts(request), door, &erp()).map(|head| (head.tool, head.path)).map_err(|malformed| malformed.code)
    }

    #[test]
    fn a_proxied_request_means_the_tool_at_its_url() {
        let read = |url: &str, host: &str| read_at(Door::Calls(listen()), Request::get(url).header("host", host));
        let orders = Ok(("erp".to_owned(), "/orders/7".to_owned()));
        assert_eq!(read("http://erp.example:8000/v1/orders/7?f=a", "erp.example:8000"), orders);
        assert_eq!(read("http://ERP.example:8000/v1/orders/7", "erp.Example:8000"), orders);
        for (url, host, code) in [
            ("http://erp.example:8000/v1/x", "other.example:8000", Code::Misdirected),
            ("http://erp.example:8000/v1/x", "erp.example", Code::Misdirected),
            ("http://erp.example:8000/v1/x", LISTEN, Code::Misdirected),
            ("http://erp.example:8000/v2/x", "erp.example:8000", Code::UnknownHost),
            ("http://erp.example:8000/", "erp.example:8000", Code::UnknownHost),
            ("http://erp.example/v1/x", "erp.example", Code::UnknownHost),
            ("https://erp.example:8000/v1/x", "erp.example:8000", Code::UnknownHost),
            ("http://other.example:8000/v1/x", "other.example:8000", Code::UnknownHost),
            ("http://u@erp.example:8000/v1/x", "erp.example:8000", Code::MalformedRequest),
            ("http://erp.example.:8000/v1/x", "erp.example.:8000", Code::MalformedRequest),
            ("http://0x7f.1/v1/x", "0x7f.1", Code::MalformedRequest),
        ] {
            assert_eq!(read(url, host), Err(code), "{url} {host}");
        }
    }

    #[test]
    fn a_captured_request_means_the_tool_that_its_host_names() {
        let read = |port: u16, target: &str, host: &str| {
            let original = SocketAddr::from(([203, 0, 113, 9], port));
            read_at(Door::Captured(original), Request::get(target).header("host", host))
        };
        let orders = Ok(("erp".to_owned(), "/orders/7".to_owned()));
        assert_eq!(read(8000, "/v1/orders/7", "erp.example:8000"), orders);
        assert_eq!(read(8000, "/v1/orders/7", "erp.example"), orders, "the port is the connection's");
        for (port, target, host, code) in [
            (80, "/v1/x", "erp.example:8000", Code::Misdirected),
            (80, "/v1/x", "erp.example", Code::UnknownHost),
            (8000, "/v1/x", "203.0.113.9:8000", Code::UnknownHost),
            (8000, "/v1/x", "203.0.113.9", Code::UnknownHost),
            (8000, "/erp/x", "erp.example:8000", Code::UnknownHost),
            (8000, "/v1/x", "erp.example:8000@x", Code::Misdirected),
            (8000, "/v1/x", "", Code::Misdirected),
            (8000, "http://erp.example:8000/v1/x", "erp.example:8000", Code::MalformedRequest),
        ] {
            assert_eq!(read(port, target, host), Err(code), "{port} {target} {host}");
        }
        let connect = Request::connect("erp.example:8000").header("host", "erp.example:8000");
        let original = Door::Captured(SocketAddr::from(([203, 0, 113, 9], 8000)));
        assert_eq!(read_at(original, connect), Err(Code::MalformedRequest));
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
                && let Ok(head) = head(&request.into_parts().0, Door::Calls(listen()), &[])
            {
                prop_assert!(head.path.starts_with('/') && !head.tool.contains('/'));
                prop_assert!(head.headers.iter().all(|(name, _)| KEPT.contains(&name.as_str()) || name.starts_with("aegis-")));
            }
        }
    }
}
