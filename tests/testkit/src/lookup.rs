//! Names to addresses: by the system's resolver, or by asking one server.
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RecordType};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};

use crate::{dial, emit, sink};

/// What to look up.
#[derive(clap::Args)]
pub struct Args {
    /// The name
    name: String,
    /// Ask this server, instead of the system's resolver
    #[arg(long, value_name = "ADDRESS")]
    server: Option<SocketAddr>,
    /// Kind of record; only with a server
    #[arg(long = "type", default_value = "A", requires = "server")]
    kind: RecordType,
    /// Ask over TCP; only with a server
    #[arg(long, requires = "server")]
    tcp: bool,
    /// Time for the answer
    #[arg(long, default_value_t = 5_000, value_name = "MILLISECONDS")]
    timeout: u64,
}

/// Prints what was found. Holds when something was.
pub async fn run(args: &Args) -> anyhow::Result<bool> {
    let found = tokio::time::timeout(Duration::from_millis(args.timeout), find(args)).await;
    let (answers, code) = match found {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => {
            emit::line(&json!({"lookup": args.name, "error": format!("{error:#}")}));
            return Ok(false);
        }
        Err(_) => {
            emit::line(&json!({"lookup": args.name, "error": "timeout"}));
            return Ok(false);
        }
    };
    emit::line(&json!({"lookup": args.name, "answers": answers, "code": code}));
    Ok(!answers.is_empty())
}

async fn find(args: &Args) -> anyhow::Result<(Vec<String>, Option<String>)> {
    let Some(server) = args.server else {
        let addresses = dial::resolve(&args.name, 0).await?;
        return Ok((addresses.iter().map(|address| address.ip().to_string()).collect(), None));
    };
    let mut query = Message::query();
    query.metadata.recursion_desired = true;
    query.add_query(Query::query(Name::from_utf8(&args.name)?, args.kind));
    let bytes = query.to_vec()?;
    let bytes = if args.tcp { over_tcp(server, &bytes).await? } else { over_udp(server, &bytes).await? };
    let answer = Message::from_vec(&bytes)?;
    ensure!(answer.metadata.id == query.metadata.id, "the answer is for another query");
    Ok((
        answer.answers.iter().map(|record| record.data.to_string()).collect(),
        Some(answer.metadata.response_code.to_string()),
    ))
}

async fn over_udp(server: SocketAddr, query: &[u8]) -> anyhow::Result<Vec<u8>> {
    let socket = UdpSocket::bind(sink::any(server)).await?;
    socket.connect(server).await?;
    socket.send(query).await?;
    let mut buffer = vec![0; usize::from(u16::MAX)];
    let n = socket.recv(&mut buffer).await?;
    buffer.truncate(n);
    Ok(buffer)
}

/// With the two bytes of length before each message (RFC 1035, section 4.2.2).
async fn over_tcp(server: SocketAddr, query: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    stream.write_u16(u16::try_from(query.len()).context("the query is too long")?).await?;
    stream.write_all(query).await?;
    let mut answer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}
