//! The service behind a recipe's Tool: answers a call with what the call brings along, and the reads of its facts too.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use aegis_tests::answering;
use anyhow::Result;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use serde_json::Value;

/// What is answered while one call is under way.
#[derive(Debug, Default)]
pub struct Cue {
    /// Facts by the whole URL that they are read from; none: not found.
    pub facts: BTreeMap<String, Option<Value>>,
    /// The answer to everything else.
    pub answer: Value,
}

/// A service that listens; ends with the test's runtime.
#[derive(Debug)]
pub struct Service {
    /// Where it listens.
    pub address: SocketAddr,
    cue: Arc<Mutex<Cue>>,
}

impl Service {
    /// Starts one.
    pub async fn start() -> Result<Self> {
        let cue = Arc::new(Mutex::new(Cue::default()));
        let told = Arc::clone(&cue);
        let address = answering::listen(move |request| answer(Arc::clone(&told), request)).await?;
        Ok(Self { address, cue })
    }

    /// What it answers from now on.
    pub fn expects(&self, cue: Cue) {
        *self.cue.lock().unwrap_or_else(PoisonError::into_inner) = cue;
    }
}

async fn answer(cue: Arc<Mutex<Cue>>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    // Read to its end, so that the connection can be used again.
    let _ = body.collect().await;
    let host = parts.headers.get(http::header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let url = format!("http://{host}{}", parts.uri);
    let cue = cue.lock().unwrap_or_else(PoisonError::into_inner);
    match cue.facts.get(&url).filter(|_| parts.method == Method::GET) {
        Some(Some(fact)) => answering::json(StatusCode::OK, fact.to_string()),
        Some(None) => answering::json(StatusCode::NOT_FOUND, "{}"),
        None => answering::json(StatusCode::OK, cue.answer.to_string()),
    }
}
