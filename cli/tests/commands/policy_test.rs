//! `aegis policy test` on the shipped example, and on policies that are wrong.

use std::fs;

use aegis_cli::Exit;

use crate::{Ran, aegis, procurement};

fn test_example(change: impl Fn(String) -> String, arguments: &[&str]) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(procurement()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "yaml") {
            let text = fs::read_to_string(&path).unwrap();
            fs::write(folder.path().join(path.file_name().unwrap()), change(text)).unwrap();
        }
    }
    aegis(&[&["policy", "test", "--resources", folder.path().to_str().unwrap()], arguments].concat(), "")
}

#[test]
fn the_shipped_example_passes_its_own_tests() {
    let ran = aegis(&["policy", "test", "--resources", procurement().to_str().unwrap()], "");
    assert_eq!(ran.exit, Exit::Done, "{}", ran.whole());
    insta::assert_snapshot!("example", ran.whole());
}

#[test]
fn a_policy_that_does_not_do_what_its_tests_say_fails() {
    let ran =
        test_example(|text| text.replace("{field: party, inRegistry: suppliers}", "{field: party, exists: true}"), &[]);
    assert_eq!(ran.exit, Exit::No, "{}", ran.whole());
    insta::assert_snapshot!("failing", ran.whole());
}

#[test]
fn rule_and_code_count_as_well_as_the_verdict() {
    for (from, to) in [("rule: large-orders}", "rule: quote}"), ("code: no_rule_allows}", "code: schema_violation}")] {
        let ran = test_example(|text| text.replace(from, to), &["-o", "json"]);
        assert_eq!(ran.exit, Exit::No, "{from}");
        let report: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        assert!(report["failed"].as_u64().unwrap() >= 1, "{from}: {}", ran.out);
    }
}

#[test]
fn a_named_delegation_counts_as_it_stands_at_the_time() {
    let under = |text: String| {
        text.replace(
            "operation: purchases.draft\n      arguments:\n        party: 2",
            "operation: purchases.draft\n      delegation: office-supplies\n      arguments:\n        party: 2",
        )
    };
    let then = test_example(under, &["--at", "2026-01-01T12:00:00Z"]);
    assert_eq!(then.exit, Exit::Done, "{}", then.whole());
    let later = test_example(under, &["--at", "2026-02-01T12:00:00Z"]);
    assert_eq!(later.exit, Exit::No, "{}", later.whole());
    assert!(later.out.contains("delegation_expired"), "{}", later.whole());
}

#[test]
fn without_agents_one_is_made_up_and_a_named_one_must_be_selected() {
    let alone = tempfile::tempdir().unwrap();
    for file in ["10-tool.yaml", "20-registry.yaml", "30-tier.yaml", "40-policy.yaml"] {
        fs::copy(procurement().join(file), alone.path().join(file)).unwrap();
    }
    let ran = aegis(&["policy", "test", "--resources", alone.path().to_str().unwrap(), "-o", "yaml"], "");
    assert_eq!(ran.exit, Exit::Done, "{}", ran.whole());
    let report: serde_json::Value = serde_saphyr::from_str(&ran.out).unwrap();
    assert_eq!(report["tests"][0]["agent"], "policy-test");

    let ran = test_example(
        |text| {
            text.replace("  tools: [erp]\n  registries", "  tools: [erp]\n  agents: [buyer]\n  registries")
                .replace("call:\n      tool: erp", "call:\n      agent: stock-keeper\n      tool: erp")
        },
        &[],
    );
    assert_eq!(ran.exit, Exit::Failed);
    assert!(ran.err.contains("call.agent: the policy does not select stock-keeper"), "{}", ran.err);
}

#[test]
fn resources_without_a_policy_are_no_success() {
    let empty = tempfile::tempdir().unwrap();
    fs::copy(procurement().join("20-registry.yaml"), empty.path().join("registry.yaml")).unwrap();
    let ran = aegis(&["policy", "test", "--resources", empty.path().to_str().unwrap()], "");
    assert_eq!(ran.exit, Exit::Failed);
    assert!(ran.err.contains("holds no ToolPolicy"), "{}", ran.err);
}
