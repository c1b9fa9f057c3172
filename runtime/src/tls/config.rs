//! The two configurations: server and client.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::peer::AnyEd25519;
use super::{ClientIdentity, Leaf, Served, TlsError};

/// Who may connect to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clients {
    /// Only who proves to hold a key (see [`super::peer`]).
    WithKey,
    /// Anybody: the server must act on nothing but what it would tell anybody.
    Anyone,
}

/// A server that requires a client certificate (see [`super::peer`]) and offers HTTP/2 and HTTP/1.1.
pub fn server_config(leaf: &Leaf) -> Result<ServerConfig, TlsError> {
    serving(&Served::new(leaf)?, Clients::WithKey)
}

/// A server whose certificate can be replaced, that offers HTTP/2 and HTTP/1.1.
pub fn serving(served: &Served, clients: Clients) -> Result<ServerConfig, TlsError> {
    let provider = provider();
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&[&TLS13])?;
    let builder = match clients {
        Clients::WithKey => builder.with_client_cert_verifier(Arc::new(AnyEd25519::new(provider))),
        Clients::Anyone => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(served.clone()));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// A leaf as rustls takes it; refused when key and certificate do not belong together.
pub(super) fn certified(leaf: &Leaf, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let chain = certificates("the server certificate", &leaf.certificate_pem)?;
    let key = PrivateKeyDer::from_pem_slice(leaf.key_pem.as_bytes()).map_err(|_| TlsError::Pem("the server key"))?;
    Ok(CertifiedKey::from_der(chain, key, provider)?)
}

/// The authorities that a client trusts: one at least, and every one of them readable.
pub fn roots(pem: &str) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("the authority", pem)? {
        roots.add(certificate)?;
    }
    Ok(roots)
}

/// A client that trusts only the given authorities and shows its own key. ALPN is left to the HTTP client.
pub fn client_config(authority_pem: &str, identity: &ClientIdentity) -> Result<ClientConfig, TlsError> {
    let roots = roots(authority_pem)?;
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![identity.certificate()], identity.key())?;
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// A server that shows its own self-signed key and requires a client's: each side proves a key, and who it is, it says
/// itself. HTTP/1.1 only.
pub fn key_server(identity: &ClientIdentity) -> Result<ServerConfig, TlsError> {
    let provider = provider();
    let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(Arc::new(AnyEd25519::new(provider)))
        .with_single_cert(vec![identity.certificate()], identity.key())?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// A client of a [`key_server`]. It takes any key: the caller must have the server prove whose key that is before it
/// sends anything.
pub fn key_client(identity: &ClientIdentity) -> Result<ClientConfig, TlsError> {
    let provider = provider();
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyEd25519::new(provider)))
        .with_client_auth_cert(vec![identity.certificate()], identity.key())?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}

pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn certificates(what: &'static str, pem: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match found {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(TlsError::Pem(what)),
    }
}
