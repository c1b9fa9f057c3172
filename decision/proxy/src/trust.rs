//! What the sidecar trusts: the files of the config map `aegis-trust`. Read anew for every connection, so that a rotation
//! needs no restart and no watch; connections that are open stay. A damaged file changes nothing: what was read last is
//! used on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aegis_decision::jws::KeySet;
use aegis_runtime::tls::{TlsError, roots};
use arc_swap::ArcSwapOption;
use prometheus_client::metrics::counter::Counter;

/// Largest of the files in bytes.
const MAX_BYTES: usize = 1024 * 1024;

/// The folder, and what was read there last.
#[derive(Debug)]
pub struct Trust {
    folder: PathBuf,
    failures: Counter,
    good: ArcSwapOption<Trusted>,
}

/// What was in it.
#[derive(Debug, PartialEq, Eq)]
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
    /// No certificates.
    #[error("{} holds no authority that can be trusted", .file.display())]
    Authority {
        /// Which.
        file: PathBuf,
        /// Why.
        source: TlsError,
    },
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
    /// Reads from this folder: `ca.crt` and `jwks.json`. Counts what cannot be read.
    pub fn new(folder: PathBuf, failures: Counter) -> Self {
        Self { folder, failures, good: ArcSwapOption::empty() }
    }

    /// What is in the folder now; where that is of no use, what was in it last. An error if it never was of use.
    pub async fn read(&self) -> Result<Arc<Trusted>, TrustError> {
        let last = self.good.load_full();
        match (self.load().await, last) {
            (Ok(found), Some(last)) if found == *last => Ok(last),
            (Ok(found), last) => {
                let found = Arc::new(found);
                self.good.store(Some(Arc::clone(&found)));
                if last.is_some() {
                    tracing::info!("what is trusted has changed");
                }
                Ok(found)
            }
            (Err(error), last) => {
                self.failures.inc();
                let Some(last) = last else { return Err(error) };
                tracing::warn!(error = &error as &dyn std::error::Error, "what was trusted last is used on");
                Ok(last)
            }
        }
    }

    async fn load(&self) -> Result<Trusted, TrustError> {
        let file = self.folder.join("ca.crt");
        let authority_pem = text(&file).await?;
        roots(&authority_pem).map_err(|source| TrustError::Authority { file, source })?;
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use aegis_decision::jws::{Purpose, SigningKey};
    use aegis_runtime::tls::Authority;

    use super::*;

    fn authority() -> String {
        Authority::generate("test", Duration::from_hours(1)).unwrap().certificate_pem().to_owned()
    }

    #[tokio::test]
    async fn a_change_is_taken_up_and_damage_is_counted_and_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        let failures = Counter::default();
        let trust = Trust::new(folder.path().to_owned(), failures.clone());
        trust.read().await.unwrap_err();
        let mut keys = KeySet::new();
        keys.insert(Purpose::Feed, SigningKey::from_seed(Purpose::Feed, &[1; 32]).public()).unwrap();
        let (old, new) = (authority(), authority());
        write("jwks.json", &serde_json::to_string(&keys).unwrap());
        write("ca.crt", &old);
        let first = trust.read().await.unwrap();
        assert_eq!((&first.authority_pem, first.keys.as_ref()), (&old, &keys));
        let both = format!("{old}{new}");
        write("ca.crt", &both);
        assert_eq!(trust.read().await.unwrap().authority_pem, both);
        assert_eq!(failures.get(), 1);

        let half = both.get(..both.len() - 40).unwrap();
        for damaged in ["", "none", half] {
            write("ca.crt", damaged);
            assert_eq!(trust.read().await.unwrap().authority_pem, both, "{damaged:?}");
        }
        write("ca.crt", &new);
        write("jwks.json", "{");
        assert_eq!(trust.read().await.unwrap().authority_pem, both, "both files, or none");
        fs::remove_file(folder.path().join("jwks.json")).unwrap();
        trust.read().await.unwrap();
        assert_eq!(failures.get(), 6);
        write("jwks.json", &serde_json::to_string(&keys).unwrap());
        assert_eq!(trust.read().await.unwrap().authority_pem, new);
    }
}
