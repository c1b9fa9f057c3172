//! A tool that answers at once, so that what is measured is the way to it.

use std::net::SocketAddr;

use aegis_tests::answering;
use anyhow::Result;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;

/// Listens on a free port of loopback until the runtime ends.
pub async fn listen() -> Result<SocketAddr> {
    answering::listen(answer).await
}

/// Reads the whole request and answers a small object.
async fn answer(request: Request<Incoming>) -> Response<Full<Bytes>> {
    let read = request.into_body().collect().await.map_or(0, |body| body.to_bytes().len());
    answering::json(StatusCode::OK, format!(r#"{{"id":7,"read":{read}}}"#))
}
