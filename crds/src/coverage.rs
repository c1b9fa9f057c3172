//! What the tests of policies made true and false: every rule and every check, counted.
//!
//! A rule is covered when some test made it true and some test made it false, and so is each of its checks. A rule
//! without checks only has to be true once, and a Rego module only has to say something once: what it asks is not known.
//! What could not be told is counted apart and covers nothing.

use std::collections::BTreeMap;

use aegis_decision::decision::{DecisionOutput, Truth};
use aegis_decision::rego::RULE;
use aegis_decision::rules::explain;
use kube::{Resource, ResourceExt as _};
use serde::Serialize;

use crate::api::ToolPolicy;
use crate::gather::Ungathered;
use crate::lower;

/// What all tests reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Coverage {
    /// Outcomes that some test reached.
    pub reached: usize,
    /// Outcomes that there are: two for each rule and each check, one for a rule without checks and for a module.
    pub wanted: usize,
    /// Both as percent, rounded down; 100 where there is nothing to reach.
    pub percent: u8,
    /// Every rule of every policy, in order; a module stands behind the rules of its policy.
    pub rules: Vec<RuleCoverage>,
    #[serde(skip)]
    places: BTreeMap<(String, String, String), usize>,
}

/// What the tests made of one rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleCoverage {
    /// Namespace of the policy.
    pub namespace: String,
    /// Policy.
    pub policy: String,
    /// Rule; of a Rego module the name of what it says.
    pub rule: String,
    /// Its field in the policy.
    #[serde(skip)]
    pub field: String,
    /// Tests in which it was the rule that decided.
    pub decided: usize,
    /// How often its `when` held.
    #[serde(flatten)]
    pub counts: Counts,
    /// Its checks in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckCoverage>,
}

/// What the tests made of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckCoverage {
    /// Its path.
    pub field: String,
    /// Its predicate, with `not ` before it when negated.
    pub check: String,
    /// How often it held.
    #[serde(flatten)]
    pub counts: Counts,
}

/// How often something came out which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// It held.
    pub r#true: usize,
    /// It did not.
    pub r#false: usize,
    /// It could not be told.
    pub indeterminate: usize,
}

impl Counts {
    fn add(&mut self, truth: Truth) {
        let count = match truth {
            Truth::True => &mut self.r#true,
            Truth::False => &mut self.r#false,
            Truth::Indeterminate => &mut self.indeterminate,
        };
        *count = count.saturating_add(1);
    }

    /// Words for what is missing, such as `never true`.
    pub fn missing(self, can_be_false: bool) -> Vec<&'static str> {
        let never = [(self.r#true == 0, "never true"), (can_be_false && self.r#false == 0, "never false")];
        never.into_iter().filter(|(missing, _)| *missing).map(|(_, words)| words).collect()
    }
}

impl RuleCoverage {
    /// Whether some test made it true, or had it decide although that could not be told.
    pub fn is_hit(&self) -> bool {
        self.counts.r#true > 0 || self.decided > 0
    }

    /// A rule without checks cannot be false, and what a module does not say is not counted.
    pub fn can_be_false(&self) -> bool {
        !self.checks.is_empty()
    }
}

impl Coverage {
    /// Nothing reached yet.
    pub fn of<'a>(policies: impl IntoIterator<Item = &'a ToolPolicy>) -> Result<Self, Ungathered> {
        let mut rules = Vec::new();
        let mut places = BTreeMap::new();
        for policy in policies {
            let namespace = home(policy);
            let lowered = lower::policy(policy).map_err(|invalid| Ungathered {
                kind: "ToolPolicy",
                name: policy.name_any(),
                problem: invalid.into(),
            })?;
            let mut cover = |rule: String, field: String, checks: Vec<CheckCoverage>| {
                places.insert((namespace.clone(), lowered.name.clone(), rule.clone()), rules.len());
                rules.push(RuleCoverage {
                    namespace: namespace.clone(),
                    policy: lowered.name.clone(),
                    rule,
                    field,
                    decided: 0,
                    counts: Counts::default(),
                    checks,
                });
            };
            for (at, rule) in lowered.rules.into_iter().enumerate() {
                let checks = rule.when.iter().map(|check| CheckCoverage {
                    field: check.field.to_string(),
                    check: explain::label(check),
                    counts: Counts::default(),
                });
                cover(rule.name, format!("spec.rules[{at}]"), checks.collect());
            }
            if lowered.rego.is_some() {
                cover(RULE.to_owned(), "spec.rego".to_owned(), Vec::new());
            }
        }
        let mut empty = Self { reached: 0, wanted: 0, percent: 0, rules, places };
        empty.sum();
        Ok(empty)
    }

    /// Counts one decision of an agent of that namespace; [`Coverage::sum`] ends a row of them. The decision must list
    /// every rule, as [`decide_in_full`](aegis_decision::decide::decide_in_full) has it.
    pub fn add(&mut self, namespace: &str, output: &DecisionOutput) {
        let mut last = None;
        for outcome in &output.rules {
            // All that a module says of one call counts once.
            let name = (&outcome.policy, &outcome.rule);
            if last.replace(name) == Some(name) {
                continue;
            }
            if let Some(rule) = self.rule(namespace, &outcome.policy, &outcome.rule) {
                rule.counts.add(outcome.truth);
                for (check, outcome) in rule.checks.iter_mut().zip(&outcome.checks) {
                    check.counts.add(outcome.truth);
                }
            }
        }
        if let Some(decided) = &output.rule
            && let Some(rule) = self.rule(namespace, &decided.policy, &decided.rule)
        {
            rule.decided = rule.decided.saturating_add(1);
        }
    }

    fn rule(&mut self, namespace: &str, policy: &str, rule: &str) -> Option<&mut RuleCoverage> {
        let place = self.places.get(&(namespace.to_owned(), policy.to_owned(), rule.to_owned()))?;
        self.rules.get_mut(*place)
    }

    /// Sums up what was added.
    pub fn sum(&mut self) {
        let (mut reached, mut wanted) = (0_usize, 0_usize);
        let mut count = |counts: Counts, can_be_false: bool| {
            let of: usize = if can_be_false { 2 } else { 1 };
            wanted = wanted.saturating_add(of);
            reached = reached.saturating_add(of.saturating_sub(counts.missing(can_be_false).len()));
        };
        for rule in &self.rules {
            count(rule.counts, rule.can_be_false());
            rule.checks.iter().for_each(|check| count(check.counts, true));
        }
        let percent = reached.saturating_mul(100).checked_div(wanted).unwrap_or(100);
        (self.reached, self.wanted, self.percent) = (reached, wanted, u8::try_from(percent).unwrap_or(100));
    }
}

fn home<K: Resource>(object: &K) -> String {
    object.namespace().unwrap_or_else(|| "default".to_owned())
}
