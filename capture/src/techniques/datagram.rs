//! Datagrams: the kernel's answer to the send says whether the packet passed the output hook.

use std::fs;
use std::io;
use std::net::SocketAddr;

use aegis_decision::probe::Outcome;
use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

use super::{Finding, errno, name_of, payload};

/// `IPPROTO_UDPLITE` (RFC 3828).
const UDP_LITE: i32 = 136;

/// A UDP datagram.
pub(super) fn udp(number: u8, to: SocketAddr) -> Finding {
    send(number, to, Type::DGRAM, Protocol::UDP, |_| Ok(()))
}

/// A UDP datagram of a socket that `prepare` has changed.
pub(super) fn udp_with(number: u8, to: SocketAddr, prepare: impl FnOnce(&Socket) -> io::Result<()>) -> Finding {
    send(number, to, Type::DGRAM, Protocol::UDP, prepare)
}

/// A UDP-Lite datagram.
pub(super) fn udp_lite(number: u8, to: SocketAddr) -> Finding {
    send(number, to, Type::DGRAM, Protocol::from(UDP_LITE), |_| Ok(()))
}

/// An echo request of a ping socket (icmp(7)).
pub(super) fn ping(number: u8, to: SocketAddr) -> Finding {
    let protocol = if to.is_ipv4() { Protocol::ICMPV4 } else { Protocol::ICMPV6 };
    let socket = match opened(to, Type::DGRAM, protocol) {
        Ok(socket) => socket,
        Err(finding) => return finding,
    };
    if to.is_ipv4() { sent(&socket, to, &echo(number, to)) } else { discarded(&socket, to, &echo(number, to)) }
}

/// Ping sockets of IPv6 swallow every error of a send, so the counter of discarded packets must tell (RFC 4293,
/// ipSystemStatsOutDiscards). It is the whole pod's: enough packets are sent to stand out from what others lose.
fn discarded(socket: &Socket, to: SocketAddr, packet: &[u8]) -> Finding {
    const PACKETS: u64 = 64;
    let count = || -> Option<u64> {
        let table = fs::read_to_string("/proc/self/net/snmp6").ok()?;
        table.lines().find_map(|line| line.strip_prefix("Ip6OutDiscards"))?.trim().parse().ok()
    };
    let Some(before) = count() else { return sent(socket, to, packet) };
    for _ in 0..PACKETS {
        let finding = sent(socket, to, packet);
        if finding.outcome != Outcome::GotOut {
            return finding;
        }
    }
    match count() {
        Some(after) if after - before >= PACKETS => {
            Finding::blocked(format!("dropped on output: {PACKETS} of {PACKETS} discarded"))
        }
        _ => Finding::out("the kernel took it"),
    }
}

/// ICMP echo request (RFC 792; RFC 4443). The kernel completes identifier and checksum of ping sockets.
pub(super) fn echo(number: u8, to: SocketAddr) -> Vec<u8> {
    let mut packet = vec![if to.is_ipv4() { 8 } else { 128 }, 0, 0, 0, 0, 1, 0, 1];
    packet.extend(payload(number));
    packet
}

fn send(
    number: u8,
    to: SocketAddr,
    kind: Type,
    protocol: Protocol,
    prepare: impl FnOnce(&Socket) -> io::Result<()>,
) -> Finding {
    let socket = match opened(to, kind, protocol) {
        Ok(socket) => socket,
        Err(finding) => return finding,
    };
    if let Err(error) = prepare(&socket) {
        return Finding::blocked(format!("the kernel refuses the option: {}", name_of(&error)));
    }
    sent(&socket, to, &payload(number))
}

/// A socket, or why there is none.
pub(super) fn opened(to: SocketAddr, kind: Type, protocol: Protocol) -> Result<Socket, Finding> {
    Socket::new(Domain::for_address(to), kind, Some(protocol)).map_err(|error| match errno(&error) {
        Errno::EPERM | Errno::EACCES => Finding::blocked(format!("the kernel refuses the socket: {}", name_of(&error))),
        _ => Finding::not_applicable(format!("not in this kernel: {}", name_of(&error))),
    })
}

/// Sends, with errors of the egress hook reported (`ENOBUFS` is swallowed without this option: ip(7)).
pub(super) fn sent(socket: &Socket, to: SocketAddr, packet: &[u8]) -> Finding {
    let reported = if to.is_ipv4() {
        setsockopt(socket, sockopt::Ipv4RecvErr, &true)
    } else {
        setsockopt(socket, sockopt::Ipv6RecvErr, &true)
    };
    // Without it only a drop at the wire goes unnoticed, and is then called out: the safe direction.
    let _: Result<(), Errno> = reported;
    match socket.send_to(packet, &to.into()) {
        Ok(_) => Finding::out("the kernel took it"),
        Err(error) => not_sent(&error),
    }
}

/// What an error of a send means.
pub(super) fn not_sent(error: &io::Error) -> Finding {
    match errno(error) {
        Errno::EPERM | Errno::EACCES => Finding::blocked(format!("dropped on output: {}", name_of(error))),
        Errno::ENOBUFS => Finding::blocked("dropped at the wire: ENOBUFS"),
        Errno::ENETUNREACH | Errno::EHOSTUNREACH | Errno::EADDRNOTAVAIL => {
            Finding::not_applicable(format!("no route: {}", name_of(error)))
        }
        // The socket would get a port now (ip(7)): somebody in this pod has taken all.
        Errno::EAGAIN => Finding::out("cannot be told: no port is free, EAGAIN"),
        _ => Finding::not_applicable(name_of(error)),
    }
}

/// Says so if there is no route to the address. Sends nothing.
pub(super) fn no_route(to: SocketAddr) -> Option<Finding> {
    let socket = Socket::new(Domain::for_address(to), Type::DGRAM, Some(Protocol::UDP)).ok()?;
    let error = socket.connect(&to.into()).err()?;
    matches!(errno(&error), Errno::ENETUNREACH | Errno::EHOSTUNREACH | Errno::EADDRNOTAVAIL)
        .then(|| Finding::not_applicable(format!("no route: {}", name_of(&error))))
}
