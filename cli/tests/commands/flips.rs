//! `aegis policy diff`, `aegis replay` and `aegis policy explain` on the shipped example at work.

use std::fs;
use std::path::Path;

use aegis_cli::Exit;
use serde_json::{Value, json};

use crate::eval::{CALLS, at_work};
use crate::{Ran, aegis};

/// The example as it is, and with its first rule denying instead of allowing.
fn both() -> (tempfile::TempDir, tempfile::TempDir) {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let text = at_work(old.path());
    let changed = text.replacen("unconditional: true\n    effect: Allow", "unconditional: true\n    effect: Deny", 1);
    assert_ne!(text, changed);
    fs::write(new.path().join("all.yaml"), changed).unwrap();
    (old, new)
}

fn diff(old: &Path, new: &Path, calls: &str, arguments: &[&str]) -> Ran {
    let fixed = ["policy", "diff", old.to_str().unwrap(), new.to_str().unwrap(), "-n", "shop", "--calls", "-"];
    aegis(&[&fixed[..], arguments].concat(), calls)
}

#[test]
fn flips_are_counted_by_rule_and_fail_only_beyond_limits() {
    let (old, new) = both();
    let ran = diff(old.path(), new.path(), CALLS, &[]);
    assert_eq!(ran.exit, Exit::Done);
    insta::assert_snapshot!("diff", ran.whole());
    for (limit, exit) in [
        (&["--max-flips", "1"][..], Exit::Done),
        (&["--max-flips", "0"], Exit::No),
        (&["--fail-on", "allow->deny"], Exit::No),
        (&["--fail-on", "any->allow", "--fail-on", "hold->deny"], Exit::Done),
        (&["--fail-on", "allow"], Exit::Failed),
    ] {
        assert_eq!(diff(old.path(), new.path(), CALLS, limit).exit, exit, "{limit:?}");
    }
    let same = diff(old.path(), old.path(), CALLS, &["--max-flips", "0", "-o", "json"]);
    let report: Value = serde_json::from_str(&same.out).unwrap();
    assert_eq!((same.exit, &report["judged"], &report["flipped"]), (Exit::Done, &5.into(), &0.into()));
}

#[test]
fn a_line_that_one_side_cannot_judge_is_told_and_counted() {
    let (old, new) = both();
    let calls = format!(
        "{}\nnot json\n{{\"agent\":\"shop/none\",\"tool\":\"erp\",\"operation\":\"x\"}}\n",
        CALLS.lines().next().unwrap()
    );
    let ran = diff(old.path(), new.path(), &calls, &["-o", "json"]);
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.exit, &report["judged"], &report["unreadable"]), (Exit::Failed, &1.into(), &2.into()));
    assert!(ran.err.contains("-:2: is not strict JSON") && ran.err.contains("-:3: agent: shop/none"), "{}", ran.err);
    let beyond = diff(old.path(), new.path(), &calls, &["--max-flips", "0"]);
    assert_eq!(beyond.exit, Exit::No, "a limit says more than a line that cannot be read");
}

/// A record file of what the sidecar would have kept of these calls.
fn recorded(resources: &Path, records: &Path) {
    let ran = aegis(&["eval", "--resources", resources.to_str().unwrap(), "-n", "shop", "--calls", "-"], CALLS);
    let lines: Vec<String> = ran
        .out
        .lines()
        .enumerate()
        .map(|(at, decision)| {
            let decision: Value = serde_json::from_str(decision).unwrap();
            let record = json!({
                "type": "decision", "v": "aegis.dev/decision-record/v1", "id": format!("d-{at}"), "sequence": at + 1,
                "epoch": "e", "time": "2026-05-04T10:00:00Z", "monotonicMicros": 1,
                "agent": {"tenant": "acme", "businessUnit": "office", "namespace": "shop", "name": "buyer",
                          "uid": "agent-1", "version": "1.0"},
                "pod": {"name": "p", "uid": "p1"}, "mode": "Enforce", "decision": decision,
            });
            record.to_string()
        })
        .collect();
    fs::write(records.join("e.jsonl"), lines.join("\n") + "\n{\"type\":\"batch\"}\n").unwrap();
}

#[test]
fn records_are_replayed_and_what_they_hide_is_not_guessed() {
    let (old, new) = both();
    let records = tempfile::tempdir().unwrap();
    recorded(old.path(), records.path());
    let replay = |resources: &Path, arguments: &[&str]| {
        let fixed = ["replay", "-n", "shop", "--records", records.path().to_str().unwrap(), "--resources"];
        let mut ran = aegis(&[&fixed[..], &[resources.to_str().unwrap()], arguments].concat(), "");
        ran.err = ran.err.replace(&format!("{}/", records.path().display()), "");
        ran
    };
    let same = replay(old.path(), &["--max-flips", "0", "-o", "json"]);
    let report: Value = serde_json::from_str(&same.out).unwrap();
    assert_eq!((same.exit, &report["flipped"]), (Exit::Done, &0.into()), "{}", same.whole());
    assert!(report["judged"].as_u64().unwrap() >= 1, "{}", same.out);

    let changed = replay(new.path(), &[]);
    assert_eq!(changed.exit, Exit::Done);
    insta::assert_snapshot!("replay", changed.whole());
    assert_eq!(replay(new.path(), &["--fail-on", "allow->deny"]).exit, Exit::No);
    assert_eq!(replay(new.path(), &["--max-unjudged", "0"]).exit, Exit::No);
}

#[test]
fn a_replay_tells_what_trials_would_change() {
    let (old, _) = both();
    let records = tempfile::tempdir().unwrap();
    recorded(old.path(), records.path());
    let replay = |arguments: &[&str]| {
        let fixed = ["replay", "-n", "shop", "--records", records.path().to_str().unwrap(), "--max-flips", "0"];
        aegis(&[&fixed[..], &["--resources", old.path().to_str().unwrap()], arguments].concat(), "")
    };
    let report = |ran: &Ran| serde_json::from_str::<Value>(&ran.out).unwrap();
    assert!(report(&replay(&["-o", "json"]))["would"].is_null(), "nothing is tried out");
    let trial = "
apiVersion: aegis.dev/v1alpha1
kind: ToolPolicy
metadata: {name: trial, namespace: shop}
spec:
  tools: [erp]
  mode: Audit
  rules: [{name: stop, operations: ['*'], unconditional: true, effect: Deny}]
";
    fs::write(old.path().join("trial.yaml"), trial).unwrap();
    let ran = replay(&["-o", "json"]);
    let report = report(&ran);
    assert_eq!((ran.exit, &report["flipped"]), (Exit::Done, &0.into()), "{}", ran.whole());
    assert_eq!(report["would"]["judged"], report["judged"], "{}", ran.out);
    assert!(report["would"]["kinds"]["allow->deny"].as_u64().unwrap() >= 1, "{}", ran.out);
    assert!(replay(&[]).out.contains("\nIf everything that is tried out were enforced:\n"));
}

#[test]
fn an_explanation_lists_every_rule_that_was_considered() {
    let folder = tempfile::tempdir().unwrap();
    at_work(folder.path());
    let explain = |call: &str, input: &str| {
        let resources = folder.path().to_str().unwrap();
        aegis(&["policy", "explain", "--resources", resources, "-n", "shop", "--call", call], input)
    };
    let held = CALLS.lines().nth(1).unwrap();
    let ran = explain(held, "");
    assert_eq!(ran.exit, Exit::Done, "{}", ran.whole());
    insta::assert_snapshot!("explain", ran.whole());
    assert_eq!(explain("-", held).out, ran.out);
    let file = folder.path().join("call");
    fs::write(&file, held).unwrap();
    assert_eq!(explain(&format!("@{}", file.display()), "").out, ran.out);

    let refused = explain(CALLS.lines().nth(3).unwrap(), "");
    assert!(refused.out.contains("No rule was considered"), "{}", refused.out);
    let trial = "{apiVersion: aegis.dev/v1alpha1, kind: ToolPolicy, metadata: {name: trial, namespace: shop}, spec: {tools: [erp],
        mode: Audit, rules: [{name: stop, operations: ['*'], unconditional: true, effect: Deny}]}}";
    fs::write(folder.path().join("trial.yaml"), trial).unwrap();
    let tried = explain(held, "").out;
    assert!(
        tried.contains("enforced would") && tried.contains("deny (rule_denies) by trial/stop, with trial counted"),
        "{tried}"
    );

    for wrong in ["{}", "@/nowhere", "[]"] {
        assert_eq!(explain(wrong, "").exit, Exit::Failed, "{wrong}");
    }
}
