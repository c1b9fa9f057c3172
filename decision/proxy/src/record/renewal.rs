//! A renewed attestation on its way to the writer. There is one place for it, and a newer one takes it: so it needs none in
//! the queue, and neither a full queue nor a full disk loses it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aegis_decision::jws::KeySet;

/// A renewed attestation of the record key.
#[derive(Debug)]
pub struct Renewed {
    /// Compact JWS.
    pub attestation: String,
    /// Verified with.
    pub keys: Arc<KeySet>,
}

/// The place of the newest one that is not kept yet.
#[derive(Debug, Clone, Default)]
pub struct Renewal(Arc<Mutex<Option<Renewed>>>);

impl Renewal {
    /// Puts one there. Whether the place was empty.
    pub fn put(&self, renewed: Renewed) -> bool {
        self.place().replace(renewed).is_none()
    }

    /// Takes what is there.
    pub fn take(&self) -> Option<Renewed> {
        self.place().take()
    }

    /// Puts one back that could not be kept, unless a newer one has come.
    pub fn put_back(&self, renewed: Renewed) {
        let mut place = self.place();
        if place.is_none() {
            *place = Some(renewed);
        }
    }

    fn place(&self) -> MutexGuard<'_, Option<Renewed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
