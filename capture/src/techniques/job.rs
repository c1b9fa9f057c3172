//! Which attempts are made where.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Mutex;
use std::{env, fs, thread};

use aegis_decision::probe::Attempt;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::{InterfaceFlags, if_nametoindex};
use socket2::{Socket, Type};

use super::tcp::Kind;
use super::{Finding, Ground, attempt, datagram, dns, identity, inside, proxy, raw, tcp};

/// Attempts that are under way at the same time.
const WORKERS: usize = 8;
const SCTP: i32 = 132;
const DCCP: i32 = 33;
/// Linux: `SOCK_DCCP`.
const SOCK_DCCP: i32 = 6;
/// First port of the range that Services get by default.
const NODE_PORT: u16 = 30000;

type Try<'a> = Box<dyn FnOnce() -> Finding + Send + 'a>;

struct Job<'a> {
    number: u8,
    target: String,
    attempt: Try<'a>,
}

/// Makes all attempts that the ground asks for. The result is in the order of the jobs.
pub(super) fn all(ground: &Ground) -> Vec<Attempt> {
    let mut jobs = Vec::new();
    transport(ground, &mut jobs);
    places(ground, &mut jobs);
    people(ground, &mut jobs);
    through_the_sidecar(ground, &mut jobs);
    jobs.retain(|job| ground.only.is_empty() || ground.only.contains(&job.number));
    jobs.sort_by_key(|job| job.number);
    let count = jobs.len();
    let queue = Mutex::new(jobs.into_iter().enumerate());
    let done = Mutex::new(Vec::with_capacity(count));
    thread::scope(|scope| {
        for _ in 0..WORKERS.min(count) {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().ok().and_then(|mut queue| queue.next());
                    let Some((place, job)) = next else { break };
                    let finding = (job.attempt)();
                    if let Ok(mut done) = done.lock() {
                        done.push((place, attempt(job.number, job.target, finding)));
                    }
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_default();
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, attempt)| attempt).collect()
}

fn add<'a>(jobs: &mut Vec<Job<'a>>, number: u8, target: String, attempt: impl FnOnce() -> Finding + Send + 'a) {
    jobs.push(Job { number, target, attempt: Box::new(attempt) });
}

fn add_tcp(jobs: &mut Vec<Job<'_>>, number: u8, to: SocketAddr, kind: Kind, sidecar: Option<u32>) {
    add(jobs, number, format!("tcp {to}"), move || tcp::connect(to, kind, sidecar));
}

fn add_udp(jobs: &mut Vec<Job<'_>>, number: u8, to: SocketAddr) {
    add(jobs, number, format!("udp {to}"), move || datagram::udp(number, to));
}

/// BYP-1 to 11, 13, 14, 19: by protocol.
fn transport<'a>(ground: &'a Ground, jobs: &mut Vec<Job<'a>>) {
    let sidecar = ground.sidecar();
    let v4 = move |port| SocketAddr::new(ground.v4.into(), port);
    let v6 = move |port| SocketAddr::new(ground.v6.into(), port);
    // A hole for one port only is found sooner or later.
    let chance = rand::random_range(1024..15000);
    for port in [80, 443, 4444, chance] {
        add_tcp(jobs, 1, v4(port), Kind::Plain, sidecar);
    }
    for port in [80, 443, chance] {
        add_tcp(jobs, 2, v6(port), Kind::Plain, sidecar);
        add_udp(jobs, 4, v4(port));
    }
    for port in [443, chance] {
        add_udp(jobs, 5, v6(port));
    }
    add(jobs, 3, format!("dns {}", v4(53)), move || dns::query(3, v4(53)));
    add_tcp(jobs, 3, v4(53), Kind::Plain, sidecar);
    add(jobs, 5, format!("dns {}", v6(53)), move || dns::query(5, v6(53)));
    add_tcp(jobs, 5, v6(53), Kind::Plain, sidecar);
    for to in [v4(0), v6(0)] {
        add(jobs, 6, format!("icmp {}", to.ip()), move || datagram::ping(6, to));
        add(jobs, 10, format!("raw icmp {}", to.ip()), move || raw::icmp(10, to));
    }
    for to in [v4(443), v6(443)] {
        add(jobs, 7, format!("udplite {to}"), move || datagram::udp_lite(7, to));
        add_tcp(jobs, 9, to, Kind::FastOpen(9), sidecar);
    }
    let to = v4(443);
    add(jobs, 8, format!("sctp {to}"), move || tcp::other_protocol(to, Type::STREAM, SCTP));
    add(jobs, 8, format!("dccp {to}"), move || tcp::other_protocol(to, Type::from(SOCK_DCCP), DCCP));
    add(jobs, 10, format!("raw ip {}", to.ip()), move || raw::own_header(10, to));
    add(jobs, 10, format!("raw nd {}", ground.v6), move || raw::neighbour_discovery(10, v6(0)));
    for port in [chance, 8080, 53] {
        add(jobs, 11, format!("frame to {} from port {port}", ground.v4), move || raw::frames(11, ground.v4, port));
    }
    add_tcp(jobs, 13, v4(443), Kind::Mapped, sidecar);
    let mapped = tcp::mapped(v4(443));
    add(jobs, 13, format!("udp {mapped}"), move || datagram::udp(13, mapped));
    for to in [([224, 0, 0, 251], 5353).into(), ([224, 0, 0, 252], 5355).into()] {
        add_udp(jobs, 14, to);
    }
    let broadcast = SocketAddr::from(([255, 255, 255, 255], 9));
    add(jobs, 14, format!("udp {broadcast}"), move || {
        datagram::udp_with(14, broadcast, |socket| socket.set_broadcast(true))
    });
    let device = first_device();
    if let Some(index) = device.as_deref().and_then(|name| if_nametoindex(name).ok()) {
        let to = SocketAddr::from((Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb), 5353));
        add(jobs, 14, format!("udp {to}"), move || {
            datagram::udp_with(14, to, |socket| socket.set_multicast_if_v6(index))
        });
    }
    for mark in [1_u32, 1337, 15001, 0x4000, u32::MAX] {
        let marked = move |socket: &Socket| socket.set_mark(mark);
        add(jobs, 19, format!("udp {to} with mark {mark:#x}"), move || datagram::udp_with(19, to, marked));
        add(jobs, 19, format!("tcp {to} with mark {mark:#x}"), move || tcp::with(to, Kind::Plain, sidecar, marked));
    }
    if let Some(device) = device {
        let other = device.clone();
        let text = format!("{to} bound to {device}");
        add(jobs, 19, format!("udp {text}"), move || {
            datagram::udp_with(19, to, |socket| socket.bind_device(Some(device.as_bytes())))
        });
        add(jobs, 19, format!("tcp {text}"), move || {
            tcp::with(to, Kind::Bound, sidecar, |socket| socket.bind_device(Some(other.as_bytes())))
        });
    }
}

/// BYP-12, 15 to 17: by place.
fn places(ground: &Ground, jobs: &mut Vec<Job<'_>>) {
    let sidecar = ground.sidecar();
    let metadata_v4 = SocketAddr::from(([169, 254, 169, 254], 80));
    let metadata_v6 = SocketAddr::from((Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), 80));
    for to in [metadata_v4, metadata_v6] {
        add_tcp(jobs, 12, to, Kind::Plain, sidecar);
        add_udp(jobs, 12, to);
    }
    match gateway() {
        Some(node) => {
            for port in [10250, NODE_PORT] {
                add_tcp(jobs, 15, SocketAddr::new(node.into(), port), Kind::Plain, sidecar);
            }
        }
        None => add(jobs, 15, "default gateway".to_owned(), || Finding::not_applicable("there is none")),
    }
    match api_server() {
        Some(to) => add_tcp(jobs, 16, to, Kind::Plain, sidecar),
        None => {
            add(jobs, 16, "API server".to_owned(), || Finding::not_applicable("KUBERNETES_SERVICE_HOST is not set"));
        }
    }
    for &to in &ground.others {
        add_tcp(jobs, 17, to, Kind::Plain, sidecar);
        add_udp(jobs, 17, to);
    }
}

/// BYP-20 to 23: by identity.
fn people<'a>(ground: &'a Ground, jobs: &mut Vec<Job<'a>>) {
    for (number, target) in [(20, "user and network namespace"), (21, "setuid"), (22, "setgid")] {
        add(jobs, number, target.to_owned(), move || identity::in_child(number, ground));
    }
    add(jobs, 23, "setuid program".to_owned(), move || identity::setuid_program(ground));
}

/// BYP-28 to 32, 34, 36: the sidecar itself, and what the pod shares.
fn through_the_sidecar<'a>(ground: &'a Ground, jobs: &mut Vec<Job<'a>>) {
    add(jobs, 28, "admin port".to_owned(), inside::admin);
    add(jobs, 29, format!("CONNECT {}:443", ground.v4), move || proxy::connect(ground));
    add(jobs, 30, "SOCKS 5".to_owned(), move || proxy::socks(ground));
    add(jobs, 30, format!("GET http://{}/", ground.v4), move || proxy::absolute(ground));
    add(jobs, 30, "Host unlike target".to_owned(), move || proxy::host_unlike_target(ground));
    add(jobs, 31, "CL.TE".to_owned(), move || proxy::smuggled(ground));
    add(jobs, 31, "TE with a space".to_owned(), move || proxy::smuggled_by_name(ground));
    for protocol in ["websocket", "h2c"] {
        add(jobs, 32, protocol.to_owned(), move || proxy::upgrade(protocol));
    }
    for stub in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
        let to = SocketAddr::new(stub, 15053);
        add(jobs, 34, format!("dns {to}"), move || dns::tunnel(34, to));
    }
    add(jobs, 36, "abstract sockets".to_owned(), move || inside::abstract_sockets(ground));
    add(jobs, 36, "the sidecar's volumes".to_owned(), inside::volumes);
}

/// The API server's cluster address, as every container of a pod is told.
fn api_server() -> Option<SocketAddr> {
    let host: IpAddr = env::var("KUBERNETES_SERVICE_HOST").ok()?.parse().ok()?;
    let port = env::var("KUBERNETES_SERVICE_PORT").ok()?.parse().ok()?;
    Some(SocketAddr::new(host, port))
}

/// Next hop of the IPv4 default route: the node, with most networks. Its bytes stand in the machine's order.
fn gateway() -> Option<Ipv4Addr> {
    let table = fs::read_to_string("/proc/self/net/route").ok()?;
    table.lines().skip(1).find_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (to, via) = (words.next()?, words.next()?);
        let via = u32::from_str_radix(via, 16).ok().filter(|_| to == "00000000")?;
        Some(Ipv4Addr::from(via.to_ne_bytes()))
    })
}

/// An interface beside loopback that is up.
fn first_device() -> Option<String> {
    let mut interfaces = getifaddrs().ok()?;
    let found = interfaces.find(|interface| {
        interface.flags.contains(InterfaceFlags::IFF_UP) && !interface.flags.contains(InterfaceFlags::IFF_LOOPBACK)
    });
    found.map(|interface| interface.interface_name)
}
