//! TLS of tests: a server with a given or an own certificate, a client that trusts one file or, when told so, everything.
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// How a server proves who it is.
#[derive(Clone, clap::Args)]
pub struct Identity {
    /// Serve TLS with this certificate chain (PEM)
    #[arg(long, requires = "tls_key", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// The key of the certificate (PEM)
    #[arg(long, requires = "tls_cert", value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// Serve TLS with a certificate of its own for these names; the first line of output holds it
    #[arg(long, value_delimiter = ',', value_name = "NAMES", conflicts_with = "tls_cert")]
    tls: Vec<String>,
}

impl Identity {
    /// The acceptor, when TLS was asked for, and the own certificate as PEM, when one was made.
    pub fn acceptor(&self) -> anyhow::Result<Option<(TlsAcceptor, Option<String>)>> {
        let (chain, key, pem) = if let (Some(cert), Some(key)) = (&self.tls_cert, &self.tls_key) {
            let chain = CertificateDer::pem_file_iter(cert)?
                .collect::<Result<Vec<_>, _>>()
                .with_context(|| cert.display().to_string())?;
            (chain, PrivateKeyDer::from_pem_file(key).with_context(|| key.display().to_string())?, None)
        } else if self.tls.is_empty() {
            return Ok(None);
        } else {
            let own = rcgen::generate_simple_self_signed(self.tls.clone())?;
            let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()));
            (vec![own.cert.der().clone()], key, Some(own.cert.pem()))
        };
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        Ok(Some((TlsAcceptor::from(Arc::new(config)), pem)))
    }
}

/// Whom a client believes.
#[derive(Clone, Default, clap::Args)]
pub struct Trust {
    /// Trust the certificates of this file (PEM)
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Take any certificate: for tests of what gets through, not of who is there
    #[arg(long, conflicts_with = "ca")]
    insecure: bool,
}

impl Trust {
    /// The connector; without a file and without `--insecure` it trusts nobody.
    pub fn connector(&self) -> anyhow::Result<TlsConnector> {
        let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
        let config = if self.insecure {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone(provider()))).with_no_client_auth()
        } else {
            let mut roots = RootCertStore::empty();
            if let Some(path) = &self.ca {
                for certificate in CertificateDer::pem_file_iter(path).with_context(|| path.display().to_string())? {
                    roots.add(certificate?)?;
                }
            }
            builder.with_root_certificates(roots).with_no_client_auth()
        };
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Believes every certificate, and still checks that the other side holds its key.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
