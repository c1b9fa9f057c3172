//! DNS by UDP. Captured queries are answered by the sidecar's stub, whoever they are for, so an answer alone says nothing.
//!
//! Queries go to an address that is more than a hop away, with a hop limit of 1: the stub is no hop away and answers,
//! anybody else cannot. The interface of the answer does not tell: the kernel names the one that owns the address.

use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};
use socket2::{Protocol, Socket, Type};

use super::datagram::{no_route, not_sent, opened};
use super::{Finding, MARKER, PATIENCE, errno, name_of, peers, tcp};

/// Queries of one attempt: a stub under load may drop one.
const TRIES: usize = 3;
/// Longest answer that is looked at.
const MAX_ANSWER: usize = 1232;

/// An answer's return code (RFC 1035, section 4.1.1) and its number of answers.
struct Answer {
    code: u8,
    answers: u16,
}

/// Asks the server at `to`, which must be more than a hop away.
pub(super) fn query(number: u8, to: SocketAddr) -> Finding {
    if let Some(finding) = no_route(to) {
        return finding;
    }
    match ask(number, to, &[&format!("{}{number:02}", MARKER.to_lowercase()), "invalid"]) {
        Ok(Some(answer)) => Finding::blocked(format!("captured: answered no hop away, with code {}", answer.code)),
        Ok(None) => Finding::out("sent, and nobody in this pod answered"),
        Err(finding) => finding,
    }
}

/// Asks the sidecar's stub at `to` for a name whose labels carry data. `REFUSED` and the like are the stub's own.
pub(super) fn tunnel(number: u8, to: SocketAddr) -> Finding {
    if !peers::udp_listens(to.port()) {
        return Finding::not_applicable(format!("no stub listens at {}", to.port()));
    }
    let data = format!("{}{number:02}-", MARKER.to_lowercase());
    let label = format!("{data}{}", "a".repeat(60 - data.len()));
    match ask(number, to, &[&label, &label, &label, "tunnel", "example"]) {
        Ok(Some(answer)) if answer.code == 0 && answer.answers > 0 => {
            Finding::out(format!("the stub resolved it: {} answers", answer.answers))
        }
        Ok(Some(answer)) => Finding::blocked(format!("not resolved: code {}", answer.code)),
        Ok(None) => Finding::blocked("the stub is silent"),
        Err(finding) => finding,
    }
}

fn ask(number: u8, to: SocketAddr, labels: &[&str]) -> Result<Option<Answer>, Finding> {
    let socket = opened(to, Type::DGRAM, Protocol::UDP)?;
    let near = if to.is_ipv4() { socket.set_ttl_v4(1) } else { socket.set_unicast_hops_v6(1) };
    let ready = near.and_then(|()| socket.set_read_timeout(Some(PATIENCE))).and_then(|()| socket.connect(&to.into()));
    ready.map_err(|error| not_sent(&error))?;
    let message = message(number, labels);
    for _ in 0..TRIES {
        match socket.send(&message) {
            Ok(_) => {}
            Err(error) if errno(&error) == Errno::ECONNREFUSED => return Err(refused(to)),
            Err(error) => return Err(not_sent(&error)),
        }
        match receive(&socket) {
            Ok(answer) => return Ok(Some(answer)),
            Err(Errno::ECONNREFUSED) => return Err(refused(to)),
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(error) => return Err(Finding::not_applicable(format!("{error:?}"))),
        }
    }
    Ok(None)
}

/// Refused by the target, or by our own machine because no stub is there.
fn refused(to: SocketAddr) -> Finding {
    if peers::udp_listens(15053) || !tcp::connections_are_tracked() {
        Finding::out(format!("{to} answered from outside: {}", name_of(&Errno::ECONNREFUSED.into())))
    } else {
        Finding::not_applicable("ECONNREFUSED, and no stub listens at 15053: cannot be told apart")
    }
}

fn receive(socket: &Socket) -> Result<Answer, Errno> {
    let mut bytes = [0; MAX_ANSWER];
    recv(socket.as_raw_fd(), &mut bytes, MsgFlags::empty())?;
    let [_, _, _, flags, _, _, high, low, ..] = bytes;
    Ok(Answer { code: flags & 0x0f, answers: u16::from_be_bytes([high, low]) })
}

/// A query for an address record, recursion desired.
pub(super) fn message(number: u8, labels: &[&str]) -> Vec<u8> {
    let mut message = vec![0x5a, number, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in labels {
        // Labels are at most 63 bytes (RFC 1035, section 2.3.4).
        let label = label.as_bytes().get(..63).unwrap_or(label.as_bytes());
        message.push(u8::try_from(label.len()).unwrap_or(63));
        message.extend(label);
    }
    message.extend([0, 0, 1, 0, 1]);
    message
}
