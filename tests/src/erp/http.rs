//! One JSON call over plain HTTP, for tests and the story.

use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;

/// The longest that a call may take, connecting and reading included.
const DEADLINE: Duration = Duration::from_mins(1);

/// What a server answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: StatusCode,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body as JSON; `Null` when it is empty, a JSON string when it is not JSON.
    pub body: Value,
}

/// Sends one request and reads the whole answer, of whatever status. Fails when the server cannot be reached, breaks
/// the connection off, or takes longer than a minute.
pub async fn http_json(method: Method, url: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Result<Answer> {
    let Some(body) = body else { return http_bytes(method, url, headers, Bytes::new()).await };
    let mut headers = headers.to_vec();
    headers.push(("content-type", "application/json"));
    http_bytes(method, url, &headers, Bytes::from(serde_json::to_vec(body)?)).await
}

/// As [`http_json`], with the body's bytes as they are.
pub async fn http_bytes(method: Method, url: &str, headers: &[(&str, &str)], body: Bytes) -> Result<Answer> {
    // A client per call: tests run on runtimes of their own, and a pooled connection dies with the runtime that made it.
    Caller::keeping(0).call(method, url, headers, body).await
}

/// A caller that keeps connections open from call to call. Belongs to the runtime that it calls on.
#[derive(Clone, Debug)]
pub struct Caller(Client<HttpConnector, Full<Bytes>>);

impl Caller {
    /// One that keeps at most so many connections that are not used, to each host.
    pub fn keeping(connections: usize) -> Self {
        Self(Client::builder(TokioExecutor::new()).pool_max_idle_per_host(connections).build_http())
    }

    /// As [`http_bytes`], on a connection of before where there is one.
    pub async fn call(&self, method: Method, url: &str, headers: &[(&str, &str)], body: Bytes) -> Result<Answer> {
        tokio::time::timeout(DEADLINE, self.exchange(method, url, headers, body))
            .await
            .with_context(|| format!("no answer from {url} within {DEADLINE:?}"))?
            .with_context(|| format!("call {url}"))
    }

    async fn exchange(&self, method: Method, url: &str, headers: &[(&str, &str)], body: Bytes) -> Result<Answer> {
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.0.request(request.body(Full::new(body))?).await?;
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await?.to_bytes();
        let body = if bytes.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&bytes)
                .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()))
        };
        Ok(Answer { status: parts.status, headers: parts.headers, body })
    }
}
