//! Raw IP and packet sockets. Whoever has `CAP_NET_RAW` can open them; the rules must hold even then.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrLike as _, sendto, socket,
};
use socket2::{Protocol, Type};

use super::datagram::{echo, opened, sent};
use super::{Finding, payload};

/// `IPPROTO_RAW`: the sender writes the IP header (raw(7)).
const HEADER_INCLUDED: i32 = 255;
/// Assigned to experiments (RFC 3692).
const EXPERIMENT: u8 = 253;
const UDP: u8 = 17;

/// An ICMP echo request with a checksum of one's own.
pub(super) fn icmp(number: u8, to: SocketAddr) -> Finding {
    let protocol = if to.is_ipv4() { Protocol::ICMPV4 } else { Protocol::ICMPV6 };
    let socket = match opened(to, Type::RAW, protocol) {
        Ok(socket) => socket,
        Err(finding) => return finding,
    };
    let mut packet = echo(number, to);
    let sum = checksum(&packet).to_be_bytes();
    for (byte, value) in packet.iter_mut().skip(2).zip(sum) {
        *byte = value;
    }
    sent(&socket, portless(to), &packet)
}

/// Data dressed as a neighbour solicitation, which the kernel itself must be able to send.
pub(super) fn neighbour_discovery(number: u8, to: SocketAddr) -> Finding {
    let socket = match opened(to, Type::RAW, Protocol::ICMPV6) {
        Ok(socket) => socket,
        Err(finding) => return finding,
    };
    if let Err(error) = socket.set_unicast_hops_v6(255) {
        return Finding::not_applicable(error.to_string());
    }
    let mut packet = vec![135, 0, 0, 0, 0, 0, 0, 0];
    packet.extend([0; 16]);
    packet.extend(payload(number));
    sent(&socket, portless(to), &packet)
}

/// A whole IPv4 packet of an experimental protocol.
pub(super) fn own_header(number: u8, to: SocketAddr) -> Finding {
    let SocketAddr::V4(v4) = to else { return Finding::not_applicable("IPv4 only") };
    let socket = match opened(to, Type::RAW, Protocol::from(HEADER_INCLUDED)) {
        Ok(socket) => socket,
        Err(finding) => return finding,
    };
    sent(&socket, portless(to), &ipv4(EXPERIMENT, *v4.ip(), &payload(number)))
}

/// A UDP datagram in a frame of one's own, from `source_port`, on every interface that is up.
pub(super) fn frames(number: u8, to: Ipv4Addr, source_port: u16) -> Finding {
    // Protocol 0: this socket sends only.
    let packets = match socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None::<SockProtocol>) {
        Ok(packets) => packets,
        Err(error @ (Errno::EPERM | Errno::EACCES)) => {
            return Finding::blocked(format!("the kernel refuses the socket: {error:?}"));
        }
        Err(error) => return Finding::not_applicable(format!("not in this kernel: {error:?}")),
    };
    let links: Vec<(String, LinkAddr)> = match getifaddrs() {
        Ok(interfaces) => interfaces
            .filter(|interface| interface.flags.contains(InterfaceFlags::IFF_UP))
            .filter(|interface| !interface.flags.contains(InterfaceFlags::IFF_LOOPBACK))
            .filter_map(|interface| Some((interface.interface_name, *interface.address?.as_link_addr()?)))
            .collect(),
        Err(error) => return Finding::not_applicable(format!("interfaces: {error:?}")),
    };
    let mut stopped = Finding::not_applicable("no interface beside loopback");
    for (name, link) in links {
        let mut frame = vec![0xff; 6];
        frame.extend(link.addr().unwrap_or([2, 0, 0, 0, 0, 1]));
        frame.extend([8, 0]);
        frame.extend(ipv4(UDP, to, &udp(source_port, &payload(number))));
        match sendto(packets.as_raw_fd(), &frame, &link, MsgFlags::empty()) {
            Ok(_) => return Finding::out(format!("a frame left by {name}")),
            Err(Errno::ENOBUFS) => stopped = Finding::blocked(format!("dropped at the wire of {name}: ENOBUFS")),
            Err(error) => stopped = Finding::not_applicable(format!("{name} ({} bytes): {error:?}", link.len())),
        }
    }
    stopped
}

/// Raw sockets take no port.
fn portless(to: SocketAddr) -> SocketAddr {
    SocketAddr::new(to.ip(), 0)
}

fn udp(source_port: u16, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + data.len()).unwrap_or(u16::MAX).to_be_bytes();
    let mut packet = [source_port.to_be_bytes(), 443_u16.to_be_bytes(), length, [0, 0]].concat();
    packet.extend(data);
    packet
}

/// An IPv4 packet (RFC 791) from no address: the kernel of a raw socket fills it in.
fn ipv4(protocol: u8, to: Ipv4Addr, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(20 + data.len()).unwrap_or(u16::MAX).to_be_bytes();
    let mut packet = vec![0x45, 0, length[0], length[1], 0, 0, 0, 0, 64, protocol, 0, 0, 0, 0, 0, 0];
    packet.extend(to.octets());
    let sum = checksum(&packet).to_be_bytes();
    for (byte, value) in packet.iter_mut().skip(10).zip(sum) {
        *byte = value;
    }
    packet.extend(data);
    packet
}

/// RFC 1071.
fn checksum(packet: &[u8]) -> u16 {
    let word = |pair: &[u8]| u32::from(*pair.first().unwrap_or(&0)) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    let mut sum: u32 = packet.chunks(2).map(word).sum();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_with_its_checksum_sums_to_zero() {
        let packet = ipv4(UDP, Ipv4Addr::new(203, 0, 113, 10), b"");
        assert_eq!(packet.len(), 20);
        assert_eq!(checksum(&packet), 0);
    }
}
