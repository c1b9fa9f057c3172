//! Fingerprints: the index keeps no value and no name of a run in clear.

use sha2::{Digest as _, Sha256};

/// 128 bits of a keyed hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Fingerprint(u128);

/// Makes fingerprints with a key that never leaves the process, so that a dump of the memory does not tell which of some
/// guessed values was there.
#[derive(Clone)]
pub struct Fingerprinter {
    /// The key, one block long, hashed already.
    keyed: Sha256,
}

impl Fingerprinter {
    /// With a random key.
    pub fn new(key: [u8; 32]) -> Self {
        // One whole block, as in HMAC: the state after it is kept, and every fingerprint starts from there. The hash is cut
        // to half, so it cannot be continued.
        let mut block = [0; 64];
        for (to, from) in block.iter_mut().zip(key) {
            *to = from;
        }
        Self { keyed: Sha256::new_with_prefix(block) }
    }

    pub(super) fn of(&self, kind: u8, bytes: &[u8]) -> Fingerprint {
        let hash: [u8; 32] = self.keyed.clone().chain_update([kind]).chain_update(bytes).finalize().into();
        Fingerprint(hash.first_chunk().map_or(0, |half| u128::from_be_bytes(*half)))
    }
}

impl std::fmt::Debug for Fingerprinter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fingerprinter")
    }
}
