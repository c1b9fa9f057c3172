//! Why a call or a tunnel has no answer of the gateway, and whether another try may fare better.

use std::io;

use aegis_decision::codes::Code;

use super::Unproven;

/// Why the gateway has not answered.
#[derive(Debug, thiserror::Error)]
pub enum RelayFault {
    /// No connection.
    #[error("the gateway cannot be reached")]
    Connect(#[source] io::Error),
    /// It does not begin TLS.
    #[error("the gateway does not begin TLS")]
    Tls(#[source] io::Error),
    /// Not in time.
    #[error("the gateway did not answer in time")]
    Timeout,
    /// HTTP broke.
    #[error("the connection to the gateway broke")]
    Http(#[from] hyper::Error),
    /// It has no proof to show yet, or none any more.
    #[error("the gateway is not ready")]
    NotReady,
    /// It is not this agent's.
    #[error(transparent)]
    Unproven(#[from] Unproven),
    /// It answered something else than agreed.
    #[error("the gateway's answer is not understood")]
    Answer,
    /// This sidecar has no token yet.
    #[error("no token")]
    NoToken,
    /// The agent waits no longer.
    #[error("the agent went away")]
    Gone,
}

impl RelayFault {
    /// Whether it is what a gateway that comes or goes looks like: another one, or the same a moment later, may do. Who
    /// shows a wrong proof, or speaks something else, is a stranger and stays one.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Connect(_) | Self::NotReady => true,
            Self::Tls(error) => matches!(
                error.kind(),
                io::ErrorKind::ConnectionReset
                    | io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::BrokenPipe
                    | io::ErrorKind::NotConnected
                    | io::ErrorKind::UnexpectedEof
            ),
            Self::Http(error) => !error.is_parse() && !error.is_user(),
            Self::Timeout | Self::Unproven(_) | Self::Answer | Self::NoToken | Self::Gone => false,
        }
    }
}

/// A call without the gateway's answer.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// No byte of it was passed on.
    #[error("the call was not passed on")]
    NotSent(#[source] RelayFault),
    /// It may have been: nobody here knows how it ended.
    #[error("the call was passed on and not answered")]
    Unknown(#[source] RelayFault),
}

impl Unanswered {
    /// What the agent is told.
    pub fn code(&self) -> Code {
        match self {
            Self::NotSent(RelayFault::NoToken) => Code::TokenNotFresh,
            Self::NotSent(_) => Code::GatewayUnavailable,
            Self::Unknown(RelayFault::Timeout) => Code::UpstreamTimeout,
            Self::Unknown(_) => Code::UpstreamFailed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_gateway_that_comes_or_goes_looks_like_is_tried_again() {
        let io = |kind: io::ErrorKind| io::Error::from(kind);
        for fault in [
            RelayFault::Connect(io(io::ErrorKind::ConnectionRefused)),
            RelayFault::Connect(io(io::ErrorKind::HostUnreachable)),
            RelayFault::Connect(io(io::ErrorKind::TimedOut)),
            RelayFault::Tls(io(io::ErrorKind::UnexpectedEof)),
            RelayFault::Tls(io(io::ErrorKind::ConnectionReset)),
            RelayFault::NotReady,
        ] {
            assert!(fault.may_pass(), "{fault:?}");
        }
        for fault in [
            RelayFault::Tls(io(io::ErrorKind::InvalidData)),
            RelayFault::Unproven(Unproven::Attestation),
            RelayFault::Unproven(Unproven::OtherKey),
            RelayFault::Answer,
            RelayFault::NoToken,
            RelayFault::Gone,
        ] {
            assert!(!fault.may_pass(), "{fault:?}");
        }
    }
}
