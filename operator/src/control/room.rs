//! One bound on the bundles that are on their way to sidecars. A policy may concern every sidecar at once, each has its
//! bundle signed for itself, and one is up to 8 MiB: without a bound a change would take as much memory as there are
//! sidecars.
//!
//! Who finds no room waits in line. So nothing that must not wait may stand behind a bundle ([`super::telling`]). An
//! agent may have many pods, and they may read slowly: what it has on its way at once is a share of all room, and who
//! waits for the agent's own share does not stand in the common line.

use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Fuse};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::per_name::PerName;
use crate::metrics::Metrics;

/// Memory for lines with bundles that are on their way, over all feeds, in KiB: eight of the largest.
const ALL: u32 = 64 * 1024;
/// Shares in all room: an agent has one. A line that is longer takes the agent's whole share.
const SHARES: u32 = 4;
/// Bundles that are signed at once: each takes some 20 MiB more meanwhile.
const SIGNED_AT_ONCE: usize = 2;
/// Bytes for what an item has beside the bundle's source.
const ENVELOPE: usize = 1024;

/// Room for bundles on their way. Clones are one room.
#[derive(Clone)]
pub struct Room {
    kib: Arc<Semaphore>,
    all: u32,
    share: u32,
    shares: Arc<PerName<Semaphore>>,
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
    /// Of the agent's share, and of all room. None where nothing bounds any more.
    _permits: [Option<OwnedSemaphorePermit>; 2],
    signing: Arc<Semaphore>,
}

impl Room {
    /// Room for as many bundles as this replica may have on their way.
    pub fn new(metrics: Metrics) -> Self {
        Self::of(ALL, metrics)
    }

    /// Room of that many KiB.
    pub fn of(kib: u32, metrics: Metrics) -> Self {
        Self {
            kib: Arc::new(of_kib(kib)),
            all: kib,
            share: kib.div_ceil(SHARES),
            shares: Arc::default(),
            signing: Arc::new(Semaphore::new(SIGNED_AT_ONCE)),
            metrics,
        }
    }

    /// Gets in line with a bundle for that agent, whose source has that many bytes.
    pub fn turn(&self, agent_uid: &str, bytes: usize) -> Turn {
        let kib = self.needed(bytes);
        let of_share = kib.min(self.share);
        let share = self.shares.of_with(agent_uid, || of_kib(self.share));
        let (all, signing) = (Arc::clone(&self.kib), Arc::clone(&self.signing));
        // None of them is ever closed. The agent's share comes first: who waits for that holds up no other agent.
        let room = async move {
            let of_share = share.acquire_many_owned(of_share).await.ok();
            let of_all = all.acquire_many_owned(kib).await.ok();
            Held { kib, _permits: [of_share, of_all], signing }
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
    /// Signs, off the threads that serve. None if that failed for good.
    ///
    /// Only who signs has a slot. A slot that came with the room could come to a feed that still waits for its reader, and
    /// two of those would stop all signing.
    pub async fn sign<T: Send + 'static>(&self, sign: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let slot = Arc::clone(&self.signing).acquire_owned().await.ok()?;
        let signed = tokio::task::spawn_blocking(move || {
            // Held until the work ends, also where nobody waits for it any more.
            let _slot = slot;
            sign()
        });
        signed.await.ok()
    }
}

/// Room of that many KiB.
fn of_kib(kib: u32) -> Semaphore {
    Semaphore::new(usize::try_from(kib).unwrap_or(Semaphore::MAX_PERMITS))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use aegis_decision::bundle::MAX_SOURCE_BYTES;
    use aegis_decision::feed::MAX_ITEM_BYTES;
    use prometheus_client::registry::Registry;
    use tokio::time::timeout;

    use super::super::fixture::told;
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
        let share = usize::try_from(room.share).unwrap() * 1024;
        assert!(largest <= MAX_ITEM_BYTES && MAX_ITEM_BYTES <= share && share < room.left() * 1024, "{largest}");
    }

    #[tokio::test]
    async fn bundles_wait_in_line_for_as_much_as_their_lines_take() {
        let room = room(8);
        // With its envelope, 2 KiB are 3, and 4 in base64url.
        let first = has_come(&mut room.turn("a", 2 * 1024)).unwrap();
        let second = has_come(&mut room.turn("b", 2 * 1024)).unwrap();
        assert_eq!(room.left(), 0);
        let (mut third, mut fourth) = (room.turn("c", 5 * 1024), room.turn("d", 1));
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
        let held = has_come(&mut room.turn("a", usize::MAX)).unwrap();
        let (mut left, mut next) = (room.turn("b", 1024), room.turn("c", 1024));
        assert!(has_come(&mut left).is_none() && has_come(&mut next).is_none());
        drop(left);
        drop(held);
        let held = has_come(&mut next).unwrap();
        // 2 KiB in base64url.
        assert!(room.is_awaited(1024, &next) && room.is_held(1024, &held));
        assert!(!room.is_awaited(2048, &next) && !room.is_held(2048, &held));
    }

    #[tokio::test]
    async fn an_agent_has_a_share_and_who_waits_for_it_holds_up_no_other() {
        // A share has 4 KiB: two lines of the smallest bundle.
        let room = room(16);
        let [first, _second] = ["a"; 2].map(|agent| has_come(&mut room.turn(agent, 1)).unwrap());
        let mut third = room.turn("a", 1);
        assert!(has_come(&mut third).is_none(), "the agent's share is taken");
        let mut larger = room.turn("b", 5 * 1024);
        let held = has_come(&mut larger).unwrap();
        assert!(has_come(&mut room.turn("b", 1)).is_none(), "a line of 8 KiB took all of its agent's share");
        assert_eq!(room.left(), 4);
        assert!(has_come(&mut room.turn("c", 2 * 1024)).is_some(), "nobody waits in this line");
        drop(first);
        assert!(has_come(&mut third).is_some());
        drop(held);
        assert!(has_come(&mut room.turn("b", 1)).is_some());
    }

    #[tokio::test]
    async fn few_are_signed_at_once_and_only_who_signs_has_a_slot() {
        let room = room(100);
        let [first, second, third] = ["a", "b", "c"].map(|agent| has_come(&mut room.turn(agent, 1)).unwrap());
        assert_eq!(room.signing.available_permits(), SIGNED_AT_ONCE, "room comes without a slot");
        let (end_first, first_ends) = channel::<()>();
        let (end_second, second_ends) = channel::<()>();
        let mut first = first.sign(move || first_ends.recv()).boxed();
        let mut second = second.sign(move || second_ends.recv()).boxed();
        let mut third = third.sign(|| 3).boxed();
        assert!((&mut first).now_or_never().is_none() && (&mut second).now_or_never().is_none());
        let a_while = Duration::from_millis(100);
        assert!(timeout(a_while, &mut third).await.is_err(), "two are being signed");
        drop(first);
        assert!(timeout(a_while, &mut third).await.is_err(), "what is being signed goes on");
        end_first.send(()).unwrap();
        assert_eq!(third.await, Some(3));
        end_second.send(()).unwrap();
        assert_eq!(second.await, Some(Ok(())));
    }

    #[test]
    fn who_waits_is_counted() {
        let mut registry = Registry::default();
        let room = Room::of(4, Metrics::new(&mut registry));
        let waiting = || told(&registry, "aegis_operator_feeds_waiting");
        let turns = [room.turn("a", 1), room.turn("b", 1)];
        assert_eq!(waiting(), "2");
        drop(turns);
        assert_eq!(waiting(), "0");
    }
}
