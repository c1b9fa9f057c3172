//! Handshakes over an in-memory pipe.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::ResolvesClientCert;
use rustls::pki_types::ServerName;
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{ClientConfig, ServerConfig, SignatureAlgorithm, SignatureScheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;

const DAY: Duration = Duration::from_hours(24);

struct Bed {
    authority: Authority,
    server: ServerConfig,
}

fn bed() -> Bed {
    let authority = Authority::generate("test authority", DAY).unwrap();
    let leaf = authority.leaf(&["control.test".to_owned(), "127.0.0.1".to_owned()], DAY).unwrap();
    let server = server_config(&leaf).unwrap();
    Bed { authority, server }
}

/// Both ends, to the first byte in each direction: a TLS 1.3 client learns of a refusal only when it reads.
async fn handshake(server: ServerConfig, client: ClientConfig, name: &str) -> Result<[u8; 32], String> {
    let (near, far) = tokio::io::duplex(16_384);
    let accept = async {
        let mut stream = TlsAcceptor::from(Arc::new(server)).accept(far).await.map_err(|error| error.to_string())?;
        stream.write_all(b"x").await.map_err(|error| error.to_string())?;
        let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
        certificates.first().and_then(peer_key).ok_or_else(|| "no key".to_owned())
    };
    let connect = async {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut stream =
            TlsConnector::from(Arc::new(client)).connect(name, near).await.map_err(|error| error.to_string())?;
        stream.read_u8().await.map_err(|error| error.to_string())
    };
    let (accepted, connected) = tokio::join!(accept, connect);
    connected.and(accepted)
}

#[tokio::test]
async fn the_server_learns_the_clients_key() {
    let bed = bed();
    let identity = ClientIdentity::generate().unwrap();
    for name in ["control.test", "127.0.0.1"] {
        let client = client_config(bed.authority.certificate_pem(), &identity).unwrap();
        assert_eq!(handshake(bed.server.clone(), client, name).await.as_ref(), Ok(identity.public_key()));
    }
}

#[tokio::test]
async fn an_authority_read_again_issues_as_before() {
    let bed = bed();
    let again = Authority::from_pem(bed.authority.certificate_pem(), &bed.authority.key_pem()).unwrap();
    let leaf = again.leaf(&["control.test".to_owned()], DAY).unwrap();
    let identity = ClientIdentity::generate().unwrap();
    let client = client_config(bed.authority.certificate_pem(), &identity).unwrap();
    handshake(server_config(&leaf).unwrap(), client, "control.test").await.unwrap();
}

#[tokio::test]
async fn another_authority_or_name_is_refused() {
    let bed = bed();
    let identity = ClientIdentity::generate().unwrap();
    let other = Authority::generate("test authority", DAY).unwrap();
    let client = client_config(other.certificate_pem(), &identity).unwrap();
    handshake(bed.server.clone(), client, "control.test").await.unwrap_err();
    let client = client_config(bed.authority.certificate_pem(), &identity).unwrap();
    handshake(bed.server, client, "elsewhere.test").await.unwrap_err();
}

#[tokio::test]
async fn a_client_without_certificate_is_refused() {
    let bed = bed();
    let identity = ClientIdentity::generate().unwrap();
    let mut client = client_config(bed.authority.certificate_pem(), &identity).unwrap();
    client.client_auth_cert_resolver = Arc::new(Shown(None));
    handshake(bed.server, client, "control.test").await.unwrap_err();
}

#[tokio::test]
async fn a_client_that_shows_anothers_certificate_is_refused() {
    let bed = bed();
    let (thief, victim) = (ClientIdentity::generate().unwrap(), ClientIdentity::generate().unwrap());
    let mut client = client_config(bed.authority.certificate_pem(), &thief).unwrap();
    let key = rustls::crypto::aws_lc_rs::sign::any_eddsa_type(&thief.pkcs8()).unwrap();
    client.client_auth_cert_resolver =
        Arc::new(Shown(Some(Arc::new(CertifiedKey::new(vec![victim.certificate()], key)))));
    let error = handshake(bed.server, client, "control.test").await.unwrap_err();
    assert!(error.contains("alert") || error.contains("signature"), "{error}");
}

#[tokio::test]
async fn a_client_that_signs_wrongly_is_refused() {
    let bed = bed();
    let identity = ClientIdentity::generate().unwrap();
    let mut client = client_config(bed.authority.certificate_pem(), &identity).unwrap();
    let certified = CertifiedKey::new(vec![identity.certificate()], Arc::new(Forger));
    client.client_auth_cert_resolver = Arc::new(Shown(Some(Arc::new(certified))));
    handshake(bed.server, client, "control.test").await.unwrap_err();
}

#[tokio::test]
async fn a_client_key_of_another_kind_is_refused() {
    let bed = bed();
    let identity = ClientIdentity::generate().unwrap();
    let pair = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&pair).unwrap();
    assert_eq!(peer_key(certificate.der()), None);
    let key_der = rustls::pki_types::PrivatePkcs8KeyDer::from(pair.serialize_der());
    let key = rustls::crypto::aws_lc_rs::sign::any_ecdsa_type(&key_der.into()).unwrap();
    let mut client = client_config(bed.authority.certificate_pem(), &identity).unwrap();
    client.client_auth_cert_resolver =
        Arc::new(Shown(Some(Arc::new(CertifiedKey::new(vec![certificate.der().clone()], key)))));
    handshake(bed.server, client, "control.test").await.unwrap_err();
}

#[tokio::test]
async fn tls_1_2_is_refused() {
    let bed = bed();
    let identity = ClientIdentity::generate().unwrap();
    let mut roots = rustls::RootCertStore::empty();
    let authority = rustls::pki_types::pem::PemObject::from_pem_slice(bed.authority.certificate_pem().as_bytes());
    roots.add(authority.unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![identity.certificate()], identity.key())
        .unwrap();
    handshake(bed.server, client, "control.test").await.unwrap_err();
}

/// Shows this certificate whatever the server asks for.
#[derive(Debug)]
struct Shown(Option<Arc<CertifiedKey>>);

impl ResolvesClientCert for Shown {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.clone()
    }

    fn has_certs(&self) -> bool {
        self.0.is_some()
    }
}

/// Signs with zeros.
#[derive(Debug)]
struct Forger;

impl SigningKey for Forger {
    fn choose_scheme(&self, _offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        Some(Box::new(Self))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ED25519
    }
}

impl Signer for Forger {
    fn sign(&self, _message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        Ok(vec![0; 64])
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}
