//! A bundle: everything that judges one agent's calls, compiled once and immutable.
//!
//! `Bundle::assemble` is the only way from resources to judgement, for operator, sidecar and command line alike.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::agent::Agent;
use crate::call::ToolCall;
use crate::canonical;
use crate::digest::Digest;
use crate::lineup::{self, Chosen, Counting, Lineup, Lineups, RolloutProblem};
use crate::naming::{BindingError, Router};
use crate::places::{self, MAX_PLACES};
use crate::policy::Policy;
use crate::provenance::{Guards, Judged, ProvenanceError, Witnesses};
use crate::registry::Registry;
use crate::rego::{Module, ModuleError, RULE};
use crate::room::{BundleRoom, Room};
use crate::rules::{CompiledPolicy, Lookups, MAX_LITERALS, RuleError, Tables};
use crate::run::{RunIndex, RunView};
use crate::sanitize::{Patterns, RedactionError, Redactor, SanitizeProblem, Sanitizers};
use crate::schema::{CompiledSchema, SchemaError};
use crate::tier::Tier;
use crate::tool::{Class, Operation, Tool};

/// Longest source of a bundle in bytes, as canonical JSON. An item of the feed carries it
/// ([`crate::feed::MAX_ITEM_BYTES`]).
pub const MAX_SOURCE_BYTES: usize = 5 * 1_048_576;

/// What a bundle is made from: core values, serialisable. This is what the feed signs and carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BundleSource {
    /// The agent.
    pub agent: Agent,
    /// Tools that the policies name, ordered by name.
    pub tools: Vec<Tool>,
    /// Policies that select the agent, ordered by name.
    pub policies: Vec<Policy>,
    /// Registries that the policies name, ordered by name.
    pub registries: Vec<Registry>,
    /// Tiers that the policies name, ordered by name.
    pub tiers: Vec<Tier>,
}

/// Why a bundle cannot be made. Names the resource and the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AssembleError {
    /// A rule cannot be compiled.
    #[error("policy {policy}: {error}")]
    Rule {
        /// Policy.
        policy: String,
        /// What is wrong.
        error: Box<RuleError>,
    },
    /// A protected argument cannot be judged.
    #[error("policy {policy}: {error}")]
    Provenance {
        /// Policy.
        policy: String,
        /// What is wrong.
        error: ProvenanceError,
    },
    /// A rollout that cannot be.
    #[error("policy {policy}: rollout: {problem}")]
    Rollout {
        /// Policy.
        policy: String,
        /// What is wrong.
        problem: RolloutProblem,
    },
    /// A Rego module cannot be compiled.
    #[error("policy {policy}: rego: {error}")]
    Rego {
        /// Policy.
        policy: String,
        /// What is wrong.
        error: ModuleError,
    },
    /// Operations cannot be told apart or are not well formed.
    #[error("tool {tool}: {error}")]
    Binding {
        /// Tool.
        tool: String,
        /// What is wrong.
        error: BindingError,
    },
    /// A schema cannot be compiled.
    #[error("tool {tool}: operation {operation}: arguments: {error}")]
    Schema {
        /// Tool.
        tool: String,
        /// Operation.
        operation: String,
        /// What is wrong.
        error: SchemaError,
    },
    /// A Commit without schema.
    #[error("tool {tool}: operation {operation}: arguments: a Commit needs a JSON Schema")]
    MissingSchema {
        /// Tool.
        tool: String,
        /// Operation.
        operation: String,
    },
    /// `Sanitize` rules that this operation cannot have, or that contradict each other.
    #[error("tool {tool}: operation {operation}: {error}")]
    Sanitize {
        /// Tool.
        tool: String,
        /// Operation.
        operation: String,
        /// What is wrong.
        error: Box<SanitizeProblem>,
    },
    /// A redaction that cannot be compiled.
    #[error("tool {tool}: operation {operation}: response.redact{error}")]
    Redaction {
        /// Tool.
        tool: String,
        /// Operation.
        operation: String,
        /// What is wrong.
        error: RedactionError,
    },
    /// More than the feed carries.
    #[error(
        "the agent's policies, with their tools and registries, have {bytes} bytes, at most {MAX_SOURCE_BYTES} are possible: let a policy select fewer agents, or leave out entries of registries"
    )]
    TooLarge {
        /// Length of the source as canonical JSON.
        bytes: usize,
    },
    /// Rules that would grow beyond what they may take, by the operations and shares of runs that they are compiled for.
    #[error(
        "the agent's policies would take over {MAX_PLACES} places in the tables of their operations, where a rule has one for each check and {MAX_LITERALS} for a pattern, in every operation that it is about, and a Rego module one for each byte: name operations in rules instead of *, let policies select fewer tools, end rollouts, or shorten modules"
    )]
    TooManyPlaces,
    /// Something that has no canonical JSON, and so neither digest nor length.
    #[error("the agent's policies, with their tools and registries, cannot be written as canonical JSON: {0}")]
    NotCanonical(String),
    /// Two things of one name.
    #[error("two {kind}s are named {name}")]
    Duplicate {
        /// Kind.
        kind: &'static str,
        /// Name.
        name: String,
    },
    /// A name that nothing has.
    #[error("{by} names {kind} {name}, which does not exist")]
    Missing {
        /// Who names it.
        by: String,
        /// Kind.
        kind: &'static str,
        /// Name.
        name: String,
    },
}

impl AssembleError {
    /// Whether all of it together is too much, though nothing of it is wrong.
    pub fn is_too_large(&self) -> bool {
        matches!(self, Self::TooLarge { .. } | Self::TooManyPlaces)
    }
}

impl BundleSource {
    /// Whether a bundle of it would be as small as a bundle must be; told without compiling anything. An error
    /// [is about that](AssembleError::is_too_large), or says that [there is no length](AssembleError::NotCanonical).
    pub fn fits(&self) -> Result<(), AssembleError> {
        measured(self)?;
        counted(self).map(drop)
    }
}

/// Everything that judges one agent's calls. An [outline](crate::outline::Outline) is what is kept of those that do not
/// judge.
#[derive(Debug)]
pub struct Bundle {
    pub(crate) source: BundleSource,
    pub(crate) digest: Digest,
    pub(crate) source_bytes: usize,
    pub(crate) review_digest: Digest,
    pub(crate) routers: BTreeMap<String, Router>,
    /// By tool and operation, where there are some.
    pub(crate) schemas: BTreeMap<String, BTreeMap<String, CompiledSchema>>,
    pub(crate) policies: Vec<CompiledPolicy>,
    /// One for each policy, in their order; none for a policy without one.
    modules: Vec<Option<Module>>,
    /// By tool and operation.
    pub(crate) lineups: BTreeMap<String, BTreeMap<String, Lineups>>,
    /// By tool and operation, where there are some.
    sanitizers: BTreeMap<String, BTreeMap<String, Sanitizers>>,
    /// By tool and operation, where something is taken out of answers.
    redactors: BTreeMap<String, BTreeMap<String, Redactor>>,
    guards: Guards,
}

impl Bundle {
    /// Compiles a source. Nothing is skipped: one error refuses the whole.
    pub fn assemble(mut source: BundleSource) -> Result<Self, AssembleError> {
        source.tools.sort_by(|a, b| a.name.cmp(&b.name));
        source.policies.sort_by(|a, b| a.name.cmp(&b.name));
        source.registries.sort_by(|a, b| a.name.cmp(&b.name));
        source.tiers.sort_by(|a, b| a.name.cmp(&b.name));
        unique("tool", source.tools.iter().map(|tool| &tool.name))?;
        unique("policy", source.policies.iter().map(|policy| &policy.name))?;
        unique("registry", source.registries.iter().map(|registry| &registry.name))?;
        unique("tier", source.tiers.iter().map(|tier| &tier.name))?;
        let (digest, source_bytes) = measured(&source)?;

        let mut routers = BTreeMap::new();
        let mut schemas: BTreeMap<String, BTreeMap<String, CompiledSchema>> = BTreeMap::new();
        let mut redactors: BTreeMap<String, BTreeMap<String, Redactor>> = BTreeMap::new();
        let room = BundleRoom::default();
        for tool in &source.tools {
            let own = Room::of_tool(&room);
            let patterns = Patterns::new(&own);
            let router =
                Router::compile(tool).map_err(|error| AssembleError::Binding { tool: tool.name.clone(), error })?;
            routers.insert(tool.name.clone(), router);
            for operation in &tool.operations {
                match &operation.arguments {
                    Some(schema) => {
                        let compiled = CompiledSchema::compile_beside(schema, &own).map_err(|error| {
                            AssembleError::Schema { tool: tool.name.clone(), operation: operation.name.clone(), error }
                        })?;
                        schemas.entry(tool.name.clone()).or_default().insert(operation.name.clone(), compiled);
                    }
                    None if operation.class == Class::Commit => {
                        let (tool, operation) = (tool.name.clone(), operation.name.clone());
                        return Err(AssembleError::MissingSchema { tool, operation });
                    }
                    None => {}
                }
                let redactor = Redactor::compile_beside(&operation.response.redact, &patterns).map_err(|error| {
                    let (tool, operation) = (tool.name.clone(), operation.name.clone());
                    AssembleError::Redaction { tool, operation, error }
                })?;
                if let Some(redactor) = redactor {
                    redactors.entry(tool.name.clone()).or_default().insert(operation.name.clone(), redactor);
                }
            }
        }
        lineup::check(&source).map_err(|(policy, problem)| AssembleError::Rollout { policy, problem })?;
        let counting = counted(&source)?;
        let policies = policies(&source, &room)?;
        let modules = source.policies.iter().map(|policy| module(policy, &source)).collect::<Result<_, _>>()?;
        let lineups = lineups(&source, &policies, &counting);
        let sanitizers = of_operations(&source, |tool, operation| {
            let route = routers.get(&tool.name).and_then(|router| router.route_named(tool, &operation.name));
            let compiled = route.map(|route| Sanitizers::compile(&source, tool, operation, route)).transpose();
            compiled.map(Option::flatten).map_err(|error| {
                let (tool, operation) = (tool.name.clone(), operation.name.clone());
                AssembleError::Sanitize { tool, operation, error: Box::new(error) }
            })
        })?;
        let guards = Guards::compile(&source).map_err(|(policy, error)| AssembleError::Provenance { policy, error })?;
        let review_digest = source.agent.review_digest();
        Ok(Self {
            source,
            digest,
            source_bytes,
            review_digest,
            routers,
            schemas,
            policies,
            modules,
            lineups,
            sanitizers,
            redactors,
            guards,
        })
    }

    /// Digest of the source.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Length of the source as canonical JSON, in bytes.
    pub fn source_bytes(&self) -> usize {
        self.source_bytes
    }

    /// What a review of the agent attests ([`Agent::review_digest`]), computed once.
    pub fn review_digest(&self) -> Digest {
        self.review_digest
    }

    /// What it was made from.
    pub fn source(&self) -> &BundleSource {
        &self.source
    }

    /// The agent.
    pub fn agent(&self) -> &Agent {
        &self.source.agent
    }

    /// The tool of that name.
    pub fn tool(&self, name: &str) -> Option<&Tool> {
        self.source.tools.iter().find(|tool| tool.name == name)
    }

    /// The schema of an operation's arguments.
    pub(crate) fn schema(&self, tool: &str, operation: &str) -> Option<&CompiledSchema> {
        self.schemas.get(tool)?.get(operation)
    }

    /// Whether a request for an operation could be another one's of the tool, see [`Router::may_be_another`].
    pub(crate) fn may_be_another(&self, tool: &str, operation: &str) -> bool {
        let place = self.tool(tool).and_then(|tool| tool.operations.iter().position(|one| one.name == operation));
        place.zip(self.routers.get(tool)).is_none_or(|(place, router)| router.may_be_another(place))
    }

    /// Which policies have a say in calls of an operation. There are for every operation that the bundle was made with.
    pub(crate) fn lineups(&self, tool: &str, operation: &str) -> Option<&Lineups> {
        self.lineups.get(tool)?.get(operation)
    }

    /// Which policies have a say in a call.
    pub(crate) fn lineup(&self, call: &ToolCall) -> Option<Chosen<'_>> {
        self.lineups(&call.tool, &call.operation)?.choose(&self.source.agent.uid, call.run.as_deref())
    }

    /// The policies of a lineup, as written and compiled, ordered by name. `assemble` compiles every one; who finds none
    /// has to take its rules as indeterminate.
    pub(crate) fn policies_of(&self, lineup: &Lineup) -> impl Iterator<Item = (&Policy, Option<&CompiledPolicy>)> {
        lineup.places().filter_map(|place| Some((self.source.policies.get(place)?, self.policies.get(place))))
    }

    /// The Rego modules of policies that select this agent and the tool, each with its policy's place.
    pub(crate) fn modules_for(&self, tool: &str) -> impl Iterator<Item = (usize, &Module)> {
        let all = self.source.policies.iter().zip(&self.modules).enumerate();
        all.filter(move |(_, (policy, _))| policy.applies_to(&self.source.agent.name, tool))
            .filter_map(|(place, (_, module))| Some((place, module.as_ref()?)))
    }

    /// The policies of a lineup with a Rego module, each with its place.
    pub(crate) fn modules_of(&self, lineup: &Lineup) -> impl Iterator<Item = (usize, &Policy, &Module)> {
        lineup
            .places()
            .filter_map(|place| Some((place, self.source.policies.get(place)?, self.modules.get(place)?.as_ref()?)))
    }

    /// The operation's `Sanitize` rules.
    pub(crate) fn sanitizers(&self, tool: &str, operation: &str) -> Option<&Sanitizers> {
        self.sanitizers.get(tool)?.get(operation)
    }

    /// What takes out of the operation's answers what the agent must not see; none where nothing is to be taken out.
    pub fn redactor(&self, tool: &str, operation: &str) -> Option<&Redactor> {
        self.redactors.get(tool)?.get(operation)
    }

    /// The origins of the call's protected values, as the policies of the lineup ask for them.
    pub(crate) fn origins(
        &self,
        lineup: &Lineup,
        call: &ToolCall,
        operation: &Operation,
        witnesses: Witnesses<'_>,
    ) -> Judged<'_> {
        Judged::of(&self.guards, &self.source, lineup, call, operation, witnesses)
    }

    /// What the index knows of a call's run: the evidence that the call is judged with. None for a call without a run.
    pub fn run_view(&self, call: &ToolCall, index: &RunIndex, now: Timestamp) -> Option<RunView> {
        let operation = self.tool(&call.tool)?.operation(&call.operation)?;
        Some(index.view(call.run.as_deref()?, &self.guards.asked(&self.source, call, operation), now))
    }

    /// Whether rules that are in force for the call ask what its run has done.
    pub fn asks_about_run(&self, call: &ToolCall) -> bool {
        self.lineup(call).is_some_and(|chosen| chosen.in_force.table.asks_about_run())
    }

    /// Whether some policy of the lineup asks where values of the call came from.
    pub(crate) fn protects(&self, lineup: &Lineup, call: &ToolCall) -> bool {
        self.guards.of(&self.source, &call.tool, &call.operation).any(|guard| lineup.has(guard.place))
    }

    /// Whether some policy asks where values came from, so that what tools answer has to be remembered.
    pub fn asks_for_origins(&self) -> bool {
        !self.guards.is_empty()
    }

    /// Number of rules; a Rego module counts as one.
    pub fn rule_count(&self) -> usize {
        self.source
            .policies
            .iter()
            .map(|policy| policy.rules.len().saturating_add(usize::from(policy.rego.is_some())))
            .sum()
    }
}

/// Something of each operation that has it, by tool and operation.
fn of_operations<T>(
    source: &BundleSource,
    make: impl Fn(&Tool, &Operation) -> Result<Option<T>, AssembleError>,
) -> Result<BTreeMap<String, BTreeMap<String, T>>, AssembleError> {
    let mut found: BTreeMap<String, BTreeMap<String, T>> = BTreeMap::new();
    for tool in &source.tools {
        for operation in &tool.operations {
            if let Some(one) = make(tool, operation)? {
                found.entry(tool.name.clone()).or_default().insert(operation.name.clone(), one);
            }
        }
    }
    Ok(found)
}

/// The policies, ready to be asked. What their checks look registries up in is made once for all of them.
fn policies(source: &BundleSource, room: &BundleRoom) -> Result<Vec<CompiledPolicy>, AssembleError> {
    let lookups = Lookups::new(&source.registries);
    let compile = |policy: &Policy| {
        CompiledPolicy::compile_beside(policy, source, room, &lookups)
            .map_err(|error| AssembleError::Rule { policy: policy.name.clone(), error: Box::new(error) })
    };
    source.policies.iter().map(compile).collect()
}

fn module(policy: &Policy, source: &BundleSource) -> Result<Option<Module>, AssembleError> {
    let Some(rego) = &policy.rego else { return Ok(None) };
    if policy.rules.iter().any(|rule| rule.name == RULE) {
        return Err(AssembleError::Duplicate { kind: "rule", name: format!("{RULE} in policy {}", policy.name) });
    }
    if let Some(tier) = rego.tiers.iter().find(|name| !source.tiers.iter().any(|tier| tier.name == **name)) {
        let by = format!("policy {}: rego.tiers", policy.name);
        return Err(AssembleError::Missing { by, kind: "tier", name: tier.clone() });
    }
    let module = Module::compile(rego, &policy.registries, &source.registries);
    module.map(Some).map_err(|error| AssembleError::Rego { policy: policy.name.clone(), error })
}

/// The source's digest and length. What the feed could not carry is no bundle: the last good one stays, and the agent's
/// status says why.
fn measured(source: &impl Serialize) -> Result<(Digest, usize), AssembleError> {
    let json = canonical::to_vec(source).map_err(|error| AssembleError::NotCanonical(error.to_string()))?;
    if json.len() > MAX_SOURCE_BYTES {
        return Err(AssembleError::TooLarge { bytes: json.len() });
    }
    Ok((Digest::of_bytes(&json), json.len()))
}

/// Which policies count, for each tool, where their tables and modules would not be too large.
fn counted(source: &BundleSource) -> Result<Vec<Counting>, AssembleError> {
    let mut all = places::of_modules(source);
    if all > MAX_PLACES {
        return Err(AssembleError::TooManyPlaces);
    }
    let of_tool = |tool: &Tool| {
        let counting = Counting::of(source, tool);
        all = all.saturating_add(places::of_tool(source, tool, &counting));
        if all > MAX_PLACES { Err(AssembleError::TooManyPlaces) } else { Ok(counting) }
    };
    source.tools.iter().map(of_tool).collect()
}

/// By tool and operation. `counting` has an entry for each tool, in their order.
fn lineups(
    source: &BundleSource,
    policies: &[CompiledPolicy],
    counting: &[Counting],
) -> BTreeMap<String, BTreeMap<String, Lineups>> {
    let tables = Tables::new(policies);
    let mut all = BTreeMap::new();
    for (tool, counting) in source.tools.iter().zip(counting) {
        let compile = |operation| Lineups::compile(source, &tables, tool, operation, counting);
        let of_tool = tool.operations.iter().map(|operation| (operation.name.clone(), compile(operation))).collect();
        all.insert(tool.name.clone(), of_tool);
    }
    all
}

fn unique<'a>(kind: &'static str, names: impl Iterator<Item = &'a String>) -> Result<(), AssembleError> {
    let mut previous: Option<&String> = None;
    for name in names {
        if previous == Some(name) {
            return Err(AssembleError::Duplicate { kind, name: name.clone() });
        }
        previous = Some(name);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_canonical_form_has_no_digest() {
        let error = measured(&BTreeMap::from([((1, 2), "a")])).unwrap_err();
        assert!(matches!(error, AssembleError::NotCanonical(_)), "{error}");
        assert!(!error.is_too_large());
        assert_eq!(measured(&["a"]), Ok((Digest::of_bytes(br#"["a"]"#), 5)));
    }

    #[test]
    fn what_the_feed_could_not_carry_is_no_source() {
        let (most, more) = ("x".repeat(MAX_SOURCE_BYTES - 2), "x".repeat(MAX_SOURCE_BYTES - 1));
        assert_eq!(measured(&most).map(|(_, bytes)| bytes), Ok(MAX_SOURCE_BYTES));
        assert_eq!(measured(&more), Err(AssembleError::TooLarge { bytes: MAX_SOURCE_BYTES + 1 }));
    }
}
