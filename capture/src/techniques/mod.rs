//! The 36 ways around a sidecar (`BYP-1` to `BYP-36` in docs/enforcement.md) and how each is tried.
//!
//! [`TABLE`] lists all of them. [`run`] tries those that a process can try from inside a pod; each is bounded by
//! [`LIMIT`]. The other ones need a second container, an API server or a hostile tool, and say so.
//!
//! What "got out" means from inside:
//! - a datagram or frame that the kernel took without an error: a packet that the ruleset drops is answered with `EPERM`
//!   (output hook) or `ENOBUFS` (egress hook, `udp(7)` and `packet(7)`);
//! - a TCP connection whose other end is not in this network namespace at the sidecar's capture port. Captured
//!   connections always succeed, whatever their target, so success alone says nothing: [`peers`] looks for the other end;
//! - a DNS query that nobody in the pod answers ([`dns`]).
//!
//! What cannot be told is not called stopped.

mod datagram;
mod dns;
mod identity;
mod inside;
mod job;
pub mod peers;
mod proxy;
mod raw;
mod table;
mod tcp;

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use aegis_decision::probe::{Attempt, MAX_ATTEMPTS, MAX_TEXT_BYTES, Outcome};
use nix::errno::Errno;
use serde::{Deserialize, Serialize};

pub use table::{Place, TABLE, Technique};

/// Longest time of one attempt, with all its tries.
pub const LIMIT: Duration = Duration::from_secs(2);
/// Longest wait for one answer.
pub(crate) const PATIENCE: Duration = Duration::from_millis(600);
/// Begins the payload of everything that is sent, followed by the technique's number in two digits.
pub const MARKER: &str = "AEGIS-BYP-";
/// RFC 5737: documentation only, routed nowhere.
pub const NOWHERE_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// RFC 3849: documentation only, routed nowhere.
pub const NOWHERE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

/// Where the attempts go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ground {
    /// An IPv4 address outside the pod. A sink that counts frames, or [`NOWHERE_V4`].
    pub v4: Ipv4Addr,
    /// An IPv6 address outside the pod. A sink that counts frames, or [`NOWHERE_V6`].
    pub v6: Ipv6Addr,
    /// The sidecar's user, if known; else it is read from its sockets.
    pub sidecar_uid: Option<u32>,
    /// Further addresses that must not be reached.
    pub others: Vec<SocketAddr>,
    /// Further targets that are no addresses. They are reported, not tried: the agent has no resolver of its own.
    pub names: Vec<String>,
    /// Only these techniques; empty: all.
    pub only: Vec<u8>,
    /// The program that carries out attempts which change the process ([`child`]).
    pub executor: PathBuf,
}

impl Default for Ground {
    fn default() -> Self {
        Self {
            v4: NOWHERE_V4,
            v6: NOWHERE_V6,
            sidecar_uid: None,
            others: Vec::new(),
            names: Vec::new(),
            only: Vec::new(),
            executor: PathBuf::from("/proc/self/exe"),
        }
    }
}

impl Ground {
    /// Adds targets as `host:port`.
    #[must_use]
    pub fn with_targets<'a>(mut self, targets: impl IntoIterator<Item = &'a String>) -> Self {
        for target in targets {
            match target.parse() {
                Ok(address) => self.others.push(address),
                Err(_) => self.names.push(target.clone()),
            }
        }
        self
    }

    fn sidecar(&self) -> Option<u32> {
        self.sidecar_uid.or_else(peers::sidecar_uid)
    }
}

/// What came of one try, before it is written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What came of it.
    pub outcome: Outcome,
    /// Why.
    pub detail: String,
}

impl Finding {
    fn blocked(detail: impl Into<String>) -> Self {
        Self { outcome: Outcome::Blocked, detail: detail.into() }
    }

    fn out(detail: impl Into<String>) -> Self {
        Self { outcome: Outcome::GotOut, detail: detail.into() }
    }

    fn not_applicable(detail: impl Into<String>) -> Self {
        Self { outcome: Outcome::NotApplicable, detail: detail.into() }
    }
}

/// Tries everything that the ground asks for, several at a time, and reports in order of the techniques.
pub fn run(ground: &Ground) -> Vec<Attempt> {
    let mut attempts = job::all(ground);
    for name in ground.names.iter().filter(|_| ground.only.is_empty() || ground.only.contains(&17)) {
        let finding = Finding::not_applicable("a name: only addresses are dialled, the agent has no resolver");
        attempts.push(attempt(17, format!("tcp {name}"), finding));
    }
    attempts.truncate(MAX_ATTEMPTS);
    attempts
}

/// Carries out one attempt that changes this process for good. For a process of its own only.
pub fn child(number: u8, ground: &Ground) -> Finding {
    identity::in_this_process(number, ground)
}

fn attempt(number: u8, target: String, finding: Finding) -> Attempt {
    Attempt {
        technique: format!("BYP-{number}"),
        target: shortened(target),
        outcome: finding.outcome,
        detail: shortened(finding.detail),
    }
}

fn shortened(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES));
    text
}

/// `EPERM` and the like; the text if the error is not the system's.
fn name_of(error: &io::Error) -> String {
    error.raw_os_error().map_or_else(|| error.kind().to_string(), |code| format!("{:?}", Errno::from_raw(code)))
}

fn errno(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw)
}

fn payload(number: u8) -> Vec<u8> {
    format!("{MARKER}{number:02}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_technique_stands_once_and_in_order() {
        let numbers: Vec<u8> = TABLE.iter().map(|technique| technique.number).collect();
        assert_eq!(numbers, (1..=36).collect::<Vec<u8>>());
    }

    #[test]
    fn targets_that_are_names_are_kept_apart() {
        let targets = ["10.96.0.1:443".to_owned(), "[fd00::1]:443".to_owned(), "operator.aegis.svc:8443".to_owned()];
        let ground = Ground::default().with_targets(&targets);
        assert_eq!(ground.others.len(), 2);
        assert_eq!(ground.names, ["operator.aegis.svc:8443"]);
    }

    #[test]
    fn texts_are_cut_at_a_character() {
        assert_eq!(shortened("ä".repeat(200)).len(), MAX_TEXT_BYTES);
        assert_eq!(shortened(format!("a{}", "ä".repeat(200))).len(), MAX_TEXT_BYTES - 1);
    }
}
