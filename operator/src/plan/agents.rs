//! One bundle, one set of grants and one status per agent.

use std::collections::BTreeMap;
use std::sync::Arc;

use aegis_crds::api::agent::{BundleStatus, MeshStatus};
use aegis_crds::api::{Agent, AgentStatus};
use aegis_crds::mesh::{self, Settings};
use aegis_crds::{gather, lower};
use aegis_decision::agent::{Agent as CoreAgent, Lifecycle, Standing};
use aegis_decision::bundle::Bundle;
use aegis_decision::codes::Code;
use aegis_decision::digest::Digest;
use aegis_decision::feed::Grants;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;

use super::frozen::{Fault, Frozen};
use super::holders::Holders;
use super::lent::ByAgent;
use super::pods;
use super::{Gathered, Known, Plan};
use crate::conditions::{self, Wanted};
use crate::hub::{Published, View};
use crate::owned::{self, Fence};

/// Plans every agent.
pub fn plan(gathered: &Gathered, mesh: &Settings, now: Timestamp, plan: &mut Plan) {
    let common = Common::of(gathered);
    for agent in &gathered.agents {
        let before = gathered.published.get(&agent.uid().unwrap_or_default());
        match lower::agent(agent) {
            Ok((core, standing)) => {
                let bound = common.holders.has(agent);
                let bundle = bundle(gathered, agent, before, now, &mut plan.known);
                let found = pods::find(&core, bound, &gathered.pods, mesh, now);
                plan.check_again_at = [plan.check_again_at, found.check_again_at].into_iter().flatten().min();
                let mut owned = vec![found.condition];
                owned.extend(fenced(agent, &core, gathered.fences.get(&core.uid)));
                let status = status(agent, &core, &standing, bound, &bundle, owned, now);
                if let Some(fault) = bundle.fault {
                    plan.frozen.push(Frozen { agent: core.name.clone(), fault, last: bundle.published.clone() });
                }
                let (mesh, pods) = (Some(mesh_status(agent, mesh)), Some(found.counts));
                let status = AgentStatus { mesh, pods, ..status };
                plan.views.push(view(&common, agent, core, standing, bundle.published, now));
                plan.agents.push((agent.clone(), status));
            }
            Err(invalid) => {
                plan.views.extend(before.map(suspended));
                plan.agents.push((agent.clone(), invalid_status(agent, &invalid.to_string(), now)));
            }
        }
    }
}

/// What sidecars should know now, by the bundles that stand in `bundles` for agents' uids, else by those that they have.
/// An agent without any has no view yet. Nothing is compiled here: a suspension waits for no policy, least of all for
/// another namespace's.
pub fn views(gathered: &Gathered, bundles: &BTreeMap<String, Option<Arc<Published>>>, now: Timestamp) -> Vec<View> {
    let common = Common::of(gathered);
    let view_of = |agent: &Arc<Agent>| {
        let uid = agent.uid()?;
        let before = gathered.published.get(&uid);
        let Ok((core, standing)) = lower::agent(agent) else { return before.map(suspended) };
        let bundle = bundles.get(&uid).or(before.map(|view| &view.bundle))?;
        Some(view(&common, agent, core, standing, bundle.clone(), now))
    };
    gathered.agents.iter().filter_map(view_of).collect()
}

/// What all agents of a namespace are planned by, found once.
struct Common<'a> {
    gathered: &'a Gathered,
    holders: Holders<'a>,
    delegations: ByAgent<'a>,
}

impl<'a> Common<'a> {
    fn of(gathered: &'a Gathered) -> Self {
        let Gathered { agents, delegations, .. } = gathered;
        Self { gathered, holders: Holders::among(agents), delegations: ByAgent::of(delegations) }
    }
}

fn view(
    common: &Common<'_>,
    agent: &Agent,
    core: CoreAgent,
    standing: Standing,
    bundle: Option<Arc<Published>>,
    now: Timestamp,
) -> View {
    View {
        grants: Arc::new(Grants {
            standing: reviewed_as_judged(&core, standing, bundle.as_deref()),
            delegations: common.delegations.lent(&core.name, now),
            releases: common.gathered.releases.get(&core.uid).cloned().unwrap_or_default(),
            probe_requested: probe_requested(agent),
        }),
        workload_bound: common.holders.has(agent),
        bundle,
        agent: Arc::new(core),
    }
}

/// What cannot be read is not trusted: the agent is suspended until it can be.
fn suspended(before: &View) -> View {
    let standing = Standing { lifecycle: Lifecycle::Suspended, review: None };
    let grants = Grants { standing, delegations: Vec::new(), releases: Vec::new(), probe_requested: None };
    View { grants: Arc::new(grants), ..before.clone() }
}

/// The standing for sidecars. They judge by the bundle that they have, and it stays as long as the next one cannot be made:
/// a review of what the agent was then is none of what it is now.
fn reviewed_as_judged(agent: &CoreAgent, standing: Standing, published: Option<&Published>) -> Standing {
    match published {
        Some(published) if published.bundle.review_digest() != agent.review_digest() => {
            Standing { review: None, ..standing }
        }
        _ => standing,
    }
}

/// When a person last asked for a probe; a text that is no time asks for nothing.
fn probe_requested(agent: &Agent) -> Option<Timestamp> {
    agent.annotations().get(mesh::PROBE_REQUESTED)?.parse().ok()
}

/// When time alone changes something: the next begin or end of a review or delegation.
pub fn next_change(gathered: &Gathered, now: Timestamp) -> Option<Timestamp> {
    let reviews =
        gathered.agents.iter().filter_map(|agent| agent.spec.review.as_ref()?.expires.as_ref().map(|time| time.0));
    let delegations =
        gathered.delegations.iter().flat_map(|delegation| [delegation.spec.not_before.0, delegation.spec.expires_at.0]);
    reviews.chain(delegations).filter(|at| *at > now).min()
}

/// The bundle to publish, and why it is not the newest.
struct Planned {
    published: Option<Arc<Published>>,
    fault: Option<Fault>,
    status: Option<BundleStatus>,
}

fn bundle(gathered: &Gathered, agent: &Agent, before: Option<&View>, now: Timestamp, known: &mut Known) -> Planned {
    let recorded = agent.status.as_ref().and_then(|status| status.bundle.clone());
    let last = before.and_then(|view| view.bundle.clone());
    let source = gather::bundle_source_by(
        &*known.lowered,
        agent,
        gathered.tools.iter().map(AsRef::as_ref),
        gathered.policies.iter().map(AsRef::as_ref),
        gathered.registries.iter().map(AsRef::as_ref),
        gathered.tiers.iter().map(AsRef::as_ref),
    );
    let source = match source {
        Ok(source) => source,
        Err(invalid) => return Planned { published: last, fault: Some(invalid.into()), status: recorded },
    };
    if let Some(same) = last.as_ref().filter(|last| *last.bundle.source() == source) {
        return Planned { published: Some(Arc::clone(same)), fault: None, status: recorded };
    }
    let digest = Digest::of(&source);
    if let Some(fault) = known.fault(&gathered.known, digest) {
        return Planned { published: last, fault: Some(fault), status: recorded };
    }
    match Bundle::assemble(source) {
        Ok(bundle) => {
            let digest = bundle.digest().to_string();
            let version = recorded.as_ref().map_or(1, |recorded| {
                if recorded.digest == digest { recorded.version } else { recorded.version.saturating_add(1) }
            });
            // A status that was wiped or set back takes no version back: sidecars refuse to go back, and would keep
            // judging by the bundle that they have.
            let above =
                last.as_ref().map_or(1, |last| i64::try_from(last.version).unwrap_or(i64::MAX).saturating_add(1));
            let version = version.max(above);
            let recorded = recorded.filter(|recorded| recorded.version == version);
            let unchanged = recorded.filter(|recorded| recorded.digest == digest);
            let status = unchanged.unwrap_or_else(|| BundleStatus {
                digest,
                version,
                rules: u32::try_from(bundle.rule_count()).unwrap_or(u32::MAX),
                compiled_at: Time(conditions::whole_second(now)),
            });
            let version = u64::try_from(version).unwrap_or(1);
            let published = Published { version, bundle: bundle.into() };
            Planned { published: Some(Arc::new(published)), fault: None, status: Some(status) }
        }
        Err(error) => {
            let fault = known.keep_fault(digest, error.into());
            Planned { published: last, fault: Some(fault), status: recorded }
        }
    }
}

fn status(
    agent: &Agent,
    core: &aegis_decision::agent::Agent,
    standing: &Standing,
    bound: bool,
    bundle: &Planned,
    owned: Vec<Wanted>,
    now: Timestamp,
) -> AgentStatus {
    let current = agent.status.clone().unwrap_or_default();
    let generation = agent.metadata.generation;
    let may_call = standing.may_call(core.review_digest(), now);
    let reviewed = match (&standing.review, may_call) {
        (None, _) => Wanted::new("Reviewed", false, "NotReviewed", "spec.review is missing"),
        (Some(_), Err(Code::AgentNotReviewed)) => Wanted::new(
            "Reviewed",
            false,
            "ReviewVoid",
            "spec.review has expired, or names another digest than status.reviewDigest: the agent changed since",
        ),
        (Some(_), _) => Wanted::new("Reviewed", true, "Reviewed", "the review is of the agent as it is configured"),
    };
    let workload = if bound {
        Wanted::new("WorkloadBound", true, "Bound", "holds its service account")
    } else {
        let text = "spec.workload.serviceAccountName is held by an older Agent";
        Wanted::new("WorkloadBound", false, "ServiceAccountTaken", text)
    };
    let policy = match &bundle.fault {
        None => Wanted::new("PolicyAccepted", true, "Accepted", "the newest bundle is served"),
        Some(fault) => Wanted::new("PolicyAccepted", false, fault.cause.reason(), fault.message.clone()),
    };
    let ready = ready(standing.lifecycle, &[&reviewed, &workload, &policy]);
    let mut wanted = super::parts::with_kstatus(ready);
    wanted.extend([reviewed, workload, policy]);
    wanted.extend(owned);
    AgentStatus {
        observed_generation: generation,
        conditions: conditions::set(&current.conditions, wanted, generation, now),
        review_digest: Some(core.review_digest().to_string()),
        bundle: bundle.status.clone(),
        mesh: None,
        pods: None,
        trial: None,
    }
}

/// What came of the agent's own objects. Before that is known, what its status says stays.
fn fenced(agent: &Agent, core: &aegis_decision::agent::Agent, fence: Option<&Fence>) -> Vec<Wanted> {
    if !core.level.is_captured() {
        return Vec::new();
    }
    if let Some(fence) = fence {
        return fence.conditions();
    }
    let current = agent.status.iter().flat_map(|status| &status.conditions);
    let known = current.filter_map(|condition| {
        let (kind, reasons) = owned::TOLD.iter().find(|(kind, _)| *kind == condition.type_)?;
        let reason = reasons.iter().find(|reason| **reason == condition.reason)?;
        Some(Wanted::new(kind, condition.status == "True", reason, condition.message.clone()))
    });
    known.collect()
}

/// What the pod guard compares new pods with. It stands in the agent, so it holds while nothing of Aegis runs.
fn mesh_status(agent: &Agent, mesh: &Settings) -> MeshStatus {
    MeshStatus {
        level: agent.spec.enforcement.level,
        control: mesh.control.clone(),
        proxy_images: mesh.proxy_images(),
        capture_images: mesh.capture_images(),
        probe_images: mesh.probe_images(),
    }
}

/// Ready when the agent may call. Stopped on purpose is a fine state, so it is not `Stalled`: see `with_kstatus`.
fn ready(lifecycle: Lifecycle, needed: &[&Wanted]) -> Wanted {
    let stopped = |reason, message: &str| Wanted { kind: "Ready", status: None, reason, message: message.to_owned() };
    match lifecycle {
        Lifecycle::Registered => stopped("Registered", "spec.lifecycle is Registered: every call is refused"),
        Lifecycle::Suspended => stopped("Suspended", "spec.lifecycle is Suspended: every call is refused"),
        Lifecycle::Retired => stopped("Retired", "spec.lifecycle is Retired: every call is refused for ever"),
        Lifecycle::Active => match needed.iter().find(|wanted| wanted.status != Some(true)) {
            None => Wanted::new("Ready", true, "Active", "calls are judged by the served bundle"),
            Some(missing) => Wanted::new("Ready", false, missing.reason, missing.message.clone()),
        },
    }
}

fn invalid_status(agent: &Agent, message: &str, now: Timestamp) -> AgentStatus {
    let current = agent.status.clone().unwrap_or_default();
    let generation = agent.metadata.generation;
    let ready = Wanted::new("Ready", false, "Invalid", message);
    AgentStatus {
        observed_generation: generation,
        conditions: conditions::set(&current.conditions, super::parts::with_kstatus(ready), generation, now),
        review_digest: None,
        bundle: current.bundle,
        mesh: current.mesh,
        pods: current.pods,
        trial: None,
    }
}
