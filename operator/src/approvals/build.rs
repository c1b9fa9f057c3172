//! The `ApprovalRequest` of a held call: a pure function of the decision and the call.

use std::collections::BTreeMap;

use aegis_crds::api::ApprovalRequest;
use aegis_crds::api::approval::{
    Action, ApprovalRequestSpec, AskedBy, ContextParts, PreviewRow, RequestAgent, RequestDelegation, Requirement,
    Target,
};
use aegis_crds::lower;
use aegis_decision::agent::Agent;
use aegis_decision::approval::request_name;
use aegis_decision::call::Emitted;
use aegis_decision::decision::{self, DecisionOutput, DelegationRef};
use aegis_decision::digest::Digest;
use aegis_decision::tier::Tier;
use aegis_decision::tool::Class;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::core::ObjectMeta;

use super::preview::Row;

/// Label: name of the agent.
pub const AGENT_LABEL: &str = "aegis.dev/agent";
/// Label: the first 40 hex digits of the effect's digest.
pub const EFFECT_LABEL: &str = "aegis.dev/effect";

/// A held call, judged by the control service itself.
pub struct Held<'a> {
    /// The agent.
    pub agent: &'a Agent,
    /// The decision: verdict hold, with digests, requirements and delegation.
    pub output: &'a DecisionOutput,
    /// What would be sent.
    pub emitted: &'a Emitted,
    /// What the approver sees.
    pub preview: Vec<Row>,
    /// W3C trace context of the call.
    pub traceparent: Option<String>,
}

/// The parts of a held decision that a request cannot do without.
#[derive(Debug, Clone, Copy)]
pub struct Bound<'a> {
    /// Digest of the effect.
    pub effect: Digest,
    /// Digest of the context.
    pub context: Digest,
    /// The context's parts.
    pub parts: &'a decision::ContextParts,
    /// The delegation.
    pub delegation: &'a DelegationRef,
}

impl<'a> Bound<'a> {
    /// None when the decision lacks one: then it was not made from resources of a server, and cannot be approved.
    pub fn of(output: &'a DecisionOutput) -> Option<Self> {
        Some(Self {
            effect: output.effect_digest?,
            context: output.context_digest?,
            parts: output.context_parts.as_ref()?,
            delegation: output.delegation.as_ref()?,
        })
    }
}

/// Selects the requests for one effect of an agent.
pub fn selector(agent: &str, effect: Digest) -> String {
    format!("{AGENT_LABEL}={agent},{EFFECT_LABEL}={}", effect_label(effect))
}

fn effect_label(effect: Digest) -> String {
    effect.to_string().trim_start_matches("sha256:").chars().take(40).collect()
}

/// The `number`th request for this effect and delegation.
pub fn build(held: &Held<'_>, bound: Bound<'_>, number: u32, now: Timestamp) -> ApprovalRequest {
    let shortest = |seconds: fn(&Tier) -> u32| {
        held.output.requirements.iter().map(|requirement| seconds(&requirement.tier)).min().unwrap_or(60)
    };
    let decide_within = shortest(|tier| tier.decide_within_seconds);
    let release_ttl = shortest(|tier| tier.release_ttl_seconds);
    let preview: Vec<PreviewRow> = held.preview.iter().map(row).collect();
    let spec = ApprovalRequestSpec {
        agent: RequestAgent {
            name: held.agent.name.clone(),
            uid: held.agent.uid.clone(),
            version: held.agent.version.clone(),
        },
        delegation: RequestDelegation {
            name: bound.delegation.name.clone(),
            uid: bound.delegation.uid.clone(),
            generation: bound.delegation.generation,
            delegator: bound.delegation.delegator.clone(),
        },
        requester: bound.delegation.requester.clone(),
        action: Action {
            tool: held.output.tool.clone(),
            operation: held.output.operation.clone().unwrap_or_default(),
            class: held.output.class.unwrap_or(Class::Commit).into(),
            target: Target { method: held.emitted.method.clone(), url: held.emitted.url.clone() },
            effect_digest: bound.effect.to_string(),
            context_digest: bound.context.to_string(),
            context_parts: ContextParts {
                rules: bound.parts.rules.to_string(),
                registries: bound.parts.registries.to_string(),
                facts: bound.parts.facts.to_string(),
                delegation: bound.parts.delegation.to_string(),
                tool: bound.parts.tool.to_string(),
            },
        },
        preview_digest: Digest::of(&preview).to_string(),
        preview,
        requirements: held.output.requirements.iter().map(requirement).collect(),
        requested_at: Time(now),
        expires_at: Time(now.saturating_add(SignedDuration::from_secs(i64::from(decide_within))).unwrap_or(now)),
        release_ttl: lower::written(release_ttl),
        traceparent: held.traceparent.clone(),
        decision: None,
    };
    ApprovalRequest {
        metadata: ObjectMeta {
            name: Some(request_name(&held.agent.name, bound.effect, &bound.delegation.uid, number)),
            namespace: Some(held.agent.namespace.clone()),
            labels: Some(BTreeMap::from([
                (AGENT_LABEL.to_owned(), held.agent.name.clone()),
                (EFFECT_LABEL.to_owned(), effect_label(bound.effect)),
                ("app.kubernetes.io/managed-by".to_owned(), "aegis".to_owned()),
            ])),
            ..Default::default()
        },
        spec,
        status: None,
    }
}

fn row(row: &Row) -> PreviewRow {
    PreviewRow {
        path: row.path.clone(),
        value: row.value.clone(),
        flags: row.flags.iter().map(|flag| flag.as_str().to_owned()).collect(),
    }
}

fn requirement(requirement: &decision::Requirement) -> Requirement {
    let tier = &requirement.tier;
    Requirement {
        tier: tier.name.clone(),
        minimum: tier.minimum,
        separation_of_duties: tier.separation_of_duties.iter().map(|duty| (*duty).into()).collect(),
        decide_within: lower::written(tier.decide_within_seconds),
        release_ttl: lower::written(tier.release_ttl_seconds),
        asked_by: requirement
            .asked_by
            .iter()
            .map(|rule| AskedBy { policy: rule.policy.clone(), rule: rule.rule.clone(), reason: rule.reason.clone() })
            .collect(),
    }
}
