//! `aegis policy lint`: what is printed, what fails, and SARIF.

use std::fs;

use aegis_cli::Exit;

use crate::policy_files::{BANK, SMALL};
use crate::{Ran, aegis};

fn lint(policy: &str, arguments: &[&str]) -> (tempfile::TempDir, Ran) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("bank.yaml"), policy).unwrap();
    fs::write(folder.path().join("small_test.yaml"), SMALL).unwrap();
    let path = folder.path().to_str().unwrap().to_owned();
    let mut ran = aegis(&[&["policy", "lint", &path], arguments].concat(), "");
    ran.out = ran.out.replace(&format!("{path}/"), "");
    (folder, ran)
}

fn faulty() -> String {
    format!(
        "{}{}",
        BANK.replace(
            "metadata: {name: payments}",
            "metadata: {name: payments, annotations: {aegis.dev/lint-allow: 'match-all-pattern anybody: every payee will do'}}"
        ),
        "  - name: again
    operations: [payments.create]
    effect: Allow
    when:
    - {field: amount, atMost: '99.00'}
    - {field: payee, equals: acme}
  - name: anybody
    operations: [payments.create]
    effect: Allow
    when:
    - {field: payee, matches: '.*'}
"
    )
}

#[test]
fn findings_are_told_with_field_and_advice() {
    let (_folder, ran) = lint(&faulty(), &[]);
    assert_eq!(ran.exit, Exit::Done, "warnings do not fail unless they are to: {}", ran.whole());
    insta::assert_snapshot!("findings", ran.whole());
}

#[test]
fn what_fails_is_what_deny_says() {
    for (level, exit) in [("error", Exit::Done), ("warning", Exit::No), ("info", Exit::No)] {
        assert_eq!(lint(&faulty(), &["--deny", level]).1.exit, exit, "{level}");
        assert_eq!(lint(BANK, &["--deny", level]).1.exit, Exit::Done, "{level}");
    }
    let broken = BANK.replace("atMost: '100.00'", "atMost: '100.00', currency: XYZ, currencyField: currency");
    let (_folder, ran) = lint(&broken, &["-o", "json"]);
    let report: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.exit, &report["errors"]), (Exit::No, &1.into()), "{}", ran.out);
    assert_eq!(report["findings"][0]["field"], "spec.rules[0].when[0].atMost.currency");
    assert_eq!(report["findings"][0]["file"], "bank.yaml");
}

#[test]
fn findings_are_written_as_sarif() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lint.sarif");
    let (resources, ran) = lint(&faulty(), &["--sarif", file.to_str().unwrap()]);
    assert_eq!(ran.exit, Exit::Done, "{}", ran.whole());
    let text = fs::read_to_string(&file).unwrap().replace(&format!("{}/", resources.path().display()), "");
    let sarif: serde_json::Value = serde_json::from_str(&text).unwrap();
    insta::assert_json_snapshot!("sarif", sarif["runs"][0]["results"]);
}
