//! Files with tests of policies, `*_test.yaml`: what `spec.tests` of a `ToolPolicy` holds, kept beside it.
//!
//! Such a file is no Kubernetes object. Each of its documents names a policy of the same resources:
//!
//! ```yaml
//! policy: payments
//! at: 2026-05-04T10:00:00Z
//! tests:
//! - name: small
//!   call: {tool: bank, operation: payments.create, arguments: {amount: "10.00"}}
//!   expect: {verdict: Allow}
//! ```

use std::collections::BTreeSet;

use jiff::Timestamp;
use kube::{Resource, ResourceExt as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::ToolPolicy;
use crate::api::policy::PolicyTest;
use crate::load::Resources;

/// Most tests in one document.
pub const MAX_TESTS: usize = 4_096;

/// One document of a file of tests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyTests {
    /// Name of the ToolPolicy that is tested.
    #[schemars(length(min = 1, max = 253))]
    pub policy: String,
    /// Its namespace. Absent: default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// The time at which these tests are judged. Absent: the time that the command is given, else now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub at: Option<Timestamp>,
    /// The tests. Names are unique for a policy, also over several files and spec.tests.
    #[schemars(length(min = 1, max = 4096))]
    pub tests: Vec<PolicyTest>,
}

/// Documents of one file.
#[derive(Debug, Clone, PartialEq)]
pub struct TestFile {
    /// The file's name.
    pub origin: String,
    /// What it holds.
    pub documents: Vec<PolicyTests>,
}

/// One test with the policy that it is about.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// The policy.
    pub policy: &'a ToolPolicy,
    /// The test.
    pub test: &'a PolicyTest,
    /// The file of tests that it stands in; none: in the policy itself.
    pub origin: Option<&'a str>,
    /// When it is judged, where its file says so.
    pub at: Option<Timestamp>,
}

/// Why files of tests cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TestFileError {
    /// The policy is not among the resources.
    #[error("{origin}: policy: names ToolPolicy {namespace}/{policy}, which is not among the resources")]
    UnknownPolicy {
        /// File.
        origin: String,
        /// Namespace.
        namespace: String,
        /// Policy.
        policy: String,
    },
    /// Two tests of one name.
    #[error("{origin}: test {test} of ToolPolicy {policy} is given twice")]
    Twice {
        /// File of the second one.
        origin: String,
        /// Policy.
        policy: String,
        /// Test.
        test: String,
    },
}

/// Whether a file of that name holds tests, not resources.
pub fn is_test_file(name: &str) -> bool {
    [".yaml", ".yml"].iter().any(|end| name.strip_suffix(end).is_some_and(|stem| stem.ends_with("_test")))
}

/// Every test of the resources: those of each policy first, then those of files, in the order that they were read.
pub fn cases(resources: &Resources) -> Result<Vec<Case<'_>>, TestFileError> {
    let of_policy = |policy| ToolPolicy::cases(policy);
    let mut cases: Vec<Case<'_>> = resources.policies.iter().flat_map(of_policy).collect();
    let mut names: BTreeSet<(String, String, &str)> = cases.iter().map(Case::name).collect();
    for file in &resources.tests {
        for document in &file.documents {
            let namespace = document.namespace.as_deref().unwrap_or("default");
            let policy = resources
                .policies
                .iter()
                .find(|policy| policy.name_any() == document.policy && home(*policy) == namespace)
                .ok_or_else(|| TestFileError::UnknownPolicy {
                    origin: file.origin.clone(),
                    namespace: namespace.to_owned(),
                    policy: document.policy.clone(),
                })?;
            for test in &document.tests {
                let case = Case { policy, test, origin: Some(&file.origin), at: document.at };
                if !names.insert(case.name()) {
                    return Err(TestFileError::Twice {
                        origin: file.origin.clone(),
                        policy: document.policy.clone(),
                        test: test.name.clone(),
                    });
                }
                cases.push(case);
            }
        }
    }
    Ok(cases)
}

impl ToolPolicy {
    fn cases(&self) -> impl Iterator<Item = Case<'_>> {
        self.spec.tests.iter().map(|test| Case { policy: self, test, origin: None, at: None })
    }
}

impl<'a> Case<'a> {
    fn name(&self) -> (String, String, &'a str) {
        (home(self.policy), self.policy.name_any(), &self.test.name)
    }
}

fn home<K: Resource>(object: &K) -> String {
    object.namespace().unwrap_or_else(|| "default".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::LoadProblem;

    const POLICY: &str = "
apiVersion: aegis.dev/v1alpha1
kind: ToolPolicy
metadata: {name: payments}
spec:
  tools: [bank]
  rules: [{name: all, operations: ['*'], unconditional: true, effect: Allow}]
  tests: [{name: inside, call: {tool: bank, operation: pay}, expect: {verdict: Allow}}]
";
    const TESTS: &str = "
policy: payments
at: 2026-05-04T10:00:00Z
tests: [{name: beside, call: {tool: bank, operation: pay}, expect: {verdict: Allow}}]
";

    fn with(tests: &str) -> Result<Resources, crate::load::LoadError> {
        let mut resources = crate::load::load("payments.yaml", POLICY)?;
        resources.add_tests("payments_test.yaml", tests)?;
        Ok(resources)
    }

    #[test]
    fn tests_beside_a_policy_follow_its_own() {
        let resources = with(TESTS).unwrap();
        let cases = cases(&resources).unwrap();
        let seen: Vec<_> = cases.iter().map(|case| (case.test.name.as_str(), case.origin, case.at.is_some())).collect();
        assert_eq!(seen, [("inside", None, false), ("beside", Some("payments_test.yaml"), true)]);
    }

    #[test]
    fn a_test_of_no_policy_and_a_name_given_twice_are_refused() {
        let unknown = with(&TESTS.replace("payments", "payrolls")).unwrap();
        assert!(cases(&unknown).unwrap_err().to_string().contains("default/payrolls, which is not among"));
        let twice = with(&TESTS.replace("beside", "inside")).unwrap();
        assert!(cases(&twice).unwrap_err().to_string().contains("test inside of ToolPolicy payments is given twice"));
    }

    #[test]
    fn a_typo_anywhere_in_a_document_is_refused() {
        for (from, to) in [("policy:", "polices:"), ("verdict", "veredict"), ("operation:", "action:")] {
            assert!(with(&TESTS.replace(from, to)).is_err(), "{to}");
        }
        let lost = with(&TESTS.replace("verdict: Allow", "verdict: Allow, reason: x")).unwrap_err();
        assert!(matches!(lost.problem, LoadProblem::UnknownTestField { .. }), "{lost}");
        assert!(lost.to_string().contains("tests[0].expect.reason"), "{lost}");
    }

    #[test]
    fn names_tell_tests_from_resources() {
        assert!(is_test_file("payments_test.yaml") && is_test_file("_test.yml"));
        assert!(!is_test_file("test.yaml") && !is_test_file("payments_test.json") && !is_test_file("a_tests.yaml"));
    }
}
