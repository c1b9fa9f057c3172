//! The pipeline of every namespace: gather (stores) -> plan (pure) -> publish grants -> report (status) -> publish
//! bundles. Grants go first: a suspension waits for nothing. A bundle goes out only after its version stands in the
//! agent's status, so that a version is never used twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use aegis_runtime::tasks::TaskResult;
use jiff::Timestamp;
use kube::ResourceExt as _;

use crate::control::Control;
use crate::plan::{Gathered, Plan, plan};
use crate::report::{self, EventKind};
use crate::trust;
use crate::wait;

/// Everything is planned again this often, whatever the watches say.
const RESYNC: Duration = Duration::from_mins(5);
/// A failed namespace is planned again after this time.
const RETRY: Duration = Duration::from_secs(2);

/// Runs until the drain begins.
pub async fn run(control: Arc<Control>) -> TaskResult {
    let mut resync = tokio::time::interval(RESYNC);
    let mut due: BTreeMap<String, Timestamp> = BTreeMap::new();
    let mut trusted: BTreeSet<String> = BTreeSet::new();
    loop {
        let next = due.values().min().copied();
        let namespaces = tokio::select! {
            () = control.drain.begun() => return Ok(()),
            namespaces = control.changes.namespaces.take() => namespaces,
            _ = resync.tick() => {
                trusted.clear();
                control.stores.namespaces()
            }
            () = wait::until(next) => {
                let now = Timestamp::now();
                due.iter().filter(|(_, at)| **at <= now).map(|(namespace, _)| namespace.clone()).collect()
            }
        };
        for namespace in namespaces {
            match reconcile(&control, &namespace, &mut trusted).await {
                Ok(Some(again)) => {
                    control.metrics.planned("ok");
                    due.insert(namespace, again);
                }
                Ok(None) => {
                    control.metrics.planned("ok");
                    due.remove(&namespace);
                }
                Err(error) => {
                    control.metrics.planned("failed");
                    tracing::warn!(namespace, %error, "not all of the plan could be carried out, trying again");
                    let retry =
                        Timestamp::now().saturating_add(jiff::SignedDuration::try_from(RETRY).unwrap_or_default());
                    due.insert(namespace, retry.unwrap_or(Timestamp::MAX));
                }
            }
        }
    }
}

async fn reconcile(
    control: &Control,
    namespace: &str,
    trusted: &mut BTreeSet<String>,
) -> Result<Option<Timestamp>, kube::Error> {
    let gathered = gather(control, namespace);
    let plan = plan(&gathered, Timestamp::now());
    publish_grants(control, namespace, &gathered, &plan);
    if !gathered.agents.is_empty() && !trusted.contains(namespace) {
        trust::apply(&control.client, namespace, &control.keys, &control.public).await?;
        trusted.insert(namespace.to_owned());
    }
    report(control, &plan).await?;
    for view in &plan.views {
        control.hub.publish(view.clone());
    }
    if control.hub.set_planned(namespace) {
        look_at_requests(control, namespace);
    }
    Ok(plan.check_again_at)
}

fn gather(control: &Control, namespace: &str) -> Gathered {
    let stores = &control.stores;
    let agents = stores.agents.of(namespace);
    let uids: Vec<String> = agents.iter().filter_map(|agent| agent.uid()).collect();
    Gathered {
        tools: stores.tools.of(namespace),
        policies: stores.policies.of(namespace),
        registries: stores.registries.of(namespace),
        delegations: stores.delegations.of(namespace),
        tiers: stores.tiers.of(namespace),
        releases: uids.iter().map(|uid| (uid.clone(), control.released.of(uid))).collect(),
        published: uids.iter().filter_map(|uid| Some((uid.clone(), control.hub.view(uid)?))).collect(),
        agents,
    }
}

/// Tells the sidecars at once what may have been taken away, with the bundle that they have.
fn publish_grants(control: &Control, namespace: &str, gathered: &Gathered, plan: &Plan) {
    let mut changed = false;
    for view in &plan.views {
        if let Some(before) = gathered.published.get(&view.agent.uid) {
            let mut early = view.clone();
            early.bundle.clone_from(&before.bundle);
            changed |= control.hub.publish(early);
        }
    }
    let present: BTreeSet<_> = gathered.agents.iter().filter_map(|agent| agent.uid()).collect();
    for uid in control.hub.uids(namespace) {
        if !present.contains(&uid) {
            control.hub.retire(&uid);
            changed = true;
        }
    }
    if changed {
        // Lifecycle or delegation may have ended: open requests of the namespace are looked at again.
        look_at_requests(control, namespace);
    }
}

fn look_at_requests(control: &Control, namespace: &str) {
    for request in control.stores.requests.of(namespace) {
        control.changes.requests.mark(&format!("{namespace}/{}", request.name_any()));
    }
}

/// Writes every status that differs. One failure does not stop the others; the first is returned.
async fn report(control: &Control, plan: &Plan) -> Result<(), kube::Error> {
    let client = &control.client;
    let mut first = Ok(());
    macro_rules! each {
        ($list:ident) => {
            for (object, wanted) in &plan.$list {
                match report::status(client, object.as_ref(), object.status.as_ref(), wanted).await {
                    Ok(true) => {
                        announce(
                            control,
                            object.as_ref(),
                            object.status.as_ref().map(|s| &s.conditions[..]),
                            &wanted.conditions,
                        )
                        .await
                    }
                    Ok(false) => {}
                    // The object was deleted meanwhile.
                    Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => {}
                    Err(error) => first = first.and(Err(error)),
                }
            }
        };
    }
    each!(agents);
    each!(tools);
    each!(policies);
    each!(registries);
    each!(delegations);
    each!(tiers);
    first
}

/// An Event when Ready changed.
async fn announce<K: crate::stores::Watched>(
    control: &Control,
    object: &K,
    before: Option<&[k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition]>,
    after: &[k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition],
) {
    let ready = |conditions: &[k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition]| {
        conditions.iter().find(|condition| condition.type_ == "Ready").cloned()
    };
    let (was, is) = (before.and_then(ready), ready(after));
    let Some(is) = is else { return };
    if was.is_some_and(|was| (&was.status, &was.reason) == (&is.status, &is.reason)) {
        return;
    }
    let kind = if is.status == "False" { EventKind::Warning } else { EventKind::Normal };
    control.events.publish(&object.object_ref(&()), kind, &is.reason, &is.message).await;
}
