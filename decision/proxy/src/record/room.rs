//! The memory that records may take until they are kept. A record of the longest kind is a thousand times a short one, so
//! a number of records bounds little of it.

use std::sync::Arc;

use aegis_decision::record::Record;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes that are left, as [`Record::weight`] counts them.
#[derive(Debug, Clone)]
pub struct Room(Arc<Semaphore>);

/// What a record takes of it, given back when this is dropped.
#[derive(Debug)]
pub struct Taken {
    _permit: OwnedSemaphorePermit,
}

impl Room {
    /// Most bytes of all records that are not kept yet.
    pub const BYTES: u32 = 8 * 1024 * 1024;

    /// With nothing in it.
    pub fn new() -> Self {
        Self(Arc::new(Semaphore::new(usize::try_from(Self::BYTES).unwrap_or(usize::MAX))))
    }

    /// Takes what the record weighs; none while there is no room for it. One that weighs more than all of the room takes
    /// all of it.
    pub fn take(&self, record: &Record) -> Option<Taken> {
        let bytes = u32::try_from(record.weight()).unwrap_or(u32::MAX).min(Self::BYTES);
        let permit = Arc::clone(&self.0).try_acquire_many_owned(bytes).ok()?;
        Some(Taken { _permit: permit })
    }
}
