//! What came of all tests, for people and programs.

use std::fmt::Write as _;

use aegis_crds::api::policy::Expectation;
use aegis_crds::coverage::{Coverage, RuleCoverage};
use aegis_crds::load::Resources;
use aegis_crds::policy_test::{Found, Judged, Suite, expected_words};
use aegis_crds::test_files::{self, Case};
use aegis_decision::decision::DecisionOutput;
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
    pub(super) tests: Vec<TestResult>,
    never_hit: Vec<RuleName>,
    /// What the tests reached.
    pub(super) coverage: Coverage,
    passed: usize,
    /// How many did not get what they expect.
    pub(super) failed: usize,
}

/// What came of one test.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TestResult {
    pub(super) namespace: String,
    pub(super) policy: String,
    pub(super) test: String,
    /// File of tests that it stands in; none: in the policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    agent: String,
    pub(super) passed: bool,
    expected: Expectation,
    found: Found,
    /// The whole explanation.
    decision: DecisionOutput,
}

#[derive(Debug, Serialize)]
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
        let mut coverage = Coverage::of(&resources.policies)?;
        let mut suite = Suite::new(resources);
        for case in test_files::cases(resources)? {
            let judged = suite.judge(case.policy, case.test, case.at.unwrap_or(at)).with_context(|| {
                let origin = case.origin.map(|origin| format!("{origin}: ")).unwrap_or_default();
                format!("{origin}ToolPolicy {}, test {}", case.policy.name_any(), case.test.name)
            })?;
            coverage.add(&home(case.policy), &judged.output);
            tests.push(TestResult::of(case, judged));
        }
        coverage.sum();
        let never_hit = coverage.rules.iter().filter(|rule| !rule.is_hit()).map(name).collect();
        let passed = tests.iter().filter(|test| test.passed).count();
        let failed = tests.len().saturating_sub(passed);
        Ok(Self { tests, never_hit, coverage, passed, failed })
    }

    /// For people, with every outcome that no test reached where that is asked for. Ends with a line break.
    pub(super) fn text(&self, uncovered: bool) -> String {
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
        if uncovered {
            text.push_str(&uncovered_text(&self.coverage));
        }
        let Coverage { reached, wanted, percent, .. } = &self.coverage;
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{} tests, {} passed, {} failed", self.tests.len(), self.passed, self.failed);
        let _ = writeln!(text, "{reached} of {wanted} outcomes of rules and checks reached: {percent} %");
        text
    }
}

fn uncovered_text(coverage: &Coverage) -> String {
    let mut rows = Vec::new();
    for rule in &coverage.rules {
        let title = format!("{}/{}", rule.policy, rule.rule);
        let missing = rule.counts.missing(rule.can_be_false());
        if !missing.is_empty() {
            rows.push([title.clone(), String::new(), missing.join(", ")]);
        }
        for check in &rule.checks {
            let missing = check.counts.missing(true);
            if !missing.is_empty() {
                rows.push([title.clone(), format!("{} {}", check.field, check.check), missing.join(", ")]);
            }
        }
    }
    if rows.is_empty() { String::new() } else { format!("{}\n", table(["RULE", "CHECK", "IN ALL TESTS"], rows)) }
}

fn name(rule: &RuleCoverage) -> RuleName {
    RuleName { namespace: rule.namespace.clone(), policy: rule.policy.clone(), rule: rule.rule.clone() }
}

impl TestResult {
    fn of(case: Case<'_>, judged: Judged) -> Self {
        Self {
            namespace: home(case.policy),
            policy: case.policy.name_any(),
            test: case.test.name.clone(),
            file: case.origin.map(str::to_owned),
            agent: judged.agent,
            passed: judged.passed,
            expected: case.test.expect.clone(),
            found: judged.found,
            decision: judged.output,
        }
    }

    /// Expectation and result in a line.
    pub(super) fn summary(&self) -> String {
        format!("expected {}, found {}", expected_words(&self.expected), self.found.words())
    }

    /// Why a test failed.
    pub(super) fn explanation(&self) -> String {
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
            let nearest: Vec<_> = self.decision.nearest.iter().map(ToString::to_string).collect();
            row(&mut text, "nearest rules", &nearest.join(", "));
        }
        text
    }
}
