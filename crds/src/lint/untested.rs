//! Rules that hold in no test, modules that say nothing in any, and tests that cannot be run.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::finding::{Finding, Lint, Subject, home};
use crate::coverage::Coverage;
use crate::load::Resources;
use crate::policy_test::Suite;
use crate::test_files::{self, Case};

pub(super) fn look(resources: &Resources, at: Timestamp, findings: &mut Vec<Finding>) {
    // Every policy can be lowered: what could not was found before.
    let Ok(mut coverage) = Coverage::of(&resources.policies) else { return };
    let cases = match test_files::cases(resources) {
        Ok(cases) => cases,
        Err(error) => {
            if let Some(policy) = resources.policies.first() {
                let subject = Subject::of("ToolPolicy", policy);
                findings.push(Finding::new(Lint::InvalidResource, subject, "spec.tests", error.to_string()));
            }
            return;
        }
    };
    let mut suite = Suite::new(resources);
    let mut broken = BTreeSet::new();
    for Case { policy, test, at: own, .. } in cases {
        match suite.judge(policy, test, own.unwrap_or(at)) {
            Ok(judged) => coverage.add(&home(policy), &judged.output),
            Err(error) => {
                let subject = Subject::of("ToolPolicy", policy);
                if broken.insert((subject.clone(), test.name.clone())) {
                    let field = format!("spec.tests[{}]", test.name);
                    let finding = Finding::new(Lint::InvalidResource, subject, field, error.to_string());
                    findings.push(finding.about(&test.name));
                }
            }
        }
    }
    for rule in coverage.rules.iter().filter(|rule| !rule.is_hit()) {
        let subject = Subject { kind: "ToolPolicy", namespace: rule.namespace.clone(), name: rule.policy.clone() };
        let finding = Finding::new(Lint::MissingTest, subject, rule.field.as_str(), "it holds in no test");
        findings.push(finding.about(&rule.rule));
    }
}
