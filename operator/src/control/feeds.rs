//! A bound on open feeds: a few for each pod, and the newest stay. A connection that broke without a word looks open for
//! a while, and must not keep a sidecar that has started again from its feed; so nobody is refused, the oldest ends.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::metrics::Metrics;

/// Feeds of one pod at once: the one in use, and one that has not noticed yet that it is not.
const EACH: usize = 2;

/// The feeds that are open, oldest first, by pod uid.
pub struct Feeds {
    open: Mutex<HashMap<String, VecDeque<Arc<Notify>>>>,
    metrics: Metrics,
}

/// An open feed. It counts until this is dropped.
pub struct Open {
    feeds: Arc<Feeds>,
    pod: String,
    displaced: Arc<Notify>,
}

impl Feeds {
    /// None is open.
    pub fn new(metrics: Metrics) -> Arc<Self> {
        Arc::new(Self { open: Mutex::default(), metrics })
    }

    /// Opens one for a pod, and displaces the oldest where it has as many as it may.
    pub fn open(self: &Arc<Self>, pod: &str) -> Open {
        let displaced = Arc::new(Notify::new());
        self.change(|open| {
            let of_pod = open.entry(pod.to_owned()).or_default();
            of_pod.push_back(Arc::clone(&displaced));
            if of_pod.len() > EACH
                && let Some(oldest) = of_pod.pop_front()
            {
                oldest.notify_one();
                self.metrics.feed_displaced();
            }
        });
        Open { feeds: Arc::clone(self), pod: pod.to_owned(), displaced }
    }

    fn change(&self, change: impl FnOnce(&mut HashMap<String, VecDeque<Arc<Notify>>>)) {
        // What is under the lock is never left half changed.
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut open);
        self.metrics.feeds(open.values().map(VecDeque::len).sum());
    }
}

impl Open {
    /// Returns when newer ones have taken its place.
    pub async fn displaced(&self) {
        self.displaced.notified().await;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.feeds.change(|open| {
            if let Some(of_pod) = open.get_mut(&self.pod) {
                of_pod.retain(|one| !Arc::ptr_eq(one, &self.displaced));
                if of_pod.is_empty() {
                    open.remove(&self.pod);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;

    use super::*;

    #[test]
    fn the_newest_feeds_of_a_pod_stay_and_nothing_is_kept_of_those_that_ended() {
        let mut registry = Registry::default();
        let feeds = Feeds::new(Metrics::new(&mut registry));
        let told = |open: u8, displaced: u8| {
            let mut text = String::new();
            encode(&mut text, &registry).unwrap();
            for line in [
                format!("aegis_operator_feeds {open}\n"),
                format!("aegis_operator_feeds_displaced_total {displaced}\n"),
            ] {
                assert!(text.contains(&line), "{line} in {text}");
            }
        };
        let ended = |feed: &Open| feed.displaced().now_or_never().is_some();
        let [first, second] = ["a", "a"].map(|pod| feeds.open(pod));
        let other = feeds.open("b");
        told(3, 0);
        let third = feeds.open("a");
        assert!(ended(&first), "the oldest makes room");
        assert!(!ended(&second) && !ended(&third), "the newest stay");
        told(3, 1);
        // One that was displaced gives no place back: it has none.
        drop(first);
        told(3, 1);
        // One that ended by itself does.
        drop(third);
        let fourth = feeds.open("a");
        assert!(!ended(&second) && !ended(&fourth) && !ended(&other), "another pod has its own");
        drop((second, fourth, other));
        told(0, 1);
        assert!(feeds.open.lock().unwrap().is_empty());
    }
}
