//! A Rego module beside rules, in every command that judges.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::eval::{CALLS, at_work};
use crate::policy_files::{BANK, SMALL};
use crate::{Ran, aegis};

const CLOSED: &str = r#"  rego:
    module: |
      package aegis

      verdicts contains {"effect": "Deny", "reason": "closed_account", "message": "this supplier's account is closed"} if {
        input.operation == "purchases.confirm"
        input.facts.order.party.id == 2
      }
"#;

/// The example as it is, and with a module in its policy.
fn both() -> (tempfile::TempDir, tempfile::TempDir) {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let text = at_work(old.path());
    let changed = text.replacen("  rules:\n", &format!("{CLOSED}  rules:\n"), 1);
    assert_ne!(text, changed);
    fs::write(new.path().join("all.yaml"), changed).unwrap();
    (old, new)
}

fn judged(command: &[&str], resources: &Path, input: &str) -> Ran {
    aegis(&[command, &["--resources", resources.to_str().unwrap(), "-n", "shop"]].concat(), input)
}

#[test]
fn what_a_module_says_is_among_the_rules_of_a_decision() {
    let (_, new) = both();
    let ran = judged(&["eval", "--calls", "-"], new.path(), CALLS);
    let decisions: Vec<Value> = ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let verdicts: Vec<_> = decisions.iter().map(|one| one["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts, ["allow", "deny", "deny", "deny", "deny"], "{}", ran.out);
    let rule = |at: usize| (decisions[at]["rule"]["rule"].as_str(), decisions[at]["rule"]["reason"].as_str());
    assert_eq!(rule(1), (Some("rego"), Some("closed_account")));
    let detail = decisions[1]["detail"].as_str().unwrap();
    assert!(detail.ends_with(": this supplier's account is closed"), "{detail}");
    assert_eq!(rule(2), (Some("rego"), Some("rego_failed")), "the fact that it reads is missing");
}

#[test]
fn a_module_flips_verdicts() {
    let (old, new) = both();
    let sides = [old.path(), new.path()].map(|path| path.to_str().unwrap());
    let ran = aegis(&["policy", "diff", sides[0], sides[1], "-n", "shop", "--calls", "-", "-o", "json"], CALLS);
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(report["kinds"], serde_json::json!({"hold->deny": 1}), "{}", ran.whole());
    assert_eq!(report["byRule"][0]["to"]["rule"], "purchasing/rego");
}

#[test]
fn an_explanation_tells_what_modules_say_and_which_say_nothing() {
    let (_, new) = both();
    let explain = |line: usize| {
        let call = CALLS.lines().nth(line).unwrap();
        judged(&["policy", "explain", "--call", call], new.path(), "").out
    };
    insta::assert_snapshot!("rego_explain", explain(1));
    assert!(explain(0).contains("\nRego modules that say nothing: purchasing\n"), "{}", explain(0));
}

#[test]
fn a_module_that_says_nothing_in_any_test_is_not_covered() {
    let folder = tempfile::tempdir().unwrap();
    let module = r#"  rego:
    module: |
      package aegis
      verdicts contains {"effect": "Deny", "reason": "eve", "message": "m"} if startswith(input.arguments.payee, "e")
"#;
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("bank.yaml", &format!("{BANK}{module}"));
    write("small_test.yaml", SMALL);
    let test = || {
        let ran = aegis(&["policy", "test", folder.path().to_str().unwrap(), "--coverage", "-o", "json"], "");
        serde_json::from_str::<Value>(&ran.out).unwrap()
    };
    let rego = |report: &Value| report["coverage"]["rules"][1].clone();
    let silent = test();
    assert_eq!((&rego(&silent)["rule"], &rego(&silent)["true"]), (&"rego".into(), &0.into()), "{silent}");
    assert_eq!(silent["neverHit"].as_array().unwrap().len(), 1);
    let named = SMALL.replace("name: small", "name: eve").replace("payee: acme", "payee: eve");
    let named = named.replace("{verdict: Allow, rule: small}", "{verdict: Deny, rule: rego}");
    write("eve_test.yaml", &named);
    let covered = test();
    assert_eq!((&rego(&covered)["true"], &rego(&covered)["decided"]), (&1.into(), &1.into()), "{covered}");
    assert_eq!((&covered["failed"], &covered["neverHit"]), (&0.into(), &serde_json::json!([])));
}
