//! Kind `Agent`: who acts, who answers for it, and how far it may go.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Class;
use super::trial::Trial;
use crate::schema::{self, DIGEST, DNS_LABEL, DNS_NAME, DURATION, MAX_INTEGER};

/// An AI agent: its identity, its owner and its limits.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "aegis.dev",
    version = "v1alpha1",
    kind = "Agent",
    doc = "An AI agent: its identity, its owner and its limits. An Agent calls tools only while it is Active and its review is valid.",
    namespaced,
    category = "aegis",
    shortname = "agt",
    status = "AgentStatus",
    derive = "PartialEq",
    selectable = ".spec.tenant",
    selectable = ".spec.lifecycle",
    printcolumn(name = "TENANT", type_ = "string", json_path = ".spec.tenant"),
    printcolumn(name = "LIFECYCLE", type_ = "string", json_path = ".spec.lifecycle"),
    printcolumn(name = "CEILING", type_ = "string", json_path = ".spec.ceiling"),
    printcolumn(name = "MODE", type_ = "string", json_path = ".spec.enforcement.mode"),
    printcolumn(name = "ENFORCEMENT", type_ = "string", json_path = ".spec.enforcement.level"),
    printcolumn(
        name = "READY",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "REASON",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason"
    ),
    printcolumn(
        name = "PROVEN",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"EnforcementVerified\")].status"
    ),
    printcolumn(name = "PODS", type_ = "integer", json_path = ".status.pods.matched", priority = 1),
    printcolumn(name = "VERIFIED", type_ = "integer", json_path = ".status.pods.verified", priority = 1),
    printcolumn(name = "BUNDLE", type_ = "string", json_path = ".status.bundle.digest", priority = 1),
    printcolumn(name = "RULES", type_ = "integer", json_path = ".status.bundle.rules", priority = 1),
    printcolumn(name = "AGREEMENT", type_ = "string", json_path = ".status.trial.agreement", priority = 1),
    printcolumn(name = "OWNER", type_ = "string", json_path = ".spec.owner.name", priority = 1),
    printcolumn(name = "VERSION", type_ = "string", json_path = ".spec.version", priority = 1),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 63 && !self.metadata.name.contains('.')")
        .message("an agent's name is a DNS label of at most 63 characters")
        .reason(Reason::FieldValueInvalid),
    // Names of Services are DNS labels that begin with a letter (RFC 1035); `-gateway` is 8 characters.
    validation = Rule::new(
        "self.spec.?enforcement.?level.orValue('Mediated') != 'Sealed' || self.metadata.name.matches('^[a-z].{0,54}$')"
    )
        .message("the name of a Sealed agent begins with a letter and has at most 55 characters: its gateway's Service is named after it")
        .reason(Reason::FieldValueInvalid),
)]
#[x_kube(
    validation = Rule::new("self.tenant == oldSelf.tenant")
        .message("tenant is immutable")
        .reason(Reason::FieldValueForbidden)
        .field_path(".tenant"),
    validation = Rule::new("self.businessUnit == oldSelf.businessUnit")
        .message("businessUnit is immutable")
        .reason(Reason::FieldValueForbidden)
        .field_path(".businessUnit"),
    validation = Rule::new("oldSelf.lifecycle != 'Retired' || self.lifecycle == 'Retired'")
        .message("a Retired agent stays Retired")
        .reason(Reason::FieldValueForbidden)
        .field_path(".lifecycle"),
    validation = Rule::new("self.lifecycle != 'Active' || has(self.review)")
        .message("an Active agent needs a review")
        .reason(Reason::FieldValueRequired)
        .field_path(".review")
)]
#[serde(rename_all = "camelCase")]
pub struct AgentSpec {
    /// Tenant that the agent works for, a DNS label. Goes into tokens and records. Immutable.
    #[schemars(length(min = 1, max = 63), regex(pattern = DNS_LABEL))]
    pub tenant: String,
    /// Business unit that the agent works for, a DNS label. Goes into tokens and records. Immutable.
    #[schemars(length(min = 1, max = 63), regex(pattern = DNS_LABEL))]
    pub business_unit: String,
    /// Accountable person or team.
    pub owner: Owner,
    /// Version of the agent's configuration, as its owner writes it. Every record carries it.
    #[schemars(length(min = 1, max = 64))]
    pub version: String,
    /// Where the agent stands in its life. Registered: known, every call is refused. Active: at work, needs a review.
    /// Suspended: every call is refused until it is Active again. Retired: final.
    #[serde(default)]
    pub lifecycle: Lifecycle,
    /// Highest class of operation that the agent may use: Read (no side effect), Draft (can be undone) or Commit.
    #[serde(default)]
    pub ceiling: Class,
    /// Who looked at the agent as it is configured. A change of ceiling, version, workload, enforcement, egress or tokens makes it void.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<Review>,
    /// Pods that are this agent.
    pub workload: Workload,
    /// How its calls are judged.
    #[serde(default)]
    pub enforcement: Enforcement,
    /// The tokens that its sidecars get.
    #[serde(default)]
    pub tokens: Tokens,
    /// Hosts beside tools that the agent may reach, such as a model's API. Such connections are let through by name and
    /// recorded, but what goes over them is not judged. Everything else is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["host".to_owned()]))]
    pub egress: Vec<Egress>,
}

/// A host beside tools that an agent may reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Egress {
    /// Exact name in lower case, or one leading `*.` and a name: every name below it, not itself. No address.
    #[schemars(
        length(min = 3, max = 253),
        regex(pattern = r"^([*][.])?([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?[.])+[a-z]([-a-z0-9]{0,61}[a-z0-9])?$")
    )]
    pub host: String,
    /// Ports that may be reached there.
    #[serde(default = "default_ports")]
    #[schemars(length(min = 1, max = 8), inner(range(min = 1, max = 65_535)))]
    pub ports: Vec<u16>,
    /// Why the agent needs it. Stands in every record of such a connection.
    #[schemars(length(min = 1, max = 256))]
    pub reason: String,
}

fn default_ports() -> Vec<u16> {
    vec![443]
}

/// How much an agent's pods are bound to their sidecars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Level {
    /// The agent is told to use the sidecar, which alone has the tools' credentials. A process that dials elsewhere is
    /// not stopped.
    #[default]
    Mediated,
    /// Packet rules let nothing leave the pod but through the sidecar. A probe proves it.
    Captured,
    /// Captured, and the pod reaches only the agent's gateway, which alone has the credentials and decides.
    Sealed,
}

/// What becomes of an agent's calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// What the policies say.
    #[default]
    Enforce,
    /// A Read goes as the policies say. A Draft or Commit is judged and recorded, and never sent.
    Propose,
    /// What policies refuse or hold goes all the same, and is reported. Lifecycle, review, ceiling, delegation, schema and
    /// the form of a call are enforced as ever.
    Audit,
}

/// Accountable person or team.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// Name of the person or team.
    #[schemars(length(min = 1, max = 128))]
    pub name: String,
    /// How to reach them, such as an address or a channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub contact: Option<String>,
}

/// Where an agent stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Lifecycle {
    /// Known; every call is refused.
    #[default]
    Registered,
    /// At work.
    Active,
    /// Stopped.
    Suspended,
    /// Stopped for ever.
    Retired,
}

/// A person's statement that they looked at the agent as it is configured.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("!has(self.expires) || self.at < self.expires")
    .message("a review expires after it was made")
    .reason(Reason::FieldValueInvalid)
    .field_path(".expires"))]
#[serde(rename_all = "camelCase")]
pub struct Review {
    /// Username of who reviewed.
    #[schemars(length(min = 1, max = 256))]
    pub by: String,
    /// When it was reviewed.
    pub at: Time,
    /// When the review ends. Absent: it does not end by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Time>,
    /// What was reviewed: the digest that status.reviewDigest shows.
    #[schemars(length(max = 71), regex(pattern = DIGEST))]
    pub digest: String,
}

/// Pods that are this agent. They also carry the label aegis.dev/agent with the agent's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Workload {
    /// Service account that its pods run under. One service account serves one agent.
    #[schemars(length(min = 1, max = 253), regex(pattern = DNS_NAME))]
    pub service_account_name: String,
}

/// How an agent's calls are judged.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Enforcement {
    /// How much the agent's pods are bound to their sidecars: Mediated, Captured or Sealed. Pods that run already are
    /// not changed: start them anew.
    #[serde(default)]
    pub level: Level,
    /// What becomes of the calls. Enforce: what the policies say. Propose: a Read does; a Draft or Commit is judged and
    /// recorded, and never sent. Audit: what policies refuse or hold goes all the same, and is reported. A change makes
    /// the review void.
    #[serde(default)]
    pub mode: Mode,
    /// Age of what a sidecar knows over which it refuses Draft and Commit, and at twice this age Read too.
    #[serde(default = "default_max_staleness")]
    #[schemars(length(min = 2, max = 16), regex(pattern = DURATION))]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s') && duration(self) <= duration('10m')")
        .message("maxStaleness lies between 1s and 10m")
        .reason(Reason::FieldValueInvalid))]
    pub max_staleness: String,
}

impl Default for Enforcement {
    fn default() -> Self {
        Self { level: Level::Mediated, mode: Mode::Enforce, max_staleness: default_max_staleness() }
    }
}

fn default_max_staleness() -> String {
    "60s".to_owned()
}

/// The tokens that an agent's sidecars get.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tokens {
    /// Life of a token. It is renewed after a third of it.
    #[serde(default = "default_token_ttl")]
    #[schemars(length(min = 2, max = 16), regex(pattern = DURATION))]
    #[x_kube(validation = Rule::new("duration(self) >= duration('60s') && duration(self) <= duration('15m')")
        .message("ttl lies between 60s and 15m")
        .reason(Reason::FieldValueInvalid))]
    pub ttl: String,
}

impl Default for Tokens {
    fn default() -> Self {
        Self { ttl: default_token_ttl() }
    }
}

fn default_token_ttl() -> String {
    "5m".to_owned()
}

/// What the operator found out about the agent.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentStatus {
    /// Generation of the agent that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = MAX_INTEGER))]
    pub observed_generation: Option<i64>,
    /// Conditions: Ready, Reconciling, Stalled, Reviewed, WorkloadBound, PolicyAccepted, EnforcementVerified.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// Digest of what a review of the agent, as it is configured now, must name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 71), regex(pattern = DIGEST))]
    pub review_digest: Option<String>,
    /// The policy bundle that the agent's sidecars are given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<BundleStatus>,
    /// What the agent's pods must look like. The pod guard compares with it, so it holds while nothing of Aegis runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mesh: Option<MeshStatus>,
    /// The agent's pods, counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<PodCounts>,
    /// What policies said of the calls of an agent of mode Audit or Propose. Absent before the first such call. Sidecars
    /// count, and the counts are written at most once a minute, while they grow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<Trial>,
}

/// What the agent's pods must look like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MeshStatus {
    /// Level that new pods must have.
    pub level: Level,
    /// URL of the control service.
    #[schemars(length(min = 1, max = 256))]
    pub control: String,
    /// Images that a sidecar or gateway may have: the current one first, then those of a version that is being replaced.
    #[schemars(length(min = 1, max = 4), inner(length(min = 1, max = 512)))]
    pub proxy_images: Vec<String>,
    /// Images that the init container that captures may have.
    #[schemars(length(min = 1, max = 4), inner(length(min = 1, max = 512)))]
    pub capture_images: Vec<String>,
    /// Images that the probe may have.
    #[schemars(length(min = 1, max = 4), inner(length(min = 1, max = 512)))]
    pub probe_images: Vec<String>,
}

/// The agent's pods, counted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodCounts {
    /// Pods that run under the agent's service account and have not ended.
    #[schemars(range(min = 0, max = 100_000))]
    pub matched: u32,
    /// Of these, pods with the sidecar in its exact form, at the agent's level.
    #[schemars(range(min = 0, max = 100_000))]
    pub injected: u32,
    /// Of these, pods with the current version of the sidecar.
    #[schemars(range(min = 0, max = 100_000))]
    pub current: u32,
    /// Of these, pods whose newest probe let nothing out. Pods at level Mediated have no probe.
    #[schemars(range(min = 0, max = 100_000))]
    pub verified: u32,
    /// Names of pods under the agent's service account that are not governed, at most 10.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10), inner(length(max = 253)))]
    pub ungoverned: Vec<String>,
}

/// The policy bundle of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BundleStatus {
    /// Digest of the bundle.
    #[schemars(length(max = 71), regex(pattern = DIGEST))]
    pub digest: String,
    /// Version that grows by one with every new bundle.
    #[schemars(range(min = 0, max = MAX_INTEGER))]
    pub version: i64,
    /// Number of rules in the bundle.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub rules: u32,
    /// When the bundle was made.
    pub compiled_at: Time,
}
