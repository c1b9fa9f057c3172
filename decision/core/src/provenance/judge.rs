//! Which protected values of a call are of unknown origin.

use std::collections::BTreeMap;

use super::canonical::Canonical;
use super::mention::mentions;
use super::protected::Protected;
use super::table::{Guard, Guards};
use crate::bundle::BundleSource;
use crate::call::ToolCall;
use crate::delegation::{Bound, Delegation};
use crate::lineup::Lineup;
use crate::policy::Source;
use crate::rules::RegistryRead;
use crate::run::RunView;
use crate::tool::Operation;

/// Who can say that a value is known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Witnesses<'a> {
    /// The delegation that the call is judged under.
    pub(crate) delegation: &'a Delegation,
    /// The call's run; none says nothing.
    pub(crate) run: Option<&'a RunView>,
}

/// What came of a call's protected values.
#[derive(Debug, Default)]
pub(crate) struct Judged<'a> {
    /// Values of unknown origin, in the order of entries and places.
    pub(crate) unknown: Vec<Unknown<'a>>,
    /// Every answer, for the context digest: policy, entry, place, whether it is known.
    pub(crate) answers: Vec<(&'a str, usize, String, bool)>,
    /// What was looked up in registries, for the context digest.
    pub(crate) reads: Vec<RegistryRead>,
}

/// A value of unknown origin.
#[derive(Debug)]
pub(crate) struct Unknown<'a> {
    pub(crate) guard: Guard<'a>,
    /// Its place in the arguments; the entry's field where there are too many values to ask.
    pub(crate) path: String,
}

impl<'a> Judged<'a> {
    /// Asks every entry of the lineup's policies about the call's operation.
    pub(crate) fn of(
        guards: &'a Guards,
        source: &'a BundleSource,
        lineup: &Lineup,
        call: &ToolCall,
        operation: &Operation,
        witnesses: Witnesses<'_>,
    ) -> Self {
        let mut judged = Self::default();
        for guard in guards.of(source, &call.tool, &call.operation).filter(|guard| lineup.has(guard.place)) {
            let Protected { values, more } = Protected::of(&guard.entry.field, operation, &call.arguments);
            for asked in values {
                let known = judged.known(guards, guard, &asked.value, &asked.path, witnesses);
                judged.answer(guard, asked.path, known);
            }
            if more {
                judged.answer(guard, guard.entry.field.to_string(), false);
            }
        }
        judged
    }

    fn answer(&mut self, guard: Guard<'a>, path: String, known: bool) {
        self.answers.push((&guard.policy.name, guard.index, path.clone(), known));
        if !known {
            self.unknown.push(Unknown { guard, path });
        }
    }

    /// Every registry of the entry is asked even when another source knows the value: what an approval rests on must not
    /// depend on the order of sources.
    fn known(
        &mut self,
        guards: &Guards,
        guard: Guard<'_>,
        value: &Canonical,
        path: &str,
        Witnesses { delegation, run }: Witnesses<'_>,
    ) -> bool {
        let mut known = false;
        for source in &guard.entry.from {
            known |= match source {
                Source::Delegation => !known && supplied(delegation, value),
                Source::Request => {
                    !known && delegation.request.as_deref().is_some_and(|request| mentions(request, value))
                }
                Source::Registry(name) => {
                    let found = guards.registry_has(name, value);
                    self.reads.push(RegistryRead {
                        registry: format!("{name}#values"),
                        key: value.as_str().to_owned(),
                        entry: found.then(BTreeMap::new),
                        documents: Vec::new(),
                    });
                    found
                }
                Source::Response(tool) => run.is_some_and(|run| run.supplied(path, tool)),
            };
        }
        known
    }
}

/// Whether the delegator wrote the value: as an input, or as one of the values that a bound lists.
fn supplied(delegation: &Delegation, value: &Canonical) -> bool {
    let listed = delegation.data.iter().flat_map(|data| match &data.bound {
        Bound::In(values) => values.as_slice(),
        Bound::AtMost { .. } => &[],
    });
    delegation.inputs.values().chain(listed).any(|text| Canonical::of_text(text).as_ref() == Some(value))
}
