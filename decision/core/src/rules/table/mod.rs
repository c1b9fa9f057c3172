//! All rules of one operation as one decision table: what a decision costs depends on the call, not on the number of
//! rules.
//!
//! The table answers one question ([`Table::allows`]): by which rule may the call simply go? It may when no `Deny` and no
//! `RequireApproval` rule is anything but false, and some `Allow` rule is true. Every other call takes the plain way
//! (`eval`), which asks every rule and can explain itself; so the table never refuses, it only declines to allow.
//!
//! How it stays flat:
//! - A check that stands in many rules is one check ([`intern`]); its answer is kept for the call ([`answers`]).
//! - A field is read and normalised once for all checks about it: a *slot* ([`slots`]).
//! - Each rule hangs on one of its checks, the most selective one ([`access`], [`selectivity`]), and is looked at only
//!   when that check is not false for the value in its slot: one hash lookup for `equals` and `in` ([`equality`],
//!   [`numbers`], [`crate::keys`]), one for the host and each name above it for `hostIn` of a rule's own names ([`hosts`]),
//!   one binary search for bounds ([`ranges`], [`intervals`]), for beginnings and ends of texts and for patterns that begin
//!   with a literal ([`literals`], [`starts`], [`texts`]), one regex set for the other patterns. All other checks are asked
//!   one by one, each once: those about a registry are few, since many rules that name one registry ask the same of it.
//! - A rule that is looked at is the Kleene AND of the rest of its checks, asked plainly.
//!
//! What a slot cannot answer (missing, wrong type, other currency, no host) leaves every check on it indeterminate. No `Allow`
//! rule that hangs there can be true. A `Deny` or `RequireApproval` rule that hangs there is not false unless one of its
//! *other* checks is; those rules have an index of their own over the rest of their checks ([`index::Index`]), so a field
//! that a call leaves out does not bring back the scan.
//!
//! Checks over lists (`[*]`, `[?]`), negated ones (but bounds, which turn round) and those that compare two places are
//! asked one by one: rules that have nothing else to hang on are what still costs by its number of distinct checks.

mod access;
mod answers;
mod equality;
mod hosts;
mod index;
mod intern;
mod intervals;
mod literals;
mod numbers;
mod ranges;
mod search;
mod selectivity;
#[cfg(test)]
mod shares;
mod slots;
mod starts;
mod texts;

use std::collections::BTreeSet;

use super::predicate::Question;
use super::resolve::{Names, Scope};
use super::{CompiledPolicy, Inputs, RegistryRead, registry, run};
use crate::decision::{CheckOutcome, Truth};
use crate::policy::{Effect, Policy, Rule};
use crate::tool::Operation;

use answers::Answers;
use index::{Conjunction, Index};
use intern::{Interner, Place};
use search::Wanted;
use slots::Slot;

pub(crate) use literals::MAX_LITERALS;
pub(super) use texts::SetRoom;

/// The rules of one (tool, operation), compiled together.
#[derive(Debug)]
pub(crate) struct Table {
    /// Where each rule stands, in the order of policies and rules.
    rules: Vec<RulePlace>,
    /// Distinct checks, and for those of several rules their place in a decision's memory.
    checks: Vec<Interned>,
    /// Answers that a decision keeps.
    remembered: usize,
    slots: Vec<Slot>,
    /// `Deny` and `RequireApproval`: one that is not false, and the call does not simply go.
    blocking: Index,
    /// `Allow`: the first that is true.
    allowing: Index,
    /// Checks that between them name every registry entry that the rules name.
    reads: Vec<Place>,
    /// Checks whose answers depend on the call's run.
    of_run: Vec<Place>,
}

/// Policy and rule, by their places.
#[derive(Debug, Clone, Copy)]
struct RulePlace {
    policy: usize,
    rule: usize,
}

/// A distinct check.
#[derive(Debug, Clone, Copy)]
struct Interned {
    /// One of the places where it stands.
    place: Place,
    /// Where its answer is kept; none for a check of one rule, which is asked once anyhow.
    memory: Option<usize>,
}

/// The rule by which a call may go.
#[derive(Debug)]
pub(crate) struct Allowing<'p> {
    /// Its policy.
    pub(crate) policy: &'p Policy,
    /// The rule.
    pub(crate) rule: &'p Rule,
    /// Its checks, all of them true.
    pub(crate) checks: Vec<CheckOutcome>,
}

impl Table {
    /// Compiles the rules of the policies at these places, which select the agent and the tool, for one operation.
    pub(crate) fn compile(
        policies: &[CompiledPolicy],
        places: &[usize],
        operation: &Operation,
        sets: &SetRoom,
    ) -> Self {
        let mut interner = Interner::new(Names::of(operation), sets);
        let (mut rules, mut blocking, mut allowing) = (Vec::new(), Vec::new(), Vec::new());
        for (policy, compiled) in places.iter().filter_map(|place| Some((*place, policies.get(*place)?))) {
            for &rule in compiled.indexes(&operation.name) {
                let (Some(written), Some(checks)) = (compiled.policy.rules.get(rule), compiled.rules.get(rule)) else {
                    continue;
                };
                let order = rules.len();
                rules.push(RulePlace { policy, rule });
                let together = written.when.iter().zip(checks).enumerate();
                let checks: BTreeSet<_> = together
                    .map(|(check, (written, compiled))| {
                        interner.intern(Place { policy, rule, check }, written, compiled)
                    })
                    .collect();
                for check in &checks {
                    interner.used(*check);
                }
                let conjunction = Conjunction { order, checks: checks.into_iter().collect() };
                match written.effect {
                    Effect::Allow => allowing.push(conjunction),
                    Effect::Deny | Effect::RequireApproval { .. } => blocking.push(conjunction),
                    // Was asked before the table is, and has no say in it.
                    Effect::Sanitize(_) => {}
                }
            }
        }
        let blocking = Index::build(blocking, &interner, Wanted::NotFalse, 0);
        let allowing = Index::build(allowing, &interner, Wanted::True, 0);
        let reads = reads(policies, &interner);
        let places = interner.checks.iter().map(|check| check.place);
        let depends =
            |place: &Place| place.find(policies).is_some_and(|check| run::is_read_by(check, Names::of(operation)));
        let of_run = places.filter(depends).collect();
        let mut remembered: usize = 0;
        let checks = interner
            .checks
            .iter()
            .map(|check| {
                let memory = (check.uses > 1).then_some(remembered);
                remembered = remembered.saturating_add(memory.map_or(0, |_| 1));
                Interned { place: check.place, memory }
            })
            .collect();
        Self { rules, checks, remembered, slots: interner.slots, blocking, allowing, reads, of_run }
    }

    /// The rule by which the call may simply go: the first `Allow` rule that is true, when every `Deny` and every
    /// `RequireApproval` rule is false. `policies` are those that the table was compiled from; where one of them is gone,
    /// its checks cannot be told and its rules allow nothing.
    #[inline(never)] // A frame of its own, in which the cost of rules is counted.
    pub(crate) fn allows<'p>(&self, policies: &'p [CompiledPolicy], inputs: &Inputs<'_>) -> Option<Allowing<'p>> {
        let scope = Scope::new(inputs);
        let answers = Answers::new(self, policies, &scope);
        if answers.search(&self.blocking, Wanted::NotFalse).is_some() {
            return None;
        }
        let place = self.rules.get(answers.search(&self.allowing, Wanted::True)?)?;
        let compiled = policies.get(place.policy)?;
        let (rule, checks) = (compiled.policy.rules.get(place.rule)?, compiled.rules.get(place.rule)?);
        let checks = checks.iter().map(|check| check.outcome(Truth::True)).collect();
        Some(Allowing { policy: &compiled.policy, rule, checks })
    }

    /// The registry entries that the checks of the operation's rules name for this call, as
    /// [`CompiledPolicy::registry_reads`] of all policies together, in no particular order.
    pub(crate) fn registry_reads(&self, policies: &[CompiledPolicy], inputs: &Inputs<'_>) -> Vec<RegistryRead> {
        let scope = Scope::new(inputs);
        let mut found = Vec::new();
        for check in self.reads.iter().filter_map(|place| place.find(policies)) {
            registry::reads(check, &scope, &mut found);
        }
        found
    }
}

impl Table {
    /// Whether some check is about the call's run.
    pub(crate) fn asks_about_run(&self) -> bool {
        !self.of_run.is_empty()
    }

    /// What the checks about the call's run answer, each distinct one once: what an approval rests on beside the call.
    pub(crate) fn run_answers(&self, policies: &[CompiledPolicy], inputs: &Inputs<'_>) -> Vec<Truth> {
        let scope = Scope::new(inputs);
        self.of_run.iter().filter_map(|place| Some(place.find(policies)?.ask(&scope))).collect()
    }
}

/// Of the checks that name the same entries, one: neither negation nor the attribute changes what is looked up.
fn reads(policies: &[CompiledPolicy], interner: &Interner<'_>) -> Vec<Place> {
    let mut seen = BTreeSet::new();
    let mut places = Vec::new();
    for known in &interner.checks {
        let Some(check) = known.place.find(policies) else { continue };
        let named = match &check.question {
            Question::InRegistry(registry) => format!("{:?}", (registry.name(), &check.field, check.normalize)),
            Question::RegistryField { registry, key, .. } => {
                format!("{:?}", (registry.name(), &check.field, Some(key)))
            }
            Question::Document { registry, key, .. } => format!("{:?}", (registry.name(), &check.field, key)),
            Question::HostIn(hosts) => match hosts.registry_name() {
                Some(name) => format!("{:?}", ("hosts", name, &check.field, check.normalize)),
                None => continue,
            },
            _ => continue,
        };
        if seen.insert(named) {
            places.push(known.place);
        }
    }
    places
}
