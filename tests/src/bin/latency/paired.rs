//! Two ways to the same tool, called in turn: direct, through, through, direct. Drift of the machine falls on both.

use std::time::{Duration, Instant};

use aegis_tests::spread::{median_interval, quantile};
use aegis_tests::usage::Usage;
use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// Pairs before the count begins: connections are open, caches are warm.
const WARM_UP: usize = 50;

/// What the columns are.
pub const HEADING: &str = "all times in microseconds; `added` is the median of the paired differences with its 95 % \
                           interval; `sidecar` is its processor time per call\n";

/// A request, and the client whose connections it uses.
pub struct Way {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Way {
    /// A request without body, or with a JSON one.
    pub fn new(method: Method, url: &str, headers: HeaderMap, body: &str) -> Result<Self> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { method, uri: url.parse()?, headers, body: Bytes::from(body.to_owned()), client })
    }

    /// From the first byte sent to the last one read.
    async fn call(&self) -> Result<Duration> {
        let mut request = Request::builder().method(self.method.clone()).uri(self.uri.clone());
        request.headers_mut().context("the request is not well formed")?.clone_from(&self.headers);
        let request = request.body(Full::new(self.body.clone()))?;
        let began = Instant::now();
        let response = self.client.request(request).await.with_context(|| format!("call {}", self.uri))?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        let took = began.elapsed();
        ensure!(status.is_success(), "{} answered {status}: {}", self.uri, String::from_utf8_lossy(&body));
        Ok(took)
    }
}

/// How many pairs, and what they show.
pub struct Plan {
    name: &'static str,
    pairs: usize,
}

impl Plan {
    /// A run of that many pairs.
    pub fn new(name: &'static str, pairs: usize) -> Self {
        Self { name, pairs }
    }

    /// Calls both ways in turn and prints what came out.
    pub async fn run(&self, direct: &Way, through: &Way, sidecar: u32) -> Result<()> {
        for _ in 0..WARM_UP {
            direct.call().await?;
            through.call().await?;
        }
        let before = Usage::of(sidecar)?;
        let (mut directs, mut throughs, mut added) = (Vec::new(), Vec::new(), Vec::new());
        for pair in 0..self.pairs {
            let (a, b) = if pair % 2 == 0 {
                let a = direct.call().await?;
                (a, through.call().await?)
            } else {
                let b = through.call().await?;
                (direct.call().await?, b)
            };
            let (a, b) = (micros(a), micros(b));
            directs.push(a);
            throughs.push(b);
            added.push(b - a);
        }
        let processor = Usage::of(sidecar)?.processor_since(&before);
        let each = processor / u32::try_from(self.pairs)?;
        let (low, high) = median_interval(&added)?;
        println!("{}, {} pairs", self.name, self.pairs);
        println!("  direct  p50 {:8.0}  p99 {:8.0}", quantile(&mut directs, 50)?, quantile(&mut directs, 99)?);
        println!("  through p50 {:8.0}  p99 {:8.0}", quantile(&mut throughs, 50)?, quantile(&mut throughs, 99)?);
        println!("  added       {:8.0}  ({low:.0} to {high:.0})", quantile(&mut added, 50)?);
        println!("  sidecar     {:8.0}\n", micros(each));
        Ok(())
    }
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
