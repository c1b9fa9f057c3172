//! Adds what sidecars counted to the statuses of policies and agents.
//!
//! The counts are a field of their own with a field manager of its own: the plan's status is applied without it, and leaves
//! it as it is ([`crate::report`]). A write names the version that it was added to, so of two replicas that write at once
//! one reads again.

use std::sync::Arc;
use std::time::Duration;

use aegis_cluster::Watched;
use aegis_crds::MAX_INTEGER;
use aegis_crds::api::agent::Mode;
use aegis_crds::api::{Agent, ToolPolicy, Trial};
use aegis_decision::trial::Tally;
use aegis_runtime::tasks::TaskResult;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Patch, PatchParams};
use kube::core::ObjectMeta;
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;
use tokio::time::MissedTickBehavior;

use super::Subject;
use crate::conditions::whole_second;
use crate::control::Control;

/// Least time between two writes of one object, by whichever replica.
const EVERY: Duration = Duration::from_mins(1);
/// Time between two looks at what is due.
const LOOK: Duration = Duration::from_secs(15);
/// Attempts against concurrent writers before the next look.
const ATTEMPTS: usize = 5;
/// Field manager of the counts.
const MANAGER: &str = "aegis-trials";

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    Yes,
    /// It was written less than [`EVERY`] ago, or others kept writing it.
    Later,
    /// There is no such object any more.
    Gone,
}

/// An object whose status tells of a trial.
trait Tried: Watched {
    fn trial(&self) -> Option<&Trial>;

    /// Whether a share of agreement says something.
    fn compares(&self) -> bool;
}

impl Tried for ToolPolicy {
    fn trial(&self) -> Option<&Trial> {
        self.status.as_ref()?.trial.as_ref()
    }

    fn compares(&self) -> bool {
        true
    }
}

impl Tried for Agent {
    fn trial(&self) -> Option<&Trial> {
        self.status.as_ref()?.trial.as_ref()
    }

    /// What was proposed is not sent, whatever policies say: nothing is in force that they could agree with.
    fn compares(&self) -> bool {
        self.spec.enforcement.mode != Mode::Propose
    }
}

/// Writes what is due until the drain begins, and then what is left at once.
pub async fn run(control: Arc<Control>) -> TaskResult {
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let last = tokio::select! {
            () = control.drain.begun() => true,
            _ = looks.tick() => false,
        };
        for (subject, more) in control.trials.due() {
            let result = match write(&control, &subject, more, last).await {
                Ok(Written::Yes) => "written",
                Ok(Written::Gone) => "gone",
                Ok(Written::Later) => {
                    control.trials.put_back(subject, more);
                    continue;
                }
                Err(error) => {
                    tracing::warn!(?subject, %error, "counts of a trial not written, trying again");
                    control.trials.put_back(subject, more);
                    "failed"
                }
            };
            control.metrics.trial_written(result);
        }
        if last {
            return Ok(());
        }
    }
}

async fn write(control: &Control, subject: &Subject, more: Tally, at_once: bool) -> Result<Written, kube::Error> {
    let (client, stores) = (&control.client, &control.stores);
    match subject {
        Subject::Agent { namespace, name, uid } => {
            let known = stores.agents.find(|agent| agent.metadata.uid.as_ref() == Some(uid));
            add(client, (namespace, name), Some(uid), known, more, at_once).await
        }
        Subject::Policy { namespace, name } => {
            let known = stores.policies.find(|policy| {
                policy.metadata.namespace.as_ref() == Some(namespace) && policy.metadata.name.as_ref() == Some(name)
            });
            add(client, (namespace, name), None, known, more, at_once).await
        }
    }
}

/// Adds to the counts of an object, beginning with the object as it is `known`.
async fn add<K: Tried>(
    client: &Client,
    (namespace, name): (&str, &str),
    uid: Option<&String>,
    mut known: Option<Arc<K>>,
    more: Tally,
    at_once: bool,
) -> Result<Written, kube::Error> {
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    for _ in 0..ATTEMPTS {
        let object = match known.take() {
            Some(object) => object,
            None => match api.get_opt(name).await? {
                Some(object) => Arc::new(object),
                None => return Ok(Written::Gone),
            },
        };
        if uid.is_some() && object.meta().uid.as_ref() != uid {
            return Ok(Written::Gone);
        }
        let now = Timestamp::now();
        if !at_once && object.trial().is_some_and(|trial| is_recent(trial, now)) {
            return Ok(Written::Later);
        }
        let generation = object.meta().generation.unwrap_or_default();
        let metadata = ObjectMeta {
            name: Some(name.to_owned()),
            uid: object.uid(),
            resource_version: object.resource_version(),
            ..ObjectMeta::default()
        };
        let patch = json!({
            "apiVersion": K::api_version(&()),
            "kind": K::kind(&()),
            "metadata": metadata,
            "status": {"trial": grown(object.trial(), generation, more, object.compares(), now)},
        });
        match api.patch_status(name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(&patch)).await {
            Ok(_) => return Ok(Written::Yes),
            // Changed meanwhile, or another one of that name: it is read again.
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(Written::Gone),
            Err(error) => return Err(error),
        }
    }
    Ok(Written::Later)
}

/// Whether an object was written a moment ago. A time that lies ahead by more is no reason to wait for it.
fn is_recent(trial: &Trial, now: Timestamp) -> bool {
    now.duration_since(trial.updated_at.0).unsigned_abs() < EVERY
}

/// The counts with more calls. Those of another generation are of something else, and end.
fn grown(before: Option<&Trial>, generation: i64, more: Tally, compares: bool, now: Timestamp) -> Trial {
    let before = before.filter(|trial| trial.observed_generation == generation);
    let tally = before.map_or_else(Tally::default, counted).plus(more);
    let now = Time(whole_second(now));
    // What the status may hold at most.
    let count = |calls: u64| i64::try_from(calls).unwrap_or(MAX_INTEGER).min(MAX_INTEGER);
    Trial {
        observed_generation: generation,
        since: before.map_or_else(|| now.clone(), |trial| trial.since.clone()),
        updated_at: now,
        judged: count(tally.judged),
        agreed: count(tally.agreed),
        would_deny: count(tally.would_deny),
        would_hold: count(tally.would_hold),
        would_allow: count(tally.would_allow),
        agreement: tally.agreement().filter(|_| compares).map(|share| share.to_string()),
    }
}

fn counted(trial: &Trial) -> Tally {
    let count = |calls: i64| u64::try_from(calls).unwrap_or_default();
    Tally {
        judged: count(trial.judged),
        agreed: count(trial.agreed),
        would_deny: count(trial.would_deny),
        would_hold: count(trial.would_hold),
        would_allow: count(trial.would_allow),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn more() -> Tally {
        Tally { judged: 6, agreed: 3, would_deny: 2, would_hold: 1, would_allow: 0 }
    }

    #[test]
    fn counts_grow_with_the_generation_and_end_with_it() {
        let first = grown(None, 3, more(), true, at(100));
        let expected = Trial {
            observed_generation: 3,
            since: Time(at(100)),
            updated_at: Time(at(100)),
            judged: 6,
            agreed: 3,
            would_deny: 2,
            would_hold: 1,
            would_allow: 0,
            agreement: Some("50.00".to_owned()),
        };
        assert_eq!(first, expected);
        let agreed = Tally { judged: 3, agreed: 3, ..Tally::default() };
        let second = grown(Some(&first), 3, agreed, true, at(200));
        assert_eq!((second.judged, second.agreed, second.agreement.as_deref()), (9, 6, Some("66.66")));
        assert_eq!((second.since, second.updated_at), (Time(at(100)), Time(at(200))));
        assert_eq!(grown(Some(&first), 4, more(), true, at(100)), Trial { observed_generation: 4, ..expected });
    }

    #[test]
    fn what_is_proposed_agrees_with_nothing() {
        assert_eq!(grown(None, 1, more(), false, at(0)).agreement, None);
    }

    #[test]
    fn counts_stay_within_what_a_status_may_hold() {
        let most = Tally { judged: u64::MAX, agreed: u64::MAX, ..Tally::default() };
        let once = grown(None, 1, most, true, at(0));
        let twice = grown(Some(&once), 1, more(), true, at(0));
        assert_eq!((once.judged, twice.judged, twice.would_deny), (MAX_INTEGER, MAX_INTEGER, 2));
        let wrong = Trial { judged: -5, ..once };
        assert_eq!(grown(Some(&wrong), 1, more(), true, at(0)).judged, 6);
    }

    #[test]
    fn an_object_is_written_once_a_minute_whatever_clock_wrote_it() {
        let trial = grown(None, 1, more(), true, at(1_000));
        let recent = [(1_000, true), (1_059, true), (1_060, false), (941, true), (940, false)];
        for (now, is) in recent {
            assert_eq!(is_recent(&trial, at(now)), is, "{now}");
        }
    }
}
