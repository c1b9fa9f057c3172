//! A bundle: everything that judges one agent's calls, compiled once and immutable.
//!
//! `Bundle::assemble` is the only way from resources to judgement, for operator, sidecar and command line alike.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::agent::Agent;
use crate::call::ToolCall;
use crate::decide::context::FixedParts;
use crate::decision::Truth;
use crate::digest::Digest;
use crate::naming::{BindingError, Router};
use crate::policy::Policy;
use crate::provenance::{Guards, Judged, ProvenanceError, Witnesses};
use crate::registry::Registry;
use crate::rules::{Allowing, CompiledPolicy, Inputs, RegistryRead, RuleError, Table};
use crate::run::{RunIndex, RunView};
use crate::sanitize::{RedactionError, Redactor, SanitizeProblem, Sanitizers};
use crate::schema::{CompiledSchema, SchemaError};
use crate::tier::Tier;
use crate::tool::{Class, Operation, Tool};

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

/// Everything that judges one agent's calls.
#[derive(Debug)]
pub struct Bundle {
    pub(crate) source: BundleSource,
    pub(crate) digest: Digest,
    pub(crate) routers: BTreeMap<String, Router>,
    pub(crate) schemas: BTreeMap<(String, String), CompiledSchema>,
    pub(crate) policies: Vec<CompiledPolicy>,
    /// By tool and operation.
    tables: BTreeMap<String, BTreeMap<String, Table>>,
    /// By tool and operation, where there are some.
    sanitizers: BTreeMap<String, BTreeMap<String, Sanitizers>>,
    /// By tool and operation, where something is taken out of answers.
    redactors: BTreeMap<String, BTreeMap<String, Redactor>>,
    guards: Guards,
    fixed_parts: BTreeMap<(String, String), FixedParts>,
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

        let mut routers = BTreeMap::new();
        let mut schemas = BTreeMap::new();
        for tool in &source.tools {
            let router =
                Router::compile(tool).map_err(|error| AssembleError::Binding { tool: tool.name.clone(), error })?;
            routers.insert(tool.name.clone(), router);
            for operation in &tool.operations {
                let key = (tool.name.clone(), operation.name.clone());
                match &operation.arguments {
                    Some(schema) => {
                        let compiled = CompiledSchema::compile(schema).map_err(|error| AssembleError::Schema {
                            tool: tool.name.clone(),
                            operation: operation.name.clone(),
                            error,
                        })?;
                        schemas.insert(key, compiled);
                    }
                    None if operation.class == Class::Commit => {
                        return Err(AssembleError::MissingSchema { tool: key.0, operation: key.1 });
                    }
                    None => {}
                }
            }
        }
        let policies: Vec<_> = source
            .policies
            .iter()
            .map(|policy| {
                CompiledPolicy::compile(policy, &source)
                    .map_err(|error| AssembleError::Rule { policy: policy.name.clone(), error: Box::new(error) })
            })
            .collect::<Result<_, _>>()?;
        let of_tool = |tool: &Tool| {
            let table = |operation: &Operation| Table::compile(&source, &policies, tool, operation);
            tool.operations.iter().map(|operation| (operation.name.clone(), table(operation))).collect()
        };
        let tables = source.tools.iter().map(|tool| (tool.name.clone(), of_tool(tool))).collect();
        let sanitizers = of_operations(&source, |tool, operation| {
            let route = routers.get(&tool.name).and_then(|router| router.route_named(tool, &operation.name));
            let compiled = route.map(|route| Sanitizers::compile(&source, tool, operation, route)).transpose();
            compiled.map(Option::flatten).map_err(|error| {
                let (tool, operation) = (tool.name.clone(), operation.name.clone());
                AssembleError::Sanitize { tool, operation, error: Box::new(error) }
            })
        })?;
        let redactors = of_operations(&source, |tool, operation| {
            Redactor::compile(&operation.response.redact).map_err(|error| {
                let (tool, operation) = (tool.name.clone(), operation.name.clone());
                AssembleError::Redaction { tool, operation, error }
            })
        })?;
        let guards = Guards::compile(&source).map_err(|(policy, error)| AssembleError::Provenance { policy, error })?;
        let digest = Digest::of(&source);
        let fixed_parts = FixedParts::of_all(&source);
        Ok(Self { source, digest, routers, schemas, policies, tables, sanitizers, redactors, guards, fixed_parts })
    }

    /// Digest of the source.
    pub fn digest(&self) -> Digest {
        self.digest
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
        self.schemas.get(&(tool.to_owned(), operation.to_owned()))
    }

    /// Whether a request for an operation could be another one's of the tool, see [`Router::may_be_another`].
    pub(crate) fn may_be_another(&self, tool: &str, operation: &str) -> bool {
        let place = self.tool(tool).and_then(|tool| tool.operations.iter().position(|one| one.name == operation));
        place.zip(self.routers.get(tool)).is_none_or(|(place, router)| router.may_be_another(place))
    }

    /// What the context digest of an operation has from the bundle alone.
    pub(crate) fn fixed_parts(&self, tool: &str, operation: &str) -> Option<&FixedParts> {
        self.fixed_parts.get(&(tool.to_owned(), operation.to_owned()))
    }

    /// Policies that select this agent and the tool, as written and compiled, ordered by name. `assemble` compiles every
    /// one; who finds none has to take its rules as indeterminate.
    pub(crate) fn policies_for(&self, tool: &str) -> impl Iterator<Item = (&Policy, Option<&CompiledPolicy>)> {
        let all = self.source.policies.iter().enumerate().map(|(index, policy)| (policy, self.policies.get(index)));
        all.filter(move |(policy, _)| policy.applies_to(&self.source.agent.name, tool))
    }

    /// The rule by which the call may simply go, found in the operation's table. None: it may not, or only the plain way
    /// can tell.
    pub(crate) fn allowing(&self, inputs: &Inputs<'_>) -> Option<Allowing<'_>> {
        self.table(inputs.call.tool, inputs.call.operation)?.allows(&self.policies, inputs)
    }

    /// The registry entries that the operation's rules name for this call.
    pub(crate) fn registry_reads(&self, inputs: &Inputs<'_>) -> Vec<RegistryRead> {
        self.table(inputs.call.tool, inputs.call.operation)
            .map(|table| table.registry_reads(&self.policies, inputs))
            .unwrap_or_default()
    }

    /// The operation's `Sanitize` rules.
    pub(crate) fn sanitizers(&self, tool: &str, operation: &str) -> Option<&Sanitizers> {
        self.sanitizers.get(tool)?.get(operation)
    }

    /// What takes out of the operation's answers what the agent must not see; none where nothing is to be taken out.
    pub fn redactor(&self, tool: &str, operation: &str) -> Option<&Redactor> {
        self.redactors.get(tool)?.get(operation)
    }

    /// What the checks about the call's run answer.
    pub(crate) fn run_answers(&self, inputs: &Inputs<'_>) -> Vec<Truth> {
        self.table(inputs.call.tool, inputs.call.operation)
            .map(|table| table.run_answers(&self.policies, inputs))
            .unwrap_or_default()
    }

    /// The origins of the call's protected values.
    pub(crate) fn origins(&self, call: &ToolCall, operation: &Operation, witnesses: Witnesses<'_>) -> Judged<'_> {
        Judged::of(&self.guards, &self.source, call, operation, witnesses)
    }

    /// What the index knows of a call's run: the evidence that the call is judged with. None for a call without a run.
    pub fn run_view(&self, call: &ToolCall, index: &RunIndex, now: Timestamp) -> Option<RunView> {
        let operation = self.tool(&call.tool)?.operation(&call.operation)?;
        Some(index.view(call.run.as_deref()?, &self.guards.asked(&self.source, call, operation), now))
    }

    /// Whether rules of the call's operation ask what its run has done.
    pub fn asks_about_run(&self, call: &ToolCall) -> bool {
        self.table(&call.tool, &call.operation).is_some_and(Table::asks_about_run)
    }

    /// Whether some policy asks where values of the operation came from.
    pub(crate) fn protects(&self, tool: &str, operation: &str) -> bool {
        self.guards.protects(tool, operation)
    }

    /// Whether some policy asks where values came from, so that what tools answer has to be remembered.
    pub fn asks_for_origins(&self) -> bool {
        !self.guards.is_empty()
    }

    fn table(&self, tool: &str, operation: &str) -> Option<&Table> {
        self.tables.get(tool)?.get(operation)
    }

    /// Number of rules.
    pub fn rule_count(&self) -> usize {
        self.source.policies.iter().map(|policy| policy.rules.len()).sum()
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
