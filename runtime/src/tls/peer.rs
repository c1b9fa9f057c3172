//! The view of a self-signed certificate: whose key it is, not whose name.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible, SignatureScheme};

/// DER of a `SubjectPublicKeyInfo` with algorithm Ed25519, before the 32 bytes of the key (RFC 8410, section 4).
const ED25519_SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The raw Ed25519 key of a certificate; none for any other kind of key.
pub fn peer_key(certificate: &CertificateDer<'_>) -> Option<[u8; 32]> {
    let parsed = ParsedCertificate::try_from(certificate).ok()?;
    let info = parsed.subject_public_key_info();
    info.as_ref().strip_prefix(ED25519_SPKI.as_slice())?.try_into().ok()
}

/// Takes any one Ed25519 certificate; TLS 1.3 then proves that the peer holds its key.
#[derive(Debug)]
pub(super) struct AnyEd25519 {
    provider: Arc<CryptoProvider>,
}

impl AnyEd25519 {
    pub(super) fn new(provider: Arc<CryptoProvider>) -> Self {
        Self { provider }
    }

    /// One certificate around an Ed25519 key. Validity dates and names of a self-signed one are its holder's own words:
    /// they mean nothing.
    fn has_key(end_entity: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>]) -> Result<(), Error> {
        if !intermediates.is_empty() {
            return Err(CertificateError::UnknownIssuer.into());
        }
        match peer_key(end_entity) {
            Some(_) => Ok(()),
            None => Err(CertificateError::BadEncoding.into()),
        }
    }
}

/// How a peer proves that it holds the key: the same for both sides of a connection, which rustls has two traits for.
macro_rules! proves_its_key {
    () => {
        fn verify_tls12_signature(
            &self,
            _message: &[u8],
            _certificate: &CertificateDer<'_>,
            _signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Err(PeerIncompatible::Tls12NotOffered.into())
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            vec![SignatureScheme::ED25519]
        }
    };
}

impl ClientCertVerifier for AnyEd25519 {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Self::has_key(end_entity, intermediates).map(|()| ClientCertVerified::assertion())
    }

    proves_its_key!();
}

impl ServerCertVerifier for AnyEd25519 {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Self::has_key(end_entity, intermediates).map(|()| ServerCertVerified::assertion())
    }

    proves_its_key!();
}
