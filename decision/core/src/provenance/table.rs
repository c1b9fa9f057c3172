//! The entries of all policies by operation, and what registries supply, made once when a bundle is.

use std::collections::{BTreeMap, BTreeSet};

use super::canonical::Canonical;
use super::protected::Protected;
use crate::bundle::BundleSource;
use crate::call::ToolCall;
use crate::facts;
use crate::path::Root;
use crate::policy::{Policy, Provenance, Source};
use crate::run::Asked;
use crate::tool::Operation;

/// One entry of a policy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Guard<'a> {
    pub(crate) policy: &'a Policy,
    /// The policy's place in the bundle.
    pub(crate) place: usize,
    /// Its place in the policy's list.
    pub(crate) index: usize,
    pub(crate) entry: &'a Provenance,
}

impl Guard<'_> {
    /// `provenance[0]`: how decisions name it.
    pub(crate) fn name(&self) -> String {
        format!("provenance[{}]", self.index)
    }
}

/// An entry that cannot be used, such as `provenance[0].from[1]: names registry x, which the policy does not list`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("provenance[{index}].{field}: {problem}")]
pub struct ProvenanceError {
    /// Place of the entry in its policy.
    pub index: usize,
    /// Field in the entry.
    pub field: String,
    /// What is wrong with it.
    pub problem: ProvenanceProblem,
}

/// What is wrong with a field of an entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProvenanceProblem {
    /// Nothing named.
    #[error("needs at least one value")]
    Empty,
    /// A path that does not lead into the arguments.
    #[error("must be a path into the arguments")]
    NotAnArgument,
    /// A registry that the policy does not list.
    #[error("names registry {0}, which the policy does not list")]
    UnlistedRegistry(String),
}

/// Where entries are: places of policy and entry.
type Places = Vec<(usize, usize)>;

/// All entries of a bundle.
#[derive(Debug, Default)]
pub(crate) struct Guards {
    /// By tool and operation.
    entries: BTreeMap<String, BTreeMap<String, Places>>,
    /// What each registry that an entry names supplies.
    registries: BTreeMap<String, BTreeSet<Canonical>>,
}

impl Guards {
    /// Of a bundle's source.
    pub(crate) fn compile(source: &BundleSource) -> Result<Self, (String, ProvenanceError)> {
        let mut guards = Self::default();
        for (place, policy) in source.policies.iter().enumerate() {
            for (index, entry) in policy.provenance.iter().enumerate() {
                check(policy, index, entry).map_err(|error| (policy.name.clone(), error))?;
                guards.supplied(source, entry);
            }
            let named = source.tools.iter().filter(|tool| policy.tools.contains(&tool.name));
            for (tool, operation) in named.flat_map(|tool| tool.operations.iter().map(move |one| (tool, one))) {
                for (index, entry) in policy.provenance.iter().enumerate() {
                    if !entry.applies_to(&operation.name) {
                        continue;
                    }
                    if *facts::resolve(&entry.field, operation).0 != Root::Arguments {
                        let problem = ProvenanceProblem::NotAnArgument;
                        let error = ProvenanceError { index, field: "field".to_owned(), problem };
                        return Err((policy.name.clone(), error));
                    }
                    if !policy.applies_to(&source.agent.name, &tool.name) {
                        continue;
                    }
                    let of_tool = guards.entries.entry(tool.name.clone()).or_default();
                    of_tool.entry(operation.name.clone()).or_default().push((place, index));
                }
            }
        }
        Ok(guards)
    }

    fn supplied(&mut self, source: &BundleSource, entry: &Provenance) {
        for name in entry.from.iter().filter_map(|from| match from {
            Source::Registry(name) => Some(name),
            Source::Delegation | Source::Request | Source::Response(_) => None,
        }) {
            let Some(registry) = source.registries.iter().find(|registry| registry.name == *name) else { continue };
            self.registries.entry(name.clone()).or_insert_with(|| {
                let texts = registry.entries.values().flat_map(BTreeMap::values).flatten();
                registry.entries.keys().chain(texts).filter_map(|text| Canonical::of_text(text)).collect()
            });
        }
    }

    /// Whether there is any entry, so that what tools answer has to be remembered.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entries about an operation, in the order of policies.
    pub(crate) fn of<'a>(
        &'a self,
        source: &'a BundleSource,
        tool: &str,
        operation: &str,
    ) -> impl Iterator<Item = Guard<'a>> {
        let places = self.entries.get(tool).and_then(|of_tool| of_tool.get(operation));
        places.map_or(&[][..], Vec::as_slice).iter().filter_map(|(place, index)| {
            let policy = source.policies.get(*place)?;
            Some(Guard { policy, place: *place, index: *index, entry: policy.provenance.get(*index)? })
        })
    }

    /// Whether the registry has the value. One that does not exist supplies nothing.
    pub(super) fn registry_has(&self, registry: &str, value: &Canonical) -> bool {
        self.registries.get(registry).is_some_and(|supplied| supplied.contains(value))
    }

    /// The values of a call that some entry protects, each place once.
    pub(crate) fn asked(&self, source: &BundleSource, call: &ToolCall, operation: &Operation) -> Vec<Asked> {
        let mut asked: BTreeMap<String, Asked> = BTreeMap::new();
        for guard in self.of(source, &call.tool, &call.operation) {
            for one in Protected::of(&guard.entry.field, operation, &call.arguments).values {
                asked.entry(one.path.clone()).or_insert(one);
            }
        }
        asked.into_values().collect()
    }
}

fn check(policy: &Policy, index: usize, entry: &Provenance) -> Result<(), ProvenanceError> {
    let wrong = |field: String, problem| Err(ProvenanceError { index, field, problem });
    if entry.operations.is_empty() {
        return wrong("operations".to_owned(), ProvenanceProblem::Empty);
    }
    if entry.from.is_empty() {
        return wrong("from".to_owned(), ProvenanceProblem::Empty);
    }
    if entry.field.root != Root::Arguments {
        return wrong("field".to_owned(), ProvenanceProblem::NotAnArgument);
    }
    for (place, source) in entry.from.iter().enumerate() {
        if let Source::Registry(name) = source
            && !policy.registries.contains(name)
        {
            return wrong(format!("from[{place}]"), ProvenanceProblem::UnlistedRegistry(name.clone()));
        }
    }
    Ok(())
}
