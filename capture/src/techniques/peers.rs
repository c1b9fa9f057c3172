//! Who is at the other end of a TCP connection, read from the socket tables of this network namespace.
//!
//! A captured connection ends at a socket of the sidecar in the same namespace: `/proc/net/tcp` lists that socket with
//! our address and port as its remote end (proc(5)). A connection that left the pod has no such line. Every user may
//! read the tables.

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
    /// Owner.
    pub uid: u32,
}

/// The end, in this namespace and on loopback at a capture port, of the connection whose other end is `own`.
pub fn captured_end(own: SocketAddr) -> Option<Entry> {
    let own = canonical(own);
    let captured = |entry: &Entry| {
        entry.remote == own && entry.local.ip().is_loopback() && CAPTURE_PORTS.contains(&entry.local.port())
    };
    tables(&["tcp", "tcp6"]).into_iter().find(captured)
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
    let listens = |entry: &Entry| entry.state == LISTEN && at(entry, 15001);
    tables(&["tcp", "tcp6"]).into_iter().find(listens).map(|entry| entry.uid)
}

fn at(entry: &Entry, port: u16) -> bool {
    entry.local.port() == port && (entry.local.ip().is_loopback() || entry.local.ip().is_unspecified())
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
    Some(Entry { local, remote, state, uid })
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
        };
        assert_eq!(parse(line), Some(expected));
        let loopback = "00000000000000000000000001000000:3A99";
        assert_eq!(endpoint(loopback), Some("[::1]:15001".parse().unwrap()));
        let mapped = "0000000000000000FFFF00000100007F:0050";
        assert_eq!(endpoint(mapped), Some("127.0.0.1:80".parse().unwrap()));
        assert_eq!(endpoint("0100:50"), None);
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
        assert_eq!(captured_end(stream.local_addr().unwrap()), None);
        let ends = tables(&["tcp"]).into_iter().filter(|entry| entry.remote == stream.local_addr().unwrap()).count();
        assert_eq!(ends, 1);
    }
}
