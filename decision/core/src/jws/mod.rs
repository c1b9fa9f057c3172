//! Compact JSON Web Signatures (RFC 7515) with Ed25519 (RFC 8037), and nothing else of that family.
//!
//! The header has exactly `alg`, `kid` and `typ`; the key comes from our own [`KeySet`] by `kid`, and only when its
//! purpose is the one that the `typ` belongs to. Absent on purpose: other algorithms, keys or key addresses inside a
//! token (`jwk`, `jku`, `x5u`, `x5c`), `crit`, detached payloads, and any choice made by the token itself.

mod compact;
mod key;
mod key_set;

pub use compact::{JwsError, MAX_TOKEN_BYTES, Typ, sign, verify, verify_bounded};
pub use key::{KeyError, PublicKey, Purpose, SigningKey, thumbprint};
pub use key_set::{KeySet, KeySetError, MAX_KEYS};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Base64url without padding (RFC 4648, section 5).
pub fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads base64url strictly: no padding, no white space, no bits left over that are not zero. So no two texts mean
/// the same bytes.
pub fn from_base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}
