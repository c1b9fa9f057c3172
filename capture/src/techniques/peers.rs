//! Who is at the other end of a TCP connection, read from the socket tables of this network namespace.
//!
//! A captured connection ends at a socket of the sidecar in the same namespace: `/proc/net/tcp` lists that socket with
//! our address and port as its remote end (proc(5)). A connection that left the pod has no such line. Every user may
//! read the tables.
//!
//! The agent can make lines of its own: sockets at other loopback addresses, and ends of connections to every port that
//! ours may get. So a line counts only at the exact address of the sidecar's listeners, and only if it is the sidecar's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Where captured connections end: TCP, and DNS over TCP.
pub const CAPTURE_PORTS: [u16; 2] = [15001, 15053];
/// State of a listening TCP socket in the kernel's tables.
const LISTEN: u8 = 0x0a;

/// A line of a socket table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// This end.
    pub local: SocketAddr,
    /// The other end.
    pub remote: SocketAddr,
    /// The kernel's number of the state.
    pub state: u8,
    /// Owner; without a meaning where no process holds the socket.
    pub uid: u32,
    /// Whether a process holds the socket: not yet before it is accepted, and no more once it is closed.
    pub held: bool,
}

/// The TCP sockets of this namespace, before something is dialled.
#[derive(Debug, Clone)]
pub struct Before(Vec<Entry>);

impl Before {
    /// As they are now.
    pub fn now() -> Self {
        Self(tables(&["tcp", "tcp6"]))
    }

    /// The end, at a capture port of the sidecar, of the connection whose other end is `own` and that was dialled since.
    pub fn captured_end(&self, own: SocketAddr, sidecar: u32) -> Option<Entry> {
        self.end_among(&tables(&["tcp", "tcp6"]), canonical(own), sidecar)
    }

    fn end_among(&self, now: &[Entry], own: SocketAddr, sidecar: u32) -> Option<Entry> {
        let listens = |at: SocketAddr| {
            let own = |entry: &Entry| entry.state == LISTEN && entry.local == at && entry.uid == sidecar;
            self.0.iter().any(own)
        };
        let is_new = |entry: &Entry| !self.0.iter().any(|old| (old.local, old.remote) == (entry.local, entry.remote));
        let captured = |entry: &&Entry| {
            entry.remote == own
                && is_exact(entry.local.ip())
                && CAPTURE_PORTS.contains(&entry.local.port())
                // Nobody but the sidecar gets a new socket where it listens; an older one may have been left there.
                && if entry.held { entry.uid == sidecar } else { listens(entry.local) && is_new(entry) }
        };
        now.iter().find(captured).copied()
    }
}

/// Something listens at this TCP port of loopback.
pub fn tcp_listens(port: u16) -> bool {
    tables(&["tcp", "tcp6"]).iter().any(|entry| entry.state == LISTEN && at(entry, port))
}

/// Something waits for datagrams at this UDP port of loopback.
pub fn udp_listens(port: u16) -> bool {
    tables(&["udp", "udp6"]).iter().any(|entry| at(entry, port))
}

/// Owner of the capture port: the sidecar.
pub fn sidecar_uid() -> Option<u32> {
    let listens = |entry: &Entry| entry.state == LISTEN && entry.local.port() == 15001 && is_exact(entry.local.ip());
    tables(&["tcp", "tcp6"]).into_iter().find(listens).map(|entry| entry.uid)
}

fn at(entry: &Entry, port: u16) -> bool {
    entry.local.port() == port && (entry.local.ip().is_loopback() || entry.local.ip().is_unspecified())
}

/// Where the sidecar listens and the rules lead. The rest of 127.0.0.0/8 is anybody's.
fn is_exact(address: IpAddr) -> bool {
    address == Ipv4Addr::LOCALHOST || address == Ipv6Addr::LOCALHOST
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn tables(names: &[&str]) -> Vec<Entry> {
    let read = |name: &&str| std::fs::read_to_string(format!("/proc/self/net/{name}")).unwrap_or_default();
    names.iter().map(read).flat_map(|table| table.lines().skip(1).filter_map(parse).collect::<Vec<_>>()).collect()
}

fn parse(line: &str) -> Option<Entry> {
    let mut words = line.split_whitespace().skip(1);
    let local = endpoint(words.next()?)?;
    let remote = endpoint(words.next()?)?;
    let state = u8::from_str_radix(words.next()?, 16).ok()?;
    let uid = words.nth(3)?.parse().ok()?;
    let held = words.nth(1)? != "0";
    Some(Entry { local, remote, state, uid, held })
}

/// `0100007F:3A99`: words of 32 bits in the machine's byte order, then the port.
fn endpoint(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    if !address.len().is_multiple_of(8) {
        return None;
    }
    let mut bytes = Vec::new();
    for word in address.as_bytes().chunks(8) {
        let word = u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()?;
        bytes.extend(word.to_ne_bytes());
    }
    let address: IpAddr = match bytes.len() {
        4 => Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into(),
        16 => Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into(),
        _ => return None,
    };
    Some(canonical(SocketAddr::new(address, u16::from_str_radix(port, 16).ok()?)))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream, UdpSocket};

    use super::*;

    #[cfg(target_endian = "little")]
    #[test]
    fn a_line_of_each_family_is_read() {
        let line = "   1: 0100007F:3A99 0200000A:9C40 01 00000000:00000000 00:00000000 00000000 31234        0 77 1 0 20 4 30 10 -1";
        let expected = Entry {
            local: "127.0.0.1:15001".parse().unwrap(),
            remote: "10.0.0.2:40000".parse().unwrap(),
            state: 1,
            uid: 31_234,
            held: true,
        };
        assert_eq!(parse(line), Some(expected));
        let loopback = "00000000000000000000000001000000:3A99";
        assert_eq!(endpoint(loopback), Some("[::1]:15001".parse().unwrap()));
        let mapped = "0000000000000000FFFF00000100007F:0050";
        assert_eq!(endpoint(mapped), Some("127.0.0.1:80".parse().unwrap()));
        assert_eq!(endpoint("0100:50"), None);
    }

    #[test]
    fn only_an_end_that_is_the_sidecars_captures() {
        const SIDECAR: u32 = 31_234;
        const AGENT: u32 = 1000;
        let entry = |local: &str, remote: &str, state, uid, held| Entry {
            local: local.parse().unwrap(),
            remote: remote.parse().unwrap(),
            state,
            uid,
            held,
        };
        let own = "10.0.0.2:40000";
        let end = |local: &str, uid, held| entry(local, own, 1, uid, held);
        let listener = |local: &str, uid| entry(local, "0.0.0.0:0", LISTEN, uid, true);
        let found =
            |before: Vec<Entry>, end: Entry| Before(before).end_among(&[end], own.parse().unwrap(), SIDECAR).is_some();
        let sidecar = || vec![listener("127.0.0.1:15001", SIDECAR), listener("[::1]:15053", SIDECAR)];
        assert!(found(sidecar(), end("127.0.0.1:15001", SIDECAR, true)));
        assert!(found(sidecar(), end("[::1]:15053", SIDECAR, true)));
        assert!(!found(sidecar(), end("127.0.0.2:15001", AGENT, true)), "another address of loopback");
        assert!(!found(sidecar(), end("127.0.0.2:15001", SIDECAR, true)), "another address of loopback");
        assert!(!found(sidecar(), end("127.0.0.1:15001", AGENT, true)), "another user");
        assert!(!found(sidecar(), end("127.0.0.1:15002", SIDECAR, true)), "another port");
        let other = entry("127.0.0.1:15001", "10.0.0.2:40001", 1, SIDECAR, true);
        assert!(!found(sidecar(), other), "another connection");

        // Not accepted yet, or closed by the sidecar already: the kernel names no owner.
        assert!(found(sidecar(), end("127.0.0.1:15001", 0, false)));
        assert!(!found(sidecar(), end("127.0.0.2:15001", 0, false)));
        assert!(!found(vec![listener("127.0.0.1:15001", AGENT)], end("127.0.0.1:15001", 0, false)));
        assert!(!found(Vec::new(), end("127.0.0.1:15001", 0, false)), "nobody listens");
        // Left by the agent from before the sidecar listened.
        let left = entry("127.0.0.1:15001", own, 6, 0, false);
        assert!(!found([sidecar(), vec![left]].concat(), left));
    }

    #[test]
    fn sockets_of_this_test_are_found() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(tcp_listens(port));
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(udp_listens(socket.local_addr().unwrap().port()));
        // Both ends are here, but not at a capture port.
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let own = nix::unistd::getuid().as_raw();
        assert_eq!(Before(Vec::new()).captured_end(stream.local_addr().unwrap(), own), None);
        let ends = tables(&["tcp"]).into_iter().filter(|entry| entry.remote == stream.local_addr().unwrap()).count();
        assert_eq!(ends, 1);
    }
}
