//! The hostile outside: takes everything on a list of ports, answers so that the sender may know, and counts.
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use serde_json::{Value, json};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use crate::control::{self, Tally};
use crate::emit;

/// What every TCP connection gets, whatever it sent.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\nsink";
/// Senders that are remembered for each port.
const PEERS: usize = 64;
/// Longest queue of connections that wait to be taken.
const BACKLOG: i32 = 1024;

/// What to take.
#[derive(clap::Args)]
pub struct Args {
    /// Ports, over TCP and UDP
    #[arg(long, required = true, value_delimiter = ',', value_name = "PORTS")]
    ports: Vec<u16>,
    /// Addresses
    #[arg(long, value_delimiter = ',', default_value = "0.0.0.0,::", value_name = "IPS")]
    ips: Vec<IpAddr>,
    /// Where GET /count and POST /reset are answered; never counted
    #[arg(long, value_name = "ADDRESS")]
    control: SocketAddr,
}

#[derive(Default)]
struct Traffic {
    arrivals: u64,
    bytes: u64,
    peers: BTreeSet<IpAddr>,
}

/// By protocol and family (`tcp4`, `tcp6`, `udp4`, `udp6`) and port.
#[derive(Default)]
struct Sink(Mutex<BTreeMap<(&'static str, u16), Traffic>>);

impl Sink {
    fn add(&self, kind: &'static str, port: u16, peer: Option<SocketAddr>, bytes: usize) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = all.entry((kind, port)).or_default();
        entry.bytes += u64::try_from(bytes).unwrap_or(u64::MAX);
        if let Some(peer) = peer {
            entry.arrivals += 1;
            if entry.peers.len() < PEERS {
                entry.peers.insert(peer.ip());
            }
        }
    }
}

impl Tally for Sink {
    fn count(&self) -> Value {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let total: u64 = all.values().map(|entry| entry.arrivals).sum();
        let by: Vec<Value> = all
            .iter()
            .map(|((kind, port), entry)| json!({"kind": kind, "port": port, "arrivals": entry.arrivals, "bytes": entry.bytes, "peers": entry.peers}))
            .collect();
        json!({"total": total, "by": by})
    }

    fn reset(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Takes everything until the program is told to stop.
pub async fn run(args: Args) -> anyhow::Result<bool> {
    let sink = Arc::new(Sink::default());
    let mut tasks = tokio::task::JoinSet::new();
    for port in &args.ports {
        for ip in &args.ips {
            let four = ip.is_ipv4();
            let (tcp, udp) = both(SocketAddr::new(*ip, *port))?;
            let port = tcp.local_addr()?.port();
            emit::line(&json!({"sink": SocketAddr::new(*ip, port)}));
            tasks.spawn(take_connections(tcp, Arc::clone(&sink), if four { "tcp4" } else { "tcp6" }, port));
            tasks.spawn(take_datagrams(udp, Arc::clone(&sink), if four { "udp4" } else { "udp6" }, port));
        }
    }
    let control = control::open(args.control, sink).await?;
    emit::line(&json!({"control": control}));
    tasks.join_next().await;
    Ok(false)
}

/// Sockets of both protocols on one port. What the system chose for one may be taken for the other: then it chooses again.
fn both(address: SocketAddr) -> anyhow::Result<(TcpListener, UdpSocket)> {
    let mut left = 16_u8;
    loop {
        left = left.saturating_sub(1);
        let tcp = TcpListener::from_std(bind(address, Type::STREAM)?.into())?;
        let chosen = tcp.local_addr()?;
        match bind(chosen, Type::DGRAM) {
            Err(error) if address.port() == 0 && is_taken(&error) && left > 0 => {}
            udp => return Ok((tcp, UdpSocket::from_std(udp?.into())?)),
        }
    }
}

fn is_taken(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::AddrInUse)
}

/// A socket for one family only, so that both can hold the same port.
fn bind(address: SocketAddr, kind: Type) -> anyhow::Result<Socket> {
    let protocol = if kind == Type::STREAM { Protocol::TCP } else { Protocol::UDP };
    let what = || format!("{protocol:?} on {address}");
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol)).with_context(what)?;
    if address.is_ipv6() {
        socket.set_only_v6(true).with_context(what)?;
    }
    if kind == Type::STREAM {
        socket.set_reuse_address(true).with_context(what)?;
    }
    socket.set_nonblocking(true).with_context(what)?;
    socket.bind(&address.into()).with_context(what)?;
    if kind == Type::STREAM {
        socket.listen(BACKLOG).with_context(what)?;
    }
    Ok(socket)
}

async fn take_connections(listener: TcpListener, sink: Arc<Sink>, kind: &'static str, port: u16) {
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        sink.add(kind, port, Some(peer), 0);
        tokio::spawn(swallow(stream, Arc::clone(&sink), kind, port));
    }
}

/// Answers at the first bytes, then reads to the end.
async fn swallow(mut stream: TcpStream, sink: Arc<Sink>, kind: &'static str, port: u16) {
    let mut buffer = vec![0; 16 * 1024];
    let mut answered = false;
    while let Ok(n @ 1..) = stream.read(&mut buffer).await {
        sink.add(kind, port, None, n);
        if !answered {
            answered = true;
            let _ = stream.write_all(ANSWER).await;
        }
    }
}

/// Sends each datagram back.
async fn take_datagrams(socket: UdpSocket, sink: Arc<Sink>, kind: &'static str, port: u16) {
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        let Ok((n, peer)) = socket.recv_from(&mut buffer).await else {
            tokio::task::yield_now().await;
            continue;
        };
        sink.add(kind, port, Some(peer), n);
        if let Some(datagram) = buffer.get(..n) {
            let _ = socket.send_to(datagram, peer).await;
        }
    }
}

/// Any address of the same family: where a client's socket starts.
pub const fn any(of: SocketAddr) -> SocketAddr {
    match of {
        SocketAddr::V4(_) => SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
        SocketAddr::V6(_) => SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0),
    }
}
