//! What came of all tests, for people and programs.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use aegis_crds::api::ToolPolicy;
use aegis_crds::api::policy::{Expectation, PolicyTest};
use aegis_crds::load::Resources;
use aegis_crds::policy_test::{Found, Judged, Suite, expected_words};
use aegis_decision::decision::{DecisionOutput, RuleRef, Truth};
use anyhow::{Context as _, Result};
use jiff::Timestamp;
use kube::ResourceExt as _;
use serde::Serialize;

use crate::output::{printable, row, table};
use crate::resources::home;

/// What came of all tests.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    tests: Vec<TestResult>,
    never_hit: Vec<RuleName>,
    passed: usize,
    /// How many did not get what they expect.
    pub(super) failed: usize,
}

/// What came of one test.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct TestResult {
    namespace: String,
    policy: String,
    test: String,
    agent: String,
    passed: bool,
    expected: Expectation,
    found: Found,
    /// The whole explanation.
    decision: DecisionOutput,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
struct RuleName {
    namespace: String,
    policy: String,
    rule: String,
}

impl Report {
    /// Runs every test of every policy.
    pub(super) fn of(resources: &Resources, at: Timestamp) -> Result<Self> {
        let mut tests = Vec::new();
        let mut hit = BTreeSet::new();
        let mut suite = Suite::new(resources);
        for policy in &resources.policies {
            for test in &policy.spec.tests {
                let judged = suite
                    .judge(policy, test, at)
                    .with_context(|| format!("ToolPolicy {}, test {}", policy.name_any(), test.name))?;
                hit.extend(hits(&home(policy), &judged.output));
                tests.push(TestResult::of(policy, test, judged));
            }
        }
        let never_hit = resources
            .policies
            .iter()
            .flat_map(|policy| policy.spec.rules.iter().map(|rule| name(policy, &rule.name)))
            .filter(|rule| !hit.contains(rule))
            .collect();
        let passed = tests.iter().filter(|test| test.passed).count();
        let failed = tests.len().saturating_sub(passed);
        Ok(Self { tests, never_hit, passed, failed })
    }

    /// For people. Ends with a line break.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        if !self.tests.is_empty() {
            text.push_str(&table(
                ["POLICY", "TEST", "EXPECTED", "FOUND", "RESULT"],
                self.tests.iter().map(|test| {
                    let result = if test.passed { "pass" } else { "FAIL" };
                    [
                        test.policy.clone(),
                        test.test.clone(),
                        expected_words(&test.expected),
                        test.found.words(),
                        result.into(),
                    ]
                }),
            ));
            text.push('\n');
        }
        for test in self.tests.iter().filter(|test| !test.passed) {
            text.push_str(&test.explanation());
            text.push('\n');
        }
        if !self.never_hit.is_empty() {
            text.push_str("Rules that held in no test:\n");
            for RuleName { policy, rule, .. } in &self.never_hit {
                text.push_str(&printable(&format!("  {policy}/{rule}")));
                text.push('\n');
            }
            text.push('\n');
        }
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{} tests, {} passed, {} failed", self.tests.len(), self.passed, self.failed);
        text
    }
}

/// The rules that held, or that decided although it could not be told whether they hold.
fn hits<'a>(namespace: &'a str, output: &'a DecisionOutput) -> impl Iterator<Item = RuleName> + 'a {
    let held = output.rules.iter().filter(|rule| rule.truth == Truth::True).map(|rule| (&rule.policy, &rule.rule));
    let decided = output.rule.iter().map(|rule| (&rule.policy, &rule.rule));
    held.chain(decided).map(|(policy, rule)| RuleName {
        namespace: namespace.to_owned(),
        policy: policy.clone(),
        rule: rule.clone(),
    })
}

fn name(policy: &ToolPolicy, rule: &str) -> RuleName {
    RuleName { namespace: home(policy), policy: policy.name_any(), rule: rule.to_owned() }
}

impl TestResult {
    fn of(policy: &ToolPolicy, test: &PolicyTest, judged: Judged) -> Self {
        Self {
            namespace: home(policy),
            policy: policy.name_any(),
            test: test.name.clone(),
            agent: judged.agent,
            passed: judged.passed,
            expected: test.expect.clone(),
            found: judged.found,
            decision: judged.output,
        }
    }

    /// Why a test failed.
    fn explanation(&self) -> String {
        let mut text = format!("{}\n", printable(&format!("{}/{}:", self.policy, self.test)));
        row(&mut text, "agent", &self.agent);
        row(&mut text, "expected", &expected_words(&self.expected));
        row(&mut text, "found", &self.found.words());
        if let Some(detail) = &self.decision.detail {
            row(&mut text, "because", detail);
        }
        for failed in &self.decision.failed {
            let limit = failed.limit.as_deref().map(|limit| format!(" {limit}")).unwrap_or_default();
            let unknown = if failed.indeterminate { "; the field is missing or of another type" } else { "" };
            row(&mut text, "failed", &format!("{} {}{limit}{unknown}", failed.field, failed.check));
        }
        if !self.decision.nearest.is_empty() {
            let nearest: Vec<_> = self.decision.nearest.iter().map(rule_words).collect();
            row(&mut text, "nearest rules", &nearest.join(", "));
        }
        text
    }
}

fn rule_words(rule: &RuleRef) -> String {
    format!("{}/{}", rule.policy, rule.rule)
}
