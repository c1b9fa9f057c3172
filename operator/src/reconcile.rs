//! The pipeline of every namespace: gather (stores) -> plan (pure) -> publish grants -> report (status) -> publish
//! bundles. Grants go first: a suspension waits for nothing. A bundle goes out only after its version stands in the
//! agent's status, so that a version is never used twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use aegis_cluster::Watched;
use aegis_crds::api::ApprovalRequest;
use aegis_crds::api::approval::Phase;
use aegis_runtime::tasks::TaskResult;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt as _;
use kube::core::object::HasStatus;

use crate::control::Control;
use crate::hub::View;
use crate::plan::{Gathered, Plan, plan};
use crate::report::{self, EventKind, Planned};
use crate::wait;

/// Everything is planned again this often, whatever the watches say.
const RESYNC: Duration = Duration::from_mins(5);
/// A failed namespace is planned again after this time.
const RETRY: Duration = Duration::from_secs(2);

/// Runs until the drain begins.
pub async fn run(control: Arc<Control>) -> TaskResult {
    let mut resync = tokio::time::interval(RESYNC);
    let mut due: BTreeMap<String, Timestamp> = BTreeMap::new();
    let mut with_agents: BTreeSet<String> = BTreeSet::new();
    let mut leadership = control.leadership.clone();
    loop {
        let next = due.values().min().copied();
        let namespaces = tokio::select! {
            () = control.drain.begun() => return Ok(()),
            namespaces = control.changes.namespaces.take() => namespaces,
            _ = resync.tick() => control.stores.namespaces(),
            // What the replica that led has not written is written now.
            () = leadership.changed() => {
                let namespaces = control.stores.namespaces();
                for namespace in &namespaces {
                    look_at_requests(&control, namespace, |_| true);
                }
                namespaces
            }
            () = wait::until(next) => {
                let now = Timestamp::now();
                due.iter().filter(|(_, at)| **at <= now).map(|(namespace, _)| namespace.clone()).collect()
            }
        };
        for namespace in namespaces {
            match reconcile(&control, &namespace, &mut with_agents).await {
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
    with_agents: &mut BTreeSet<String>,
) -> Result<Option<Timestamp>, kube::Error> {
    let gathered = gather(control, namespace);
    let plan = plan(&gathered, &control.mesh, Timestamp::now());
    control.metrics.enforced(namespace, &plan.enforcement().collect::<Vec<_>>());
    publish_grants(control, namespace, &gathered, &plan);
    let leads = control.leadership.leads();
    if gathered.agents.is_empty() {
        with_agents.remove(namespace);
    } else if with_agents.insert(namespace.to_owned()) {
        control.changes.appeared.notify_one();
    }
    let recorded = if leads { report(control, &plan).await? } else { BTreeSet::new() };
    for view in &plan.views {
        // A bundle under a version that another replica may have given to another one would be refused by sidecars.
        if recorded.contains(&view.agent.uid) || is_recorded(&gathered, view) {
            control.hub.publish(view.clone());
        }
    }
    if leads {
        control.changes.planned.mark(namespace);
    }
    if control.hub.set_planned(namespace) {
        look_at_requests(control, namespace, |_| true);
    }
    Ok(plan.check_again_at)
}

/// Whether the bundle of this view is the one that the agent's status names.
fn is_recorded(gathered: &Gathered, view: &View) -> bool {
    let agent = gathered.agents.iter().find(|agent| agent.uid().as_deref() == Some(view.agent.uid.as_str()));
    let recorded = agent.and_then(|agent| agent.status.as_ref()?.bundle.as_ref());
    match (&view.bundle, recorded) {
        (Some(published), Some(recorded)) => {
            recorded.digest == published.bundle.digest().to_string()
                && u64::try_from(recorded.version) == Ok(published.version)
        }
        (bundle, _) => bundle.is_none(),
    }
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
        pods: stores.pods.of(namespace),
        fences: uids.iter().filter_map(|uid| Some((uid.clone(), control.fences.of(uid)?))).collect(),
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
        look_at_requests(control, namespace, is_open);
    }
}

fn look_at_requests(control: &Control, namespace: &str, which: impl Fn(&ApprovalRequest) -> bool) {
    for request in control.stores.requests.of(namespace).iter().filter(|request| which(request)) {
        control.changes.requests.mark(&format!("{namespace}/{}", request.name_any()));
    }
}

/// Whether something else than its call may still end it. Those that have ended stay for days, and each look is a request
/// to the API server: a release must not wait for all of them.
fn is_open(request: &ApprovalRequest) -> bool {
    let status = request.status.clone().unwrap_or_default();
    match status.phase.unwrap_or_default() {
        Phase::Pending => true,
        Phase::Approved => status.claim.is_none(),
        Phase::Denied | Phase::Expired | Phase::Stale | Phase::Void => false,
    }
}

/// Writes every status that differs. One failure does not stop the others; the first is returned. Answers the agents
/// whose status is now as planned.
async fn report(control: &Control, plan: &Plan) -> Result<BTreeSet<String>, kube::Error> {
    let Plan { views: _, agents, tools, policies, registries, delegations, tiers, check_again_at: _ } = plan;
    let mut first = Ok(());
    let mut recorded = BTreeSet::new();
    for (agent, wanted) in agents {
        // By compare-and-set: of two replicas that think that they lead, one gives a bundle its version.
        match write(control, agent.as_ref(), wanted, agent.resource_version(), |status| &status.conditions).await {
            Ok(true) => recorded.extend(agent.uid()),
            Ok(false) => {}
            Err(error) => first = first.and(Err(error)),
        }
    }
    macro_rules! each {
        ($list:ident) => {
            for (object, wanted) in $list {
                let written = write(control, object.as_ref(), wanted, None, |status| &status.conditions).await;
                first = first.and(written.map(drop));
            }
        };
    }
    each!(tools);
    each!(policies);
    each!(registries);
    each!(delegations);
    each!(tiers);
    first.map(|()| recorded)
}

/// Writes one status and announces what it changes; says whether the object's status is now as wanted.
async fn write<K>(
    control: &Control,
    object: &K,
    wanted: &K::Status,
    version: Option<String>,
    conditions: fn(&K::Status) -> &[Condition],
) -> Result<bool, kube::Error>
where
    K: Watched + HasStatus<Status: Planned>,
{
    match report::status(&control.client, object, wanted, version).await {
        Ok(written) => {
            if written {
                announce(control, object, object.status().map(conditions), conditions(wanted)).await;
            }
            Ok(true)
        }
        // Deleted or changed meanwhile: the watch brings what it is now, and the plan begins anew.
        Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(false),
        Err(error) => Err(error),
    }
}

/// Conditions whose change is worth an Event.
const ANNOUNCED: [&str; 2] = ["Ready", "EnforcementVerified"];

/// An Event for every condition that changed and that somebody waits for.
async fn announce<K: Watched>(control: &Control, object: &K, before: Option<&[Condition]>, after: &[Condition]) {
    for kind in ANNOUNCED {
        let of = |conditions: &[Condition]| conditions.iter().find(|condition| condition.type_ == kind).cloned();
        let (was, is) = (before.and_then(of), of(after));
        let Some(is) = is else { continue };
        let first = was.is_none() && is.status == "Unknown";
        let same = was.is_some_and(|was| (&was.status, &was.reason) == (&is.status, &is.reason));
        // That nothing is known of a new agent's pods is no news.
        if same || (first && kind != "Ready") {
            continue;
        }
        // Mediated was asked for.
        let event =
            if is.status == "False" && is.reason != "Mediated" { EventKind::Warning } else { EventKind::Normal };
        control.events.publish(&object.object_ref(&()), event, &is.reason, &is.message).await;
    }
}
