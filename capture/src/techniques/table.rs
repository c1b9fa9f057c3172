//! All techniques, with what each needs and how it is tried.

/// One way around a sidecar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Technique {
    /// `n` of `BYP-n`.
    pub number: u8,
    /// A few words.
    pub name: &'static str,
    /// What an attacker needs for it.
    pub needs: &'static str,
    /// How it is tried.
    pub how: &'static str,
    /// Who can try it.
    pub place: Place,
}

/// Who can try a technique.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Any process in the pod: the probe does.
    Inside,
    /// Any process in the pod, against a real sidecar.
    Sidecar,
    /// The suite: it needs what happens before the rules, or another process.
    Suite,
    /// Nobody who runs in the pod: the shape of pods is the API server's matter, and its tests' (guards).
    Admission,
    /// The sidecar's own tests: it needs a hostile tool or name server.
    Tools,
}

const fn technique(number: u8, name: &'static str, needs: &'static str, how: &'static str, place: Place) -> Technique {
    Technique { number, name, needs, how, place }
}

use Place::{Admission, Inside, Sidecar, Suite, Tools};

/// `BYP-1` to `BYP-36`.
pub const TABLE: &[Technique] = &[
    technique(1, "TCP over IPv4", "nothing", "connect to ports 80, 443, 4444 and a random one", Inside),
    technique(2, "TCP over IPv6", "an IPv6 route", "connect to ports 80, 443 and a random one", Inside),
    technique(3, "DNS over IPv4", "nothing", "query by UDP and TCP at port 53", Inside),
    technique(4, "QUIC", "nothing", "datagrams to UDP ports 443, 80 and a random one", Inside),
    technique(
        5,
        "UDP over IPv6",
        "an IPv6 route",
        "datagrams to port 443 and a random one, queries at port 53",
        Inside,
    ),
    technique(6, "ICMP ping socket", "net.ipv4.ping_group_range", "echo requests, both families", Inside),
    technique(7, "UDP-Lite", "a kernel with it", "a datagram of protocol 136, both families", Inside),
    technique(8, "SCTP and DCCP", "a kernel with them", "connect", Inside),
    technique(9, "TCP Fast Open", "nothing", "data in the SYN", Inside),
    technique(10, "raw IP", "CAP_NET_RAW", "ICMP, neighbour discovery, an IP header of one's own", Inside),
    technique(11, "packet socket", "CAP_NET_RAW", "a whole Ethernet frame on each interface", Inside),
    technique(12, "metadata address", "nothing", "connect to 169.254.169.254:80 and [fd00:ec2::254]:80", Inside),
    technique(13, "IPv4 in IPv6", "nothing", "TCP and UDP to ::ffff:a.b.c.d", Inside),
    technique(14, "multicast and broadcast", "nothing", "mDNS, LLMNR, broadcast", Inside),
    technique(15, "node", "nothing", "kubelet 10250 and a NodePort at the default gateway", Inside),
    technique(16, "API server", "nothing", "connect to its ClusterIP", Inside),
    technique(
        17,
        "other addresses of the cluster",
        "nothing",
        "connect and send to each address that is given",
        Inside,
    ),
    technique(18, "socket older than the rules", "to run before the rules", "send on connections opened before", Suite),
    technique(19, "socket marks and devices", "CAP_NET_RAW for marks", "SO_MARK, SO_BINDTODEVICE", Inside),
    technique(
        20,
        "user and network namespace",
        "user namespaces",
        "map to the sidecar's user, raw sockets, a new network",
        Inside,
    ),
    technique(21, "become the sidecar's user", "CAP_SETUID", "setuid, then send", Inside),
    technique(22, "become the sidecar's group", "CAP_SETGID", "setgid, then send", Inside),
    technique(
        23,
        "setuid program",
        "privilege escalation",
        "give a program to the sidecar's user, run it, send",
        Inside,
    ),
    technique(
        24,
        "container with the sidecar's user",
        "to shape the pod",
        "send as that user from another process",
        Suite,
    ),
    technique(25, "ephemeral container", "to add one", "the API server refuses it", Admission),
    technique(26, "host network, host processes", "to shape the pod", "the API server refuses it", Admission),
    technique(
        27,
        "another account, API server as relay",
        "another account's token",
        "nobody hands one out; RBAC",
        Admission,
    ),
    technique(28, "sidecar's admin port", "nothing", "every method that changes something, at likely paths", Inside),
    technique(29, "CONNECT", "nothing", "a tunnel to an address that no Agent names", Sidecar),
    technique(30, "SOCKS, absolute form, Host unlike target", "nothing", "each against the forward proxy", Sidecar),
    technique(31, "smuggled request", "nothing", "CL.TE and TE.CL with a second request", Sidecar),
    technique(32, "Upgrade", "nothing", "WebSocket and h2c", Sidecar),
    technique(33, "redirect, DNS rebinding", "a hostile tool", "the sidecar's tests have one", Tools),
    technique(34, "DNS tunnel", "nothing", "long labels through the sidecar's stub", Sidecar),
    technique(
        35,
        "stdio MCP server",
        "to ship one in the image",
        "no packet to stop: reported as ungoverned",
        Admission,
    ),
    technique(36, "shared memory of the pod", "a shared volume", "abstract sockets, the sidecar's volumes", Inside),
];
