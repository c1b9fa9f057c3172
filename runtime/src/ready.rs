//! Readiness: what the process still waits for, by name.
//!
//! A part of the program takes a [`Handle`] before it starts and releases it once, when it has what it needs. The
//! process is ready when every handle is released, and no longer once the drain has begun. A handle that is dropped
//! unreleased stays pending: the reason why the process never became ready is then still to be read.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::watch;

use crate::shutdown::Drain;

/// What the process waits for.
#[derive(Debug, Clone)]
pub struct Readiness {
    pending: Arc<watch::Sender<BTreeSet<&'static str>>>,
    drain: Drain,
}

impl Readiness {
    /// Nothing to wait for yet.
    pub fn new(drain: Drain) -> Self {
        Self { pending: Arc::new(watch::Sender::new(BTreeSet::new())), drain }
    }

    /// Adds something to wait for.
    pub fn handle(&self, name: &'static str) -> Handle {
        self.pending.send_modify(|names| {
            names.insert(name);
        });
        Handle { name, pending: Arc::clone(&self.pending) }
    }

    /// Names of what is still waited for, in order.
    pub fn pending(&self) -> Vec<&'static str> {
        self.pending.borrow().iter().copied().collect()
    }

    /// Where the process stands.
    pub fn state(&self) -> State {
        let pending = self.pending();
        if self.drain.has_begun() {
            State::Draining
        } else if pending.is_empty() {
            State::Ready
        } else {
            State::Pending(pending)
        }
    }

    /// Returns when nothing is waited for any more.
    pub async fn ready(&self) {
        let mut pending = self.pending.subscribe();
        // The sender lives in self: the channel cannot close while this waits.
        let _ = pending.wait_for(BTreeSet::is_empty).await;
    }
}

/// Where a process stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Everything is there.
    Ready,
    /// These are not.
    Pending(Vec<&'static str>),
    /// The process is ending.
    Draining,
}

/// One thing that is waited for.
#[derive(Debug)]
pub struct Handle {
    name: &'static str,
    pending: Arc<watch::Sender<BTreeSet<&'static str>>>,
}

impl Handle {
    /// It is there.
    pub fn release(self) {
        self.pending.send_modify(|names| {
            names.remove(self.name);
        });
        tracing::info!(part = self.name, "ready");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn is_ready_when_every_handle_is_released() {
        let readiness = Readiness::new(Drain::new());
        let (bundle, token) = (readiness.handle("bundle"), readiness.handle("token"));
        assert_eq!(readiness.state(), State::Pending(vec!["bundle", "token"]));
        bundle.release();
        assert_eq!(readiness.state(), State::Pending(vec!["token"]));
        token.release();
        readiness.ready().await;
        assert_eq!(readiness.state(), State::Ready);
    }

    #[test]
    fn a_dropped_handle_stays_pending() {
        let readiness = Readiness::new(Drain::new());
        drop(readiness.handle("token"));
        assert_eq!(readiness.pending(), ["token"]);
    }

    #[test]
    fn is_not_ready_once_the_drain_has_begun() {
        let drain = Drain::new();
        let readiness = Readiness::new(drain.clone());
        assert_eq!(readiness.state(), State::Ready);
        drain.begin();
        assert_eq!(readiness.state(), State::Draining);
    }
}
