//! The results as `JUnit` XML, which build servers show: a suite for each policy, a case for each test.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use quick_junit::{NonSuccessKind, Report as Document, TestCase, TestCaseStatus, TestSuite};

use super::report::{Report, TestResult};

/// Writes the file anew.
pub(super) fn write(report: &Report, file: &Path) -> Result<()> {
    let unwritable = || format!("cannot write {}", file.display());
    let mut out = BufWriter::new(File::create(file).with_context(unwritable)?);
    document(report).serialize(&mut out).with_context(unwritable)?;
    out.flush().with_context(unwritable)
}

fn document(report: &Report) -> Document {
    let mut document = Document::new("aegis policy test");
    let mut suite: Option<TestSuite> = None;
    // Tests of one policy may stand apart, in the policy and in files.
    let mut tests: Vec<&TestResult> = report.tests.iter().collect();
    tests.sort_by_key(|test| (&test.namespace, &test.policy));
    for test in tests {
        let name = format!("{}/{}", test.namespace, test.policy);
        if let Some(other) = suite.take_if(|suite| suite.name.as_str() != name) {
            document.add_test_suite(other);
        }
        suite.get_or_insert_with(|| TestSuite::new(&name)).add_test_case(case(&name, test));
    }
    document.add_test_suites(suite);
    document
}

fn case(suite: &str, test: &TestResult) -> TestCase {
    let status = if test.passed {
        TestCaseStatus::success()
    } else {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        status.set_message(test.summary()).set_type("verdict").set_description(test.explanation());
        status
    };
    let mut case = TestCase::new(&test.test, status);
    case.set_classname(suite);
    case
}
