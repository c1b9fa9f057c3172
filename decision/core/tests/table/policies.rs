//! Generated policies and registries over few fields and few values, so that rules meet, and meet the calls.

use std::fmt;

use aegis_decision::bundle::BundleSource;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use crate::desk;

/// Texts that rules name and calls have.
pub const TEXTS: [&str; 14] =
    ["a", "b", "A", " a ", "7", "7.50", "7.5", "EUR", "USD", "INV-7", "INV-71", "inv-7", "a@b.example", ""];
/// Decimals around which bounds lie.
const DECIMALS: [&str; 7] = ["-3", "0", "7", "7.5", "7.50", "100", "99.99"];
/// Some begin with a literal, some with anything, some compile large, so that they cannot tell about long texts.
const PATTERNS: [&str; 10] = [
    "INV-[0-9]+",
    "(?i)inv-7",
    "(INV|ORD)-7.*",
    ".*7",
    "[a-z]+",
    "[0-9.]+",
    "a?",
    "INV-([a-z]{1000}|7)",
    "[a-z]{1000}|a*",
    "7|a+",
];

/// A bundle's source, shown by what was generated of it.
#[derive(Clone)]
pub struct Source(pub BundleSource);

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", json!({"policies": self.0.policies, "registries": self.0.registries}))
    }
}

/// A whole bundle: one tool, up to three policies, two registries.
pub fn source() -> impl Strategy<Value = Source> {
    let agents = prop_oneof![
        6 => Just(Value::Null),
        2 => Just(json!(["clerk", "other"])),
        1 => Just(json!(["other"])),
    ];
    // -1: audited; else the share of the runs on which it has effect.
    let mode = prop_oneof![8 => Just(Value::Null), 1 => select(vec![-1, 0, 40, 100]).prop_map(|mode| json!(mode))];
    let policy = (agents, mode, vec(rule(), 0..8)).prop_map(|(agents, mode, rules)| {
        let registries = ["people", "places", "nowhere"];
        let mut policy = json!({"tools": ["desk"], "rules": rules, "registries": registries, "mode": mode});
        if !agents.is_null() {
            policy["agents"] = agents;
        }
        for (at, rule) in policy["rules"].as_array_mut().unwrap().iter_mut().enumerate() {
            rule["name"] = json!(format!("r{at}"));
        }
        policy
    });
    let all = proptest::option::weighted(0.7, 0..3_usize);
    (vec(policy, 1..4), all, registry(), registry()).prop_map(|(mut policies, all, people, places)| {
        for (at, policy) in policies.iter_mut().enumerate() {
            policy["name"] = json!(format!("p{at}"));
            // Only the last of three replaces, and the first, which it replaces, has no share of its own.
            let mode = policy["mode"].take();
            policy.as_object_mut().unwrap().remove("mode");
            match mode.as_i64() {
                Some(-1) => policy["mode"] = json!("Audit"),
                Some(percent) if at == 2 => policy["rollout"] = json!({"percent": percent, "replaces": "p0"}),
                Some(percent) if at == 1 => policy["rollout"] = json!({"percent": percent}),
                Some(_) | None => {}
            }
            if all == Some(at) {
                let rule = json!({"name": "all", "operations": ["*"], "effect": "Allow"});
                policy["rules"].as_array_mut().unwrap().push(rule);
            }
        }
        let mut source = with(&policies);
        for (registry, entries) in source.registries.iter_mut().zip([people, places]) {
            registry.entries = serde_json::from_value(entries).expect("entries");
        }
        Source(source)
    })
}

/// The bundle's source with these policies and fixed registries.
pub fn with(policies: &[Value]) -> BundleSource {
    let entries = json!({"a": {"mail": ["b"]}, "7": {"mail": ["a", "7"]}});
    let registries = json!([{"name": "people", "key": "id", "entries": entries},
                            {"name": "places", "key": "id", "entries": entries}]);
    let write = json!({
        "http": {"method": "POST", "path": "/things"}, "recordClear": ["amount", "lines[*].price"],
        "aliases": {"total": "sums.total", "who": "name"}, "facts": desk::thing(&json!({"value": "1"})),
    });
    desk::source(&write, policies, &registries, &["lead"])
}

fn registry() -> impl Strategy<Value = Value> {
    let texts = || vec(select(TEXTS.to_vec()), 0..3);
    let entry = btree_map(select(vec!["mail", "city"]), texts(), 0..3);
    btree_map(select(TEXTS.to_vec()), entry, 0..6).prop_map(|entries| json!(entries))
}

fn rule() -> impl Strategy<Value = Value> {
    let approval = json!({"RequireApproval": {"tier": "lead", "holdSeconds": 1}});
    let effect = prop_oneof![5 => Just(json!("Allow")), 2 => Just(json!("Deny")), 1 => Just(approval)];
    let operations =
        prop_oneof![5 => Just(json!(["*"])), 3 => Just(json!(["burn", "write"])), 1 => Just(json!(["burn"]))];
    // A Deny rule without checks ends everything, so most rules have some.
    let when = prop_oneof![1 => vec(check(), 0..2), 3 => vec(check(), 1..3), 9 => vec(check(), 2..6)];
    (effect, operations, when)
        .prop_map(|(effect, operations, when)| json!({"effect": effect, "operations": operations, "when": when}))
}

fn check() -> impl Strategy<Value = Value> {
    let normalize = prop_oneof![3 => Just("None"), 1 => select(vec!["Trim", "Case", "Spaces"])];
    let field = prop_oneof![
        8 => select(vec!["amount", "name", "kind", "ref", "flag", "total", "sums.total", "who"]),
        2 => select(vec!["tags[*]", "tags[?]", "lines[*].price", "lines[?].price", "lines[0].price", "lines"]),
        1 => select(vec!["$fact.thing.total", "$fact.thing.state", "$agent.tenant", "$delegation.purpose",
                         "$call.class", "$call.time"]),
    ];
    (field, proptest::bool::weighted(0.15), normalize, predicate()).prop_map(|(field, not, normalize, predicate)| {
        let field =
            if predicate.as_object().is_some_and(|object| object.contains_key("sumAtMost")) { "amount" } else { field };
        json!({"field": field, "not": not, "normalize": normalize, "predicate": predicate})
    })
}

fn predicate() -> impl Strategy<Value = Value> {
    prop_oneof![4 => equality(), 3 => bound(), 3 => shape(), 2 => other()]
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => select(TEXTS.to_vec()).prop_map(|text| json!({"text": text})),
        1 => select(vec![-3, 0, 7, 100]).prop_map(|integer: i64| json!({"integer": integer})),
    ]
}

fn equality() -> impl Strategy<Value = Value> {
    prop_oneof![
        scalar().prop_map(|scalar| json!({"equals": scalar})),
        vec(scalar(), 1..4).prop_map(|scalars| json!({"in": scalars})),
    ]
}

fn bound() -> impl Strategy<Value = Value> {
    let currency = proptest::option::weighted(0.3, select(vec!["EUR", "USD"]));
    let name = select(vec!["atMost", "atLeast", "lessThan", "greaterThan"]);
    (name, select(DECIMALS.to_vec()), currency).prop_map(|(name, value, currency)| {
        let mut amount = json!({"value": value});
        if let Some(code) = currency {
            amount["currency"] = json!({"code": code, "field": "currency"});
        }
        json!({name: amount})
    })
}

fn shape() -> impl Strategy<Value = Value> {
    let part = || select(vec!["a", "7", "INV", "INV-7", "inv", "-7", "EUR", "b.example"]);
    prop_oneof![
        part().prop_map(|text| json!({"prefix": text})),
        part().prop_map(|text| json!({"suffix": text})),
        part().prop_map(|text| json!({"contains": text})),
        select(PATTERNS.to_vec()).prop_map(|pattern| json!({"matches": pattern})),
    ]
}

fn other() -> impl Strategy<Value = Value> {
    let registry = || select(vec!["people", "places", "nowhere"]);
    let attribute = select(vec!["mail", "city"]);
    let limit = select(vec![json!("ownField"), json!({"field": "total"}), json!({"value": "7"})]);
    prop_oneof![
        any::<bool>().prop_map(|value| json!({"isTrue": value})),
        (0..2_u32, 2..4_u32).prop_map(|(min, max)| json!({"length": {"min": min, "max": max}})),
        Just(json!("exists")),
        Just(json!("absent")),
        select(vec!["email", "date", "currency"]).prop_map(|format| json!({"format": format})),
        Just(json!({"equalsField": "name"})),
        limit.prop_map(|bound| json!({"sumAtMost": {"of": "lines[*].price", "bound": bound}})),
        registry().prop_map(|name| json!({"inRegistry": name})),
        (registry(), attribute).prop_map(|(registry, attribute)| {
            json!({"registryField": {"registry": registry, "key": "kind", "attribute": attribute}})
        }),
    ]
}
