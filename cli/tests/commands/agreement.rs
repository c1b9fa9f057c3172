//! `aegis agreement` on records of trials and proposals.

use std::fs;

use aegis_cli::Exit;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{Ran, aegis};

/// A record of a call with this verdict, and what it would be.
fn record(id: usize, verdict: &str, would: &Value, values: &Value) -> String {
    let code = match verdict {
        "propose" => json!("proposed"),
        "deny" => json!("no_rule_allows"),
        _ => Value::Null,
    };
    let mut decision = json!({
        "v": "aegis.dev/decision/v1", "verdict": verdict, "tool": "erp", "operation": "orders.create", "class": "Commit",
        "rule": {"policy": "orders", "rule": "all"}, "bundle": format!("sha256:{}", "1".repeat(64)),
    });
    if !code.is_null() {
        decision["code"] = code;
    }
    if !would.is_null() {
        decision["would"] = would.clone();
    }
    let record = json!({
        "type": "decision", "v": "aegis.dev/decision-record/v1", "id": format!("d-{id}"), "sequence": id, "epoch": "e",
        "time": format!("2026-05-04T10:{id:02}:00Z"), "monotonicMicros": 1,
        "agent": {"tenant": "acme", "businessUnit": "office", "namespace": "shop", "name": "buyer", "uid": "agent-1",
                  "version": "1.0"},
        "pod": {"name": "p", "uid": "p1"}, "mode": "Enforce", "decision": decision, "values": values,
    });
    record.to_string()
}

fn would(verdict: &str, rule: Option<&str>, policies: &[&str]) -> Value {
    let mut would = json!({"verdict": verdict});
    if let Some(policy) = rule {
        would["rule"] = json!({"policy": policy, "rule": "r"});
    }
    if !policies.is_empty() {
        would["policies"] = json!(policies);
    }
    would
}

fn folder(records: &[String]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("e.jsonl"), records.join("\n") + "\n{\"type\":\"batch\"}\n").unwrap();
    folder
}

fn agreement(folder: &TempDir, arguments: &[&str], input: &str) -> Ran {
    let fixed = ["agreement", "--records", folder.path().to_str().unwrap()];
    aegis(&[&fixed[..], arguments].concat(), input)
}

/// Nine of ten calls agree with the policy `new`, and one of two with the mode of an audited agent.
fn trials() -> TempDir {
    let mut records: Vec<_> =
        (1..10).map(|id| record(id, "allow", &would("allow", Some("orders"), &["new"]), &json!({}))).collect();
    records.push(record(10, "allow", &would("deny", Some("new"), &["new"]), &json!({})));
    records.push(record(11, "allow", &would("hold", Some("orders"), &[]), &json!({})));
    records.push(record(12, "allow", &would("allow", Some("orders"), &[]), &json!({})));
    records.push(record(13, "deny", &Value::Null, &json!({})));
    folder(&records)
}

#[test]
fn trials_are_counted_by_policy_and_rule_and_held_to_a_share() {
    let records = trials();
    let ran = agreement(&records, &[], "");
    assert_eq!(ran.exit, Exit::Done, "{}", ran.whole());
    insta::assert_snapshot!("agreement", ran.whole());
    for (least, exit) in [("50", Exit::Done), ("50.01", Exit::No), ("90.01", Exit::No), ("101", Exit::Failed)] {
        assert_eq!(agreement(&records, &["--at-least", least], "").exit, exit, "{least}");
    }
    let ran = agreement(&records, &["-o", "json", "--at-least", "90"], "");
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(
        report["trials"][0],
        json!({"policy": "shop/new", "judged": 10, "agreed": 9, "wouldDeny": 1, "wouldHold": 0, "wouldAllow": 0,
               "agreement": "90.00"})
    );
    assert_eq!((&report["flipped"], &report["byRule"][0]["examples"]), (&json!(2), &json!(["d-10"])));
    assert_eq!(report["beyond"], json!(["agents of mode Audit: 50.00 % is less than 90.00 %"]));
    assert!(ran.err.contains("Not within the limits: agents of mode Audit"), "{}", ran.err);
}

#[test]
fn a_share_of_nothing_is_not_reached() {
    let records = folder(&[record(1, "allow", &Value::Null, &json!({}))]);
    assert_eq!(agreement(&records, &[], "").exit, Exit::Done);
    let ran = agreement(&records, &["--at-least", "0"], "");
    assert_eq!(ran.exit, Exit::No);
    assert!(ran.err.contains("no record says of a trial"), "{}", ran.err);
}

#[test]
fn proposals_are_paired_with_what_people_did() {
    let proposal = |id, verdict, supplier: &str, amount: &str| {
        record(id, "propose", &would(verdict, Some("orders"), &[]), &json!({"supplier": supplier, "amount": amount}))
    };
    let records = folder(&[
        proposal(1, "allow", "17", "50.00"),
        proposal(2, "hold", "17", "60.00"),
        proposal(3, "allow", "18", "70.00"),
        proposal(4, "deny", "19", "80.00"),
    ]);
    let done = |supplier: &str, amount: Value, at: &str| {
        let values = json!({"supplier": supplier, "amount": amount, "note": "x"});
        json!({"tool": "erp", "operation": "orders.create", "values": values, "at": at}).to_string()
    };
    let deeds = [
        done("17", json!(50), "2026-05-04T11:00:00Z"),
        done("17", json!("60"), "2026-05-04T12:00:00Z"),
        // Before its proposal, too long after it, with another amount, and once more.
        done("18", json!("70"), "2026-05-04T10:02:00Z"),
        done("18", json!("70"), "2026-05-09T10:00:00Z"),
        done("18", json!("71"), "2026-05-04T11:00:00Z"),
        done("17", json!("50"), "2026-05-04T11:00:00Z"),
    ];
    let deeds = deeds.join("\n") + "\n";
    let ran = agreement(&records, &["--done", "-", "-o", "json"], &deeds);
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    let expected = json!({"proposed": 4, "done": 2, "agreed": 3, "unproposed": 4, "notKept": 0, "agreement": "75.00"});
    assert_eq!((ran.exit, &report["proposals"]), (Exit::Done, &expected), "{}", ran.whole());
    for (least, exit) in [("75", Exit::Done), ("76", Exit::No)] {
        assert_eq!(agreement(&records, &["--done", "-", "--at-least", least], &deeds).exit, exit, "{least}");
    }
    let longer = agreement(&records, &["--done", "-", "-o", "json", "--within", "240h"], &deeds);
    let report: Value = serde_json::from_str(&longer.out).unwrap();
    assert_eq!((&report["proposals"]["done"], &report["proposals"]["agreed"]), (&json!(3), &json!(4)));
    insta::assert_snapshot!("agreement_proposals", agreement(&records, &["--done", "-"], &deeds).whole());
}

#[test]
fn a_line_that_is_no_deed_is_told_and_counted() {
    let records = folder(&[record(1, "propose", &would("allow", None, &[]), &json!({"supplier": "17"}))]);
    let deeds = "{\"tool\":\"erp\"}\n\n{\"tool\":\"erp\",\"operation\":\"orders.create\",\"values\":{\"supplier\":\"17\"},\"at\":\"2026-05-04T11:00:00Z\"}\n";
    let ran = agreement(&records, &["--done", "-", "-o", "json"], deeds);
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.exit, &report["unreadable"], &report["proposals"]["done"]), (Exit::Failed, &json!(1), &json!(1)));
    assert!(ran.err.contains("-:1: "), "{}", ran.err);
}

#[test]
fn a_proposal_is_explained_with_what_would_become_of_it() {
    let mut told = would("deny", Some("new"), &["new"]);
    told["code"] = json!("rule_denies");
    told["detail"] = json!("orders.create: refused by rule new/r");
    let records = folder(&[record(1, "propose", &told, &json!({}))]);
    let ran = aegis(&["why", "d-1", "--records", records.path().to_str().unwrap()], "");
    assert_eq!(ran.exit, Exit::Done, "{}", ran.whole());
    for line in [
        "Agent buyer proposed to call orders.create of erp.",
        "  enforced would refuse, by new/r (rule_denies: orders.create: refused by rule new/r)",
        "  tried out      new",
        "  outcome        nothing was sent",
    ] {
        assert!(ran.out.contains(line), "{line:?} is not in {}", ran.out);
    }
}
