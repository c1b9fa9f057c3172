//! The brokered credential: read from a file that only the sidecar mounts, added to the request, scrubbed from the answer.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use aegis_decision::tool::{Credential, Tool};
use http::{HeaderName, HeaderValue};
use zeroize::Zeroizing;

use super::echo::Echoes;

/// Largest credential in bytes.
const MAX_BYTES: u64 = 16 * 1024;

/// Why a credential cannot be added. Never says what was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// The name of the key is no file name.
    #[error("the credential's key is not a file name")]
    Name,
    /// The file is not there or cannot be read.
    #[error("the credential's file cannot be read")]
    Unreadable,
    /// The file is empty, too large, or holds what a header cannot carry.
    #[error("the credential's file does not hold a header value")]
    Unfit,
}

/// The credentials of all tools: one folder per tool, one file per key, as a Secret is mounted.
#[derive(Debug)]
pub struct Credentials {
    directory: Option<PathBuf>,
    read: Mutex<HashMap<PathBuf, (SystemTime, Secret)>>,
}

/// A credential's bytes, wiped when dropped.
#[derive(Clone)]
struct Secret(Arc<Zeroizing<Vec<u8>>>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// A credential ready to be added to one request.
#[derive(Debug)]
pub struct Injection {
    /// Header name.
    pub name: HeaderName,
    /// Header value, marked sensitive.
    pub value: HeaderValue,
    pub(super) echoes: Echoes,
}

impl Credentials {
    /// Reads from this folder; none: no tool may need a credential.
    pub fn new(directory: Option<PathBuf>) -> Self {
        Self { directory, read: Mutex::default() }
    }

    /// What to add to a call of this tool; none when the tool needs nothing. A file that changed is read again, so a
    /// rotated Secret is used from the next call on.
    pub fn injection(&self, tool: &Tool) -> Result<Option<Injection>, CredentialError> {
        let Some(credential) = &tool.credential else { return Ok(None) };
        let path = self.path(&tool.name, credential)?;
        let secret = self.secret(&path)?;
        let mut text = Zeroizing::new(Vec::new());
        if let Some(scheme) = &credential.scheme {
            text.extend_from_slice(scheme.as_bytes());
            text.push(b' ');
        }
        text.extend_from_slice(&secret.0);
        let mut value = HeaderValue::from_bytes(&text).map_err(|_| CredentialError::Unfit)?;
        value.set_sensitive(true);
        let name = HeaderName::from_bytes(credential.header.as_bytes()).map_err(|_| CredentialError::Unfit)?;
        let echoes = Echoes::of(credential.scheme.as_deref(), &secret.0);
        Ok(Some(Injection { name, value, echoes }))
    }

    fn path(&self, tool: &str, credential: &Credential) -> Result<PathBuf, CredentialError> {
        // Kubernetes allows these letters in the keys of a Secret, but for `.` and `..` alone.
        let is_name = |text: &str| {
            !matches!(text, "" | "." | "..")
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
        };
        if !is_name(tool) || !is_name(&credential.key) {
            return Err(CredentialError::Name);
        }
        let directory = self.directory.as_deref().ok_or(CredentialError::Unreadable)?;
        Ok(directory.join(tool).join(&credential.key))
    }

    /// A stat and, after a change, a read of a small file on tmpfs: microseconds, so it is done in place.
    fn secret(&self, path: &Path) -> Result<Secret, CredentialError> {
        let metadata = std::fs::metadata(path).map_err(|_| CredentialError::Unreadable)?;
        let modified = metadata.modified().map_err(|_| CredentialError::Unreadable)?;
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, secret)) = read.get(path)
            && *at == modified
        {
            return Ok(secret.clone());
        }
        if metadata.len() > MAX_BYTES {
            return Err(CredentialError::Unfit);
        }
        let mut bytes = Zeroizing::new(std::fs::read(path).map_err(|_| CredentialError::Unreadable)?);
        while bytes.last().is_some_and(u8::is_ascii_whitespace) {
            bytes.pop();
        }
        if bytes.is_empty() {
            return Err(CredentialError::Unfit);
        }
        let secret = Secret(Arc::new(bytes));
        read.insert(path.to_owned(), (modified, secret.clone()));
        Ok(secret)
    }
}

impl Injection {
    /// Takes every echo of the credential out of an answer.
    pub fn scrub(&self, answer: Vec<u8>) -> Vec<u8> {
        self.echoes.scrub(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aegis_decision::tool::{Endpoint, Limits, Scheme};

    fn tool(key: &str) -> Tool {
        Tool {
            name: "ledger".to_owned(),
            uid: String::new(),
            endpoint: Endpoint {
                scheme: Scheme::Http,
                host: "127.0.0.1".to_owned(),
                port: 1,
                base_path: String::new(),
            },
            tls: None,
            headers: Vec::new(),
            credential: Some(Credential {
                secret: "ledger-key".to_owned(),
                key: key.to_owned(),
                header: "authorization".to_owned(),
                scheme: Some("Bearer".to_owned()),
            }),
            allow_private_addresses: true,
            operations: Vec::new().into(),
            limits: Limits { request_bytes: 1, response_bytes: 1, concurrency: 1 },
        }
    }

    #[test]
    fn is_read_again_when_its_file_changes() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("ledger")).unwrap();
        let file = directory.path().join("ledger/key");
        std::fs::write(&file, "first-secret\n").unwrap();
        let credentials = Credentials::new(Some(directory.path().to_owned()));
        let first = credentials.injection(&tool("key")).unwrap().unwrap();
        assert_eq!(first.value, "Bearer first-secret");
        assert!(first.value.is_sensitive());
        std::fs::write(&file, "second-secret").unwrap();
        let later = SystemTime::now() + std::time::Duration::from_secs(5);
        std::fs::File::options().write(true).open(&file).unwrap().set_modified(later).unwrap();
        assert_eq!(credentials.injection(&tool("key")).unwrap().unwrap().value, "Bearer second-secret");
    }

    #[test]
    fn a_missing_or_unfit_file_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("ledger")).unwrap();
        std::fs::write(directory.path().join("ledger/empty"), "\n").unwrap();
        std::fs::write(directory.path().join("ledger/lines"), "a\nb").unwrap();
        let credentials = Credentials::new(Some(directory.path().to_owned()));
        let error = |key| credentials.injection(&tool(key)).unwrap_err();
        assert_eq!(error("absent"), CredentialError::Unreadable);
        assert_eq!(error("empty"), CredentialError::Unfit);
        assert_eq!(error("lines"), CredentialError::Unfit);
        for key in ["../ledger/key", "..", "", "a/b", "a\0"] {
            assert_eq!(error(key), CredentialError::Name, "{key:?}");
        }
    }
}
