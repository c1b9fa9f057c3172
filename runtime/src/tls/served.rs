//! The certificate that a server shows, replaced while it serves: connections that are open stay, new ones see the new one.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::config::{certified, provider};
use super::{Leaf, TlsError};

/// A certificate that can be replaced. Clones show the same one.
#[derive(Debug, Clone)]
pub struct Served(Arc<ArcSwap<CertifiedKey>>);

impl Served {
    /// Shows `leaf`.
    pub fn new(leaf: &Leaf) -> Result<Self, TlsError> {
        Ok(Self(Arc::new(ArcSwap::from_pointee(certified(leaf, &provider())?))))
    }

    /// Shows `leaf` from now on.
    pub fn replace(&self, leaf: &Leaf) -> Result<(), TlsError> {
        self.0.store(Arc::new(certified(leaf, &provider())?));
        Ok(())
    }
}

impl ResolvesServerCert for Served {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}
