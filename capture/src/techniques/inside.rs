//! Boundaries inside the pod: the sidecar's admin port, its volumes, abstract sockets.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixStream};

use nix::sys::socket::{getsockopt, sockopt};

use super::{Finding, Ground, PATIENCE};

/// The sidecar's admin port on loopback. It must be read-only.
const ADMIN: ([u8; 4], u16) = ([127, 0, 0, 1], 15020);
/// Where other proxies have let their neighbours change or stop them, and our own paths.
const PATHS: [&str; 8] =
    ["/quitquitquit", "/shutdown", "/drain", "/config", "/logging?level=off", "/ready", "/metrics", "/debug/pprof/"];
/// Folders of the sidecar's volumes: no other container mounts them.
const VOLUMES: [&str; 4] =
    ["/var/lib/aegis/records", "/etc/aegis/credentials", "/etc/aegis/trust", "/var/run/secrets/aegis"];
/// Longest answer that is read.
const MAX_ANSWER: u64 = 4096;
/// Abstract sockets that are tried.
const MAX_SOCKETS: usize = 32;

/// Tries to change or stop the sidecar over its admin port.
pub(super) fn admin() -> Finding {
    let mut refused = 0;
    for path in PATHS {
        for method in ["POST", "PUT", "DELETE", "PATCH"] {
            let request = format!(
                "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
            match status(ADMIN.into(), request.as_bytes()) {
                Ok(Some(code)) if (200..400).contains(&code) => {
                    return Finding::out(format!("{method} {path}: {code}"));
                }
                Ok(_) => refused += 1,
                Err(error) if refused == 0 => {
                    return Finding::not_applicable(format!("nothing listens: {error}"));
                }
                Err(error) => return Finding::out(format!("the port is gone after {method} {path}: {error}")),
            }
        }
    }
    Finding::blocked(format!("{refused} requests refused"))
}

/// Sends a request and returns the status of the answer, if there was one.
pub(super) fn status(to: SocketAddr, request: &[u8]) -> std::io::Result<Option<u16>> {
    Ok(first_status(&exchange(to, request)?))
}

/// The three digits after `HTTP/1.x `.
pub(super) fn first_status(answer: &[u8]) -> Option<u16> {
    let head = answer.get(..12).filter(|head| head.starts_with(b"HTTP/1."))?;
    std::str::from_utf8(head.get(9..12)?).ok()?.parse().ok()
}

/// Sends bytes and reads what comes back until the other side ends, falls silent or has said enough.
pub(super) fn exchange(to: SocketAddr, request: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(request)?;
    let mut answer = Vec::new();
    // Silence and a reset both end the answer; what came until then counts.
    drop(stream.take(MAX_ANSWER).read_to_end(&mut answer));
    Ok(answer)
}

/// Looks into the sidecar's volumes.
pub(super) fn volumes() -> Finding {
    match VOLUMES.iter().find(|folder| fs::read_dir(folder).is_ok()) {
        Some(folder) => Finding::out(format!("{folder} can be read")),
        None => Finding::blocked("none of the sidecar's folders is here"),
    }
}

/// Connects to every abstract socket of this network namespace that belongs to somebody else.
pub(super) fn abstract_sockets(ground: &Ground) -> Finding {
    let table = fs::read_to_string("/proc/self/net/unix").unwrap_or_default();
    let names = table.lines().filter_map(|line| line.split_whitespace().nth(7)?.strip_prefix('@'));
    let mut others = 0;
    for name in names.take(MAX_SOCKETS) {
        let Ok(address) = UnixAddress::from_abstract_name(name) else { continue };
        let Ok(stream) = UnixStream::connect_addr(&address) else { continue };
        let Ok(owner) = getsockopt(&stream, sockopt::PeerCredentials) else { continue };
        if ground.sidecar() == Some(owner.uid()) {
            return Finding::out(format!("the sidecar answers at @{name}"));
        }
        others += 1;
    }
    Finding::blocked(format!("no abstract socket of the sidecar; {others} of the pod, which is captured as a whole"))
}
