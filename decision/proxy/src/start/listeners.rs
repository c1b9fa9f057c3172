//! What the sidecar listens on. All of it is bound before anything is served.

use std::net::SocketAddr;
use std::path::Path;

use tokio::net::TcpListener;

use super::StartError;
use crate::worker::{self, Listeners};

/// Binds what every worker listens on; also says where calls come in.
pub(super) fn workers(
    calls: Option<SocketAddr>,
    captured: &[SocketAddr],
    gateway: Option<SocketAddr>,
    workers: usize,
) -> Result<(Vec<Listeners>, Option<SocketAddr>), StartError> {
    let mut listeners: Vec<Listeners> = std::iter::repeat_with(Listeners::default).take(workers).collect();
    let mut listen = None;
    if let Some(address) = calls {
        let bound = worker::bind(address, workers).map_err(StartError::system("cannot bind --listen"))?;
        listen = bound.first().and_then(|listener| listener.local_addr().ok());
        listeners.iter_mut().zip(bound).for_each(|(worker, listener)| worker.calls = Some(listener));
    }
    let captured = each(captured, |address| worker::bind(address, workers));
    for bound in captured.map_err(StartError::system("cannot bind --capture-listen"))? {
        listeners.iter_mut().zip(bound).for_each(|(worker, listener)| worker.captured.push(listener));
    }
    if let Some(address) = gateway {
        let bound = worker::bind(address, workers).map_err(StartError::system("cannot bind --gateway-listen"))?;
        listen = bound.first().and_then(|listener| listener.local_addr().ok());
        listeners.iter_mut().zip(bound).for_each(|(worker, listener)| worker.gateway = Some(listener));
    }
    Ok((listeners, listen))
}

/// Binds each address. One that this machine does not have, such as `::1` without IPv6, is left out: nothing comes in there.
pub(super) fn each<T>(
    addresses: &[SocketAddr],
    bind: impl Fn(SocketAddr) -> std::io::Result<T>,
) -> std::io::Result<Vec<T>> {
    let mut bound = Vec::new();
    let mut missing = None;
    for address in addresses {
        match bind(*address) {
            Ok(one) => bound.push(one),
            Err(error) if error.kind() == std::io::ErrorKind::AddrNotAvailable => {
                tracing::warn!(%address, "no such address here");
                missing = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    match missing {
        Some(error) if bound.is_empty() => Err(error),
        _ => Ok(bound),
    }
}

/// The listener of the admin surface, and its address.
pub(super) async fn admin(address: SocketAddr) -> std::io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Whole or not at all: a reader that polls never sees half an address.
pub(super) fn write_address(file: Option<&Path>, address: SocketAddr) -> std::io::Result<()> {
    let Some(file) = file else { return Ok(()) };
    let new = file.with_extension("new");
    std::fs::write(&new, address.to_string())?;
    std::fs::rename(new, file)
}
