//! `aegis policy test` on files of tests: coverage, `JUnit`, and runs that follow changes.

use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use aegis_cli::{Exit, Io};

use crate::{Ran, aegis};

pub const BANK: &str = "
apiVersion: aegis.dev/v1alpha1
kind: Tool
metadata: {name: bank}
spec:
  endpoint: https://bank.example
  operations:
  - name: payments.create
    class: Commit
    http: {method: POST, path: /payments}
    arguments: {type: object, properties: {amount: {type: string}, payee: {type: string}}, additionalProperties: false}
---
apiVersion: aegis.dev/v1alpha1
kind: ToolPolicy
metadata: {name: payments}
spec:
  tools: [bank]
  rules:
  - name: small
    operations: [payments.create]
    effect: Allow
    when:
    - {field: amount, atMost: '100.00'}
    - {field: payee, equals: acme}
";

pub const SMALL: &str = "
policy: payments
tests:
- name: small
  call: {tool: bank, operation: payments.create, arguments: {amount: '10.00', payee: acme}}
  expect: {verdict: Allow, rule: small}
";

const OTHERS: &str = "
policy: payments
tests:
- name: large
  call: {tool: bank, operation: payments.create, arguments: {amount: '100.01', payee: acme}}
  expect: {verdict: Deny, code: no_rule_allows}
---
policy: payments
at: 2026-05-04T10:00:00Z
tests:
- name: stranger
  call: {tool: bank, operation: payments.create, arguments: {amount: '10.00', payee: \"<eve>\"}}
  expect: {verdict: Allow}
";

fn bank(tests: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("bank.yaml"), BANK).unwrap();
    for (name, text) in tests {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn test(folder: &Path, arguments: &[&str]) -> Ran {
    aegis(&[&["policy", "test", folder.to_str().unwrap()], arguments].concat(), "")
}

fn without(folder: &Path, text: &str) -> String {
    text.replace(&format!("{}/", folder.display()), "")
}

#[test]
fn tests_in_files_count_and_what_they_leave_out_is_told() {
    let folder = bank(&[("small_test.yaml", SMALL), ("others_test.yml", OTHERS)]);
    let ran = test(folder.path(), &["--coverage"]);
    assert_eq!(ran.exit, Exit::No);
    insta::assert_snapshot!("files", without(folder.path(), &ran.whole()));

    let ran = test(folder.path(), &["-o", "json"]);
    let report: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&report["coverage"]["reached"], &report["coverage"]["wanted"]), (&6.into(), &6.into()));
    let amount = &report["coverage"]["rules"][0]["checks"][0];
    assert_eq!((&amount["true"], &amount["false"], &amount["check"]), (&2.into(), &1.into(), &"atMost".into()));
    assert!(report["tests"][0]["file"].as_str().unwrap().ends_with("others_test.yml"), "{}", ran.out);
}

#[test]
fn coverage_below_what_is_asked_for_fails() {
    let folder = bank(&[("small_test.yaml", SMALL)]);
    let enough = test(folder.path(), &["--min-coverage", "50"]);
    assert_eq!((enough.exit, enough.err.as_str()), (Exit::Done, ""), "{}", enough.whole());
    let short = test(folder.path(), &["--min-coverage", "51"]);
    assert_eq!(short.exit, Exit::No);
    insta::assert_snapshot!("coverage", short.whole());
    assert_eq!(test(folder.path(), &["--min-coverage", "101"]).exit, Exit::Failed);
}

#[test]
fn results_are_written_as_junit() {
    let folder = bank(&[("small_test.yaml", SMALL), ("others_test.yml", OTHERS)]);
    let file = folder.path().join("results.xml");
    let ran = test(folder.path(), &["--junit", file.to_str().unwrap()]);
    assert_eq!(ran.exit, Exit::No);
    insta::assert_snapshot!("junit", fs::read_to_string(&file).unwrap());

    let nowhere = folder.path().join("none/results.xml");
    let ran = test(folder.path(), &["--junit", nowhere.to_str().unwrap()]);
    assert_eq!(ran.exit, Exit::Failed);
    assert!(ran.err.contains("cannot write"), "{}", ran.err);
}

#[test]
fn a_file_of_tests_that_cannot_be_used_is_no_success() {
    for (text, told) in [
        (SMALL.replace("policy: payments", "policy: payrolls"), "names ToolPolicy default/payrolls"),
        (BANK.to_owned(), "is no document of tests"),
        (format!("{SMALL}---{SMALL}"), "is given twice"),
    ] {
        let folder = bank(&[("small_test.yaml", &text)]);
        let ran = test(folder.path(), &[]);
        assert_eq!(ran.exit, Exit::Failed, "{told}");
        assert!(ran.err.contains("small_test.yaml") && ran.err.contains(told), "{}", ran.err);
    }
}

/// The standard error of a watch: whenever it waits, the next change is made.
struct Changing<'a> {
    changes: std::vec::IntoIter<(PathBuf, String)>,
    told: &'a mut Vec<u8>,
}

impl Write for Changing<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.told.write(bytes)
    }

    /// The command waits once it has said so.
    fn flush(&mut self) -> std::io::Result<()> {
        match self.changes.next() {
            Some((file, text)) => fs::write(file, text),
            None => Ok(()),
        }
    }
}

#[test]
fn a_change_of_a_real_file_starts_the_next_run() {
    let folder = bank(&[("small_test.yaml", SMALL)]);
    let file = folder.path().join("small_test.yaml");
    let changes = vec![
        (file.clone(), SMALL.replace("verdict: Allow, rule: small", "verdict: Deny")),
        (file.clone(), "tests: [".to_owned()),
        (file, SMALL.to_owned()),
    ];
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let exit = {
        let mut io = Io {
            input: Box::new(Cursor::new(b"")),
            out: Box::new(&mut out),
            err: Box::new(Changing { changes: changes.into_iter(), told: &mut err }),
            interactive: false,
            watched: false,
            now: "2026-05-04T10:30:00Z".parse().unwrap(),
        };
        let arguments =
            ["aegis", "policy", "test", folder.path().to_str().unwrap(), "--watch", "--max-runs", "4", "-o", "json"];
        aegis_cli::run(arguments.iter().map(Into::into), &mut io)
    };
    let (out, err) = (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap());
    let failed: Vec<_> = serde_json::Deserializer::from_str(&out)
        .into_iter::<serde_json::Value>()
        .map(|report| report.unwrap()["failed"].clone())
        .collect();
    assert_eq!((exit, failed), (Exit::Done, vec![0.into(), 1.into(), 0.into()]), "{err}");
    assert_eq!(err.matches("Waiting for changes").count(), 3, "{err}");
    assert!(err.contains("small_test.yaml: is not YAML"), "{err}");
}
