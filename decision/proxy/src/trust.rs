//! What the sidecar trusts: the files of the config map `aegis-trust`. Read anew for every connection, so that a rotation
//! needs no restart and no watch.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aegis_decision::jws::KeySet;

/// Largest of the files in bytes.
const MAX_BYTES: usize = 1024 * 1024;

/// The folder.
#[derive(Debug, Clone)]
pub struct Trust {
    folder: PathBuf,
}

/// What was in it.
#[derive(Debug, Clone)]
pub struct Trusted {
    /// Certificates of the control service's authority, PEM.
    pub authority_pem: String,
    /// Public keys by purpose.
    pub keys: Arc<KeySet>,
}

/// Why nothing can be trusted.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A file cannot be read.
    #[error("cannot read {}", .file.display())]
    Read {
        /// Which.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is too large or no text.
    #[error("{} is not the text that it should be", .0.display())]
    Text(PathBuf),
    /// Not a key set.
    #[error("{} is not a key set", .file.display())]
    Keys {
        /// Which.
        file: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

impl Trust {
    /// Reads from this folder: `ca.crt` and `jwks.json`.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// What is in the folder now.
    pub async fn read(&self) -> Result<Trusted, TrustError> {
        let authority_pem = text(&self.folder.join("ca.crt")).await?;
        let keys = keys(&self.folder.join("jwks.json")).await?;
        Ok(Trusted { authority_pem, keys: Arc::new(keys) })
    }
}

/// Reads a key set.
pub async fn keys(file: &Path) -> Result<KeySet, TrustError> {
    let text = text(file).await?;
    serde_json::from_str(&text).map_err(|source| TrustError::Keys { file: file.to_owned(), source })
}

/// Reads a small text file.
pub async fn text(file: &Path) -> Result<String, TrustError> {
    let read = tokio::fs::read(file).await;
    let bytes = read.map_err(|source| TrustError::Read { file: file.to_owned(), source })?;
    if bytes.len() > MAX_BYTES {
        return Err(TrustError::Text(file.to_owned()));
    }
    String::from_utf8(bytes).map_err(|_| TrustError::Text(file.to_owned()))
}
