//! One plain connection or one datagram: does it get through?
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};

use crate::{emit, sink};

/// Longest answer that is read.
const LONGEST: usize = 64 * 1024;

/// Where to, and what to say.
#[derive(clap::Args)]
pub struct Args {
    /// `host:port`
    target: String,
    /// Send one datagram instead of opening a TCP connection
    #[arg(long)]
    udp: bool,
    /// What to send
    #[arg(long, default_value = "aegis-testkit")]
    send: String,
    /// Send from this address
    #[arg(long, value_name = "ADDRESS", requires = "udp")]
    from: Option<SocketAddr>,
    /// Time for everything
    #[arg(long, default_value_t = 3_000, value_name = "MILLISECONDS")]
    timeout: u64,
}

/// Prints whether a connection was had and what came back. Holds when something came back.
pub async fn run(args: &Args) -> anyhow::Result<bool> {
    let limit = Duration::from_millis(args.timeout);
    let result = match tokio::time::timeout(limit, exchange(args)).await {
        Ok(result) => result,
        Err(_) => Err(anyhow::anyhow!("timeout")),
    };
    let kind = if args.udp { "udp" } else { "tcp" };
    match result {
        Ok(answer) => {
            emit::line(
                &json!({"connect": args.target, "over": kind, "answer": String::from_utf8_lossy(&answer), "bytes": answer.len()}),
            );
            Ok(!answer.is_empty())
        }
        Err(error) => {
            emit::line(&json!({"connect": args.target, "over": kind, "error": format!("{error:#}")}));
            Ok(false)
        }
    }
}

async fn exchange(args: &Args) -> anyhow::Result<Vec<u8>> {
    let target =
        tokio::net::lookup_host(&args.target).await.context("resolve")?.next().context("resolve: no address")?;
    let mut buffer = vec![0; LONGEST];
    let n = if args.udp {
        let socket = UdpSocket::bind(args.from.unwrap_or_else(|| sink::any(target))).await.context("bind")?;
        socket.connect(target).await.context("connect")?;
        socket.send(args.send.as_bytes()).await.context("send")?;
        socket.recv(&mut buffer).await.context("receive")?
    } else {
        let mut stream = TcpStream::connect(target).await.context("connect")?;
        stream.write_all(args.send.as_bytes()).await.context("send")?;
        stream.read(&mut buffer).await.context("receive")?
    };
    buffer.truncate(n);
    Ok(buffer)
}
