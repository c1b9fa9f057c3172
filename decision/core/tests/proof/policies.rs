//! Generated policies whose rules ask much of few fields, so that they are comparable.

use std::fmt;

use aegis_decision::bundle::BundleSource;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use crate::desk;

/// Texts that rules name and calls have.
pub const TEXTS: [&str; 9] = ["a", "A", "ab", " a ", "7", "7.50", "INV-7", "INV-71", ""];

/// Modules that deny, allow and ask, by what records hold and by what they do not, and one that fails where a name is
/// missing.
const MODULES: [&str; 4] = [
    r#"verdicts contains {"effect": "Deny", "reason": "is_ab", "message": "m"} if input.arguments.name == "ab""#,
    r#"verdicts contains {"effect": "Allow", "reason": "is_seven", "message": "m"} if input.arguments.amount == "7""#,
    r#"verdicts contains {"effect": "RequireApproval", "reason": "flagged", "message": "m", "approval": {"tier": "lead"}} if input.arguments.flag"#,
    r#"verdicts contains {"effect": "Deny", "reason": "long", "message": "m"} if { name := object.get(input.arguments, "name", 0); count(name) > 2 }"#,
];

/// A bundle's source, shown by its policies.
#[derive(Clone)]
pub struct Source(pub BundleSource);

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", json!(self.0.policies))
    }
}

/// One tool, and two policies of a few rules.
pub fn source() -> impl Strategy<Value = Source> {
    let agents = prop_oneof![3 => Just(Value::Null), 1 => Just(json!(["clerk", "other"])), 1 => Just(json!(["clerk"]))];
    let module = proptest::option::weighted(0.15, select(MODULES.to_vec()));
    let policy = (agents, vec(rule(), 1..6), module).prop_map(|(agents, mut rules, module)| {
        for (at, rule) in rules.iter_mut().enumerate() {
            rule["name"] = json!(format!("r{at}"));
        }
        let mut policy = json!({"tools": ["desk"], "rules": rules, "registries": []});
        if !agents.is_null() {
            policy["agents"] = agents;
        }
        if let Some(module) = module {
            policy["rego"] = json!({"module": format!("package aegis\n\n{module}\n"), "tiers": ["lead"]});
        }
        policy
    });
    vec(policy, 1..3).prop_map(|mut policies| {
        for (at, policy) in policies.iter_mut().enumerate() {
            policy["name"] = json!(format!("p{at}"));
        }
        Source(with(&policies))
    })
}

/// The bundle's source with these policies.
pub fn with(policies: &[Value]) -> BundleSource {
    let write = json!({
        "http": {"method": "POST", "path": "/things"}, "recordClear": ["amount", "name", "currency", "lines[*].price"],
        "aliases": {"who": "name", "every": "lines[*].price", "some": "lines[?].price"},
        "facts": desk::thing(&json!({"value": "1"})),
    });
    desk::source(&write, policies, &json!([]), &["lead", "head"])
}

fn rule() -> impl Strategy<Value = Value> {
    let asking = (select(vec!["lead", "head"]), 1..3_u32)
        .prop_map(|(tier, hold)| json!({"RequireApproval": {"tier": tier, "holdSeconds": hold}}));
    let effect = prop_oneof![5 => Just(json!("Allow")), 2 => Just(json!("Deny")), 2 => asking];
    let operations = prop_oneof![3 => Just(json!(["*"])), 2 => Just(json!(["write"]))];
    let when = prop_oneof![1 => vec(check(), 0..1), 9 => vec(check(), 1..4)];
    (effect, operations, when)
        .prop_map(|(effect, operations, when)| json!({"effect": effect, "operations": operations, "when": when}))
}

fn check() -> impl Strategy<Value = Value> {
    let normalize = prop_oneof![7 => Just("None"), 1 => select(vec!["Trim", "Case", "Spaces"])];
    let field = prop_oneof![
        6 => select(vec!["amount", "name"]),
        2 => select(vec!["lines[*].price", "lines[?].price", "every", "some", "tags[*]", "tags[?]"]),
        1 => select(vec!["flag", "who", "$fact.thing.total", "lines"]),
    ];
    (field, proptest::bool::weighted(0.25), normalize, predicate()).prop_map(
        |(field, not, normalize, predicate)| json!({"field": field, "not": not, "normalize": normalize, "predicate": predicate}),
    )
}

fn predicate() -> impl Strategy<Value = Value> {
    let currency = proptest::option::weighted(0.2, select(vec!["EUR", "USD"]));
    let name = select(vec!["atMost", "atLeast", "lessThan", "greaterThan"]);
    let bound = (name, select(vec!["-3", "0", "7", "7.50"]), currency).prop_map(|(name, value, currency)| {
        let mut amount = json!({"value": value});
        if let Some(code) = currency {
            amount["currency"] = json!({"code": code, "field": "currency"});
        }
        json!({name: amount})
    });
    let scalar = || {
        prop_oneof![
            3 => select(TEXTS.to_vec()).prop_map(|text| json!({"text": text})),
            1 => select(vec![-3, 0, 7]).prop_map(|integer: i64| json!({"integer": integer})),
        ]
    };
    let part = || select(vec!["a", "ab", "b", "INV", "INV-7", "7"]);
    prop_oneof![
        4 => bound,
        3 => vec(scalar(), 1..4).prop_map(|scalars| json!({"in": scalars})),
        2 => scalar().prop_map(|scalar| json!({"equals": scalar})),
        3 => (select(vec!["prefix", "suffix", "contains"]), part()).prop_map(|(name, text)| json!({name: text})),
        1 => (0..2_u32, 1..4_u32).prop_map(|(min, more)| json!({"length": {"min": min, "max": min + more}})),
        1 => any::<bool>().prop_map(|value| json!({"isTrue": value})),
        1 => select(vec![json!("exists"), json!("absent")]),
        1 => select(vec!["currency", "date"]).prop_map(|format| json!({"format": format})),
    ]
}
