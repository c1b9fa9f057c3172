//! How trials go: counted over all workers, and told to the control service while it changes.
//!
//! What is told is the count since the epoch began, with what was confirmed of it: a report that is lost is made good by
//! the next, and any replica of the control service can take it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aegis_decision::bundle::Bundle;
use aegis_decision::control::Head;
use aegis_decision::decision::{Verdict, Would};
use aegis_decision::trial::{MAX_POLICIES, Progress, Tally, TrialReport, Trials};
use aegis_runtime::shutdown::Drain;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::control::Control;
use crate::state::State;

/// How often.
const INTERVAL: Duration = Duration::from_secs(30);

/// What all workers count.
#[derive(Debug)]
pub struct Counts(Mutex<Trials>);

impl Default for Counts {
    fn default() -> Self {
        Self(Mutex::new(Trials::bounded(MAX_POLICIES)))
    }
}

/// The counts of one moment.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counted {
    policies: BTreeMap<String, Tally>,
    mode: Tally,
}

impl Counts {
    /// Counts a call that was judged by what is tried out too.
    pub fn add(&self, verdict: Verdict, would: &Would) {
        self.trials().add(str::to_owned, verdict, would);
    }

    /// The counts as they are now. Policies that the bundle does not have any more are forgotten: others take their place.
    fn now(&self, bundle: &Bundle) -> Counted {
        let mut trials = self.trials();
        trials.retain(|name| bundle.source().policies.iter().any(|policy| policy.name == name));
        Counted { policies: trials.policies().clone(), mode: *trials.mode() }
    }

    fn trials(&self) -> MutexGuard<'_, Trials> {
        // What is under the lock is never left half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counted {
    /// What is new since `told`, and what it is new to.
    fn report(&self, told: &Self, epoch: String) -> TrialReport {
        let progress = self.policies.iter().map(|(name, counted)| {
            let told = told.policies.get(name).copied().unwrap_or_default();
            (name.clone(), Progress { told, counted: *counted })
        });
        let policies = progress.filter(|(_, progress)| progress.told != progress.counted).collect();
        TrialReport { epoch, policies, mode: Progress { told: told.mode, counted: self.mode } }
    }
}

/// Tells the counts at every interval when they have changed, and a last time when the writer of records has ended.
pub async fn send_all(
    counts: &Counts,
    head: &watch::Receiver<Option<Head>>,
    control: &Control,
    state: &State,
    done: &Drain,
) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = Counted::default();
    loop {
        let last = tokio::select! {
            _ = ticks.tick() => false,
            () = done.begun() => true,
        };
        let epoch = head.borrow().as_ref().map(|head| head.epoch.clone());
        if let (Some(policy), Some(epoch), Some(token)) = (state.policy(), epoch, state.token()) {
            let counted = counts.now(&policy.bundle);
            // A policy that was forgotten is counted from nothing when it comes back.
            told.policies.retain(|name, _| counted.policies.contains_key(name));
            if counted != told {
                match control.trials(&token.bearer, &counted.report(&told, epoch)).await {
                    Ok(()) => told = counted,
                    Err(error) => {
                        tracing::warn!(error = &error as &dyn std::error::Error, "trials not reported");
                    }
                }
            }
        }
        if last {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(agreed: u64) -> Tally {
        Tally { judged: agreed, agreed, ..Tally::default() }
    }

    fn counted(policies: &[(&str, u64)], mode: u64) -> Counted {
        let policies = policies.iter().map(|(name, agreed)| ((*name).to_owned(), tally(*agreed)));
        Counted { policies: policies.collect(), mode: tally(mode) }
    }

    #[test]
    fn what_is_confirmed_is_named_and_what_has_no_news_is_left_out() {
        let now = counted(&[("known", 4), ("grown", 5), ("new", 1)], 3);
        let report = now.report(&counted(&[("known", 4), ("grown", 2)], 3), "e".to_owned());
        let progress = |told, counted| Progress { told: tally(told), counted: tally(counted) };
        let policies = [("grown".to_owned(), progress(2, 5)), ("new".to_owned(), progress(0, 1))];
        assert_eq!(report.policies, BTreeMap::from(policies));
        assert_eq!((report.mode, report.check()), (progress(3, 3), Ok(())));
    }
}
