//! The ways in, beside the base URLs: requests to the sidecar as a proxy, captured connections, and questions to its DNS
//! stub. Each ends either at [`crate::gate`], which judges a call whatever way it came, or at a [`tunnel`] to a host of
//! `Agent.egress`, which is recorded but not judged.
//!
//! | what comes in | where it goes |
//! | --- | --- |
//! | `GET /erp/orders` to the sidecar | gate, tool by its name |
//! | `GET http://erp.example/orders` to the sidecar | gate, tool by its endpoint ([`route`]) |
//! | `CONNECT api.example:443` to the sidecar | [`connect`], then tunnel |
//! | captured, first bytes are HTTP/1 ([`sniff`]) | gate, tool by its Host header |
//! | captured, first bytes are TLS | tunnel by its server name |
//! | captured, anything else | closed and recorded ([`refusals`]) |
//!
//! Nothing here trusts an address that the agent chose: a host is resolved by the sidecar and only such an address is
//! dialled.

pub mod bucket;
pub mod captured;
pub mod connect;
pub mod dns;
pub mod names;
pub mod refusals;
pub mod route;
pub mod site;
pub mod sniff;
pub mod tunnel;

use std::net::SocketAddr;

/// Where a connection of the agent came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// This listener of the sidecar, which the agent was told of.
    Calls(SocketAddr),
    /// Dialled to this address, and redirected.
    Captured(SocketAddr),
    /// The gateway's listener: from a relay that proved to be this agent's.
    Gateway,
}
