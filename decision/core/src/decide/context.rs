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
use crate::lineup::Lineup;
use crate::outline::Outline;
use crate::path::Path;
use crate::policy::{Check, Effect, Policy, Provenance, Rule, Source, UnknownOrigin};
use crate::provenance::Judged;
use crate::rego::ModuleSource;
use crate::rules::{Inputs, RegistryRead};
use crate::tier::Tier;
use crate::tool::{Credential, Endpoint, Header, Operation, Tls, Tool};

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
    /// Modules of the tool's policies, by policy.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    rego: BTreeMap<&'a str, &'a ModuleSource>,
}

/// Digest of what these policies, which select the agent and the tool, say of an operation.
pub(crate) fn rules_digest(source: &BundleSource, policies: &[&Policy], operation: &Operation) -> Digest {
    let rego: BTreeMap<_, _> =
        policies.iter().filter_map(|policy| Some((policy.name.as_str(), policy.rego.as_ref()?))).collect();
    let rules: Vec<(&Policy, &Rule)> = policies
        .iter()
        .flat_map(|policy| policy.rules.iter().map(move |rule| (*policy, rule)))
        .filter(|(_, rule)| rule.applies_to(&operation.name))
        .collect();
    let entries: Vec<(&Policy, &Provenance)> = policies
        .iter()
        .flat_map(|policy| policy.provenance.iter().map(move |entry| (*policy, entry)))
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
    let of_modules = rego.values().flat_map(|module| &module.tiers);
    let tiers = of_rules
        .chain(of_entries)
        .chain(of_modules)
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
    Digest::of(&RulesView { v: "aegis.dev/context-rules/v1", rules, provenance, tiers, rego })
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
pub(crate) fn tool_digest(tool: &Tool, operation: &Operation) -> Digest {
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
    lineup: &Lineup,
    operation: &Operation,
    delegation: &Delegation,
    inputs: &Inputs<'_>,
    origins: &Judged<'_>,
    reads: impl FnOnce() -> Vec<RegistryRead>,
) -> Option<ContextParts> {
    if delegation.uid.is_empty() {
        return None;
    }
    let tool = bundle.lineups(inputs.call.tool, inputs.call.operation)?.tool;
    // One entry may be named by several checks of several policies; it counts once, in a fixed order.
    let reads: BTreeSet<RegistryRead> = reads().into_iter().chain(origins.reads.iter().cloned()).collect();
    Some(ContextParts {
        rules: lineup.rules,
        registries: Digest::of(&("aegis.dev/context-registries/v1", reads)),
        facts: facts_digest(bundle, lineup, operation, inputs, origins),
        delegation: delegation_digest(delegation),
        tool,
    })
}

/// What was found out for this call beside registries: facts, what its run has done as far as rules ask, and the origins of
/// its protected values. Calls that nobody asks about runs and origins have the digest of their facts alone.
fn facts_digest(
    bundle: &Bundle,
    lineup: &Lineup,
    operation: &Operation,
    inputs: &Inputs<'_>,
    origins: &Judged<'_>,
) -> Digest {
    let facts = fact_digests(operation, inputs.facts);
    let of_run = lineup.table.run_answers(&bundle.policies, inputs);
    if of_run.is_empty() && origins.answers.is_empty() {
        return Digest::of(&("aegis.dev/context-facts/v1", facts));
    }
    Digest::of(&("aegis.dev/context-facts/v2", facts, of_run, &origins.answers))
}

/// The registry entries that the checks name for this call, found by asking every check of every rule.
pub(super) fn plain_reads(bundle: &Bundle, lineup: &Lineup, call: &ToolCall, inputs: &Inputs<'_>) -> Vec<RegistryRead> {
    let compiled = bundle.policies_of(lineup).filter_map(|(_, compiled)| compiled);
    compiled.flat_map(|compiled| compiled.registry_reads(&call.operation, inputs)).collect()
}

fn delegation_digest(delegation: &Delegation) -> Digest {
    Digest::of(&DelegationView {
        v: "aegis.dev/context-delegation/v1",
        uid: &delegation.uid,
        generation: delegation.generation,
    })
}

impl Outline {
    /// A reported context as far as it can be known without the call: rules, tool and delegation as they are here now,
    /// registry reads and facts as reported. Where a rollout makes several sets of rules be in force, on other runs each,
    /// the reported one counts if it is one of them. Compared at the claim, so that nobody can claim by rules that are gone.
    pub fn current_parts(
        &self,
        tool: &str,
        operation: &str,
        delegation: &Delegation,
        reported: &ContextParts,
    ) -> ContextParts {
        let absent = || Digest::of("aegis.dev/context-absent/v1");
        let known = self.compared(tool, operation);
        ContextParts {
            rules: known.and_then(|known| known.reported_or_first(reported.rules)).unwrap_or_else(absent),
            tool: known.map_or_else(absent, |known| known.tool),
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
