//! An HTTP server that answers what it saw, and remembers it.
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::header::{HeaderValue, LOCATION};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket};

use crate::control::{self, Reply, Tally};
use crate::emit;
use crate::tls::Identity;

/// Requests that are remembered in full, and paths that are counted apart: a flood must not fill the memory.
const REMEMBERED: usize = 1000;

/// Where to listen and how to answer.
#[derive(clap::Args)]
pub struct Args {
    /// Addresses; port 0 takes a free one. The first line of output says what was bound
    #[arg(long, required = true, value_delimiter = ',', value_name = "ADDRESS")]
    listen: Vec<SocketAddr>,
    /// Name in every answer
    #[arg(long, default_value = "testkit")]
    name: String,
    /// Status of every answer
    #[arg(long, default_value = "200", value_name = "STATUS")]
    status: StatusCode,
    /// Location header of every answer: with a status of 3xx it redirects
    #[arg(long, value_name = "URL")]
    location: Option<HeaderValue>,
    /// Time until each answer
    #[arg(long, default_value_t = 0, value_name = "MILLISECONDS")]
    delay: u64,
    /// Body of every answer instead of what was seen
    #[arg(long, value_name = "TEXT")]
    reply: Option<String>,
    /// Print a line for each request that came in whole: time, method, path and Idempotency-Key
    #[arg(long)]
    each: bool,
    /// Another address for GET /count and POST /reset, out of reach of the callers
    #[arg(long, value_name = "ADDRESS")]
    control: Option<SocketAddr>,
    #[command(flatten)]
    identity: Identity,
}

struct Server {
    args: Args,
    connections: AtomicU64,
    seen: Mutex<Seen>,
}

/// How a connection came in.
enum Channel {
    Plain,
    /// With the name that was asked for, if one was.
    Tls(Option<String>),
}

#[derive(Default)]
struct Seen {
    requests: u64,
    paths: BTreeMap<String, u64>,
    last: VecDeque<Value>,
}

impl Seen {
    fn add(&mut self, path: &str, request: &Value) -> u64 {
        self.requests += 1;
        if self.paths.len() < REMEMBERED || self.paths.contains_key(path) {
            *self.paths.entry(path.to_owned()).or_default() += 1;
        }
        if self.last.len() == REMEMBERED {
            self.last.pop_front();
        }
        self.last.push_back(request.clone());
        self.requests
    }
}

impl Tally for Server {
    fn count(&self) -> Value {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        json!({"name": self.args.name, "connections": self.connections.load(Ordering::Relaxed), "requests": seen.requests, "paths": seen.paths})
    }

    fn reset(&self) {
        self.connections.store(0, Ordering::Relaxed);
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Seen::default();
    }
}

/// Connections that wait to be accepted: a server that is frozen for a while refuses none.
const BACKLOG: u32 = 1024;

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves until the program is told to stop.
pub async fn run(args: Args) -> anyhow::Result<bool> {
    let tls = args.identity.acceptor()?;
    let mut listeners = Vec::new();
    for address in &args.listen {
        listeners.push(listen(*address).with_context(|| format!("listen on {address}"))?);
    }
    let bound: Vec<SocketAddr> = listeners.iter().map(TcpListener::local_addr).collect::<Result<_, _>>()?;
    let control = args.control;
    let server = Arc::new(Server { args, connections: AtomicU64::new(0), seen: Mutex::default() });
    let control = match control {
        Some(address) => Some(control::open(address, Arc::clone(&server) as Arc<dyn Tally>).await?),
        None => None,
    };
    let (acceptor, certificate) = tls.unzip();
    emit::line(
        &json!({"serve": server.args.name, "listening": bound, "control": control, "certificate": certificate.flatten()}),
    );

    let mut tasks = tokio::task::JoinSet::new();
    for listener in listeners {
        let (server, acceptor) = (Arc::clone(&server), acceptor.clone());
        tasks.spawn(async move {
            loop {
                let Ok((stream, peer)) = listener.accept().await else {
                    tokio::task::yield_now().await;
                    continue;
                };
                server.connections.fetch_add(1, Ordering::Relaxed);
                let (server, acceptor) = (Arc::clone(&server), acceptor.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => server.connection(stream, peer, Channel::Plain).await,
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                let asked = stream.get_ref().1.server_name().map(str::to_owned);
                                server.connection(stream, peer, Channel::Tls(asked)).await;
                            }
                        }
                    }
                });
            }
        });
    }
    tasks.join_next().await;
    Ok(false)
}

impl Server {
    async fn connection(
        self: Arc<Self>,
        stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
        peer: SocketAddr,
        channel: Channel,
    ) {
        let (server, channel) = (self, &channel);
        control::connection(stream, |request| {
            let server = Arc::clone(&server);
            async move { server.answer(request, peer, channel).await }
        })
        .await;
    }

    async fn answer(&self, request: Request<Incoming>, peer: SocketAddr, channel: &Channel) -> Reply {
        let (head, body) = request.into_parts();
        if head.method == Method::GET && head.uri.path() == "/count" {
            return control::json(StatusCode::OK, &self.count());
        }
        if head.method == Method::GET && head.uri.path() == "/requests" {
            let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            return control::json(StatusCode::OK, &json!(seen.last));
        }
        let Ok(body) = body.collect().await else {
            return control::json(StatusCode::BAD_REQUEST, &json!({"error": "the body broke off"}));
        };
        let mut request = json!({
            "name": self.args.name,
            "method": head.method.as_str(),
            "uri": head.uri.to_string(),
            "headers": headers(&head.headers),
            "body": String::from_utf8_lossy(&body.to_bytes()),
            "peer": peer.to_string(),
            "tls": matches!(channel, Channel::Tls(_)),
            "sni": if let Channel::Tls(name) = channel { name.as_deref() } else { None },
        });
        if self.args.each {
            let key = head.headers.get("idempotency-key").map(|key| String::from_utf8_lossy(key.as_bytes()));
            let (method, path) = (head.method.as_str(), head.uri.path());
            emit::line(&json!({"at": crate::load::now(), "method": method, "path": path, "key": key}));
        }
        let n = self.seen.lock().unwrap_or_else(PoisonError::into_inner).add(head.uri.path(), &request);
        if let Value::Object(members) = &mut request {
            members.insert("n".into(), n.into());
        }
        if self.args.delay > 0 {
            tokio::time::sleep(Duration::from_millis(self.args.delay)).await;
        }
        let mut reply = control::json(self.args.status, &request);
        if let Some(text) = &self.args.reply {
            *reply.body_mut() = http_body_util::Full::new(Bytes::from(text.clone()));
        }
        if let Some(location) = &self.args.location {
            reply.headers_mut().insert(LOCATION, location.clone());
        }
        reply
    }
}

/// Headers as an object; several values of one name are joined as RFC 9110, section 5.3 allows.
pub fn headers(headers: &HeaderMap) -> Map<String, Value> {
    let mut map = Map::new();
    for name in headers.keys() {
        let values: Vec<_> =
            headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        map.insert(name.as_str().to_owned(), values.join(", ").into());
    }
    map
}
