//! The DNS server of the outside world, which may lie: an answer can change from query to query, and every name that was asked for is counted.
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, ensure};
use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME};
use hickory_proto::rr::{LowerName, Name, RData, Record, RecordType};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use crate::control::{self, Tally};
use crate::emit;

/// Names that are counted apart.
const NAMES: usize = 10_000;
/// Longest answer over UDP without EDNS (RFC 1035, section 4.2.1).
const SHORT: usize = 512;

/// Where to listen and what to answer.
#[derive(clap::Args)]
pub struct Args {
    /// Addresses, over UDP and TCP; port 0 takes a free one
    #[arg(long, required = true, value_delimiter = ',', value_name = "ADDRESS")]
    listen: Vec<SocketAddr>,
    /// `NAME=ANSWER[;ANSWER...]`, an answer being addresses or a name joined by `,`. Several answers are given in turn, one for each query of one kind; `*.NAME` and `*` stand
    /// for all names below
    #[arg(long = "record", value_name = "RECORD")]
    records: Vec<Row>,
    /// Time to live of answers
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    ttl: u32,
    /// Where GET /count and POST /reset are answered
    #[arg(long, value_name = "ADDRESS")]
    control: Option<SocketAddr>,
}

/// One name and its answers, in turn.
#[derive(Clone, Debug)]
struct Row {
    name: LowerName,
    turns: Vec<Vec<RData>>,
}

impl FromStr for Row {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, answers) = text.split_once('=').context("NAME=ANSWER[;ANSWER...]")?;
        let turns = answers
            .split(';')
            .map(|turn| turn.split(',').map(str::trim).filter(|one| !one.is_empty()).map(data).collect())
            .collect::<Result<_, _>>()?;
        Ok(Self { name: LowerName::new(&absolute(name)?), turns })
    }
}

fn data(text: &str) -> anyhow::Result<RData> {
    Ok(match text.parse() {
        Ok(IpAddr::V4(ip)) => RData::A(A(ip)),
        Ok(IpAddr::V6(ip)) => RData::AAAA(AAAA(ip)),
        Err(_) => RData::CNAME(CNAME(absolute(text)?)),
    })
}

fn absolute(name: &str) -> anyhow::Result<Name> {
    let mut name = Name::from_utf8(name)?;
    name.set_fqdn(true);
    Ok(name)
}

struct Server {
    rows: Vec<Row>,
    ttl: u32,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    queries: u64,
    /// Of all names asked for, without the dots: what could have been carried out by them.
    bytes: u64,
    names: BTreeMap<String, u64>,
    peers: BTreeSet<IpAddr>,
    turns: BTreeMap<(String, RecordType), usize>,
}

impl Tally for Server {
    fn count(&self) -> Value {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        json!({"queries": seen.queries, "bytes": seen.bytes, "names": seen.names, "peers": seen.peers})
    }

    fn reset(&self) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Seen::default();
    }
}

impl Server {
    /// The row of a name: its own, else that of the nearest `*` above it.
    fn row(&self, name: &LowerName) -> Option<&Row> {
        let mut wanted = Some(name.clone());
        while let Some(current) = wanted {
            if let Some(row) = self.rows.iter().find(|row| row.name == current) {
                return Some(row);
            }
            let plain = if current.is_wildcard() { current.base_name() } else { current };
            wanted = (!plain.is_root()).then(|| plain.into_wildcard());
        }
        None
    }

    /// Counts a query and answers it. Nothing for what is no query.
    fn answer(&self, bytes: &[u8], peer: SocketAddr, longest: usize) -> Option<Vec<u8>> {
        let query = Message::from_vec(bytes).ok()?;
        if query.metadata.message_type != MessageType::Query {
            return None;
        }
        let question = query.queries.first()?;
        let mut answer = Message::response(query.metadata.id, OpCode::Query);
        answer.metadata.authoritative = true;
        answer.metadata.recursion_desired = query.metadata.recursion_desired;
        answer.metadata.recursion_available = true;
        answer.add_query(question.clone());

        let name = LowerName::new(question.name());
        let row = self.row(&name);
        let turn = self.count_query(&name, question.query_type(), peer.ip());
        match row {
            None => answer.metadata.response_code = ResponseCode::NXDomain,
            Some(row) => {
                let data = turn.checked_rem(row.turns.len()).and_then(|turn| row.turns.get(turn)).into_iter().flatten();
                for one in data
                    .filter(|one| one.record_type() == question.query_type() || one.record_type() == RecordType::CNAME)
                {
                    answer.add_answer(Record::from_rdata(question.name().clone(), self.ttl, one.clone()));
                }
            }
        }
        let bytes = answer.to_vec().ok()?;
        if bytes.len() > longest { answer.truncate().to_vec().ok() } else { Some(bytes) }
    }

    /// How often this name was asked for before, for this kind of record.
    fn count_query(&self, name: &LowerName, kind: RecordType, peer: IpAddr) -> usize {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.queries += 1;
        seen.bytes += Name::from(name).iter().map(|label| u64::try_from(label.len()).unwrap_or(u64::MAX)).sum::<u64>();
        let text = name.to_string();
        if seen.names.len() >= NAMES && !seen.names.contains_key(&text) {
            return 0;
        }
        seen.peers.insert(peer);
        *seen.names.entry(text.clone()).or_default() += 1;
        let turn = seen.turns.entry((text, kind)).or_default();
        *turn += 1;
        *turn - 1
    }
}

/// Answers until the program is told to stop.
pub async fn run(args: Args) -> anyhow::Result<bool> {
    let mut names = BTreeSet::new();
    for row in &args.records {
        ensure!(names.insert(row.name.clone()), "{} has two records: join their answers", row.name);
    }
    let server = Arc::new(Server { rows: args.records, ttl: args.ttl, seen: Mutex::default() });
    let mut tasks = tokio::task::JoinSet::new();
    let mut bound = Vec::new();
    for address in &args.listen {
        let (udp, tcp) = both(*address).await?;
        bound.push(udp.local_addr()?);
        tasks.spawn(over_udp(udp, Arc::clone(&server)));
        tasks.spawn(over_tcp(tcp, Arc::clone(&server)));
    }
    let control = match args.control {
        Some(address) => Some(control::open(address, server).await?),
        None => None,
    };
    emit::line(&json!({"dns": bound, "control": control}));
    tasks.join_next().await;
    Ok(false)
}

/// Sockets of both protocols on one port. What the system chose for one may be taken for the other: then it chooses again.
async fn both(address: SocketAddr) -> anyhow::Result<(UdpSocket, TcpListener)> {
    let mut left = 16_u8;
    loop {
        left = left.saturating_sub(1);
        let udp = UdpSocket::bind(address).await.with_context(|| format!("UDP on {address}"))?;
        let chosen = udp.local_addr()?;
        match TcpListener::bind(chosen).await {
            Err(error) if address.port() == 0 && error.kind() == ErrorKind::AddrInUse && left > 0 => {}
            tcp => return Ok((udp, tcp.with_context(|| format!("TCP on {chosen}"))?)),
        }
    }
}

async fn over_udp(socket: UdpSocket, server: Arc<Server>) {
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        let Ok((n, peer)) = socket.recv_from(&mut buffer).await else {
            tokio::task::yield_now().await;
            continue;
        };
        if let Some(answer) = buffer.get(..n).and_then(|query| server.answer(query, peer, SHORT)) {
            let _ = socket.send_to(&answer, peer).await;
        }
    }
}

async fn over_tcp(listener: TcpListener, server: Arc<Server>) {
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        tokio::spawn(converse(stream, peer, Arc::clone(&server)));
    }
}

/// Messages with their length before them (RFC 1035, section 4.2.2) until one side ends it.
async fn converse(mut stream: TcpStream, peer: SocketAddr, server: Arc<Server>) {
    while let Ok(length) = stream.read_u16().await {
        let mut query = vec![0; usize::from(length)];
        if stream.read_exact(&mut query).await.is_err() {
            return;
        }
        let Some(answer) = server.answer(&query, peer, usize::from(u16::MAX)) else { return };
        let Ok(length) = u16::try_from(answer.len()) else { return };
        if stream.write_u16(length).await.is_err() || stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}
