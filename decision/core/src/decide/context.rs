//! The context digest: what a decision rested on beside the call itself. An approval binds it, so a rule, a registry
//! entry, a fact, a delegation or a tool that changed makes an approval stale, and the part that differs has a name.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::bundle::{Bundle, BundleSource};
use crate::call::ToolCall;
use crate::decision::ContextParts;
use crate::delegation::Delegation;
use crate::digest::Digest;
use crate::facts::FactSet;
use crate::path::Path;
use crate::policy::{Check, Effect, Policy, Provenance, Rule, Source, UnknownOrigin};
use crate::provenance::Judged;
use crate::rules::{Inputs, RegistryRead};
use crate::tier::Tier;
use crate::tool::{Credential, Endpoint, Header, Operation, Tls, Tool};

/// The parts that depend on the bundle only, one per (tool, operation), made once when the bundle is assembled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FixedParts {
    rules: Digest,
    tool: Digest,
}

impl FixedParts {
    /// Digest of the operation as the tool declares it.
    pub(crate) fn tool(&self) -> Digest {
        self.tool
    }

    /// For every operation of every tool.
    pub(crate) fn of_all(source: &BundleSource) -> BTreeMap<(String, String), Self> {
        let of = |tool: &Tool, operation: &Operation| Self {
            rules: rules_digest(source, tool, operation),
            tool: tool_digest(tool, operation),
        };
        source
            .tools
            .iter()
            .flat_map(|tool| tool.operations.iter().map(move |operation| (tool, operation)))
            .map(|(tool, operation)| ((tool.name.clone(), operation.name.clone()), of(tool, operation)))
            .collect()
    }
}

/// A rule without the list of operations that it applies to: another operation there changes nothing here.
#[derive(Serialize)]
struct RuleView<'a> {
    policy: &'a str,
    name: &'a str,
    when: &'a [Check],
    effect: &'a Effect,
    reason: Option<&'a str>,
    message: Option<&'a str>,
}

/// An entry without its list of operations.
#[derive(Serialize)]
struct ProvenanceView<'a> {
    policy: &'a str,
    field: &'a Path,
    from: &'a [Source],
    unknown: &'a UnknownOrigin,
}

#[derive(Serialize)]
struct RulesView<'a> {
    v: &'static str,
    rules: Vec<RuleView<'a>>,
    /// Entries that protect arguments of the operation.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    provenance: Vec<ProvenanceView<'a>>,
    /// Ordered by name. A tier that does not exist has no place here; a call that needs it is refused.
    tiers: BTreeMap<&'a str, &'a Tier>,
}

fn rules_digest(source: &BundleSource, tool: &Tool, operation: &Operation) -> Digest {
    let rules: Vec<(&Policy, &Rule)> = source
        .policies
        .iter()
        .filter(|policy| policy.applies_to(&source.agent.name, &tool.name))
        .flat_map(|policy| policy.rules.iter().map(move |rule| (policy, rule)))
        .filter(|(_, rule)| rule.applies_to(&operation.name))
        .collect();
    let entries: Vec<(&Policy, &Provenance)> = source
        .policies
        .iter()
        .filter(|policy| policy.applies_to(&source.agent.name, &tool.name))
        .flat_map(|policy| policy.provenance.iter().map(move |entry| (policy, entry)))
        .filter(|(_, entry)| entry.applies_to(&operation.name))
        .collect();
    let of_rules = rules.iter().filter_map(|(_, rule)| match &rule.effect {
        Effect::RequireApproval { tier, .. } => Some(tier),
        Effect::Allow | Effect::Deny | Effect::Sanitize(_) => None,
    });
    let of_entries = entries.iter().filter_map(|(_, entry)| match &entry.unknown {
        UnknownOrigin::Hold { tier, .. } => Some(tier),
        UnknownOrigin::Deny | UnknownOrigin::Allow => None,
    });
    let tiers = of_rules
        .chain(of_entries)
        .filter_map(|tier| source.tiers.iter().find(|known| known.name == *tier))
        .map(|tier| (tier.name.as_str(), tier))
        .collect();
    let rules = rules
        .into_iter()
        .map(|(policy, rule)| RuleView {
            policy: &policy.name,
            name: &rule.name,
            when: &rule.when,
            effect: &rule.effect,
            reason: rule.reason.as_deref(),
            message: rule.message.as_deref(),
        })
        .collect();
    let provenance = entries
        .into_iter()
        .map(|(policy, Provenance { operations: _, field, from, unknown })| ProvenanceView {
            policy: &policy.name,
            field,
            from,
            unknown,
        })
        .collect();
    Digest::of(&RulesView { v: "aegis.dev/context-rules/v1", rules, provenance, tiers })
}

#[derive(Serialize)]
struct ToolView<'a> {
    v: &'static str,
    name: &'a str,
    endpoint: &'a Endpoint,
    tls: Option<&'a Tls>,
    headers: &'a [Header],
    credential: Option<&'a Credential>,
    operation: &'a Operation,
}

/// Who receives the call (endpoint, TLS name and roots), as whom (credential's name), and how it is read.
fn tool_digest(tool: &Tool, operation: &Operation) -> Digest {
    Digest::of(&ToolView {
        v: "aegis.dev/context-tool/v1",
        name: &tool.name,
        endpoint: &tool.endpoint,
        tls: tool.tls.as_ref(),
        headers: &tool.headers,
        credential: tool.credential.as_ref(),
        operation,
    })
}

#[derive(Serialize)]
struct DelegationView<'a> {
    v: &'static str,
    uid: &'a str,
    generation: i64,
}

/// All parts; none when the delegation was not read from a server, or the bundle does not know the operation.
pub(super) fn parts(
    bundle: &Bundle,
    call: &ToolCall,
    operation: &Operation,
    delegation: &Delegation,
    inputs: &Inputs<'_>,
    origins: &Judged<'_>,
    reads: impl FnOnce() -> Vec<RegistryRead>,
) -> Option<ContextParts> {
    if delegation.uid.is_empty() {
        return None;
    }
    let fixed = bundle.fixed_parts(&call.tool, &call.operation)?;
    // One entry may be named by several checks of several policies; it counts once, in a fixed order.
    let reads: BTreeSet<RegistryRead> = reads().into_iter().chain(origins.reads.iter().cloned()).collect();
    Some(ContextParts {
        rules: fixed.rules,
        registries: Digest::of(&("aegis.dev/context-registries/v1", reads)),
        facts: facts_digest(bundle, operation, inputs, origins),
        delegation: delegation_digest(delegation),
        tool: fixed.tool,
    })
}

/// What was found out for this call beside registries: facts, what its run has done as far as rules ask, and the origins of
/// its protected values. Calls that nobody asks about runs and origins have the digest of their facts alone.
fn facts_digest(bundle: &Bundle, operation: &Operation, inputs: &Inputs<'_>, origins: &Judged<'_>) -> Digest {
    let facts = fact_digests(operation, inputs.facts);
    let of_run = bundle.run_answers(inputs);
    if of_run.is_empty() && origins.answers.is_empty() {
        return Digest::of(&("aegis.dev/context-facts/v1", facts));
    }
    Digest::of(&("aegis.dev/context-facts/v2", facts, of_run, &origins.answers))
}

/// The registry entries that the checks name for this call, found by asking every check of every rule.
pub(super) fn plain_reads(bundle: &Bundle, call: &ToolCall, inputs: &Inputs<'_>) -> Vec<RegistryRead> {
    let compiled = bundle.policies_for(&call.tool).filter_map(|(_, compiled)| compiled);
    compiled.flat_map(|compiled| compiled.registry_reads(&call.operation, inputs)).collect()
}

fn delegation_digest(delegation: &Delegation) -> Digest {
    Digest::of(&DelegationView {
        v: "aegis.dev/context-delegation/v1",
        uid: &delegation.uid,
        generation: delegation.generation,
    })
}

impl Bundle {
    /// A reported context as far as it can be known without the call: rules, tool and delegation as they are here now,
    /// registry reads and facts as reported. Compared at the claim, so that nobody can claim by rules that are gone.
    pub fn current_parts(
        &self,
        tool: &str,
        operation: &str,
        delegation: &Delegation,
        reported: &ContextParts,
    ) -> ContextParts {
        let absent = || Digest::of("aegis.dev/context-absent/v1");
        let fixed = self.fixed_parts(tool, operation);
        ContextParts {
            rules: fixed.map_or_else(absent, |fixed| fixed.rules),
            tool: fixed.map_or_else(absent, |fixed| fixed.tool),
            delegation: delegation_digest(delegation),
            ..reported.clone()
        }
    }
}

/// Only the facts that the operation declares: what is not declared is in no digest, so no rule may see it.
pub(super) fn declared_facts<'a>(operation: &Operation, facts: &'a FactSet) -> Cow<'a, FactSet> {
    let declared = |name: &str| operation.facts.iter().any(|fact| fact.name == name);
    if facts.0.keys().all(|name| declared(name)) {
        return Cow::Borrowed(facts);
    }
    let kept = facts.0.iter().filter(|(name, _)| declared(name));
    Cow::Owned(FactSet(kept.map(|(name, value)| (name.clone(), value.clone())).collect()))
}

/// The digest of every declared fact; none for one that could not be read.
pub(super) fn fact_digests(operation: &Operation, facts: &FactSet) -> BTreeMap<String, Option<Digest>> {
    operation.facts.iter().map(|fact| (fact.name.clone(), facts.0.get(&fact.name).map(Digest::of))).collect()
}
