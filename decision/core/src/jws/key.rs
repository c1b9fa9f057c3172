//! Ed25519 keys, each made for one purpose. Randomness is never made here: a key comes from a seed.

use std::fmt;

use ed25519_dalek::Signer as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{base64url, from_base64url};

/// What a key may sign. A signature of one purpose never counts for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// Agent tokens.
    Tokens,
    /// Attestations of the sidecars' record keys.
    Attestations,
    /// Items of the feed.
    Feed,
    /// Releases of approvals and claim receipts.
    Releases,
    /// Batches of records, by a sidecar's own key.
    Records,
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Self; 5] = [Self::Tokens, Self::Attestations, Self::Feed, Self::Releases, Self::Records];

    /// The name in key sets and Secrets.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Attestations => "attestations",
            Self::Feed => "feed",
            Self::Releases => "releases",
            Self::Records => "records",
        }
    }
}

/// Why bytes are no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not 32 bytes of base64url without padding.
    #[error("key is not 32 bytes in base64url without padding")]
    Encoding,
    /// Not a point of the curve.
    #[error("key is not a point of the curve")]
    Point,
    /// A key of small order: signatures by it prove nothing.
    #[error("key has small order")]
    Weak,
}

/// A private key, wiped when it is dropped.
#[derive(Clone)]
pub struct SigningKey {
    purpose: Purpose,
    kid: String,
    key: ed25519_dalek::SigningKey,
}

impl SigningKey {
    /// From its 32 secret bytes. The caller wipes its own copy.
    pub fn from_seed(purpose: Purpose, seed: &[u8; 32]) -> Self {
        let key = ed25519_dalek::SigningKey::from_bytes(seed);
        let kid = thumbprint(key.verifying_key().as_bytes());
        Self { purpose, kid, key }
    }

    /// From its seed in base64url without padding, as a Secret keeps it.
    pub fn from_seed_text(purpose: Purpose, text: &str) -> Result<Self, KeyError> {
        let bytes = Zeroizing::new(from_base64url(text).ok_or(KeyError::Encoding)?);
        let seed = Zeroizing::new(<[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| KeyError::Encoding)?);
        Ok(Self::from_seed(purpose, &seed))
    }

    /// The seed in base64url without padding, to be kept in a Secret; wiped when dropped.
    pub fn seed_text(&self) -> Zeroizing<String> {
        Zeroizing::new(base64url(self.key.as_bytes()))
    }

    /// What it may sign.
    pub fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// Its RFC 7638 thumbprint.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Its public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.key.verifying_key())
    }

    /// Signs `domain`, a zero byte, and the message. The domain says what is signed, so that no signature of one
    /// statement counts for another.
    pub fn sign_statement(&self, domain: &'static str, message: &[u8]) -> [u8; 64] {
        self.key.sign(&statement(domain, message)).to_bytes()
    }

    /// Signs bytes as they are. For formats that bring their own separation, such as a JWS signing input; everything
    /// else is a statement ([`Self::sign_statement`]).
    pub fn sign_plain(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("purpose", &self.purpose).field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// A public key that is a point of the curve and not of small order. Written as base64url of its 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey(ed25519_dalek::VerifyingKey);

impl PublicKey {
    /// From its 32 bytes (RFC 8032, section 5.1.5).
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::Point)?;
        if key.is_weak() { Err(KeyError::Weak) } else { Ok(Self(key)) }
    }

    /// Its 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Its RFC 7638 thumbprint.
    pub fn kid(&self) -> String {
        thumbprint(self.as_bytes())
    }

    /// Whether the signature over `domain`, a zero byte and the message is its own. Strict: no malleable `S`, no
    /// small-order `R` (RFC 8032 with the checks of `verify_strict`).
    pub fn verify_statement(&self, domain: &'static str, message: &[u8], signature: &[u8]) -> bool {
        self.verify_plain(&statement(domain, message), signature)
    }

    /// Whether the signature over the bytes as they are is its own. Strict as [`Self::verify_statement`].
    pub fn verify_plain(&self, message: &[u8], signature: &[u8]) -> bool {
        ed25519_dalek::Signature::from_slice(signature)
            .is_ok_and(|signature| self.0.verify_strict(message, &signature).is_ok())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PublicKey").field(&base64url(self.as_bytes())).finish()
    }
}

impl TryFrom<String> for PublicKey {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        let bytes = from_base64url(&text).ok_or(KeyError::Encoding)?;
        Self::from_bytes(&<[u8; 32]>::try_from(bytes).map_err(|_| KeyError::Encoding)?)
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        base64url(key.as_bytes())
    }
}

/// RFC 7638 thumbprint of an Ed25519 public key (RFC 8037, appendix A.3). Also names the key of a TLS certificate in
/// `cnf.jkt`.
pub fn thumbprint(public_key: &[u8; 32]) -> String {
    let jwk = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, base64url(public_key));
    base64url(&Sha256::digest(jwk.as_bytes()))
}

fn statement(domain: &str, message: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(domain.len().saturating_add(message.len()).saturating_add(1));
    bytes.extend_from_slice(domain.as_bytes());
    bytes.push(0);
    bytes.extend_from_slice(message);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thumbprint_is_that_of_rfc_8037() {
        let x = from_base64url("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        assert_eq!(thumbprint(&x.try_into().unwrap()), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn debug_hides_the_seed() {
        let key = SigningKey::from_seed(Purpose::Feed, &[7; 32]);
        let shown = format!("{key:?}");
        assert!(shown.contains(key.kid()));
        assert!(!shown.contains(key.seed_text().as_str()) && !shown.contains("7, 7"), "{shown}");
    }

    #[test]
    fn a_key_survives_its_secret_form() {
        let key = SigningKey::from_seed(Purpose::Tokens, &[9; 32]);
        let again = SigningKey::from_seed_text(Purpose::Tokens, &key.seed_text()).unwrap();
        assert_eq!(again.public(), key.public());
        assert_eq!(SigningKey::from_seed_text(Purpose::Tokens, "AAAA").unwrap_err(), KeyError::Encoding);
    }

    #[test]
    fn a_statement_counts_in_its_own_domain_only() {
        let key = SigningKey::from_seed(Purpose::Records, &[1; 32]);
        let signature = key.sign_statement("a", b"bc");
        assert!(key.public().verify_statement("a", b"bc", &signature));
        assert!(!key.public().verify_statement("b", b"bc", &signature));
        assert!(!key.public().verify_statement("ab", b"c", &signature), "the zero byte ends the domain");
        assert!(!key.public().verify_statement("a", b"bc", signature.get(..63).unwrap()));
    }

    #[test]
    fn small_order_keys_are_refused() {
        // The eight points of small order, canonical encodings first (Wycheproof and RFC 7748 lists).
        let hex = [
            "0100000000000000000000000000000000000000000000000000000000000000",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0000000000000000000000000000000000000000000000000000000000000080",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        ];
        for text in hex {
            let mut bytes = [0; 32];
            for (at, byte) in bytes.iter_mut().enumerate() {
                *byte = u8::from_str_radix(text.get(at * 2..at * 2 + 2).unwrap(), 16).unwrap();
            }
            assert!(PublicKey::from_bytes(&bytes).is_err(), "{text}");
        }
    }
}
