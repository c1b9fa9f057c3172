//! One bound on the bundles that are on their way to sidecars. A policy may concern every sidecar at once, each has its
//! bundle signed for itself, and one is up to 8 MiB: without a bound a change would take as much memory as there are
//! sidecars.
//!
//! Who finds no room waits in line. So nothing that must not wait may stand behind a bundle ([`super::telling`]).

use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Fuse};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::metrics::Metrics;

/// Memory for lines with bundles that are on their way, over all feeds, in KiB: eight of the largest.
const ALL: u32 = 64 * 1024;
/// Bundles that are signed at once: each takes some 20 MiB more meanwhile.
const SIGNED_AT_ONCE: usize = 2;
/// Bytes for what an item has beside the bundle's source.
const ENVELOPE: usize = 1024;

/// Room for bundles on their way. Clones are one room.
#[derive(Clone)]
pub struct Room {
    kib: Arc<Semaphore>,
    all: u32,
    signing: Arc<Semaphore>,
    metrics: Metrics,
}

/// A place in line. It is kept as long as this is.
pub struct Turn {
    kib: u32,
    room: Fuse<BoxFuture<'static, Held>>,
    metrics: Metrics,
}

/// Room that was given. It is given back when this is dropped.
pub struct Held {
    kib: u32,
    /// None where nothing bounds any more.
    _permit: Option<OwnedSemaphorePermit>,
    signing: Option<OwnedSemaphorePermit>,
}

impl Room {
    /// Room for as many bundles as this replica may have on their way.
    pub fn new(metrics: Metrics) -> Self {
        Self::of(ALL, metrics)
    }

    /// Room of that many KiB.
    pub fn of(kib: u32, metrics: Metrics) -> Self {
        let permits = usize::try_from(kib).unwrap_or(Semaphore::MAX_PERMITS);
        Self {
            kib: Arc::new(Semaphore::new(permits)),
            all: kib,
            signing: Arc::new(Semaphore::new(SIGNED_AT_ONCE)),
            metrics,
        }
    }

    /// Gets in line with a bundle whose source has that many bytes.
    pub fn turn(&self, bytes: usize) -> Turn {
        let kib = self.needed(bytes);
        let (room, signing) = (Arc::clone(&self.kib), Arc::clone(&self.signing));
        // Neither is ever closed.
        let room = async move {
            let permit = room.acquire_many_owned(kib).await.ok();
            Held { kib, _permit: permit, signing: signing.acquire_owned().await.ok() }
        };
        self.metrics.feed_waits();
        Turn { kib, room: room.boxed().fuse(), metrics: self.metrics.clone() }
    }

    /// KiB that the line of a source of that many bytes takes: a third more in base64url. All there is for a larger one, so
    /// that it comes at last.
    fn needed(&self, bytes: usize) -> u32 {
        let json = bytes.saturating_add(ENVELOPE);
        let line = json.saturating_add(json.div_ceil(3)).div_ceil(1024);
        u32::try_from(line).unwrap_or(u32::MAX).min(self.all)
    }

    /// Whether a place in line is good for such a bundle, too.
    pub fn is_awaited(&self, bytes: usize, turn: &Turn) -> bool {
        self.needed(bytes) <= turn.kib
    }

    /// Whether room that was given is enough for such a bundle.
    pub fn is_held(&self, bytes: usize, held: &Held) -> bool {
        self.needed(bytes) <= held.kib
    }

    /// KiB that nobody holds.
    #[cfg(test)]
    pub fn left(&self) -> usize {
        self.kib.available_permits()
    }
}

impl Turn {
    /// Returns when there is room; after that, never.
    pub async fn come(&mut self) -> Held {
        (&mut self.room).await
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.metrics.feed_waits_no_more();
    }
}

impl Held {
    /// Signs, off the threads that serve. None if that failed for good, or was done before.
    pub async fn sign<T: Send + 'static>(&mut self, sign: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let slot = self.signing.take()?;
        let signed = tokio::task::spawn_blocking(move || {
            let signed = sign();
            drop(slot);
            signed
        });
        signed.await.ok()
    }
}

#[cfg(test)]
mod tests {
    use aegis_decision::bundle::MAX_SOURCE_BYTES;
    use aegis_decision::feed::MAX_ITEM_BYTES;
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;

    use super::*;

    fn room(kib: u32) -> Room {
        Room::of(kib, Metrics::new(&mut Registry::default()))
    }

    fn has_come(turn: &mut Turn) -> Option<Held> {
        turn.come().now_or_never()
    }

    #[test]
    fn the_largest_bundle_has_room_and_takes_no_more_than_its_line() {
        let room = Room::new(Metrics::new(&mut Registry::default()));
        let largest = usize::try_from(room.needed(MAX_SOURCE_BYTES)).unwrap() * 1024;
        assert!(largest <= MAX_ITEM_BYTES && MAX_ITEM_BYTES <= room.left() * 1024, "{largest}");
    }

    #[tokio::test]
    async fn bundles_wait_in_line_for_as_much_as_their_lines_take() {
        let room = room(8);
        // With its envelope, 2 KiB are 3, and 4 in base64url.
        let first = has_come(&mut room.turn(2 * 1024)).unwrap();
        let second = has_come(&mut room.turn(2 * 1024)).unwrap();
        assert_eq!(room.left(), 0);
        let (mut third, mut fourth) = (room.turn(5 * 1024), room.turn(1));
        assert!(has_come(&mut third).is_none() && has_come(&mut fourth).is_none());
        drop(first);
        assert!(has_come(&mut third).is_none() && has_come(&mut fourth).is_none(), "one after another");
        drop(second);
        let held = has_come(&mut third).unwrap();
        assert!(has_come(&mut third).is_none(), "once");
        drop(held);
        assert!(has_come(&mut fourth).is_some());
        assert_eq!(room.left(), 8);
    }

    #[tokio::test]
    async fn what_is_larger_than_all_room_comes_at_last_and_who_leaves_the_line_holds_nothing_up() {
        let room = room(4);
        let held = has_come(&mut room.turn(usize::MAX)).unwrap();
        let (mut left, mut next) = (room.turn(1024), room.turn(1024));
        assert!(has_come(&mut left).is_none() && has_come(&mut next).is_none());
        drop(left);
        drop(held);
        let held = has_come(&mut next).unwrap();
        // 2 KiB in base64url.
        assert!(room.is_awaited(1024, &next) && room.is_held(1024, &held));
        assert!(!room.is_awaited(2048, &next) && !room.is_held(2048, &held));
    }

    #[tokio::test]
    async fn few_are_signed_at_once() {
        let room = room(100);
        let mut first = has_come(&mut room.turn(1)).unwrap();
        let _second = has_come(&mut room.turn(1)).unwrap();
        let mut third = room.turn(1);
        assert!(has_come(&mut third).is_none());
        assert_eq!(first.sign(|| 7).await, Some(7));
        assert_eq!(first.sign(|| 7).await, None, "once");
        assert!(has_come(&mut third).is_some(), "what is signed is still on its way");
    }

    #[test]
    fn who_waits_is_counted() {
        let mut registry = Registry::default();
        let room = Room::of(4, Metrics::new(&mut registry));
        let waiting = || {
            let mut text = String::new();
            encode(&mut text, &registry).unwrap();
            let mut values = text.lines().filter_map(|line| line.strip_prefix("aegis_operator_feeds_waiting "));
            values.next().unwrap().to_owned()
        };
        let turns = [room.turn(1), room.turn(1)];
        assert_eq!(waiting(), "2");
        drop(turns);
        assert_eq!(waiting(), "0");
    }
}
