//! What all peers need: a free port, and to be waited for.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use aegis_tests::cluster::eventually;
use aegis_tests::cluster::process::Process;
use anyhow::{Result, ensure};
use tokio::net::TcpStream;

/// Time for a peer to listen.
const START: Duration = Duration::from_secs(30);

/// An address of loopback that is free now. Their configurations want to know it beforehand.
pub fn free() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// Returns when a process takes connections.
pub async fn listens(process: &Process, address: SocketAddr) -> Result<()> {
    eventually(&format!("{} to be listened on", process.log().display()), START, async || {
        let ended = process.exit_status()?;
        ensure!(ended.is_none(), "it ended with status {ended:?}:\n{}", process.logs()?);
        TcpStream::connect(address).await?;
        Ok(())
    })
    .await
}
