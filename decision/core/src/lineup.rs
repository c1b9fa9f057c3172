//! Which policies have a say in the calls of one operation: those in force, by the share that a call's run is in, and
//! those that would be if everything that is tried out were enforced.
//!
//! An agent without `Audit` policies and rollouts has one lineup per operation, of all policies that select it and the
//! tool. Nothing more is made or asked for it.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::bundle::BundleSource;
use crate::decide::context;
use crate::digest::Digest;
use crate::policy::{Mode, Policy, Share};
use crate::rules::{Table, Tables};
use crate::tool::{Operation, Tool};

/// Most policies with a rollout for one agent.
pub const MAX_ROLLOUTS: usize = 8;

/// A rollout that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RolloutProblem {
    /// No share.
    #[error("percent is {0} and must be 0 to 100")]
    Percent(u8),
    /// Without effect on any share.
    #[error("a policy of mode Audit has none; take mode Enforce and percent 0 to audit it as a replacement")]
    Audit,
    /// Its own name.
    #[error("replaces names the policy itself")]
    Itself,
    /// It is not known which of three would be in force.
    #[error("replaces names policy {0}, which has a rollout of its own; end that one first")]
    Chain(String),
    /// Two that would be in force at once.
    #[error("replaces names policy {0}, which policy {1} replaces too")]
    Twice(String, String),
    /// Arguments are sanitized before it is asked which policies count.
    #[error(
        "policy {0} has Sanitize rules, which have effect on all runs or none; put them into a policy of their own"
    )]
    Sanitizes(String),
    /// Too many.
    #[error("is one of {0} for this agent, {MAX_ROLLOUTS} are possible")]
    TooMany(usize),
}

/// The lineups of one operation.
#[derive(Debug)]
pub(crate) struct Lineups {
    /// Rising, the last of bound 100.
    in_force: Vec<InForce>,
    /// Everything that is tried out counts; none where that makes no difference to any call.
    tried: Option<Lineup>,
    /// Digest of the operation as the tool declares it.
    pub(crate) tool: Digest,
}

/// A lineup that is in force for calls below a bound.
#[derive(Debug)]
struct InForce {
    bound: u8,
    lineup: Lineup,
    /// Policies that are tried out beside it, where they make a difference to the operation.
    beside: Vec<String>,
}

/// Policies that count together, compiled together.
#[derive(Debug)]
pub(crate) struct Lineup {
    /// Their places in the bundle, rising.
    places: Vec<usize>,
    pub(crate) table: Arc<Table>,
    /// Digest of their rules about the operation, for the context.
    pub(crate) rules: Digest,
}

impl Lineup {
    fn compile<'p>(source: &BundleSource, tables: &Tables<'p>, operation: &'p Operation, places: Vec<usize>) -> Self {
        let table = tables.of(&places, operation);
        let counting: Vec<&Policy> = places.iter().filter_map(|place| source.policies.get(*place)).collect();
        let rules = context::rules_digest(source, &counting, operation);
        Self { places, table, rules }
    }

    /// Places of its policies.
    pub(crate) fn places(&self) -> impl Iterator<Item = usize> {
        self.places.iter().copied()
    }

    /// Whether the policy at that place counts.
    pub(crate) fn has(&self, place: usize) -> bool {
        self.places.binary_search(&place).is_ok()
    }
}

/// The lineup of one call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chosen<'a> {
    /// What decides.
    pub(crate) in_force: &'a Lineup,
    /// What would, and the policies that make the difference.
    pub(crate) tried: Option<(&'a Lineup, &'a [String])>,
}

/// Which policies count for calls of one tool, by the share that a run is in: the same for all of its operations.
#[derive(Debug)]
pub(crate) struct Counting {
    /// Bounds of shares, rising, the last of them 100, with the places of their policies.
    in_force: Vec<(u8, Vec<usize>)>,
    /// What would count if everything that is tried out were enforced.
    candidates: Vec<usize>,
}

impl Counting {
    /// Of a bundle whose rollouts were [checked](check).
    pub(crate) fn of(source: &BundleSource, tool: &Tool) -> Self {
        let mut in_force: Vec<(u8, Vec<usize>)> = Vec::new();
        for bound in bounds(source, tool) {
            let places = counting(source, tool, Share::last_below(bound));
            match in_force.last_mut() {
                Some((last, same)) if *same == places => *last = bound,
                _ => in_force.push((bound, places)),
            }
        }
        Self { in_force, candidates: candidates(source, tool) }
    }

    /// The places of each set of policies that an operation of the tool may have a table for.
    pub(crate) fn lineups(&self) -> impl Iterator<Item = &[usize]> {
        let in_force = self.in_force.iter().map(|(_, places)| places.as_slice());
        let is_new = !in_force.clone().any(|places| places == self.candidates);
        in_force.chain(is_new.then_some(self.candidates.as_slice()))
    }

    /// The place of each policy that is tried out beside others, once for each set of policies that it is beside.
    pub(crate) fn beside(&self) -> impl Iterator<Item = usize> {
        let Self { in_force, candidates } = self;
        in_force.iter().flat_map(move |(_, places)| {
            candidates.iter().copied().filter(move |place| places.binary_search(place).is_err())
        })
    }
}

impl Lineups {
    /// For one operation of a tool.
    pub(crate) fn compile<'p>(
        source: &BundleSource,
        tables: &Tables<'p>,
        tool: &Tool,
        operation: &'p Operation,
        counting: &Counting,
    ) -> Self {
        let Counting { in_force, candidates } = counting;
        let compile = |places: &[usize]| Lineup::compile(source, tables, operation, places.to_vec());
        let in_force: Vec<InForce> = in_force
            .iter()
            .map(|(bound, places)| {
                let beside = beside(source, candidates, places, operation);
                InForce { bound: *bound, lineup: compile(places), beside }
            })
            .collect();
        let tried = in_force.iter().any(|one| !one.beside.is_empty()).then(|| compile(candidates));
        Self { in_force, tried, tool: context::tool_digest(tool, operation) }
    }

    /// The lineup of a call of this run. The share is asked only where something hangs on it.
    pub(crate) fn choose(&self, agent_uid: &str, run: Option<&str>) -> Option<Chosen<'_>> {
        let one = match self.in_force.as_slice() {
            [only] => only,
            several => {
                let share = Share::of(agent_uid, run);
                several.iter().find(|one| share.is_below(one.bound))?
            }
        };
        let tried = self.tried.as_ref().filter(|_| !one.beside.is_empty());
        Some(Chosen { in_force: &one.lineup, tried: tried.map(|tried| (tried, one.beside.as_slice())) })
    }

    /// Digests of the rules that are in force, by the share that a call's run is in.
    pub(crate) fn rules(&self) -> impl Iterator<Item = Digest> {
        self.in_force.iter().map(|one| one.lineup.rules)
    }
}

/// Ends of the shares in which the same policies of a tool are in force.
fn bounds(source: &BundleSource, tool: &Tool) -> BTreeSet<u8> {
    let rollouts = selecting(source, tool).filter_map(|(_, policy)| policy.rollout.as_ref());
    rollouts.map(|rollout| rollout.percent).filter(|percent| (1..100).contains(percent)).chain([100]).collect()
}

/// Policies that select the agent and the tool, with their places.
fn selecting<'a>(source: &'a BundleSource, tool: &'a Tool) -> impl Iterator<Item = (usize, &'a Policy)> {
    let all = source.policies.iter().enumerate();
    all.filter(|(_, policy)| policy.applies_to(&source.agent.name, &tool.name))
}

/// What is in force for calls of that share.
fn counting(source: &BundleSource, tool: &Tool, share: Share) -> Vec<usize> {
    let within = |policy: &Policy| {
        policy.mode == Mode::Enforce && policy.rollout.as_ref().is_none_or(|rollout| share.is_below(rollout.percent))
    };
    let replaced = replaced(source, tool, within);
    let counting = selecting(source, tool).filter(|(_, policy)| within(policy) && !replaced.contains(&policy.name));
    counting.map(|(place, _)| place).collect()
}

/// What would be if everything that is tried out were enforced.
fn candidates(source: &BundleSource, tool: &Tool) -> Vec<usize> {
    let replaced = replaced(source, tool, |_| true);
    selecting(source, tool).filter(|(_, policy)| !replaced.contains(&policy.name)).map(|(place, _)| place).collect()
}

/// Names of policies that others replace. One replaces another only on the tools that it selects itself.
fn replaced<'a>(source: &'a BundleSource, tool: &'a Tool, by: impl Fn(&Policy) -> bool) -> BTreeSet<&'a String> {
    let replacing = selecting(source, tool).filter(|(_, policy)| by(policy));
    replacing.filter_map(|(_, policy)| policy.rollout.as_ref()?.replaces.as_ref()).collect()
}

/// Names of the candidates that are not in force and can make a difference to calls of the operation: they have a say in
/// it, or replace a policy in force that has one.
fn beside(source: &BundleSource, candidates: &[usize], in_force: &[usize], operation: &Operation) -> Vec<String> {
    if candidates == in_force {
        return Vec::new();
    }
    let policies = |places: &[usize]| places.iter().filter_map(|place| source.policies.get(*place)).collect::<Vec<_>>();
    let in_force = policies(in_force);
    let replaces_a_say = |policy: &Policy| {
        let replaced = policy.rollout.as_ref().and_then(|rollout| rollout.replaces.as_ref());
        in_force.iter().any(|other| Some(&other.name) == replaced && has_a_say(other, operation))
    };
    policies(candidates)
        .into_iter()
        .filter(|policy| !in_force.iter().any(|other| other.name == policy.name))
        .filter(|policy| has_a_say(policy, operation) || replaces_a_say(policy))
        .map(|policy| policy.name.clone())
        .collect()
}

/// Whether a policy judges calls of the operation. Arguments are sanitized before.
fn has_a_say(policy: &Policy, operation: &Operation) -> bool {
    let mut judges = policy.rules.iter().filter(|rule| rule.effect.transforms().is_none());
    judges.any(|rule| rule.applies_to(&operation.name))
        || policy.provenance.iter().any(|entry| entry.applies_to(&operation.name))
        // A module may say something about any operation.
        || policy.rego.is_some()
}

/// Whether the rollouts of a bundle can be: the name of the policy with the first that cannot, and why.
pub(crate) fn check(source: &BundleSource) -> Result<(), (String, RolloutProblem)> {
    let with: Vec<_> = source.policies.iter().filter_map(|policy| Some((policy, policy.rollout.as_ref()?))).collect();
    for (place, (policy, rollout)) in with.iter().enumerate() {
        let wrong = |problem| Err((policy.name.clone(), problem));
        if place >= MAX_ROLLOUTS {
            return wrong(RolloutProblem::TooMany(with.len()));
        }
        if rollout.percent > 100 {
            return wrong(RolloutProblem::Percent(rollout.percent));
        }
        if policy.mode == Mode::Audit {
            return wrong(RolloutProblem::Audit);
        }
        if policy.sanitizes() {
            return wrong(RolloutProblem::Sanitizes(policy.name.clone()));
        }
        let Some(name) = &rollout.replaces else { continue };
        if *name == policy.name {
            return wrong(RolloutProblem::Itself);
        }
        let mut later = with.iter().skip(place.saturating_add(1));
        if let Some((other, _)) = later.find(|(_, other)| other.replaces.as_ref() == Some(name)) {
            return wrong(RolloutProblem::Twice(name.clone(), other.name.clone()));
        }
        // One that this agent does not have is replaced for others.
        let Some(replaced) = source.policies.iter().find(|other| other.name == *name) else { continue };
        if replaced.rollout.is_some() {
            return wrong(RolloutProblem::Chain(name.clone()));
        }
        if replaced.sanitizes() {
            return wrong(RolloutProblem::Sanitizes(name.clone()));
        }
    }
    Ok(())
}
