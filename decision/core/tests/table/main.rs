//! The decision table says what a plain look at every rule says: verdict, rule, code, digests and explanation, byte for
//! byte, on generated policies, registries, delegations and calls. What the plain look says is held to the documented order
//! of the verdict, which is written once more here.

// A generated value that cannot be made must stop the test where it stands.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../support/agree.rs"]
mod agree;
mod calls;
mod delegations;
#[path = "../support/desk.rs"]
mod desk;
mod hosts;
mod policies;
#[path = "../support/seeded.rs"]
mod seeded;
mod stated;
mod whole;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::mem::discriminant;

use aegis_decision::agent::Standing;
use aegis_decision::approval::Release;
use aegis_decision::bundle::{Bundle, BundleSource};
use aegis_decision::codes::Code;
use aegis_decision::decision::{DecisionOutput, MAX_RULES_TOLD, RuleOutcome, Truth, Verdict};
use aegis_decision::digest::Digest;
use aegis_decision::rego::RULE as REGO_RULE;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};
use test_case::test_case;

use calls::Call;

/// Bundles of each half of a run.
const BUNDLES: u32 = 1_000;
/// Calls that each of them judges.
const CALLS: usize = 50;
/// A run judges no fewer calls than this.
const _: () = assert!(2 * BUNDLES as usize * CALLS >= 100_000);

/// How often each verdict must have come out, of a hundred: a generator that never allows shows nothing.
const SHARES: [(Verdict, usize); 3] = [(Verdict::Allow, 10), (Verdict::Hold, 2), (Verdict::Deny, 15)];
/// Predicates that there are. Each must have held and must have failed.
const PREDICATES: usize = 23;
/// Why calls must not have gone.
const CODES: [Code; 12] = [
    Code::RuleDenies,
    Code::NoRuleAllows,
    Code::ApprovalRequired,
    Code::NoDelegation,
    Code::DelegationNotYet,
    Code::DelegationExpired,
    Code::DelegationRevoked,
    Code::AmbiguousDelegation,
    Code::OutsideDelegation,
    Code::UnknownOrigin,
    Code::SanitizeFailed,
    Code::Proposed,
];

/// What came out.
#[derive(Debug, Default)]
struct Seen {
    verdicts: BTreeMap<&'static str, usize>,
    codes: BTreeSet<Code>,
    /// Calls with arguments that were sanitized, and calls for which something was tried out.
    sanitized: usize,
    tried: usize,
    /// Whether a predicate's checks held, and whether they failed.
    checks: BTreeMap<String, [bool; 2]>,
}

impl Seen {
    fn count(&mut self, output: &DecisionOutput) {
        *self.verdicts.entry(output.verdict.as_str()).or_default() += 1;
        self.codes.extend(output.code);
        self.sanitized += usize::from(!output.sanitized.is_empty());
        self.tried += usize::from(output.would.is_some());
        for check in output.rules.iter().flat_map(|rule| &rule.checks) {
            let name = check.check.trim_start_matches("not ");
            let [held, failed] = self.checks.entry(name.to_owned()).or_default();
            *held |= check.truth == Truth::True;
            *failed |= check.truth == Truth::False;
        }
    }

    /// That it is not all of one kind.
    fn is_various(&self) {
        let all: usize = self.verdicts.values().sum();
        for (verdict, percent) in SHARES {
            let count = self.verdicts.get(verdict.as_str()).copied().unwrap_or_default();
            assert!(count * 100 >= all * percent, "{verdict:?} came out {count} times of {all}");
        }
        for code in CODES {
            assert!(self.codes.contains(&code), "{code} never came out: {:?}", self.codes);
        }
        assert!(self.sanitized > 0 && self.tried > 0, "{self:?}");
        assert_eq!(self.checks.len(), PREDICATES, "{:?}", self.checks);
        let dull: Vec<_> = self.checks.iter().filter(|(_, truths)| truths.contains(&false)).collect();
        assert!(dull.is_empty(), "always held or always failed: {dull:?}");
    }
}

/// In two halves, each with a seed of its own, since both together take long.
#[test_case(1)]
#[test_case(2)]
fn table_and_plain_evaluation_say_the_same(_half: u8) {
    let found = RefCell::new(Seen::default());
    let case = (whole::source(), vec(whole::call(), CALLS));
    let seed = seeded::run(BUNDLES, &case, |(source, calls)| {
        let bundle = Bundle::assemble(source.0).expect("generated policies are well formed");
        let standing = desk::standing(&bundle);
        for call in &calls {
            found.borrow_mut().count(&compare(&bundle, &standing, call)?);
        }
        Ok(())
    });
    let found = found.into_inner();
    println!("seed {seed}: {:?}", found.verdicts);
    found.is_various();
}

/// Judges a call both ways, and once more with releases where it is held.
fn compare(bundle: &Bundle, standing: &Standing, call: &Call) -> Result<DecisionOutput, TestCaseError> {
    let other = Release { effect_digest: Digest::of_bytes(b"something else"), ..release(Digest::of_bytes(b"")) };
    let output = agreed(bundle, standing, call, &[other])?;
    if let (Verdict::Hold, Some(effect), Some(context)) = (output.verdict, output.effect_digest, output.context_digest)
    {
        let release = Release { context_digest: context, ..release(effect) };
        agreed(bundle, standing, call, &[release])?;
    }
    Ok(output)
}

fn agreed(
    bundle: &Bundle,
    standing: &Standing,
    call: &Call,
    releases: &[Release],
) -> Result<DecisionOutput, TestCaseError> {
    let by_table = bundle.decide_input(&call.input, standing, &call.delegations, releases);
    let plain = bundle.decide_input_in_full(&call.input, standing, &call.delegations, releases);
    prop_assert_eq!(discriminant(&by_table.outcome), discriminant(&plain.outcome));
    if bundle.agent().mode.is_enforce() {
        prop_assert_eq!(stated::contradiction(call, &plain.output), None);
        // Else the comparison below could be of the plain way with itself.
        let alone = bundle.decide_input_by_table_alone(&call.input, standing, &call.delegations, releases);
        prop_assert_eq!(alone.output.verdict == Verdict::Allow, goes_by_a_rule(&plain.output), "{:?}", plain.output);
    }
    let (by_table, plain) = (by_table.output, agree::told(plain.output));
    prop_assert_eq!(&by_table, &plain);
    Ok(by_table)
}

/// Whether the call simply goes, and not only because a module says so.
fn goes_by_a_rule(plain: &DecisionOutput) -> bool {
    let allows = |rule: &RuleOutcome| rule.effect == "Allow" && rule.truth == Truth::True && rule.rule != REGO_RULE;
    plain.verdict == Verdict::Allow && plain.rules.iter().any(allows)
}

fn release(effect_digest: Digest) -> Release {
    Release {
        request_name: "apr-1".to_owned(),
        request_uid: "r1".to_owned(),
        agent_uid: "u1".to_owned(),
        effect_digest,
        context_digest: Digest::of_bytes(b"some context"),
        expires_at: "2026-06-01T13:00:00Z".parse().unwrap(),
    }
}

/// Of a thousand rules, the one that allows is found and told alone, wherever it stands.
#[test]
fn only_the_rule_that_allows_is_told() {
    for allowing in [0, 499, 999] {
        let rules: Vec<Value> = (0..1_000)
            .map(|at| {
                let name = if at == allowing { "a".to_owned() } else { format!("name-{at}") };
                let when = json!([{"field": "name", "predicate": {"equals": {"text": name}}}]);
                let effect = if at % 2 == allowing % 2 { "Allow" } else { "Deny" };
                json!({"name": format!("r{at}"), "operations": ["*"], "effect": effect, "when": when})
            })
            .collect();
        let bundle = one_policy(&rules);
        let call = calls::of(&json!({"name": "a"}));
        let output = agreed(&bundle, &desk::standing(&bundle), &call, &[]).unwrap();
        let told: Vec<_> = output.rules.iter().map(|rule| rule.rule.as_str()).collect();
        assert_eq!((output.verdict, told), (Verdict::Allow, vec![format!("r{allowing}").as_str()]));
        let missing = agreed(&bundle, &desk::standing(&bundle), &calls::of(&json!({})), &[]).unwrap();
        let told = (missing.verdict, missing.rules.len(), missing.rules_omitted);
        assert_eq!(told, (Verdict::Deny, MAX_RULES_TOLD, 1_000 - MAX_RULES_TOLD), "no Deny rule can be told");
    }
}

/// A field that is left out makes the check indeterminate, and another check that is false lifts that: with one Deny rule
/// of a thousand whose other check is not false, the call is denied, and without it the call goes.
#[test]
fn a_missing_key_blocks_only_where_nothing_else_is_false() {
    let rules = |other: &str| -> Vec<Value> {
        let deny = (0..1_000).map(|at| {
            let kind = if at == 700 { other.to_owned() } else { format!("kind-{at}") };
            let when = json!([{"field": "name", "predicate": {"equals": {"text": format!("name-{at}")}}},
                              {"field": "kind", "predicate": {"equals": {"text": kind}}}]);
            json!({"name": format!("r{at}"), "operations": ["*"], "effect": "Deny", "when": when})
        });
        let all = json!({"name": "all", "operations": ["*"], "effect": "Allow"});
        deny.chain([all]).collect()
    };
    for (arguments, verdict) in [
        (json!({"kind": "x"}), Verdict::Deny),
        (json!({"kind": "y"}), Verdict::Allow),
        (json!({"name": null, "kind": "x"}), Verdict::Deny),
        (json!({"name": "name-1", "kind": "x"}), Verdict::Allow),
        (json!({"name": "name-700"}), Verdict::Deny),
        (json!({}), Verdict::Deny),
    ] {
        let bundle = one_policy(&rules("x"));
        let output = agreed(&bundle, &desk::standing(&bundle), &calls::of(&arguments), &[]).unwrap();
        assert_eq!(output.verdict, verdict, "{arguments}");
    }
}

/// A module speaks beside rules that the table answers for: what it adds is added on both ways.
#[test]
fn a_module_adds_to_what_the_table_finds() {
    let says = |effect: &str, of: &str| {
        let approval = if effect == "RequireApproval" { r#", "approval": {"tier": "lead"}"# } else { "" };
        let verdict = format!(r#"{{"effect": "{effect}", "reason": "r", "message": "m"{approval}}}"#);
        format!("verdicts contains {verdict} if input.arguments.name == \"{of}\"\n")
    };
    let module = ["Allow", "Deny", "RequireApproval"].map(|effect| says(effect, effect)).concat();
    let allow = |name: &str, of: &str| {
        let when = json!([{"field": "kind", "predicate": {"equals": {"text": of}}}]);
        json!({"name": name, "operations": ["*"], "effect": "Allow", "when": when})
    };
    let mut policy = json!({"name": "p", "tools": ["desk"], "rules": [allow("a", "a"), allow("b", "b")]});
    policy["rego"] = json!({"module": format!("package aegis\n\n{module}"), "tiers": ["lead"]});
    let bundle = Bundle::assemble(policies::with(&[policy])).expect("the policy is well formed");
    let standing = desk::standing(&bundle);
    for (name, kind, verdict, rule) in [
        ("none", "b", Verdict::Allow, Some("b")),
        ("Allow", "b", Verdict::Allow, Some("b")),
        ("Allow", "c", Verdict::Allow, Some("rego")),
        ("none", "c", Verdict::Deny, None),
        ("Deny", "b", Verdict::Deny, Some("rego")),
        ("RequireApproval", "b", Verdict::Hold, Some("rego")),
        ("RequireApproval", "c", Verdict::Deny, None),
    ] {
        let call = calls::of(&json!({"name": name, "kind": kind}));
        let output = agreed(&bundle, &standing, &call, &[]).unwrap();
        let decided = output.rule.as_ref().map(|rule| rule.rule.as_str());
        assert_eq!((output.verdict, decided), (verdict, rule), "{name} {kind}");
    }
}

fn one_policy(rules: &[Value]) -> Bundle {
    let source: BundleSource = policies::with(&[json!({"name": "p", "tools": ["desk"], "rules": rules})]);
    Bundle::assemble(source).expect("the rules are well formed")
}
