//! What records may take until they are kept: places, and memory. A record of the longest kind is a thousand times a short
//! one, so a number of records bounds little of the memory.
//!
//! How a call or a connection ended is written down whatever else waits. Such a record is small, and has a share of its own,
//! which is taken before the call may go: see [`super::intent`].

use std::sync::Arc;

use aegis_decision::record::Record;
use aegis_decision::segment::MAX_BATCH_LINES;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// What is left. Nobody looks for it again and again: who finds nothing waits in line until something is given back.
#[derive(Debug, Clone)]
pub struct Room {
    places: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    outcomes: Arc<Semaphore>,
    ends: Arc<Semaphore>,
}

/// What a record takes, given back when this is dropped.
#[derive(Debug)]
pub struct Taken {
    _place: OwnedSemaphorePermit,
    /// None where the place stands for the bytes as well.
    _bytes: Option<OwnedSemaphorePermit>,
}

impl Room {
    /// Most records of decisions and of connections that are not kept yet.
    pub const PLACES: usize = 1024;
    /// Most bytes of these together, as [`Record::weight`] counts them.
    pub const BYTES: u32 = 8 * 1024 * 1024;
    /// Most calls that may be out, or whose outcomes are not kept yet.
    pub const OUTCOMES: usize = 1792;
    /// Most connections that may be open, or whose ends are not kept yet.
    pub const ENDS: usize = 1024;
    /// Most bytes of the record of an outcome or of an end, so that its place stands for them: its longest text is an
    /// idempotency key, of 255 bytes at most.
    pub const END_BYTES: usize = 1024;

    /// With nothing in it.
    pub fn new() -> Self {
        let semaphore = |permits: usize| Arc::new(Semaphore::new(permits));
        Self {
            places: semaphore(Self::PLACES),
            bytes: semaphore(usize::try_from(Self::BYTES).unwrap_or(usize::MAX)),
            outcomes: semaphore(Self::OUTCOMES),
            ends: semaphore(Self::ENDS),
        }
    }

    /// The bytes that a record takes: what it weighs. One that weighs more than all of the room takes all of it.
    pub fn weigh(record: &Record) -> u32 {
        u32::try_from(record.weight()).unwrap_or(u32::MAX).min(Self::BYTES)
    }

    /// Takes a place and so many bytes for a decision or a connection, when those who came before have had theirs; none when
    /// `until` is over.
    pub async fn take(&self, bytes: u32, until: Instant) -> Option<Taken> {
        let place = within(&self.places, 1, until).await?;
        let bytes = within(&self.bytes, bytes, until).await?;
        Some(Taken { _place: place, _bytes: Some(bytes) })
    }

    /// The same for who cannot wait; none where it is not free now.
    pub fn take_now(&self, bytes: u32) -> Option<Taken> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let bytes = Arc::clone(&self.bytes).try_acquire_many_owned(bytes).ok()?;
        Some(Taken { _place: place, _bytes: Some(bytes) })
    }

    /// Takes what the record of an outcome needs; none when `until` is over.
    pub async fn take_for_outcome(&self, until: Instant) -> Option<Taken> {
        Some(Taken { _place: within(&self.outcomes, 1, until).await?, _bytes: None })
    }

    /// Takes what the record of a connection's end needs; none when `until` is over.
    pub async fn take_for_end(&self, until: Instant) -> Option<Taken> {
        Some(Taken { _place: within(&self.ends, 1, until).await?, _bytes: None })
    }

    /// What is left of places, bytes, outcomes and ends.
    #[cfg(test)]
    pub fn left(&self) -> [usize; 4] {
        [&self.places, &self.bytes, &self.outcomes, &self.ends].map(|of| of.available_permits())
    }
}

/// All that is not kept yet, and a renewed attestation, go into one batch: the writer could not seal more.
const _: () = assert!(Room::PLACES + Room::OUTCOMES + Room::ENDS < MAX_BATCH_LINES);
/// What the two shares come to.
const _: () = assert!((Room::OUTCOMES + Room::ENDS) * Room::END_BYTES <= 3 * 1024 * 1024);

/// Waits for permits in the order of coming. No semaphore here is ever closed.
async fn within(of: &Arc<Semaphore>, permits: u32, until: Instant) -> Option<OwnedSemaphorePermit> {
    timeout_at(until, Arc::clone(of).acquire_many_owned(permits)).await.ok()?.ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use tokio::task::yield_now;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(1)
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_longer_goes_first() {
        let (room, order) = (Room::new(), Mutex::new(Vec::new()));
        let until = soon();
        let half = room.take(Room::BYTES / 2, until).await.unwrap();
        let other = room.take(Room::BYTES / 2, until).await.unwrap();
        let large = async {
            let _taken = room.take(Room::BYTES, until).await.unwrap();
            order.lock().unwrap().push("large");
        };
        let small = async {
            let _taken = room.take(1, until).await.unwrap();
            order.lock().unwrap().push("small");
        };
        let frees = async {
            yield_now().await;
            drop(half);
            yield_now().await;
            assert!(order.lock().unwrap().is_empty(), "there is room for the small one, but it came later");
            drop(other);
        };
        tokio::join!(large, small, frees);
        assert_eq!(*order.lock().unwrap(), ["large", "small"]);
        assert_eq!(room.left(), Room::new().left(), "all is given back");
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_taken_by_who_waited_in_vain() {
        let room = Room::new();
        let all = room.take(Room::BYTES, soon()).await.unwrap();
        let began = Instant::now();
        assert!(room.take(1, soon()).await.is_none() && began.elapsed() >= Duration::from_secs(1));
        assert!(room.take_now(1).is_none());
        drop(all);
        assert_eq!(room.left(), Room::new().left());
        drop(room.take_now(Room::BYTES).unwrap());
        assert_eq!(room.left(), Room::new().left());
    }

    #[tokio::test(start_paused = true)]
    async fn outcomes_and_ends_have_shares_that_nothing_else_takes() {
        let room = Room::new();
        let _all = room.take(Room::BYTES, soon()).await.unwrap();
        let (mut outcomes, mut ends) = (Vec::new(), Vec::new());
        while let Some(taken) = room.take_for_outcome(soon()).await {
            outcomes.push(taken);
        }
        while let Some(taken) = room.take_for_end(soon()).await {
            ends.push(taken);
        }
        assert_eq!((outcomes.len(), ends.len()), (Room::OUTCOMES, Room::ENDS));
        outcomes.pop();
        assert!(room.take_for_outcome(soon()).await.is_some());
    }
}
