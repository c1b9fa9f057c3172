//! Signing and verifying the compact form: `base64url(header).base64url(payload).base64url(signature)`.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::key::{Purpose, SigningKey};
use super::key_set::KeySet;
use super::{base64url, from_base64url};

/// Longest token in bytes, where no other bound is given.
pub const MAX_TOKEN_BYTES: usize = 64 * 1024;
/// Longest header in base64url: our own is under 200 bytes.
const MAX_HEADER_BYTES: usize = 1024;
/// The only algorithm. RFC 9864's name `Ed25519` is not accepted: one name, one meaning.
const ALG: &str = "EdDSA";

/// What a token is. Each type belongs to one purpose, so a key can sign its own types only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Typ {
    /// [`crate::token::AgentClaims`].
    AgentToken,
    /// [`crate::token::Attestation`].
    KeyAttestation,
    /// [`crate::feed::Envelope`].
    FeedItem,
    /// [`crate::approval::Release`].
    Release,
    /// [`crate::approval::ClaimReceipt`].
    ClaimReceipt,
    /// [`crate::probe::ProbeStatement`].
    ProbeStatement,
}

impl Typ {
    /// The header's `typ`, exact.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AgentToken => "aegis-agent+jwt",
            Self::KeyAttestation => "aegis-key+jwt",
            Self::FeedItem => "aegis-feed+jws",
            Self::Release => "aegis-release+jws",
            Self::ClaimReceipt => "aegis-claim+jws",
            Self::ProbeStatement => "aegis-probe+jwt",
        }
    }

    /// The purpose of keys that sign it.
    pub fn purpose(self) -> Purpose {
        match self {
            Self::AgentToken => Purpose::Tokens,
            Self::KeyAttestation => Purpose::Attestations,
            Self::FeedItem => Purpose::Feed,
            Self::Release | Self::ClaimReceipt => Purpose::Releases,
            Self::ProbeStatement => Purpose::Records,
        }
    }
}

/// Why a token is refused, or cannot be made. Never repeats a part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwsError {
    /// Longer than the bound.
    #[error("token is too long")]
    TooLong,
    /// Not three parts of strict base64url.
    #[error("token is not three parts of base64url without padding")]
    Form,
    /// Not exactly `alg`, `kid` and `typ`, each a string.
    #[error("token's header does not have exactly alg, kid and typ")]
    Header,
    /// Not `EdDSA`.
    #[error("token's alg is not EdDSA")]
    Algorithm,
    /// Another type.
    #[error("token's typ is another one")]
    Type,
    /// No key of that id for this purpose.
    #[error("token's key is not one of ours for this purpose")]
    UnknownKey,
    /// The signature is not that key's.
    #[error("token's signature is not valid")]
    Signature,
    /// Signed by us, but not the shape that is expected.
    #[error("token's payload is not what its typ says")]
    Payload,
    /// A key that may not sign this type was given for signing.
    #[error("the key is for another purpose")]
    Purpose,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    kid: String,
    typ: String,
}

/// Signs claims as a token of that type.
pub fn sign<T: Serialize + ?Sized>(key: &SigningKey, typ: Typ, claims: &T) -> Result<String, JwsError> {
    if key.purpose() != typ.purpose() {
        return Err(JwsError::Purpose);
    }
    let header = Header { alg: ALG.to_owned(), kid: key.kid().to_owned(), typ: typ.as_str().to_owned() };
    let header = serde_json::to_vec(&header).map_err(|_| JwsError::Header)?;
    let payload = serde_json::to_vec(claims).map_err(|_| JwsError::Payload)?;
    let mut token = base64url(&header);
    token.push('.');
    token.push_str(&base64url(&payload));
    let signature = key.sign_plain(token.as_bytes());
    token.push('.');
    token.push_str(&base64url(&signature));
    Ok(token)
}

/// Verifies a token of at most [`MAX_TOKEN_BYTES`] and reads its claims. Times are the caller's to judge.
pub fn verify<T: DeserializeOwned>(keys: &KeySet, typ: Typ, token: &str) -> Result<T, JwsError> {
    verify_bounded(keys, typ, token, MAX_TOKEN_BYTES)
}

/// As [`verify`], with the bound in bytes given.
pub fn verify_bounded<T: DeserializeOwned>(
    keys: &KeySet,
    typ: Typ,
    token: &str,
    max_bytes: usize,
) -> Result<T, JwsError> {
    if token.len() > max_bytes {
        return Err(JwsError::TooLong);
    }
    let mut parts = token.split('.');
    let (Some(header), Some(payload), Some(signature), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(JwsError::Form);
    };
    if header.len() > MAX_HEADER_BYTES {
        return Err(JwsError::Header);
    }
    let header_bytes = from_base64url(header).ok_or(JwsError::Form)?;
    let signature = from_base64url(signature).ok_or(JwsError::Form)?;
    let payload_bytes = from_base64url(payload).ok_or(JwsError::Form)?;

    let header: Header = object(&header_bytes).ok_or(JwsError::Header)?;
    if header.alg != ALG {
        return Err(JwsError::Algorithm);
    }
    if header.typ != typ.as_str() {
        return Err(JwsError::Type);
    }
    let key = keys.get(&header.kid, typ.purpose()).ok_or(JwsError::UnknownKey)?;
    let signed = token.rsplit_once('.').map_or("", |(signed, _)| signed);
    if !key.verify_plain(signed.as_bytes(), &signature) {
        return Err(JwsError::Signature);
    }
    object(&payload_bytes).ok_or(JwsError::Payload)
}

/// A JSON object as `T`. serde would take an array for a struct as well, by position.
fn object<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    if bytes.first() != Some(&b'{') {
        return None;
    }
    serde_json::from_slice(bytes).ok()
}
