//! A client's own key: made in memory, shown in a self-signed certificate, gone with the process.

use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ED25519, PublicKeyData};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::TlsError;

/// A self-signed Ed25519 certificate with its key. Never written anywhere (INV-30).
pub struct ClientIdentity {
    certificate: CertificateDer<'static>,
    key: PrivatePkcs8KeyDer<'static>,
    public_key: [u8; 32],
}

impl std::fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientIdentity").field("public_key", &self.public_key).finish_non_exhaustive()
    }
}

impl ClientIdentity {
    /// Makes a new key and its certificate.
    pub fn generate() -> Result<Self, TlsError> {
        let key = KeyPair::generate_for(&PKCS_ED25519)?;
        let mut params = CertificateParams::new(Vec::new())?;
        // The name says nothing on purpose: the token says who this is.
        params.distinguished_name.push(DnType::CommonName, "aegis client");
        let certificate = params.self_signed(&key)?.der().clone();
        let public_key = key.der_bytes().try_into().map_err(|_| TlsError::Pem("the public key"))?;
        Ok(Self { certificate, key: PrivatePkcs8KeyDer::from(key.serialize_der()), public_key })
    }

    /// The raw Ed25519 public key (RFC 8032): its RFC 7638 thumbprint is the token's `cnf.jkt`.
    pub fn public_key(&self) -> &[u8; 32] {
        &self.public_key
    }

    pub(super) fn certificate(&self) -> CertificateDer<'static> {
        self.certificate.clone()
    }

    pub(super) fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.key.clone_key())
    }

    #[cfg(test)]
    pub(super) fn pkcs8(&self) -> PrivatePkcs8KeyDer<'static> {
        self.key.clone_key()
    }
}
