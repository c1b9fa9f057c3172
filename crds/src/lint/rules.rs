//! Rules that never decide, that are never true, that allow any amount, and patterns that exclude nothing.

use std::collections::BTreeSet;

use aegis_decision::policy::{Effect, Policy, Predicate, Rule};
use aegis_decision::rules::proof::{self, Breadth, Place, Shadow};
use aegis_decision::tool::{Class, Operation, Tool};

use super::finding::{Finding, Lint, Subject};
use super::world::{Space, World};

pub(super) fn look(world: &World, findings: &mut Vec<Finding>) {
    for (namespace, space) in &world.0 {
        for policy in &space.policies {
            for (index, rule) in policy.rules.iter().enumerate() {
                Looked { namespace, space, place: Place { policy, index, rule } }.look(findings);
            }
        }
    }
}

/// One rule among all of its namespace.
struct Looked<'a> {
    namespace: &'a str,
    space: &'a Space,
    place: Place<'a>,
}

impl<'a> Looked<'a> {
    fn look(&self, findings: &mut Vec<Finding>) {
        self.patterns(findings);
        // What holds of the tools that are known may not hold of one that is missing.
        if !self.space.knows_tools_of(self.place.policy) {
            return;
        }
        let pairs: Vec<_> = self.operations(&self.place).collect();
        if self.undeclared(findings) || pairs.is_empty() || self.never_true(&pairs, findings) {
            return;
        }
        if !self.shadowed(&pairs, findings) {
            self.unbounded(&pairs, findings);
        }
    }

    fn finding(&self, id: Lint, field: &str, message: String) -> Finding {
        let subject =
            Subject { kind: "ToolPolicy", namespace: self.namespace.to_owned(), name: self.place.policy.name.clone() };
        let field = format!("spec.rules[{}]{field}", self.place.index);
        Finding::new(id, subject, field, message).about(&self.place.rule.name)
    }

    /// The operations that a rule is about.
    fn operations(&self, place: &Place<'a>) -> impl Iterator<Item = (&'a Tool, &'a Operation)> + use<'a> {
        let rule = place.rule;
        self.space.operations(place.policy).filter(|(_, operation)| rule.applies_to(&operation.name))
    }

    /// Operations that no tool declares. Returns whether it is all of them.
    fn undeclared(&self, findings: &mut Vec<Finding>) -> bool {
        let Place { policy, rule, .. } = self.place;
        let declared: BTreeSet<&str> =
            self.space.operations(policy).map(|(_, operation)| operation.name.as_str()).collect();
        let unknown: Vec<(usize, &String)> = rule
            .operations
            .iter()
            .enumerate()
            .filter(|(_, name)| *name != "*" && !declared.contains(name.as_str()))
            .collect();
        for (at, name) in &unknown {
            let message = format!("no tool of the policy declares operation {name}");
            findings.push(self.finding(Lint::UnreachableRule, &format!(".operations[{at}]"), message));
        }
        unknown.len() == rule.operations.len()
    }

    fn never_true(&self, pairs: &[(&Tool, &Operation)], findings: &mut Vec<Finding>) -> bool {
        let Some((one, other)) = contradiction(self.place.rule, pairs) else { return false };
        let (id, consequence) = match self.place.rule.effect {
            Effect::Allow => (Lint::UnreachableRule, "so it never allows"),
            Effect::Deny => (Lint::NeverTrueRule, "so it denies only what it cannot tell"),
            Effect::RequireApproval { .. } => (Lint::NeverTrueRule, "so it holds only what it cannot tell"),
            Effect::Sanitize(_) => (Lint::NeverTrueRule, "so it changes only what it cannot tell"),
        };
        let message = format!("when[{one}] and when[{other}] are never true together, {consequence}");
        findings.push(self.finding(id, &format!(".when[{other}]"), message));
        true
    }

    fn shadowed(&self, pairs: &[(&Tool, &Operation)], findings: &mut Vec<Finding>) -> bool {
        let others: Vec<Place<'a>> = self.others().collect();
        let mut reasons = BTreeSet::new();
        for (tool, operation) in pairs {
            let found = others.iter().find_map(|other| {
                let shadow = proof::shadow(&self.place, other, &tool.name, operation)?;
                Some((title(other), shadow))
            });
            match found {
                Some((title, Shadow::Earlier)) => reasons.insert(format!("{title} comes first and holds as well")),
                Some((title, Shadow::Denied)) => reasons.insert(format!("{title} denies")),
                None => return false,
            };
        }
        let reasons: Vec<String> = reasons.into_iter().collect();
        let message = format!("it never decides: wherever it holds, {}", reasons.join("; "));
        findings.push(self.finding(Lint::ShadowedRule, "", message));
        true
    }

    /// Other rules of the namespace that can hold at all.
    fn others(&self) -> impl Iterator<Item = Place<'a>> + '_ {
        let all = self.space.policies.iter().filter(|policy| self.is_beside(policy)).flat_map(places);
        all.filter(|other| {
            let pairs: Vec<_> = self.operations(other).collect();
            contradiction(other.rule, &pairs).is_none()
        })
    }

    /// Whether a policy counts wherever this rule does: neither it is tried out, nor what is to replace it.
    fn is_beside(&self, policy: &Policy) -> bool {
        let mut rollouts = self.space.policies.iter().filter_map(|one| one.rollout.as_ref());
        let replaced = rollouts.any(|rollout| rollout.replaces.as_ref() == Some(&policy.name));
        let whole = policy.mode.is_enforce() && policy.rollout.is_none() && !replaced;
        whole || policy.name == self.place.policy.name
    }

    fn unbounded(&self, pairs: &[(&Tool, &Operation)], findings: &mut Vec<Finding>) {
        let rule = self.place.rule;
        if rule.effect != Effect::Allow || rule.when.iter().any(proof::bounds_from_above) {
            return;
        }
        let commits = pairs.iter().filter(|(_, operation)| operation.class == Class::Commit);
        let open: BTreeSet<&str> = commits
            .filter(|(tool, operation)| !self.is_caught(tool, operation))
            .map(|(_, operation)| operation.name.as_str())
            .collect();
        if !open.is_empty() {
            let names: Vec<&str> = open.into_iter().collect();
            let message = format!(
                "it allows a Commit ({}) of any amount: neither it nor a Deny or RequireApproval rule bounds one",
                names.join(", ")
            );
            findings.push(self.finding(Lint::UnboundedCommit, "", message));
        }
    }

    /// Whether a rule that denies or asks looks at amounts from above, or at every call that this one allows. A Rego module
    /// may do either.
    fn is_caught(&self, tool: &Tool, operation: &Operation) -> bool {
        let mut counting = self.space.policies.iter().filter(|policy| self.is_beside(policy));
        let mut modules = counting.clone().filter(|policy| policy.rego.is_some());
        if modules.any(|policy| policy.tools.contains(&tool.name) && policy.covers_agents_of(self.place.policy)) {
            return true;
        }
        let mut others = counting.by_ref().flat_map(places);
        others.any(|other| {
            other.rule.effect != Effect::Allow
                && other.covers_agents_of(&self.place)
                && other.is_about(&tool.name, &operation.name)
                && (other.rule.when.iter().any(proof::catches_from_above)
                    || proof::implies(&self.place.rule.when, &other.rule.when, operation))
        })
    }

    fn patterns(&self, findings: &mut Vec<Finding>) {
        for (at, check) in self.place.rule.when.iter().enumerate() {
            let Predicate::Matches(pattern) = &check.predicate else { continue };
            let what = match Breadth::of(pattern) {
                Some(Breadth::Everything) => "every text",
                Some(Breadth::EveryLine) => "every text without a line break",
                Some(Breadth::NotEmpty) => "every text that is not empty",
                None => continue,
            };
            let message = format!("the pattern matches {what}");
            findings.push(self.finding(Lint::MatchAllPattern, &format!(".when[{at}].matches"), message));
        }
    }
}

/// Two checks that are never true together, in whatever operation the rule is about.
fn contradiction(rule: &Rule, pairs: &[(&Tool, &Operation)]) -> Option<(usize, usize)> {
    let mut found = pairs.iter().map(|(_, operation)| proof::never_true(&rule.when, operation));
    let first = found.next()??;
    found.all(|other| other.is_some()).then_some(first)
}

fn places(policy: &Policy) -> impl Iterator<Item = Place<'_>> {
    policy.rules.iter().enumerate().map(move |(index, rule)| Place { policy, index, rule })
}

fn title(place: &Place<'_>) -> String {
    format!("{}/{}", place.policy.name, place.rule.name)
}
