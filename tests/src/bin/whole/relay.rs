//! The bare relay: the HTTP libraries that Aegis is built of, on one thread, forwarding each request as it comes. It
//! reads no body, judges nothing and records nothing: what is left of a sidecar when all of its own work is taken away.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use aegis_tests::cluster::eventually;
use aegis_tests::cluster::process::{Process, ProcessSpec};
use anyhow::{Context as _, Result};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

use crate::way::Way;

/// Time for it to listen.
const START: Duration = Duration::from_secs(30);

type Upstream = Client<HttpConnector, Incoming>;

/// Forwards until the process ends.
pub async fn run(upstream: SocketAddr, address_file: &Path) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    fs::write(address_file, listener.local_addr()?.to_string())?;
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Upstream = Client::builder(TokioExecutor::new()).build(connector);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let client = client.clone();
        let service = service_fn(move |request| forward(client.clone(), upstream, request));
        tokio::spawn(async move {
            // A connection that the other side ends is the usual end.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn forward(client: Upstream, upstream: SocketAddr, mut request: Request<Incoming>) -> Result<Response<Incoming>> {
    let path = request.uri().path_and_query().context("a request has a path")?;
    *request.uri_mut() = format!("http://{upstream}{path}").parse()?;
    Ok(client.request(request).await?)
}

/// A running one.
pub struct Relay {
    process: Process,
    address: SocketAddr,
}

impl Relay {
    /// Starts this program once more, as a relay.
    pub async fn start(folder: &Path, tool: SocketAddr) -> Result<Self> {
        let file = folder.join("relay-address");
        let spec = ProcessSpec::new(std::env::current_exe()?, folder.join("relay.log"))
            .arg("relay")
            .args(["--upstream", &tool.to_string()])
            .arg("--address-file")
            .arg(&file);
        let process = Process::spawn(spec).await?;
        let address = eventually("the relay to listen", START, async || {
            let text = fs::read_to_string(&file).with_context(|| process.logs().unwrap_or_default())?;
            Ok(text.parse()?)
        })
        .await?;
        Ok(Self { process, address })
    }

    /// Its process, with its name.
    pub fn process(&self) -> (&'static str, u32) {
        ("bare relay", self.process.pid())
    }

    /// The way through it.
    pub fn way(&self) -> Way {
        let processes = vec![self.process.pid()];
        Way { name: "bare relay", address: self.address, path: "/judge", judges: false, processes }
    }
}
