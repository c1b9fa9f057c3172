//! The keys that we trust: a JWKS (RFC 7517) in which every key names its purpose.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::key::{KeyError, PublicKey, Purpose};

/// Most keys in a set: five purposes, each with the keys of a few rotations.
pub const MAX_KEYS: usize = 32;

/// Why a set is refused as a whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// Too many keys.
    #[error("key set has more than {MAX_KEYS} keys")]
    TooMany,
    /// Two keys of one id.
    #[error("key set names one key twice")]
    Duplicate,
    /// The id is not the key's thumbprint.
    #[error("a kid is not the RFC 7638 thumbprint of its key")]
    Kid,
    /// A member that must have one value has another.
    #[error("a key's `{0}` is not the one expected")]
    Member(&'static str),
    /// No key.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Public keys by id, each for one purpose. The same key never serves two.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Jwks", into = "Jwks")]
pub struct KeySet {
    keys: BTreeMap<String, (Purpose, PublicKey)>,
}

impl KeySet {
    /// An empty set: trusts nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts one more key.
    pub fn insert(&mut self, purpose: Purpose, key: PublicKey) -> Result<(), KeySetError> {
        if self.keys.len() >= MAX_KEYS {
            return Err(KeySetError::TooMany);
        }
        match self.keys.insert(key.kid(), (purpose, key)) {
            None => Ok(()),
            Some(before) => {
                self.keys.insert(before.1.kid(), before);
                Err(KeySetError::Duplicate)
            }
        }
    }

    /// Trusts a key no longer; tells whether it was there.
    pub fn remove(&mut self, kid: &str) -> bool {
        self.keys.remove(kid).is_some()
    }

    /// The key of that id, if it is for that purpose.
    pub fn get(&self, kid: &str, purpose: Purpose) -> Option<&PublicKey> {
        self.keys.get(kid).filter(|(its, _)| *its == purpose).map(|(_, key)| key)
    }

    /// Purpose and key by id.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Purpose, &PublicKey)> {
        self.keys.iter().map(|(kid, (purpose, key))| (kid.as_str(), *purpose, key))
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether it trusts nothing.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

/// The JSON form. Unknown members are refused: a private `d` must never be in here, nor a key of another kind.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Jwks {
    keys: Vec<Jwk>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Jwk {
    kty: String,
    crv: String,
    x: String,
    kid: String,
    #[serde(rename = "use")]
    usage: String,
    alg: String,
    aegis_purpose: Purpose,
}

impl TryFrom<Jwks> for KeySet {
    type Error = KeySetError;

    fn try_from(jwks: Jwks) -> Result<Self, KeySetError> {
        if jwks.keys.len() > MAX_KEYS {
            return Err(KeySetError::TooMany);
        }
        let mut set = Self::new();
        for jwk in jwks.keys {
            let Jwk { kty, crv, x, kid, usage, alg, aegis_purpose } = jwk;
            for (member, value, expected) in
                [("kty", kty, "OKP"), ("crv", crv, "Ed25519"), ("use", usage, "sig"), ("alg", alg, "EdDSA")]
            {
                if value != expected {
                    return Err(KeySetError::Member(member));
                }
            }
            let key = PublicKey::try_from(x)?;
            if key.kid() != kid {
                return Err(KeySetError::Kid);
            }
            set.insert(aegis_purpose, key)?;
        }
        Ok(set)
    }
}

impl From<KeySet> for Jwks {
    fn from(set: KeySet) -> Self {
        let keys = set
            .keys
            .into_iter()
            .map(|(kid, (aegis_purpose, key))| Jwk {
                kty: "OKP".to_owned(),
                crv: "Ed25519".to_owned(),
                x: key.into(),
                kid,
                usage: "sig".to_owned(),
                alg: "EdDSA".to_owned(),
                aegis_purpose,
            })
            .collect();
        Self { keys }
    }
}
