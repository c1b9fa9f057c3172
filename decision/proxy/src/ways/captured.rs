//! Captured TCP: the agent dialled some address, the packet rules redirected it here. Where it goes is decided by the
//! name that its first bytes give, never by that address.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aegis_decision::codes::Code;
use aegis_decision::record::Way;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Door;
use super::site::Site;
use super::sniff::{self, First};
use super::tunnel;
use crate::record::compose;
use crate::worker::{Server, serve_http};

/// Time for the first bytes.
const FIRST_TIME: Duration = Duration::from_secs(10);
/// The fatal alert `access_denied` (RFC 8446, 6), so that a TLS client says more than "connection reset".
const ACCESS_DENIED: [u8; 7] = [0x15, 3, 3, 0, 2, 2, 49];

/// Takes one connection from its first byte to its end.
pub async fn take(server: Arc<Server>, mut stream: TcpStream, listen: SocketAddr) {
    let worker = &server.worker;
    let _ = stream.set_nodelay(true);
    let Some(original) = original(&stream, listen) else {
        refuse(&server, 0);
        return;
    };
    let first = tokio::select! {
        first = timeout(FIRST_TIME, sniff::first(&mut stream)) => first,
        () = worker.shared.drain.begun() => return,
    };
    match first {
        Ok(Ok((First::Http, bytes))) => {
            let (read, write) = stream.into_split();
            let stream = tokio::io::join(std::io::Cursor::new(bytes).chain(read), write);
            serve_http(Arc::clone(&server), Door::Captured(original), stream).await;
        }
        Ok(Ok((First::Tls(Some(name)), bytes))) => tls(&server, stream, original.port(), &name, bytes).await,
        // Neither of them names a host; nor does who says nothing.
        Ok(Ok((First::Tls(None) | First::Other, _)) | Err(_)) | Err(_) => refuse(&server, original.port()),
    }
}

/// Opens a tunnel to the host that the server name is of.
async fn tls(server: &Server, mut stream: TcpStream, port: u16, name: &str, first: Vec<u8>) {
    let opened = if let Ok(site) = Site::named(name, port) {
        tunnel::open(&server.worker, Way::Captured, site).await.ok()
    } else {
        refuse(server, port);
        None
    };
    if let Some(tunnel) = opened {
        tunnel.carry(stream, Some(first)).await;
    } else {
        let _ = stream.write_all(&ACCESS_DENIED).await;
        let _ = stream.shutdown().await;
    }
}

/// Records a connection that names no host.
fn refuse(server: &Server, port: u16) {
    let (shared, id) = (&server.worker.shared, compose::new_id());
    tunnel::refuse(shared, Way::Captured, id, None, port, Code::UnnamedConnection);
}

/// The address that the agent dialled. None for a connection that came here by itself.
fn original(stream: &TcpStream, listen: SocketAddr) -> Option<SocketAddr> {
    let socket = SockRef::from(stream);
    let original = if listen.is_ipv4() { socket.original_dst_v4() } else { socket.original_dst_v6() };
    original.ok()?.as_socket().filter(|original| *original != listen)
}
