//! One HTTP request and what came of it.
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use http::header::{HOST, HeaderName, HeaderValue};
use http::uri::{Authority, Scheme};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};

use crate::dial::{CallError, Line, dial};
use crate::emit;
use crate::serve::headers;
use crate::tls::Trust;

/// Pause between attempts of `--retry`.
const PAUSE: Duration = Duration::from_millis(100);

/// A request. Redirects are never followed.
#[derive(Clone, clap::Args)]
#[group(id = "request")]
pub struct Args {
    /// `http://` or `https://`; `{n}` is the number of the call in a loop
    pub url: String,
    /// GET, or POST when there is a body
    #[arg(long)]
    method: Option<Method>,
    /// A header, `name: value`; may be given several times; `{n}` as in the URL
    #[arg(long = "header", short = 'H', value_name = "HEADER")]
    headers: Vec<String>,
    /// The body; `{n}` as in the URL
    #[arg(long)]
    body: Option<String>,
    /// Send through this forward proxy: `http://host:port`
    #[arg(long, value_name = "URL")]
    proxy: Option<String>,
    /// Take the proxy from `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` (or in lower case), as most clients do
    #[arg(long, conflicts_with = "proxy")]
    proxy_from_env: bool,
    /// Proxy-Authorization of a tunnel
    #[arg(long, value_name = "VALUE")]
    pub proxy_authorization: Option<String>,
    /// Connect to this address, whatever the URL's host resolves to
    #[arg(long, value_name = "ADDRESS", conflicts_with = "proxy")]
    pub connect: Option<SocketAddr>,
    /// Name for TLS, instead of the URL's host
    #[arg(long, value_name = "NAME")]
    pub sni: Option<String>,
    /// Time for everything
    #[arg(long, default_value_t = 10_000, value_name = "MILLISECONDS")]
    timeout: u64,
    /// Exit code 1 unless the answer has this status
    #[arg(long, value_name = "STATUS")]
    pub expect: Option<StatusCode>,
    /// Try again until there is an answer (with the expected status, if one is), at most so long
    #[arg(long, value_name = "SECONDS")]
    retry: Option<u64>,
    /// Who is believed in TLS; nobody, unless told
    #[command(flatten)]
    pub trust: Trust,
}

/// What came back, or why nothing did.
pub struct Outcome {
    /// The answer.
    pub result: Result<Answer, CallError>,
    /// Until the last byte of the body, or the error.
    pub took: Duration,
}

/// An answer, read to its end.
pub struct Answer {
    head: http::response::Parts,
    body: Bytes,
}

impl Outcome {
    /// Whether there was an answer, with the status that was expected if one was.
    pub fn good(&self, expect: Option<StatusCode>) -> bool {
        self.result.as_ref().is_ok_and(|answer| expect.is_none_or(|status| answer.head.status == status))
    }

    /// The status, if there was an answer.
    pub fn status(&self) -> Option<u16> {
        self.result.as_ref().ok().map(|answer| answer.head.status.as_u16())
    }

    /// Everything as one object. A JSON body is shown as JSON.
    pub fn json(&self) -> Value {
        let ms = self.millis();
        match &self.result {
            Ok(answer) => {
                let body = serde_json::from_slice(&answer.body)
                    .unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&answer.body)));
                json!({"status": answer.head.status.as_u16(), "headers": headers(&answer.head.headers), "body": body, "ms": ms})
            }
            Err(error) => json!({"error": chain(error), "stage": error.stage(), "ms": ms}),
        }
    }

    /// Milliseconds, with three places.
    pub fn millis(&self) -> f64 {
        (self.took.as_secs_f64() * 1e6).round() / 1e3
    }
}

/// An error with its causes: the outer one alone often says nothing.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let part = inner.to_string();
        if !text.contains(&part) {
            text = format!("{text}: {part}");
        }
        cause = inner.source();
    }
    text
}

/// Sends one request, again where asked to, and prints the last outcome.
pub async fn run(args: &Args) -> anyhow::Result<bool> {
    let began = Instant::now();
    let limit = args.retry.map(Duration::from_secs);
    let mut attempts = 1_u64;
    let outcome = loop {
        let outcome = once(args, 1, &mut None).await;
        if outcome.good(args.expect) || limit.is_none_or(|limit| began.elapsed() >= limit) {
            break outcome;
        }
        attempts += 1;
        tokio::time::sleep(PAUSE).await;
    };
    let mut line = outcome.json();
    if let Value::Object(members) = &mut line {
        members.insert("url".into(), args.url.clone().into());
        members.insert("attempts".into(), attempts.into());
    }
    emit::line(&line);
    Ok(outcome.good(args.expect))
}

/// Sends call number `n`, over the line if there still is one, and leaves the line for the next.
pub async fn once(args: &Args, n: u64, line: &mut Option<Line>) -> Outcome {
    let began = Instant::now();
    let limit = Duration::from_millis(args.timeout);
    let result = match tokio::time::timeout(limit, exchange(args, n, line)).await {
        Ok(result) => result,
        Err(_) => Err(CallError::Timeout),
    };
    if result.is_err() {
        *line = None;
    }
    Outcome { result, took: began.elapsed() }
}

async fn exchange(args: &Args, n: u64, line: &mut Option<Line>) -> Result<Answer, CallError> {
    let url: Uri =
        numbered(&args.url, n).parse().map_err(|error| CallError::Usage(format!("{}: {error}", args.url)))?;
    let mut kept = line.take();
    if let Some(open) = &mut kept
        && open.sender.ready().await.is_err()
    {
        kept = None;
    }
    let open = match kept {
        Some(open) => open,
        None => dial(args, &url).await?,
    };
    let open = line.insert(open);
    let response = open.sender.send_request(args.request(&url, open.absolute, n)?).await?;
    let (head, body) = response.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(Answer { head, body })
}

fn numbered(text: &str, n: u64) -> String {
    text.replace("{n}", &n.to_string())
}

impl Args {
    /// A request of a program, with a JSON body where there is one; `timeout` in milliseconds.
    pub fn json(url: String, method: &str, body: Option<String>, timeout: u64) -> anyhow::Result<Self> {
        let method = method.parse().with_context(|| format!("{method} is no method"))?;
        let headers = body.iter().map(|_| "content-type: application/json".to_owned()).collect();
        Ok(Self {
            url,
            method: Some(method),
            headers,
            body,
            proxy: None,
            proxy_from_env: false,
            proxy_authorization: None,
            connect: None,
            sni: None,
            timeout,
            expect: None,
            retry: None,
            trust: Trust::default(),
        })
    }

    /// The request in the form of RFC 9112, section 3.2: whole URL to a proxy, path else.
    fn request(&self, url: &Uri, absolute: bool, n: u64) -> Result<Request<Full<Bytes>>, CallError> {
        let usage = |error: String| CallError::Usage(error);
        let target =
            if absolute { url.to_string() } else { url.path_and_query().map_or("/", |path| path.as_str()).to_owned() };
        let body = self.body.as_ref().map(|body| numbered(body, n)).unwrap_or_default();
        let method = self.method.clone().unwrap_or(if self.body.is_some() { Method::POST } else { Method::GET });
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| usage(error.to_string()))?;
        for header in &self.headers {
            let (name, value) =
                header.split_once(':').ok_or_else(|| usage(format!("{header}: not of the form name: value")))?;
            let name: HeaderName = name.trim().parse().map_err(|_| usage(format!("{name}: not a header name")))?;
            let value = HeaderValue::from_str(&numbered(value.trim(), n))
                .map_err(|_| usage(format!("{header}: not a header value")))?;
            request.headers_mut().append(name, value);
        }
        if !request.headers().contains_key(HOST) {
            let host = url.authority().map_or("", Authority::as_str);
            let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
            request.headers_mut().insert(HOST, HeaderValue::from_str(host).map_err(|error| usage(error.to_string()))?);
        }
        Ok(request)
    }

    /// The proxy for this URL, if any.
    pub fn proxy_for(&self, url: &Uri) -> Result<Option<Authority>, CallError> {
        let value = match &self.proxy {
            Some(proxy) => Some(proxy.clone()),
            None if self.proxy_from_env
                && !listed(&variable("NO_PROXY").unwrap_or_default(), url.host().unwrap_or_default()) =>
            {
                variable(if url.scheme() == Some(&Scheme::HTTPS) { "HTTPS_PROXY" } else { "HTTP_PROXY" })
            }
            None => None,
        };
        let Some(value) = value else { return Ok(None) };
        let proxy: Uri = value.parse().map_err(|error| CallError::Usage(format!("{value}: {error}")))?;
        proxy.into_parts().authority.map(Some).ok_or_else(|| CallError::Usage(format!("{value} names no proxy")))
    }
}

/// An environment variable in the spelling of the name, else in lower case.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).or_else(|_| std::env::var(name.to_lowercase())).ok().filter(|value| !value.is_empty())
}

/// Whether a list of hosts and domains holds the host.
fn listed(list: &str, host: &str) -> bool {
    list.split(',').map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
        let entry = entry.trim_start_matches('.');
        entry == "*" || host == entry || host.strip_suffix(entry).is_some_and(|rest| rest.ends_with('.'))
    })
}
