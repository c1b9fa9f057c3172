//! The pipeline of every namespace: gather (stores) -> publish grants -> plan (pure) -> record (agents' statuses) ->
//! publish bundles -> report (the other statuses). Grants go first, those of all namespaces that changed before anything
//! is compiled: a suspension waits for nothing. A bundle goes out only after its version stands in the agent's status, so
//! that a version is never used twice.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use aegis_cluster::Watched;
use aegis_crds::api::approval::Phase;
use aegis_crds::api::{Agent, AgentStatus, ApprovalRequest};
use aegis_runtime::tasks::TaskResult;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt as _;
use kube::core::object::HasStatus;

use crate::control::Control;
use crate::hub::View;
use crate::plan::{Gathered, Known, Plan, plan, views};
use crate::report::{self, EventKind, Planned};
use crate::wait;

/// Everything is planned again this often, whatever the watches say.
const RESYNC: Duration = Duration::from_mins(5);
/// A failed namespace is planned again after this time.
const RETRY: Duration = Duration::from_secs(2);

/// Namespaces that are planned at the same time. One whose policies take long to compile holds up no other.
const PLANS: usize = 2;

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// Runs until the drain begins.
pub async fn run(control: Arc<Control>) -> TaskResult {
    let mut resync = tokio::time::interval(RESYNC);
    let mut due: BTreeMap<String, Timestamp> = BTreeMap::new();
    let mut with_agents: BTreeSet<String> = BTreeSet::new();
    let mut known: BTreeMap<String, Known> = BTreeMap::new();
    let mut queue = Queue::default();
    let mut plans = FuturesUnordered::new();
    let mut leadership = control.leadership.clone();
    loop {
        while plans.len() < PLANS
            && let Some(namespace) = queue.start()
        {
            let known = known.remove(&namespace).unwrap_or_default();
            plans.push(reconcile(Arc::clone(&control), namespace, known));
        }
        let next = due.values().min().copied();
        let namespaces = tokio::select! {
            () = control.drain.begun() => return Ok(()),
            namespaces = control.changes.namespaces.take() => namespaces,
            Some((namespace, compiled, planned)) = plans.next(), if !plans.is_empty() => {
                queue.end(&namespace);
                if !control.stores.is_empty(&namespace) {
                    known.insert(namespace.clone(), compiled);
                }
                plan_again(&control, &mut due, namespace, planned);
                continue;
            }
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
                let (past, ahead) = std::mem::take(&mut due).into_iter().partition(|(_, at)| *at <= now);
                due = ahead;
                BTreeMap::into_keys(past).collect()
            }
        };
        for namespace in &namespaces {
            publish_grants(&control, namespace, &mut with_agents);
        }
        control.changes.namespaces.settle();
        for namespace in namespaces {
            queue.add(namespace);
        }
    }
}

/// Namespaces to be planned, in the order in which they came: one that changes all the time waits for the others.
#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<String>,
    under_way: BTreeSet<String>,
}

impl Queue {
    fn add(&mut self, namespace: String) {
        if !self.waiting.contains(&namespace) {
            self.waiting.push_back(namespace);
        }
    }

    /// The next one. None while it is planned already: its bundles get their versions one after another.
    fn start(&mut self) -> Option<String> {
        let place = self.waiting.iter().position(|namespace| !self.under_way.contains(namespace))?;
        let namespace = self.waiting.remove(place)?;
        self.under_way.insert(namespace.clone());
        Some(namespace)
    }

    fn end(&mut self, namespace: &str) {
        self.under_way.remove(namespace);
    }
}

/// Notes when the namespace has to be planned again.
fn plan_again(
    control: &Control,
    due: &mut BTreeMap<String, Timestamp>,
    namespace: String,
    planned: Result<Option<Timestamp>, Failed>,
) {
    match planned {
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
            let retry = Timestamp::now().saturating_add(jiff::SignedDuration::try_from(RETRY).unwrap_or_default());
            due.insert(namespace, retry.unwrap_or(Timestamp::MAX));
        }
    }
}

/// Plans one namespace off the threads that serve, and carries the plan out. Answers what was compiled and when time
/// alone changes the plan.
async fn reconcile(
    control: Arc<Control>,
    namespace: String,
    known: Known,
) -> (String, Known, Result<Option<Timestamp>, Failed>) {
    let gathered = Gathered { known, ..gather(&control, &namespace) };
    let mesh = Arc::clone(&control.mesh);
    let planned = tokio::task::spawn_blocking(move || {
        let plan = plan(&gathered, &mesh, Timestamp::now());
        (gathered, plan)
    });
    match planned.await {
        Ok((gathered, mut plan)) => {
            let known = std::mem::take(&mut plan.known);
            let carried_out = carry_out(&control, &namespace, &gathered, &plan).await;
            (namespace, known, carried_out.map(|()| plan.check_again_at).map_err(Failed::from))
        }
        Err(error) => (namespace, Known::default(), Err(error.into())),
    }
}

async fn carry_out(control: &Control, namespace: &str, gathered: &Gathered, plan: &Plan) -> Result<(), kube::Error> {
    control.metrics.enforced(namespace, &plan.enforcement().collect::<Vec<_>>());
    control.metrics.frozen(namespace, &plan.frozen.iter().map(|frozen| frozen.fault.cause).collect::<Vec<_>>());
    let leads = control.leadership.leads();
    let (recorded, agents_told) = if leads { record(control, &plan.agents).await } else { (BTreeSet::new(), Ok(())) };
    // A bundle under a version that another replica may have given to another one would be refused by sidecars.
    let goes_out = |view: &&View| recorded.contains(&view.agent.uid) || is_recorded(gathered, view);
    let bundles = plan.views.iter().filter(goes_out);
    let bundles = bundles.map(|view| (view.agent.uid.clone(), view.bundle.clone())).collect();
    // What was taken away since the plan began stays away: with the bundles go the grants of now.
    for view in views(&gather(control, namespace), &bundles, Timestamp::now()) {
        control.hub.publish(view);
    }
    if leads {
        control.changes.planned.mark(namespace);
    }
    // An agent whose first bundle could not be recorded has no view yet, and is not gone.
    let have_views = plan.views.iter().all(|view| control.hub.view(&view.agent.uid).is_some());
    if have_views && control.hub.set_planned(namespace) {
        look_at_requests(control, namespace, |_| true);
    }
    // No bundle waits for these: one that the API server refuses would hold back all.
    let others_told = if leads { report(control, plan).await } else { Ok(()) };
    agents_told.and(others_told)
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
        known: Known::default(),
        agents,
    }
}

/// Tells the sidecars at once what may have been taken away, with the bundle that they have.
fn publish_grants(control: &Control, namespace: &str, with_agents: &mut BTreeSet<String>) {
    let gathered = gather(control, namespace);
    let mut changed = false;
    for view in views(&gathered, &BTreeMap::new(), Timestamp::now()) {
        changed |= control.hub.publish(view);
    }
    let present: BTreeSet<_> = gathered.agents.iter().filter_map(|agent| agent.uid()).collect();
    for uid in control.hub.uids(namespace) {
        if !present.contains(&uid) {
            control.hub.retire(&uid);
            changed = true;
        }
    }
    if gathered.agents.is_empty() {
        with_agents.remove(namespace);
    } else if with_agents.insert(namespace.to_owned()) {
        control.changes.appeared.notify_one();
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

/// Writes every agent's status that differs, and with it the version of its bundle. Answers the agents whose status is now
/// as planned, and the first failure, which does not stop the others.
async fn record(
    control: &Control,
    agents: &[(Arc<Agent>, AgentStatus)],
) -> (BTreeSet<String>, Result<(), kube::Error>) {
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
    (recorded, first)
}

/// Writes every other status that differs. One failure does not stop the others; the first is returned.
async fn report(control: &Control, plan: &Plan) -> Result<(), kube::Error> {
    let Plan {
        views: _,
        frozen: _,
        agents: _,
        tools,
        policies,
        registries,
        delegations,
        tiers,
        check_again_at: _,
        known: _,
    } = plan;
    let mut first = Ok(());
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
    first
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_that_changes_all_the_time_waits_for_the_others() {
        let mut queue = Queue::default();
        for namespace in ["loud", "loud", "quiet", "still"] {
            queue.add(namespace.to_owned());
        }
        assert_eq!(queue.start().as_deref(), Some("loud"));
        queue.add("loud".to_owned());
        assert_eq!(queue.start().as_deref(), Some("quiet"));
        queue.end("loud");
        assert_eq!(queue.start().as_deref(), Some("still"));
        assert_eq!(queue.start().as_deref(), Some("loud"));
    }

    #[test]
    fn no_namespace_is_planned_twice_at_the_same_time() {
        let mut queue = Queue::default();
        queue.add("shop".to_owned());
        assert_eq!(queue.start().as_deref(), Some("shop"));
        queue.add("shop".to_owned());
        assert_eq!(queue.start(), None);
        queue.end("shop");
        assert_eq!(queue.start().as_deref(), Some("shop"));
    }
}
