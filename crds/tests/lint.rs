//! Every lint on resources that it finds something in, and on their like that it finds nothing in.

// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

use aegis_crds::lint::{Finding, Lint, lint};
use aegis_crds::load::{self, Resources};
use test_case::test_case;

/// A bank whose rules are `rules`, with `extra` in the policy's metadata, and a registry.
fn bank(rules: &str, annotations: &str) -> Resources {
    let text = format!(
        "
apiVersion: aegis.dev/v1alpha1
kind: Tool
metadata: {{name: bank}}
spec:
  endpoint: https://bank.example
  operations:
  - {{name: payments.list, class: Read, http: {{method: GET, path: /payments}}}}
  - name: payments.create
    class: Commit
    http: {{method: POST, path: /payments}}
    arguments: {{type: object}}
    aliases: {{prices: 'lines[?].price', totals: 'lines[*].price'}}
---
apiVersion: aegis.dev/v1alpha1
kind: Registry
metadata: {{name: payees}}
spec: {{key: id, entries: [{{id: acme}}]}}
---
apiVersion: aegis.dev/v1alpha1
kind: ApprovalTier
metadata: {{name: lead}}
spec: {{minimum: 1}}
---
apiVersion: aegis.dev/v1alpha1
kind: ToolPolicy
metadata:
  name: payments
{annotations}
spec:
  tools: [bank]
  registries: [payees]
  rules:
  - {{name: base, operations: [payments.create], effect: Deny, when: [{{field: payee, not: true, inRegistry: payees}}, {{field: purpose, equals: base}}]}}
{rules}"
    );
    load::load("bank.yaml", &text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn findings(resources: &Resources) -> Vec<Finding> {
    lint(resources, "2026-05-04T10:00:00Z".parse().unwrap())
}

/// Ids and fields of what was found, but for tests that are missing.
fn found(rules: &str) -> Vec<(&'static str, String)> {
    let findings = findings(&bank(rules, ""));
    let shown = findings.into_iter().filter(|one| one.id != Lint::MissingTest);
    shown.map(|one| (one.id.id(), one.field)).collect()
}

const ALLOW: &str = "operations: [payments.create], effect: Allow";
const DENY: &str = "operations: [payments.create], effect: Deny";
const ASK: &str = "operations: [payments.create], effect: RequireApproval, approval: {tier: lead}";
const BOUND: &str = "{field: amount, atMost: '10'}";

/// A rule in one line.
fn rule(name: &str, head: &str, when: &str) -> String {
    let when = if when.is_empty() { "unconditional: true".to_owned() } else { format!("when: [{when}]") };
    format!("  - {{name: {name}, {head}, {when}}}\n")
}

#[test_case("operations: [payments.create], effect: Allow", ""; "all operations are declared")]
#[test_case("operations: [payments.crate], effect: Allow", "spec.rules[1].operations[0]"; "no operation is declared")]
#[test_case("operations: [payments.create, payments.crate], effect: Allow", "spec.rules[1].operations[1]"; "one is not")]
#[test_case("operations: ['*'], effect: Allow", ""; "all")]
fn operations_that_no_tool_declares(head: &str, field: &str) {
    let expected: Vec<_> =
        Some(("unreachable-rule", field.to_owned())).filter(|_| !field.is_empty()).into_iter().collect();
    assert_eq!(found(&rule("r", head, BOUND)), expected);
}

#[test_case("{field: amount, greaterThan: '10'}", true; "bounds without anything between")]
#[test_case("{field: amount, atLeast: '10'}", false; "bounds with one number between")]
#[test_case("{field: amount, not: true, atMost: '10'}", true; "negation")]
#[test_case("{field: amount, in: [11, 12]}", true; "values beyond the bound")]
#[test_case("{field: amount, in: [9, 12]}", false; "one value below the bound")]
#[test_case("{field: amount, absent: true}", true; "absent")]
#[test_case("{field: amount, exists: true}", false; "present")]
#[test_case("{field: other, greaterThan: '10'}", false; "another field")]
fn an_allow_rule_that_is_never_true(check: &str, dead: bool) {
    let found = found(&rule("r", ALLOW, &format!("{BOUND}, {check}")));
    let expected: Vec<_> = dead.then(|| ("unreachable-rule", "spec.rules[1].when[1]".to_owned())).into_iter().collect();
    assert_eq!(found, expected);
}

#[test]
fn an_alias_over_a_list_may_be_true_of_two_elements() {
    let both =
        |field: &str| rule("r", ALLOW, &format!("{{field: {field}, atMost: '1'}}, {{field: {field}, atLeast: '2'}}"));
    assert_eq!(found(&both("prices")), []);
    assert_eq!(found(&both("totals"))[0].0, "unreachable-rule");
}

#[test]
fn a_deny_rule_that_is_never_true_still_denies_what_it_cannot_tell() {
    let when = format!("{BOUND}, {{field: amount, greaterThan: '10'}}");
    for head in [DENY, ASK] {
        let rules = rule("r", head, &when) + &rule("small", ALLOW, BOUND);
        assert_eq!(found(&rules), [("never-true-rule", "spec.rules[1].when[1]".to_owned())], "{head}");
    }
    let rules = rule("r", DENY, BOUND) + &rule("small", ALLOW, "{field: amount, atMost: '99'}");
    assert_eq!(found(&rules), []);
}

#[test_case(ALLOW, BOUND, ALLOW, BOUND, true; "the same twice")]
#[test_case(ALLOW, BOUND, ALLOW, "{field: amount, atMost: '9'}, {field: payee, equals: acme}", true; "narrower")]
#[test_case(ALLOW, BOUND, ALLOW, "{field: amount, atMost: '11'}", false; "wider")]
#[test_case(ALLOW, "{field: amount, atMost: '9'}", ALLOW, BOUND, false; "narrower first")]
#[test_case(DENY, "", ALLOW, BOUND, true; "all denied before")]
#[test_case(DENY, "{field: payee, exists: true}", ALLOW, "{field: payee, equals: acme}, {field: amount, atMost: '9'}", true; "denied wherever true")]
#[test_case(DENY, "{field: payee, equals: eve}", ALLOW, "{field: payee, equals: acme}, {field: amount, atMost: '9'}", false; "denied elsewhere")]
#[test_case(DENY, BOUND, DENY, "{field: amount, atMost: '9'}", true; "denied by an earlier one")]
#[test_case(DENY, "{field: amount, exists: true}", DENY, BOUND, false; "denies what the earlier one cannot tell")]
#[test_case(ASK, BOUND, ASK, "{field: amount, atMost: '9'}", true; "asked by an earlier one")]
fn a_rule_that_another_one_shadows(first: &str, when: &str, second: &str, other: &str, shadowed: bool) {
    let rules = rule("first", first, when) + &rule("second", second, other);
    let fields: Vec<String> =
        found(&rules).into_iter().filter(|(id, _)| *id == "shadowed-rule").map(|(_, field)| field).collect();
    assert_eq!(fields, if shadowed { vec!["spec.rules[2]".to_owned()] } else { vec![] });
}

#[test]
fn a_denial_shadows_what_stands_before_it_too() {
    let rules = rule("allows", ALLOW, BOUND) + &rule("denies", DENY, "");
    assert_eq!(
        found(&rules),
        [
            // The Deny rule of the fixture stands first and may still be the one named.
            ("shadowed-rule", "spec.rules[1]".to_owned())
        ]
    );
}

#[test_case("", "{field: payee, equals: acme}", true; "no bound")]
#[test_case("", BOUND, false; "a bound")]
#[test_case("", "{field: amount, not: true, greaterThan: '10'}", false; "a negated bound")]
#[test_case("", "{field: amount, in: [5, 10]}", false; "listed amounts")]
#[test_case("", "{field: amount, atLeast: '10'}", true; "a bound from below")]
#[test_case("{field: amount, greaterThan: '10'}", "{field: payee, equals: acme}", false; "a person is asked above a bound")]
#[test_case("{field: payee, exists: true}", "{field: payee, equals: acme}", false; "a person is always asked")]
#[test_case("{field: payee, equals: eve}", "{field: payee, equals: acme}", true; "a person is asked elsewhere")]
fn a_commit_of_any_amount(asked: &str, when: &str, unbounded: bool) {
    let ask = if asked.is_empty() { String::new() } else { rule("ask", ASK, asked) };
    let found = found(&(ask + &rule("r", ALLOW, when)));
    assert_eq!(found.iter().any(|(id, _)| *id == "unbounded-commit"), unbounded, "{found:?}");
}

#[test]
fn a_read_has_no_amount() {
    assert_eq!(found(&rule("r", "operations: [payments.list], effect: Allow", "")), []);
}

#[test_case(".*", true)]
#[test_case("(?s).*", true)]
#[test_case("[A-Z].*", false)]
fn a_pattern_that_matches_everything(pattern: &str, broad: bool) {
    let found = found(&rule("r", ALLOW, &format!("{BOUND}, {{field: payee, matches: '{pattern}'}}")));
    let expected: Vec<_> =
        broad.then(|| ("match-all-pattern", "spec.rules[1].when[1].matches".to_owned())).into_iter().collect();
    assert_eq!(found, expected);
}

#[test]
fn patterns_that_are_too_large_together() {
    let checks: Vec<_> = (0..16).map(|at| format!("{{field: payee, matches: '\\w{{20}}|a{{{at}}}'}}")).collect();
    let findings = findings(&bank(&rule("r", ALLOW, &checks.join(", ")), ""));
    let refused = findings.iter().find(|one| one.id == Lint::InvalidResource).unwrap();
    assert_eq!(refused.field, "spec.rules[1].when[4].matches");
    assert_eq!(refused.message, "patterns of this policy take over 8 MiB compiled: use fewer or smaller ones");
}

#[test]
fn a_registry_that_nothing_looks_at() {
    let mut resources = bank(&rule("r", ALLOW, BOUND), "");
    resources.policies[0].spec.rules.remove(0);
    let found: Vec<_> = findings(&resources)
        .into_iter()
        .filter(|one| one.id == Lint::UnusedRegistry)
        .map(|one| (one.subject.kind, one.field))
        .collect();
    assert_eq!(found, [("Registry", "metadata.name".to_owned()), ("ToolPolicy", "spec.registries[0]".to_owned())]);
}

#[test]
fn a_rule_that_holds_in_no_test() {
    let rules = rule("tested", ALLOW, BOUND) + &rule("untested", DENY, "{field: payee, equals: eve}");
    let test = "  tests:\n  - {name: t, call: {tool: bank, operation: payments.create, arguments: {amount: 5, payee: acme, purpose: x}}, expect: {verdict: Allow}}\n";
    let missing: Vec<_> = findings(&bank(&(rules + test), ""))
        .into_iter()
        .filter(|one| one.id == Lint::MissingTest)
        .map(|one| (one.part.unwrap(), one.field))
        .collect();
    let of = |name: &str, at: usize| (name.to_owned(), format!("spec.rules[{at}]"));
    assert_eq!(missing, [of("base", 0), of("untested", 2)]);
}

#[test]
fn operations_that_one_path_could_mean() {
    let tool = |second: &str| {
        let text = format!(
            "
apiVersion: aegis.dev/v1alpha1
kind: Tool
metadata: {{name: shop}}
spec:
  endpoint: https://shop.example
  operations:
  - {{name: orders.read, class: Read, http: {{method: GET, path: '/orders/{{id}}'}}}}
  - {{name: orders.other, class: Read, http: {second}}}
"
        );
        findings(&load::load("tool.yaml", &text).unwrap())
    };
    let found = tool("{method: GET, path: /orders/open}");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].id.id(), found[0].field.as_str()), ("overlapping-templates", "spec.operations[0].http.path"));
    assert!(found[0].message.contains("such a request is always orders.other"), "{}", found[0].message);
    assert_eq!(tool("{method: GET, path: '/orders/{id}/lines'}"), []);
    assert_eq!(tool("{method: POST, path: /orders/open}"), []);
}

#[test]
fn what_cannot_be_used_is_an_error_and_names_the_field() {
    let rules = rule("r", ALLOW, "{field: amount, atMost: '10', currency: XYZ, currencyField: currency}");
    let found = findings(&bank(&rules, ""));
    let errors: Vec<_> = found.iter().filter(|one| one.id == Lint::InvalidResource).collect();
    assert_eq!(errors.len(), 1, "{found:?}");
    assert_eq!(errors[0].field, "spec.rules[1].when[0].atMost.currency");
    assert_eq!(errors[0].file.as_deref(), Some("bank.yaml"));

    let missing = bank(&rule("r", ASK, BOUND).replace("tier: lead", "tier: boss"), "");
    assert!(findings(&missing).iter().any(|one| one.field == "spec.rules[1].approval.tier"), "{missing:?}");
}

#[test]
fn a_suppression_needs_a_reason_and_something_to_suppress() {
    let rules =
        rule("mail", ALLOW, "{field: payee, exists: true}") + &rule("other", ALLOW, "{field: payee, equals: x}");
    let found = |lines: &[&str]| {
        let lines = lines.join("\n      ");
        findings(&bank(&rules, &format!("  annotations:\n    aegis.dev/lint-allow: |\n      {lines}")))
    };
    let ids = |findings: &[Finding]| -> Vec<&'static str> {
        findings.iter().filter(|one| one.suppressed.is_none()).map(|one| one.id.id()).collect()
    };
    let all = found(&["unbounded-commit mail: a mail has no amount", "missing-test: later", "shadowed-rule: x"]);
    assert_eq!(ids(&all), [""; 0]);
    let mail = all.iter().find(|one| one.id == Lint::UnboundedCommit).unwrap();
    assert_eq!(mail.suppressed.as_deref(), Some("a mail has no amount"));

    let other = found(&["unbounded-commit other: of another rule", "missing-test: later", "shadowed-rule: x"]);
    assert_eq!(ids(&other), ["unused-suppression", "unbounded-commit"]);
    for (line, told) in [
        ("unbounded-commit mail", "no reason"),
        ("unbounded-commit mail: ", "no reason"),
        ("everything: no", "names no lint"),
        ("invalid-resource: no", "cannot be suppressed"),
        ("unbounded-commit a b: c", "names more than"),
    ] {
        let bad: Vec<_> = found(&[line]).into_iter().filter(|one| one.id == Lint::BadSuppression).collect();
        assert!(bad.len() == 1 && bad[0].message.contains(told), "{line}: {bad:?}");
    }
}

#[test]
fn ids_are_unique_and_found_again() {
    for lint in Lint::ALL {
        assert_eq!(Lint::of_id(lint.id()), Some(lint));
    }
}

#[test]
fn of_a_tool_that_is_missing_nothing_is_claimed() {
    let mut resources = bank(&(rule("first", ALLOW, BOUND) + &rule("second", ALLOW, BOUND)), "");
    assert!(findings(&resources).iter().any(|one| one.id == Lint::ShadowedRule));
    resources.policies[0].spec.tools.push("vault".to_owned());
    let ids: Vec<_> = findings(&resources).into_iter().map(|one| (one.id, one.field)).collect();
    assert_eq!(ids, [(Lint::InvalidResource, "spec.tools[1]".to_owned())]);
}

#[test]
fn every_lint_is_documented_with_its_severity() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/policy-as-code.md")).unwrap();
    for lint in Lint::ALL {
        let row = format!("| `{}` | {} |", lint.id(), lint.severity().as_str());
        assert!(page.contains(&row), "docs/policy-as-code.md has no row {row}");
    }
}

/// A rule of one policy, and another policy that denies all of what the rule allows.
fn beside(members: &str) -> Vec<&'static str> {
    let mut resources = bank(&rule("wide", ALLOW, ""), "");
    let other = format!(
        "
apiVersion: aegis.dev/v1alpha1
kind: ToolPolicy
metadata: {{name: another}}
spec:
  tools: [bank]
{members}  rules: [{{name: stop, operations: ['*'], unconditional: true, effect: Deny}}]
"
    );
    resources.policies.extend(load::load("other.yaml", &other).unwrap().policies);
    let mut found: Vec<_> = findings(&resources).into_iter().filter(|one| one.subject.name == "payments").collect();
    found.retain(|one| one.part.as_deref() == Some("wide"));
    found.into_iter().map(|one| one.id.id()).filter(|id| *id != "missing-test").collect()
}

#[test_case("", &["shadowed-rule"]; "in force")]
#[test_case("  mode: Audit\n", &["unbounded-commit"]; "audited")]
#[test_case("  rollout: {percent: 50}\n", &["unbounded-commit"]; "on a share of the runs")]
fn what_is_tried_out_stands_in_nobodys_way(members: &str, expected: &[&str]) {
    assert_eq!(beside(members), expected);
}

/// What the bank's policy says in Rego.
const MODULE: &str = r#"  rego:
    module: |
      package aegis
      verdicts contains {"effect": "Deny", "reason": "large", "message": "m"} if input.arguments.amount > 10
"#;

#[test]
fn nothing_is_proven_that_a_module_may_make_untrue() {
    let open = "  - {name: open, operations: [payments.create], effect: Allow, unconditional: true}\n";
    assert_eq!(found(open), [("unbounded-commit", "spec.rules[1]".to_owned())]);
    assert_eq!(found(&format!("{open}{MODULE}")), [], "the module may bound the amount");
    // What holds whatever a module says is still found.
    let dead = rule("r", ALLOW, &format!("{BOUND}, {{field: amount, greaterThan: '10'}}"));
    assert_eq!(found(&format!("{dead}{MODULE}")), [("unreachable-rule", "spec.rules[1].when[1]".to_owned())]);
    let twice = rule("one", ALLOW, BOUND) + &rule("two", ALLOW, BOUND);
    assert_eq!(found(&format!("{twice}{MODULE}")), [("shadowed-rule", "spec.rules[2]".to_owned())]);
}

#[test]
fn a_module_looks_at_registries_and_wants_a_test() {
    let mut resources = bank(&rule("small", ALLOW, BOUND), "");
    resources.policies[0].spec.rules.remove(0);
    let ids = |resources: &Resources| -> Vec<_> {
        findings(resources).into_iter().map(|one| (one.id.id(), one.field)).collect()
    };
    let missing = |at: &str| ("missing-test", at.to_owned());
    let unused = ("unused-registry", "spec.registries[0]".to_owned());
    let unused_by_all = ("unused-registry", "metadata.name".to_owned());
    assert_eq!(ids(&resources), [unused_by_all, unused, missing("spec.rules[0]")]);
    let with_module = bank(&format!("{}{MODULE}", rule("small", ALLOW, BOUND)), "");
    resources.policies[0].spec.rego.clone_from(&with_module.policies[0].spec.rego);
    assert_eq!(ids(&resources), [missing("spec.rego"), missing("spec.rules[0]")]);
}
