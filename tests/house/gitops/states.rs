//! Objects in every state, with the status that the operator itself makes for them.

use std::sync::Arc;

use aegis_crds::api::approval::{Execution, Phase, Receipt};
use aegis_crds::api::{Agent, ApprovalRequest, ApprovalTier, Delegation, Registry, Tool, ToolPolicy};
use aegis_crds::mesh::Settings;
use aegis_decision::approval::{Step, VoidReason};
use aegis_operator::approvals::write;
use aegis_operator::plan::{self, Gathered};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Resource;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Health::{self, Degraded, Healthy, Progressing, Suspended};
use super::State;

const NOW: &str = "2026-03-01T12:00:00Z";
const DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
const SETTINGS: &str = "
images: {proxy: 'aegis-proxy:1', capture: 'aegis-capture:1', probe: 'aegis-probe:1'}
control: https://aegis-operator.aegis-system.svc:8443
systemNamespace: aegis-system
";

fn now() -> Timestamp {
    NOW.parse().expect("a time")
}

fn object<K: DeserializeOwned>(value: Value) -> K {
    let mut value = value;
    let text = value["metadata"]["name"].as_str().expect("a name").to_owned();
    value["apiVersion"] = json!("aegis.dev/v1alpha1");
    value["metadata"]["namespace"] = json!("shop");
    value["metadata"]["uid"] = json!(format!("uid-{text}"));
    value["metadata"]["generation"] = json!(3);
    serde_json::from_value(value).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn agent(name: &str, lifecycle: &str, review: Option<&str>) -> Agent {
    let mut value = json!({"kind": "Agent", "metadata": {"name": name}, "spec": {
        "tenant": "example", "businessUnit": "purchasing", "owner": {"name": "Ana"}, "version": "1",
        "lifecycle": lifecycle, "workload": {"serviceAccountName": name}}});
    if let Some(digest) = review {
        value["spec"]["review"] = json!({"by": "erin", "at": "2026-02-01T00:00:00Z", "digest": digest});
    }
    object(value)
}

fn delegation(name: &str, agent: &str, from: &str, until: &str, revoked: bool) -> Delegation {
    object(json!({"kind": "Delegation", "metadata": {"name": name}, "spec": {
        "agent": agent, "delegator": "dave", "requestedBy": "carol", "workflow": "restock", "purpose": "Paper.",
        "grants": [{"tool": "till", "operations": ["*"]}], "notBefore": from, "expiresAt": until, "revoked": revoked}}))
}

fn policy(name: &str, tool: &str) -> ToolPolicy {
    object(json!({"kind": "ToolPolicy", "metadata": {"name": name}, "spec": {"tools": [tool], "rules": [
        {"name": "look", "operations": ["payments.list"], "effect": "Allow", "unconditional": true}]}}))
}

fn tool(name: &str, endpoint: &str) -> Tool {
    object(json!({"kind": "Tool", "metadata": {"name": name}, "spec": {"endpoint": endpoint, "operations": [
        {"name": "payments.list", "class": "Read", "http": {"method": "GET", "path": "/payments"}}]}}))
}

fn gathered() -> Gathered {
    let mut all = Gathered {
        agents: [
            agent("registered", "Registered", None),
            agent("reviewed", "Active", Some(DIGEST)),
            agent("outdated", "Active", Some(DIGEST)),
            agent("suspended", "Suspended", None),
            agent("retired", "Retired", None),
        ]
        .map(Arc::new)
        .to_vec(),
        tools: vec![Arc::new(tool("till", "https://till.example.com/"))],
        policies: vec![Arc::new(policy("complete", "till"))],
        registries: vec![Arc::new(object::<Registry>(json!({"kind": "Registry", "metadata": {"name": "payees"},
            "spec": {"key": "payeeId", "entries": [{"id": "P-100", "attributes": {"name": ["Nordwind"]}}]}})))],
        tiers: vec![Arc::new(object::<ApprovalTier>(json!({"kind": "ApprovalTier", "metadata": {"name": "finance"},
            "spec": {"decideWithin": "2h", "releaseTTL": "15m"}})))],
        delegations: [
            delegation("effective", "registered", "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z", false),
            delegation("not-yet", "registered", "2026-04-01T00:00:00Z", "2026-04-02T00:00:00Z", false),
            delegation("expired", "registered", "2026-02-01T00:00:00Z", "2026-02-02T00:00:00Z", false),
            delegation("revoked", "registered", "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z", true),
            delegation("of-nobody", "no-such-agent", "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z", false),
        ]
        .map(Arc::new)
        .to_vec(),
        ..Gathered::default()
    };
    all.agents[1] = Arc::new(reviewed("reviewed", &all));
    all
}

/// The agent with a valid review: it names the digest that the operator shows.
fn reviewed(name: &str, all: &Gathered) -> Agent {
    let settings = Settings::from_yaml(SETTINGS).expect("settings");
    let shown = plan::plan(all, &settings, now()).agents;
    let (_, status) =
        shown.iter().find(|(agent, _)| agent.metadata.name.as_deref() == Some(name)).expect("the agent is planned");
    let digest = status.review_digest.clone().unwrap_or_else(|| panic!("no digest to review: {status:?}"));
    agent(name, "Active", Some(&digest))
}

fn with_a_dangling_policy() -> Gathered {
    let mut all = Gathered {
        agents: vec![Arc::new(agent("misled", "Active", Some(DIGEST)))],
        policies: vec![Arc::new(policy("dangling", "no-such-tool"))],
        ..Gathered::default()
    };
    all.agents[0] = Arc::new(reviewed("misled", &all));
    all
}

/// What Argo CD and Flux should say, by the name of the object.
#[rustfmt::skip] // One row, one line.
const PLANNED: [(&str, Health, Health); 16] = [
    ("registered", Suspended, Healthy),
    ("reviewed", Healthy, Healthy),
    ("outdated", Suspended, Degraded),
    ("suspended", Suspended, Healthy),
    ("retired", Suspended, Healthy),
    ("till", Healthy, Healthy),
    ("complete", Healthy, Healthy),
    ("dangling", Degraded, Degraded),
    ("payees", Healthy, Healthy),
    ("finance", Healthy, Healthy),
    ("effective", Healthy, Healthy),
    ("not-yet", Suspended, Degraded),
    ("expired", Suspended, Degraded),
    ("revoked", Suspended, Degraded),
    ("of-nobody", Degraded, Degraded),
    ("misled", Degraded, Degraded), // Active, and the policy of its namespace cannot be used.
];

fn planned<K, S>(reported: &[(Arc<K>, S)], states: &mut Vec<State>)
where
    K: Resource + Serialize,
    S: Serialize,
{
    for (object, status) in reported {
        let mut value = serde_json::to_value(object.as_ref()).expect("an object is JSON");
        value["status"] = serde_json::to_value(status).expect("a status is JSON");
        let own = value["metadata"]["name"].as_str().expect("a name");
        let row = PLANNED.iter().copied().find(|(name, ..)| *name == own);
        let (name, argo, flux) = row.unwrap_or_else(|| panic!("{own} is a state that nobody described"));
        states.push(State { name, object: value, argo, flux });
    }
}

fn request() -> ApprovalRequest {
    object(json!({"kind": "ApprovalRequest", "metadata": {"name": "held-1"}, "spec": {
        "agent": {"name": "buyer", "uid": "u", "version": "1"},
        "delegation": {"name": "d", "uid": "u", "generation": 1, "delegator": "dave"},
        "requester": "carol",
        "action": {"tool": "till", "operation": "payments.create", "class": "Commit",
            "target": {"method": "POST", "url": "https://till.example.com/payments"},
            "effectDigest": DIGEST, "contextDigest": DIGEST,
            "contextParts": {"rules": DIGEST, "registries": DIGEST, "facts": DIGEST, "delegation": DIGEST, "tool": DIGEST}},
        "previewDigest": DIGEST,
        "requirements": [{"tier": "finance", "minimum": 1, "separationOfDuties": [], "decideWithin": "2h", "releaseTTL": "15m",
            "askedBy": [{"policy": "p", "rule": "r"}]}],
        "requestedAt": "2026-03-01T11:00:00Z", "expiresAt": "2026-03-01T13:00:00Z", "releaseTTL": "15m"}}))
}

fn decided(verdict: &str) -> ApprovalRequest {
    let mut value = serde_json::to_value(request()).expect("JSON");
    value["spec"]["decision"] =
        json!({"verdict": verdict, "effectDigest": DIGEST, "by": {"username": "ana", "uid": "u"}});
    serde_json::from_value(value).expect("a decided request")
}

fn step(request: &ApprovalRequest, step: &Step) -> ApprovalRequest {
    write::stepped(request, step, now()).expect("a step changes something")
}

fn ended(execution: Execution) -> ApprovalRequest {
    let approved = step(&decided("Approved"), &Step::SetApproved { decided_at: now() });
    let receipt = Receipt { sent: true, status: Some(200), record: "r-1".to_owned(), at: Time(now()) };
    write::ended(&approved, execution, receipt, now())
}

fn requests(states: &mut Vec<State>) {
    let approved = step(&decided("Approved"), &Step::SetApproved { decided_at: now() });
    let mut claimed = approved.clone();
    if let Some(status) = &mut claimed.status {
        status.phase = Some(Phase::Approved);
        status.execution = Some(Execution::Claimed);
    }
    write::describe(&mut claimed, "", now());
    let opened = {
        let mut open = request();
        open.status.get_or_insert_default().phase = Some(Phase::Pending);
        write::describe(&mut open, "", now());
        open
    };
    #[rustfmt::skip] // One row, one line.
    let rows = [
        ("new request", request(), Progressing, Progressing),
        ("open request", opened, Suspended, Progressing),
        ("decided, guards missing", write::held_back(&decided("Approved"), "aegis-approvals is missing", now()), Degraded, Degraded),
        ("approved", approved, Healthy, Healthy),
        ("claimed", claimed, Progressing, Progressing),
        ("succeeded", ended(Execution::Succeeded), Healthy, Healthy),
        ("failed", ended(Execution::Failed), Healthy, Healthy),
        ("outcome unknown", ended(Execution::Indeterminate), Degraded, Degraded),
        ("denied", step(&decided("Denied"), &Step::SetDenied { decided_at: now() }), Healthy, Healthy),
        ("expired request", step(&request(), &Step::SetExpired), Healthy, Healthy),
        ("void", step(&request(), &Step::SetVoid { reason: VoidReason::DelegationEnded }), Healthy, Healthy),
    ];
    for (name, object, argo, flux) in rows {
        states.push(State { name, object: serde_json::to_value(object).expect("JSON"), argo, flux });
    }
}

/// All states, those of requests last.
pub fn all() -> Vec<State> {
    let settings = Settings::from_yaml(SETTINGS).expect("settings");
    let mut states = Vec::new();
    for gathered in [gathered(), with_a_dangling_policy()] {
        let plan = plan::plan(&gathered, &settings, now());
        planned(&plan.agents, &mut states);
        planned(&plan.tools, &mut states);
        planned(&plan.policies, &mut states);
        planned(&plan.registries, &mut states);
        planned(&plan.tiers, &mut states);
        planned(&plan.delegations, &mut states);
    }
    assert_eq!(states.len(), PLANNED.len(), "a state is missing");
    requests(&mut states);
    states
}
