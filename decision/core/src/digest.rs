//! SHA-256 over RFC 8785 canonical JSON, written `sha256:<64 hex digits>`.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::canonical;

const PREFIX: &str = "sha256:";

/// A SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// Digest of the RFC 8785 form of a value.
    ///
    /// A value that has no JSON form (a map with keys that are no strings) cannot occur in this crate's types; its
    /// digest is that of the serialisation error's text, which equals nothing else.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Self {
        Self::of_canonical(canonical::to_vec(value))
    }

    /// The same of what was written as that form.
    pub(crate) fn of_canonical(written: serde_json::Result<Vec<u8>>) -> Self {
        match written {
            Ok(bytes) => Self::of_bytes(&bytes),
            Err(error) => Self::of_bytes(format!("not serialisable: {error}").as_bytes()),
        }
    }

    /// Digest of bytes as they are.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// From 32 bytes that are a digest already.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from(*self))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is not a digest; write `sha256:` and 64 lower-case hex digits")]
pub struct DigestError;

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let hex = text.strip_prefix(PREFIX).ok_or(DigestError)?;
        if hex.len() != 64 || !hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(DigestError);
        }
        let mut bytes = [0; 32];
        for (byte, at) in bytes.iter_mut().zip((0_usize..64).step_by(2)) {
            let pair = hex.get(at..at.saturating_add(2)).ok_or(DigestError)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| DigestError)?;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, DigestError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        let mut text = Self::with_capacity(PREFIX.len() + 64);
        text.push_str(PREFIX);
        HEXLOWER.encode_append(&digest.0, &mut text);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_written_as_it_was_read() {
        let digest = Digest::of(&serde_json::json!({"b": 1, "a": [1.5, "x"]}));
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_eq!(digest, Digest::of_bytes(br#"{"a":[1.5,"x"],"b":1}"#), "keys are sorted before hashing");
    }
}
