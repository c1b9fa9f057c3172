//! TCP: connect, then find out where the connection ended.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use nix::errno::Errno;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::peers::{Before, Entry};
use super::{Finding, PATIENCE, datagram, errno, name_of, payload, peers};

/// `MSG_FASTOPEN` of Linux: data goes with the SYN.
const FAST_OPEN: i32 = 0x2000_0000;
/// A sidecar that closes at once leaves no trace of its end; then it is tried again.
const TRIES: usize = 3;

/// How the connection is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    FastOpen(u8),
    /// An IPv6 socket, also for IPv4 addresses.
    Mapped,
    /// A socket bound to a device. A captured one never sees its answer, which comes in over loopback.
    Bound,
}

/// Connects a fresh socket. `sidecar` is the user at whose sockets a captured connection ends.
pub(super) fn connect(to: SocketAddr, kind: Kind, sidecar: Option<u32>) -> Finding {
    with(to, kind, sidecar, |_| Ok(()))
}

/// Connects a socket that `prepare` has changed; an error of `prepare` is the system refusing the technique.
pub(super) fn with(
    to: SocketAddr,
    kind: Kind,
    sidecar: Option<u32>,
    prepare: impl Fn(&Socket) -> io::Result<()>,
) -> Finding {
    let mut last = Finding::not_applicable("not tried");
    for _ in 0..TRIES {
        last = match once(to, kind, sidecar, &prepare) {
            Ok(finding) => finding,
            Err(error) if matches!(errno(&error), Errno::EPERM | Errno::EACCES) => {
                return Finding::blocked(format!("the kernel refuses the socket: {}", name_of(&error)));
            }
            Err(error) => return Finding::not_applicable(format!("no socket: {}", name_of(&error))),
        };
        if last.detail != UNSEEN {
            break;
        }
    }
    last
}

const UNSEEN: &str = "connected, and the other end is not in this pod";

fn once(
    to: SocketAddr,
    kind: Kind,
    sidecar: Option<u32>,
    prepare: &impl Fn(&Socket) -> io::Result<()>,
) -> io::Result<Finding> {
    let to = if kind == Kind::Mapped { mapped(to) } else { to };
    if let Some(no_route) = datagram::no_route(to) {
        return Ok(no_route);
    }
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    prepare(&socket)?;
    let target = SockAddr::from(to);
    let before = Before::now();
    let result = match kind {
        Kind::Plain | Kind::Mapped | Kind::Bound => socket.connect_timeout(&target, PATIENCE),
        Kind::FastOpen(number) => {
            socket.set_write_timeout(Some(PATIENCE))?;
            socket.send_to_with_flags(&payload(number), &target, FAST_OPEN).map(drop)
        }
    };
    let own = socket.local_addr().ok().and_then(|address| address.as_socket());
    let end = own.zip(sidecar).and_then(|(own, sidecar)| before.captured_end(own, sidecar));
    Ok(judge(&socket, to, kind, end, &result))
}

fn judge(socket: &Socket, to: SocketAddr, kind: Kind, end: Option<Entry>, result: &io::Result<()>) -> Finding {
    if let Some(end) = end {
        return Finding::blocked(format!("captured: ends at {} of user {}", end.local, end.uid));
    }
    let error = match result {
        Ok(()) => return Finding::out(UNSEEN),
        Err(error) => error,
    };
    match errno(error) {
        Errno::EPERM | Errno::EACCES => Finding::blocked(format!("refused by the kernel: {}", name_of(error))),
        Errno::ECONNREFUSED | Errno::ECONNRESET => refused(to, error),
        Errno::EHOSTUNREACH => Finding::out("let through, and nobody answered for the address: EHOSTUNREACH"),
        // There is a route, or nothing would have been dialled: somebody in this pod has taken all ports.
        Errno::EADDRNOTAVAIL => Finding::out("cannot be told: no port is free, EADDRNOTAVAIL"),
        // No answer in time: connect_timeout, which has no number, or that of a send.
        Errno::UnknownErrno | Errno::ETIMEDOUT | Errno::EINPROGRESS | Errno::EAGAIN => {
            match (connection_known(socket, to), connections_are_tracked()) {
                (false, true) => {
                    Finding::blocked("dropped before it left: no answer, and the kernel knows no connection")
                }
                (true, _) if kind == Kind::Bound => {
                    Finding::not_applicable("no answer: captured or lost outside, which only a sink can tell")
                }
                (true, _) => Finding::out("left unanswered: neither captured nor dropped"),
                (false, false) => Finding::out("left unanswered: nothing in this pod looks at connections"),
            }
        }
        _ => Finding::not_applicable(name_of(error)),
    }
}

/// A refusal comes from the target, or from our own capture port when the sidecar is not there.
fn refused(to: SocketAddr, error: &io::Error) -> Finding {
    let port = if to.port() == 53 { 15053 } else { 15001 };
    if peers::tcp_listens(port) || !connections_are_tracked() {
        Finding::out(format!("answered from outside: {}", name_of(error)))
    } else {
        Finding::not_applicable(format!("{}, and no sidecar listens at {port}: cannot be told apart", name_of(error)))
    }
}

/// Connection tracking confirmed it, that is, its first packet passed the output hook.
fn connection_known(socket: &Socket, to: SocketAddr) -> bool {
    if to.ip().to_canonical().is_ipv4() { socket.original_dst_v4().is_ok() } else { socket.original_dst_v6().is_ok() }
}

/// Something in this namespace makes the kernel track connections, as every redirect does: one over loopback shows it.
pub(super) fn connections_are_tracked() -> bool {
    let tried = || -> io::Result<bool> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let stream = TcpStream::connect_timeout(&listener.local_addr()?, Duration::from_millis(200))?;
        Ok(Socket::from(stream).original_dst_v4().is_ok())
    };
    tried().unwrap_or(false)
}

pub(super) fn mapped(to: SocketAddr) -> SocketAddr {
    match to {
        SocketAddr::V4(v4) => SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port()),
        SocketAddr::V6(_) => to,
    }
}

/// A connection of another stream protocol, such as SCTP.
pub(super) fn other_protocol(to: SocketAddr, kind: Type, protocol: i32) -> Finding {
    let socket = match Socket::new(Domain::for_address(to), kind, Some(Protocol::from(protocol))) {
        Ok(socket) => socket,
        Err(error) if matches!(errno(&error), Errno::EPERM | Errno::EACCES) => {
            return Finding::blocked(format!("the kernel refuses the socket: {}", name_of(&error)));
        }
        Err(error) => return Finding::not_applicable(format!("not in this kernel: {}", name_of(&error))),
    };
    match socket.connect_timeout(&to.into(), PATIENCE) {
        Ok(()) => Finding::out("connected"),
        Err(error) if errno(&error) == Errno::ECONNREFUSED => Finding::out("answered from outside: ECONNREFUSED"),
        Err(error) => Finding::blocked(format!("no connection: {}", name_of(&error))),
    }
}
