//! Ways around the sidecar's judgement that go through the sidecar itself.

use std::net::SocketAddr;

use super::inside::{exchange, first_status};
use super::{Finding, Ground};

/// The sidecar's forward proxy and base URLs.
const PROXY: ([u8; 4], u16) = ([127, 0, 0, 1], 15080);

/// BYP-29: a tunnel to an address.
pub(super) fn connect(ground: &Ground) -> Finding {
    let to = SocketAddr::new(ground.v4.into(), 443);
    judged(format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n").as_bytes(), 1)
}

/// BYP-30: SOCKS 5 (RFC 1928) without a password.
pub(super) fn socks(ground: &Ground) -> Finding {
    let mut request = vec![5, 1, 0, 5, 1, 0, 1];
    request.extend(ground.v4.octets());
    request.extend(443_u16.to_be_bytes());
    match exchange(PROXY.into(), &request) {
        Err(error) => Finding::not_applicable(format!("nothing listens: {error}")),
        Ok(answer) if answer.starts_with(&[5, 0]) => Finding::out("SOCKS is spoken"),
        Ok(_) => Finding::blocked("SOCKS is not spoken"),
    }
}

/// BYP-30: an absolute target that no Agent names.
pub(super) fn absolute(ground: &Ground) -> Finding {
    let to = SocketAddr::new(ground.v4.into(), 80);
    judged(format!("GET http://{to}/ HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\r\n").as_bytes(), 1)
}

/// BYP-30: target and Host differ.
pub(super) fn host_unlike_target(ground: &Ground) -> Finding {
    let to = SocketAddr::new(ground.v4.into(), 80);
    judged(format!("GET http://{to}/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes(), 1)
}

/// BYP-31: two lengths (RFC 9112, section 6.1); the second request must never be answered.
pub(super) fn smuggled(ground: &Ground) -> Finding {
    let second = format!("GET http://{}/ HTTP/1.1\r\nHost: {}\r\n\r\n", ground.v4, ground.v4);
    let length = second.len() + 5;
    let request = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{second}"
    );
    judged(request.as_bytes(), 1)
}

/// BYP-31: the same the other way round, by a header that looks like another.
pub(super) fn smuggled_by_name(ground: &Ground) -> Finding {
    let second = format!("GET http://{}/ HTTP/1.1\r\nHost: {}\r\n\r\n", ground.v4, ground.v4);
    let request = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding : chunked\r\n\r\n{:x}\r\n{second}\r\n0\r\n\r\n",
        second.len()
    );
    judged(request.as_bytes(), 1)
}

/// BYP-32: a protocol that nobody parses.
pub(super) fn upgrade(protocol: &str) -> Finding {
    let request = format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: {protocol}\r\n\
         HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Version: 13\r\n\r\n"
    );
    judged(request.as_bytes(), 1)
}

/// Blocked: an answer of the class 4xx or 503, or none, and not more answers than `most`.
/// 502 and 504 say that somebody was dialled.
fn judged(request: &[u8], most: usize) -> Finding {
    let answer = match exchange(PROXY.into(), request) {
        Err(error) => return Finding::not_applicable(format!("nothing listens: {error}")),
        Ok(answer) => answer,
    };
    let heads = answer.windows(9).filter(|window| window.starts_with(b"HTTP/1.1 ")).count();
    match first_status(&answer) {
        _ if heads > most => Finding::out(format!("{heads} answers to one request")),
        Some(code @ (400..=499 | 501 | 503 | 505)) => Finding::blocked(format!("refused with {code}")),
        Some(code) => Finding::out(format!("answered with {code}")),
        None => Finding::blocked("closed without an answer"),
    }
}
