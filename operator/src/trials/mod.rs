//! How trials go: what sidecars count becomes the `trial` in the status of policies and agents.
//!
//! ```text
//! control/trials -> take: what is new, by object, in memory -> write: compare-and-set, once a minute
//! ```
//! Every replica takes reports, and writes what it took. A report says what was confirmed before, so it does not matter
//! which replica takes it, nor what this one has forgotten. What was taken and not written yet is lost with a replica that
//! is killed: a minute of counts, and nothing that is decided rests on them.

mod write;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aegis_decision::agent;
use aegis_decision::bundle::BundleSource;
use aegis_decision::policy::{self, Policy};
use aegis_decision::trial::{Progress, Tally, TrialReport};
use jiff::Timestamp;

use crate::epochs::make_room;

pub use write::run;

/// Most epochs of which it is known what was taken; the oldest go first.
const MAX_SOURCES: usize = 4_096;

/// An object whose status tells of a trial.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// An agent, for its mode.
    Agent {
        /// Namespace.
        namespace: String,
        /// Name.
        name: String,
        /// Uid: another agent of that name is not meant.
        uid: String,
    },
    /// A policy.
    Policy {
        /// Namespace.
        namespace: String,
        /// Name.
        name: String,
    },
}

/// Uid of the agent, uid of the pod, epoch.
type Key = (String, String, String);

/// What sidecars told, and what of it is not written yet.
#[derive(Debug, Default)]
pub struct Trials(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    sources: BTreeMap<Key, Source>,
    /// As many as there are objects to write at most.
    due: BTreeMap<Subject, Tally>,
}

/// What one epoch of a sidecar told last.
#[derive(Debug, Default)]
struct Source {
    at: Timestamp,
    policies: BTreeMap<String, Tally>,
    mode: Tally,
}

impl Trials {
    /// Takes what is new in a [checked](TrialReport::check) report. Who tells, and of what, is said by the bundle of the
    /// pod's agent: policies that it does not try out are left aside.
    pub fn take(&self, pod: &str, bundle: &BundleSource, report: &TrialReport, now: Timestamp) {
        let agent = &bundle.agent;
        let namespace = &agent.namespace;
        let mut inner = self.lock();
        let Inner { sources, due } = &mut *inner;
        let key = (agent.uid.clone(), pod.to_owned(), report.epoch.clone());
        let before = sources.remove(&key).unwrap_or_else(|| {
            make_room(sources, MAX_SOURCES, |(uid, ..)| *uid == agent.uid, |source| source.at);
            Source::default()
        });
        let mut source = Source { at: now, ..Source::default() };
        for policy in bundle.policies.iter().filter(|policy| is_tried(policy)) {
            if let Some(progress) = report.policies.get(&policy.name) {
                let known = before.policies.get(&policy.name).copied().unwrap_or_default();
                let subject = Subject::Policy { namespace: namespace.clone(), name: policy.name.clone() };
                source.policies.insert(policy.name.clone(), add(due, subject, known, progress));
            }
        }
        if agent.mode != agent::Mode::Enforce {
            let (name, uid) = (agent.name.clone(), agent.uid.clone());
            let subject = Subject::Agent { namespace: namespace.clone(), name, uid };
            source.mode = add(due, subject, before.mode, &report.mode);
        }
        sources.insert(key, source);
    }

    /// Everything that is to be written; from now on it is the caller's.
    fn due(&self) -> BTreeMap<Subject, Tally> {
        std::mem::take(&mut self.lock().due)
    }

    /// Takes back what could not be written.
    fn put_back(&self, subject: Subject, tally: Tally) {
        let mut inner = self.lock();
        let due = inner.due.entry(subject).or_default();
        *due = due.plus(tally);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a policy can be judged without having effect.
fn is_tried(policy: &Policy) -> bool {
    policy.mode == policy::Mode::Audit || policy.rollout.is_some()
}

/// Adds what is new to what is due; answers what is known now.
fn add(due: &mut BTreeMap<Subject, Tally>, subject: Subject, known: Tally, progress: &Progress) -> Tally {
    let known = known.most(progress.told);
    let new = progress.counted.beyond(known);
    // An older report that comes late has nothing new; counts that do not fit to those before are no sidecar's.
    if new.judged > 0 && new.is_whole() {
        let due = due.entry(subject).or_default();
        *due = due.plus(new);
    }
    known.most(progress.counted)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::epochs::MAX_PER_AGENT;

    /// Of agent `buyer`, which is audited, with a policy in force and two that are tried out.
    fn bundle(uid: &str, mode: &str) -> BundleSource {
        let policy = |name: &str| json!({"name": name, "tools": ["erp"], "rules": []});
        let mut policies = [policy("canary"), policy("limits"), policy("orders")];
        policies[0]["rollout"] = json!({"percent": 10, "replaces": "orders"});
        policies[1]["mode"] = json!("Audit");
        let mut source = json!({
            "agent": {
                "name": "buyer", "namespace": "shop", "uid": uid, "tenant": "acme", "businessUnit": "office",
                "owner": "Purchasing", "version": "1", "ceiling": "Commit", "serviceAccount": "buyer",
                "tokenTtlSeconds": 300, "maxStalenessSeconds": 60,
            },
            "tools": [], "policies": policies, "registries": [], "tiers": [],
        });
        source["agent"]["mode"] = json!(mode);
        serde_json::from_value(source).unwrap()
    }

    /// So many calls, of which a policy would have refused some.
    fn tally(judged: u64, would_deny: u64) -> Tally {
        Tally { judged, agreed: judged - would_deny, would_deny, ..Tally::default() }
    }

    fn report(epoch: &str, policy: &str, told: Tally, counted: Tally) -> TrialReport {
        let policies = BTreeMap::from([(policy.to_owned(), Progress { told, counted })]);
        let report = TrialReport { epoch: epoch.to_owned(), policies, mode: Progress::default() };
        report.check().unwrap();
        report
    }

    fn policy(name: &str) -> Subject {
        Subject::Policy { namespace: "shop".to_owned(), name: name.to_owned() }
    }

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    #[test]
    fn every_call_is_counted_once_whatever_is_lost_or_late() {
        let (trials, other) = (Trials::default(), Trials::default());
        let bundle = bundle("1", "Enforce");
        let none = Tally::default();
        let take = |to: &Trials, told, counted| to.take("pod", &bundle, &report("e", "limits", told, counted), NOW);
        take(&trials, none, tally(10, 1));
        // The answer was lost: the sidecar does not know that it was taken.
        take(&trials, none, tally(15, 2));
        // A report that is older than what was taken.
        take(&trials, none, tally(12, 1));
        assert_eq!(trials.due(), BTreeMap::from([(policy("limits"), tally(15, 2))]));
        // Another replica, which goes on where this one ended; then this one again.
        take(&other, tally(15, 2), tally(20, 2));
        take(&trials, tally(20, 2), tally(21, 3));
        assert_eq!(other.due(), BTreeMap::from([(policy("limits"), tally(5, 0))]));
        assert_eq!(trials.due(), BTreeMap::from([(policy("limits"), tally(1, 1))]));
        // Nothing new.
        take(&trials, tally(21, 3), tally(21, 3));
        assert!(trials.due().is_empty());
        // Another epoch begins with nothing, and so does that of another pod.
        trials.take("pod", &bundle, &report("e2", "limits", none, tally(2, 0)), NOW);
        trials.take("pod2", &bundle, &report("e", "limits", none, tally(3, 0)), NOW);
        assert_eq!(trials.due(), BTreeMap::from([(policy("limits"), tally(5, 0))]));
    }

    #[test]
    fn only_what_the_agent_tries_out_is_taken() {
        let trials = Trials::default();
        let mut told = report("e", "canary", Tally::default(), tally(4, 4));
        for other in ["orders", "elsewhere"] {
            told.policies.insert(other.to_owned(), Progress { told: Tally::default(), counted: tally(9, 9) });
        }
        told.mode.counted = tally(2, 1);
        trials.take("pod", &bundle("1", "Enforce"), &told, NOW);
        assert_eq!(trials.due(), BTreeMap::from([(policy("canary"), tally(4, 4))]));
        told.epoch = "e2".to_owned();
        trials.take("pod", &bundle("1", "Audit"), &told, NOW);
        let buyer = Subject::Agent { namespace: "shop".to_owned(), name: "buyer".to_owned(), uid: "1".to_owned() };
        assert_eq!(trials.due(), BTreeMap::from([(buyer, tally(2, 1)), (policy("canary"), tally(4, 4))]));
    }

    #[test]
    fn counts_that_do_not_fit_to_those_before_are_not_taken() {
        let trials = Trials::default();
        let bundle = bundle("1", "Enforce");
        let take = |counted| trials.take("pod", &bundle, &report("e", "limits", Tally::default(), counted), NOW);
        take(tally(10, 0));
        trials.due();
        take(tally(11, 11));
        assert!(trials.due().is_empty());
    }

    #[test]
    fn what_is_put_back_is_due_again() {
        let trials = Trials::default();
        let bundle = bundle("1", "Enforce");
        trials.take("pod", &bundle, &report("e", "limits", Tally::default(), tally(3, 0)), NOW);
        let due = trials.due();
        trials.take("pod", &bundle, &report("e", "limits", tally(3, 0), tally(5, 1)), NOW);
        for (subject, tally) in due {
            trials.put_back(subject, tally);
        }
        assert_eq!(trials.due(), BTreeMap::from([(policy("limits"), tally(5, 1))]));
    }

    #[test]
    fn one_agent_pushes_out_its_own_oldest_epochs_only() {
        let trials = Trials::default();
        let take = |agent: &str, epoch: &str, second: usize| {
            let now = Timestamp::from_second(i64::try_from(second).unwrap()).unwrap();
            trials.take("pod", &bundle(agent, "Enforce"), &report(epoch, "limits", Tally::default(), tally(1, 0)), now);
        };
        take("honest", "e", 0);
        for number in 0..MAX_PER_AGENT + 10 {
            take("flood", &format!("e{number}"), number + 1);
        }
        let inner = trials.lock();
        let has = |agent: &str, epoch: &str| {
            inner.sources.contains_key(&(agent.to_owned(), "pod".to_owned(), epoch.to_owned()))
        };
        assert_eq!(inner.sources.len(), MAX_PER_AGENT + 1);
        assert!(has("honest", "e") && !has("flood", "e9") && has("flood", "e10"));
    }
}
