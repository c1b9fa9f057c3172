//! What is kept of one run, and that it was there at all.

use std::collections::{BTreeMap, HashMap, VecDeque};

use jiff::Timestamp;

use super::fingerprint::Fingerprint;
use super::seen::Seen;
use super::view::Outcomes;

/// One run.
#[derive(Debug)]
pub(super) struct Run {
    /// Place among all runs, the longest unused first.
    pub(super) turn: u64,
    pub(super) last_used: Timestamp,
    /// Whether no outcome of it was forgotten.
    pub(super) complete: bool,
    pub(super) outcomes: BTreeMap<String, Outcomes>,
    pub(super) seen: Seen,
}

/// Runs that were evicted before they had expired: when they come back, what was forgotten is not taken for never done.
#[derive(Debug, Default)]
pub(super) struct Forgotten {
    until: HashMap<Fingerprint, Timestamp>,
    order: VecDeque<Fingerprint>,
    /// Until then any run may be a forgotten one: some fell out of this list, too.
    blind_until: Option<Timestamp>,
}

impl Forgotten {
    /// Remembers that a run was evicted which would have expired at `until`; of at most `limit` runs.
    pub(super) fn add(&mut self, run: Fingerprint, until: Timestamp, limit: usize) {
        if self.until.insert(run, until).is_none() {
            self.order.push_back(run);
        }
        while self.order.len() > limit {
            let Some(dropped) = self.order.pop_front().and_then(|oldest| self.until.remove(&oldest)) else { continue };
            self.blind_until = self.blind_until.max(Some(dropped));
        }
    }

    /// Whether the run may be one that was evicted.
    pub(super) fn has(&self, run: Fingerprint, now: Timestamp) -> bool {
        self.blind_until.is_some_and(|end| now < end) || self.until.get(&run).is_some_and(|end| now < *end)
    }
}
