//! TLS between the parts of Aegis: 1.3 only, both sides authenticated, no tickets, no resumption (INV-32).
//!
//! A server shows a certificate of our own small [`Authority`]. A client shows a self-signed certificate around a key
//! that it made in memory ([`ClientIdentity`]): nobody vouches for it at this layer, the handshake only proves that the
//! peer holds the key ([`peer`]). Who the peer is, its token says, which names the key's thumbprint. The webhook's client,
//! the API server, shows nothing: see [`Clients`]. A server's certificate can be replaced while it serves ([`Served`]), its
//! authority by [`rotation`].

pub mod authority;
pub mod config;
pub mod identity;
pub mod peer;
pub mod rotation;
pub mod served;

pub use authority::{Authority, Leaf};
pub use config::{Clients, client_config, key_client, key_server, roots, server_config, serving};
pub use identity::ClientIdentity;
pub use peer::peer_key;
pub use served::Served;

/// What can go wrong with keys and certificates. Never repeats key material.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A key or certificate cannot be made or read.
    #[error("certificate cannot be made")]
    Make(#[from] rcgen::Error),
    /// PEM that is none, or holds something else.
    #[error("{0} is not the PEM that it should be")]
    Pem(&'static str),
    /// A certificate, key or name that TLS does not take.
    #[error("certificate or key does not fit")]
    Unfit(#[from] rustls::Error),
}

#[cfg(test)]
mod tests;
