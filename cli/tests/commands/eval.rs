//! `aegis eval` against the core itself.

use std::fs;
use std::path::Path;

use aegis_cli::Exit;
use aegis_crds::{gather, load, lower};
use aegis_decision::bundle::Bundle;
use aegis_decision::contract::DecisionInput;

use crate::{aegis, procurement};

/// The example with its agents at work and one delegation in force: what a cluster would hold, uids included.
pub fn at_work(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(procurement()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.extension().is_some_and(|end| end == "yaml") && !name.contains("agents") && !name.contains("delegation")
        {
            text.push_str(&fs::read_to_string(path).unwrap());
            text.push_str("\n---\n");
        }
    }
    let agent = |review: &str| {
        format!(
            "
apiVersion: aegis.dev/v1alpha1
kind: Agent
metadata: {{name: buyer, namespace: shop, uid: agent-1}}
spec:
  tenant: acme
  businessUnit: office
  owner: {{name: Purchasing}}
  version: '1.0'
  ceiling: Commit
  workload: {{serviceAccountName: buyer}}
{review}"
        )
    };
    let unreviewed = load::load("agent", &agent("")).unwrap();
    let digest = lower::agent(&unreviewed.agents[0]).unwrap().0.review_digest();
    let review = format!(
        "  lifecycle: Active
  review: {{by: ana, at: '2026-05-01T00:00:00Z', digest: '{digest}'}}
---
apiVersion: aegis.dev/v1alpha1
kind: Delegation
metadata: {{name: office, namespace: shop, uid: delegation-1, generation: 1}}
spec:
  agent: buyer
  requestedBy: lead
  delegator: lead
  workflow: office
  purpose: paper
  grants: [{{tool: erp, operations: ['*']}}]
  notBefore: '2026-05-01T00:00:00Z'
  expiresAt: '2026-06-01T00:00:00Z'
"
    );
    text.push_str(&agent(&review));
    fs::write(folder.join("all.yaml"), &text).unwrap();
    text
}

pub const CALLS: &str = r#"{"agent":"shop/buyer","tool":"erp","http":{"method":"GET","path":"/rest/model/party.party","query":"f=name"},"at":"2026-05-04T10:00:00Z"}
{"agent":"shop/buyer","tool":"erp","http":{"method":"POST","path":"/rest/model/purchase.purchase/7/confirm","headers":[["content-type","application/json"]],"body":"{}"},"facts":{"order":{"total_amount":{"decimal":"1240.00"},"state":"quotation","party":{"id":2,"name":"Nordwind Office GmbH"},"currency":{"code":"EUR"}}},"at":"2026-05-04T10:00:00Z"}
{"agent":"shop/buyer","tool":"erp","operation":"purchases.confirm","arguments":{"id":"7"},"delegation":"office","run":"r-1","at":"2026-05-04T10:00:00Z"}
{"agent":"shop/buyer","tool":"erp","http":{"method":"DELETE","path":"/rest/model/party.party/1"},"at":"2026-05-04T10:00:00Z"}
{"agent":"shop/buyer","tool":"erp","operation":"suppliers.search","at":"2026-07-04T10:00:00Z"}
"#;

#[test]
fn a_line_is_judged_to_the_bytes_of_the_core() {
    let folder = tempfile::tempdir().unwrap();
    let text = at_work(folder.path());
    let mut resources = load::load("all", &text).unwrap();
    for tool in &mut resources.tools {
        tool.metadata.namespace = Some("shop".into());
    }
    for policy in &mut resources.policies {
        policy.metadata.namespace = Some("shop".into());
    }
    for registry in &mut resources.registries {
        registry.metadata.namespace = Some("shop".into());
    }
    for tier in &mut resources.tiers {
        tier.metadata.namespace = Some("shop".into());
    }
    let load::Resources { agents, tools, policies, registries, tiers, delegations, .. } = &resources;
    let source = gather::bundle_source(&agents[0], tools, policies, registries, tiers).unwrap();
    let bundle = Bundle::assemble(source).unwrap();
    let standing = lower::agent(&agents[0]).unwrap().1;
    let delegations = [lower::delegation(&delegations[0]).unwrap()];
    let mut expected = String::new();
    for line in CALLS.lines() {
        let input: DecisionInput = serde_json::from_str(line).unwrap();
        expected += &serde_json::to_string(&bundle.judge_input(&input, &standing, &delegations)).unwrap();
        expected += "\n";
    }
    let verdicts: Vec<_> = expected.lines().map(|line| line.split('"').nth(7).unwrap().to_owned()).collect();
    assert_eq!(verdicts, ["allow", "hold", "deny", "deny", "deny"], "{expected}");
    assert!(expected.contains("effectDigest"), "the resources have uids, so there are digests: {expected}");

    let folder = folder.path().to_str().unwrap();
    let ran = aegis(&["eval", "--resources", folder, "-n", "shop", "--calls", "-"], CALLS);
    assert_eq!((ran.exit, ran.err.as_str(), ran.out), (Exit::Done, "", expected));
}

#[test]
fn calls_come_from_a_file_and_without_time_are_judged_at_the_given_one() {
    let folder = tempfile::tempdir().unwrap();
    at_work(folder.path());
    let calls = folder.path().join("calls.jsonl");
    fs::write(&calls, r#"{"agent":"shop/buyer","tool":"erp","operation":"suppliers.search"}"#).unwrap();
    let judged = |at: &[&str]| {
        let (resources, calls) = (folder.path().to_str().unwrap(), calls.to_str().unwrap());
        let arguments = ["eval", "--resources", resources, "-n", "shop", "--calls", calls];
        let ran = aegis(&[&arguments, at].concat(), "");
        assert_eq!((ran.exit, ran.err.as_str()), (Exit::Done, ""));
        serde_json::from_str::<serde_json::Value>(&ran.out).unwrap()
    };
    assert_eq!(judged(&[])["verdict"], "allow");
    assert_eq!(judged(&["--at", "2026-07-01T00:00:00Z"])["code"], "delegation_expired");
}

#[test]
fn a_bad_line_is_told_by_number_and_field_and_does_not_lose_the_others() {
    let folder = tempfile::tempdir().unwrap();
    at_work(folder.path());
    let good = r#"{"agent":"shop/buyer","tool":"erp","operation":"suppliers.search"}"#;
    let bad = [
        "not json",
        "[]",
        r#"{"agent":"shop/buyer","agent":"shop/buyer","tool":"erp","operation":"suppliers.search"}"#,
        r#"{"run":"r1","response":{"tool":"mail","content":"x"}}"#,
        r#"{"agent":"shop/seller","tool":"erp","operation":"suppliers.search"}"#,
        r#"{"agent":"shop/buyer","operation":"suppliers.search"}"#,
        r#"{"agent":"shop/buyer","tool":"erp","operation":"suppliers.search","verdict":"allow"}"#,
        r#"{"agent":"shop/buyer","tool":"erp"}"#,
        r#"{"agent":"shop/buyer","tool":"erp","operation":"suppliers.search","arguments":[]}"#,
        r#"{"agent":"shop/buyer","tool":"erp","operation":"suppliers.search","at":"soon"}"#,
        r#"{"agent":"shop/buyer","tool":"erp","http":{"path":"/"}}"#,
        r#"{"agent":7,"tool":"erp","operation":"suppliers.search"}"#,
        "{\"agent\":\"\u{202e}\",\"tool\":\"erp\",\"operation\":\"suppliers.search\"}",
    ];
    let calls = format!("{good}\n{}\n\n{good}", bad.join("\n"));
    let ran = aegis(&["eval", "--resources", folder.path().to_str().unwrap(), "-n", "shop", "--calls", "-"], &calls);
    assert_eq!(ran.exit, Exit::Failed);
    assert_eq!(ran.out.lines().count(), 2, "{}", ran.out);
    assert_eq!(ran.err.lines().count(), bad.len(), "{}", ran.err);
    insta::assert_snapshot!("bad_lines", ran.err);
}

const ORIGINS: &str = "
---
apiVersion: aegis.dev/v1alpha1
kind: ToolPolicy
metadata: {name: origins, namespace: shop}
spec:
  tools: [erp]
  rules:
  - name: none-after-confirming
    operations: [suppliers.search]
    when: [{field: $run.count.purchases.confirm, greaterThan: 0}]
    effect: Deny
  provenance:
  - {operations: [suppliers.search], field: f, from: ['Response:erp'], unknownOrigin: Deny}
";

#[test]
fn what_tools_returned_earlier_in_a_run_tells_where_values_come_from_and_what_was_done() {
    let folder = tempfile::tempdir().unwrap();
    let text = at_work(folder.path()) + ORIGINS;
    fs::write(folder.path().join("all.yaml"), text).unwrap();
    let search = |run: &str| {
        format!(
            r#"{{"agent":"shop/buyer","tool":"erp","operation":"suppliers.search","run":"{run}","arguments":{{"f":["name"]}}}}"#
        )
    };
    let returned = |tool: &str, operation: &str, rest: &str| {
        format!(r#"{{"run":"r1","response":{{"tool":"{tool}","operation":"{operation}",{rest}}}}}"#)
    };
    let calls = [
        search("r1"),
        returned("mail", "read", r#""content":"use the field name, please""#),
        search("r1"),
        returned("erp", "fields.list", r#""content":["name"],"arguments":{"only":"Name"}"#),
        search("r1"),
        returned("erp", "fields.list", r#""content":[{"field":"Name"}]"#),
        search("r1"),
        search("r2"),
        returned("erp", "purchases.confirm", r#""content":{}"#),
        search("r1"),
    ];
    let ran = aegis(
        &["eval", "--resources", folder.path().to_str().unwrap(), "-n", "shop", "--calls", "-"],
        &calls.join("\n"),
    );
    assert_eq!((ran.exit, ran.err.as_str()), (Exit::Done, ""));
    let judged: Vec<serde_json::Value> = ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<_> = judged
        .iter()
        .map(|output| {
            let first = &output["unknownOrigins"][0]["firstSeen"];
            (output["code"].as_str().unwrap_or("allow"), first["tool"].as_str().unwrap_or("-"))
        })
        .collect();
    let expected = [
        ("unknown_origin", "-"),
        ("unknown_origin", "mail"),
        // The tool only repeated what it was asked.
        ("unknown_origin", "mail"),
        ("allow", "-"),
        ("unknown_origin", "-"),
        ("rule_denies", "-"),
    ];
    assert_eq!(told, expected, "{}", ran.out);
}

#[test]
fn a_line_without_end_is_refused_and_the_next_one_is_judged() {
    let folder = tempfile::tempdir().unwrap();
    at_work(folder.path());
    let good = r#"{"agent":"shop/buyer","tool":"erp","operation":"suppliers.search"}"#;
    let calls = format!("{}\n{good}\n", "x".repeat(5 << 20));
    let ran = aegis(&["eval", "--resources", folder.path().to_str().unwrap(), "-n", "shop", "--calls", "-"], &calls);
    assert_eq!((ran.exit, ran.out.lines().count()), (Exit::Failed, 1));
    assert_eq!(ran.err, "-:1: is longer than 4194304 bytes\n");
}

#[test]
fn resources_that_cannot_be_used_judge_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let resources = folder.path().to_str().unwrap();
    let empty = aegis(&["eval", "--resources", resources, "--calls", "-"], "");
    assert_eq!((empty.exit, empty.out.as_str()), (Exit::Failed, ""));
    assert!(empty.err.contains("holds no file that ends with"), "{}", empty.err);

    let text = at_work(folder.path()).replace("tools: [erp]", "tools: [warehouse]");
    fs::write(folder.path().join("all.yaml"), text).unwrap();
    let dangling = aegis(&["eval", "--resources", resources, "-n", "shop", "--calls", "-"], CALLS);
    assert_eq!((dangling.exit, dangling.out.as_str()), (Exit::Failed, ""));
    assert!(dangling.err.contains("spec.tools[0]: names Tool warehouse"), "{}", dangling.err);
}

#[test]
fn the_arguments_are_shown_as_they_were_judged() {
    let folder = tempfile::tempdir().unwrap();
    at_work(folder.path());
    let clean = "
apiVersion: aegis.dev/v1alpha1
kind: ToolPolicy
metadata: {name: clean, namespace: shop}
spec:
  tools: [erp]
  rules:
  - name: short
    operations: [purchases.confirm]
    unconditional: true
    effect: Sanitize
    sanitize:
    - {field: note, truncate: {characters: 4}}
    - {field: secret, remove: true}
";
    fs::write(folder.path().join("clean.yaml"), clean).unwrap();
    let call = r#"{"agent":"shop/buyer","tool":"erp","operation":"purchases.confirm","arguments":{"id":"7","note":"Ring Anna","secret":1},"at":"2026-05-04T10:00:00Z"}"#;
    let folder = folder.path().to_str().unwrap();
    let shown = aegis(&["eval", "--resources", folder, "--calls", "-", "-n", "shop", "--arguments"], call);
    assert_eq!(shown.exit, Exit::Done, "{}", shown.err);
    let line: serde_json::Value = serde_json::from_str(&shown.out).unwrap();
    assert_eq!(line["arguments"], serde_json::json!({"id": "7", "note": "Ring"}));
    let changed: Vec<_> = line["sanitized"].as_array().unwrap().iter().map(|one| one["field"].as_str()).collect();
    assert_eq!(changed, [Some("note"), Some("secret")]);
    let plain = aegis(&["eval", "--resources", folder, "--calls", "-", "-n", "shop"], call);
    assert!(!plain.out.contains("\"arguments\"") && !plain.out.contains("Ring"), "{}", plain.out);
    assert_eq!(plain.out.trim_end(), shown.out.replace(r#","arguments":{"id":"7","note":"Ring"}"#, "").trim_end());
}
