//! Generated policies and registries over few fields and few values, so that rules meet, and meet the calls.

use std::fmt;

use aegis_decision::bundle::BundleSource;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

use crate::desk;

/// Texts that rules name and calls have.
pub const TEXTS: [&str; 14] =
    ["a", "b", "A", " a ", "7", "7.50", "7.5", "EUR", "USD", "INV-7", "INV-71", "inv-7", "a@b.example", ""];
/// Registries that policies name; the last does not exist.
pub const REGISTRIES: [&str; 3] = ["people", "places", "nowhere"];
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
        let Self(source) = self;
        let shown = json!({"mode": source.agent.mode, "policies": source.policies, "registries": source.registries});
        write!(f, "{shown}")
    }
}

/// A whole bundle: one tool, up to three policies, two registries. Of the policies, `tried` are tried out beside every
/// eight that are not.
pub fn source(tried: u32) -> impl Strategy<Value = Source> {
    let agents = prop_oneof![
        6 => Just(Value::Null),
        2 => Just(json!(["clerk", "other"])),
        1 => Just(json!(["other"])),
    ];
    // -1: audited; else the share of the runs on which it has effect.
    let share = select(vec![-1, 0, 40, 100]).prop_map(|mode| json!(mode));
    let mode = prop_oneof![8 => Just(Value::Null), tried => share];
    let policy = (agents, mode, vec(rule(), 0..8)).prop_map(|(agents, mode, rules)| {
        let mut policy = json!({"tools": ["desk"], "rules": rules, "registries": REGISTRIES, "mode": mode});
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
        for (registry, written) in source.registries.iter_mut().zip([people, places]) {
            registry.entries = serde_json::from_value(written["entries"].clone()).expect("entries");
            registry.documents = serde_json::from_value(written["documents"].clone()).expect("documents");
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
        "dimensions": {"amount": "amount", "currency": "currency", "supplier": "name", "region": "$fact.thing.state"},
    });
    desk::source(&write, policies, &registries, &["lead"])
}

/// Entries, some with hosts, and documents of some keys: before, at and after the time of the calls.
fn registry() -> impl Strategy<Value = Value> {
    let texts = || vec(select(TEXTS.to_vec()), 0..3);
    let hosts =
        proptest::option::weighted(0.4, subsequence(vec!["b.example", "*.c.example", "no host", "A.example"], 1..3));
    let entry = (btree_map(select(vec!["mail", "city"]), texts(), 0..3), hosts).prop_map(|(attributes, hosts)| {
        let mut entry = json!(attributes);
        if let Some(hosts) = hosts {
            entry["domains"] = json!(hosts);
        }
        entry
    });
    let instant =
        || proptest::option::of(select(vec!["2026-05-01T00:00:00Z", "2026-06-01T12:00:00Z", "2026-07-01T00:00:00Z"]));
    let document = (select(vec!["insurance", "audit"]), instant(), instant())
        .prop_map(|(name, from, until)| json!({"name": name, "validFrom": from, "validUntil": until}));
    let documents = btree_map(select(TEXTS.to_vec()), vec(document, 1..3), 0..6);
    (btree_map(select(TEXTS.to_vec()), entry, 0..6), documents)
        .prop_map(|(entries, documents)| json!({"entries": entries, "documents": documents}))
}

/// A rule without a name.
pub fn rule() -> impl Strategy<Value = Value> {
    let approval = json!({"RequireApproval": {"tier": "lead", "holdSeconds": 1}});
    let effect = prop_oneof![5 => Just(json!("Allow")), 2 => Just(json!("Deny")), 1 => Just(approval)];
    let operations =
        prop_oneof![5 => Just(json!(["*"])), 3 => Just(json!(["burn", "write"])), 1 => Just(json!(["burn"]))];
    // A Deny rule without checks ends everything, so most rules have some.
    let when = prop_oneof![1 => vec(check(), 0..2), 3 => vec(check(), 1..3), 9 => vec(check(), 2..6)];
    (effect, operations, when)
        .prop_map(|(effect, operations, when)| json!({"effect": effect, "operations": operations, "when": when}))
}

/// A check about any place.
pub fn check() -> impl Strategy<Value = Value> {
    let normalize = prop_oneof![3 => Just("None"), 1 => select(vec!["Trim", "Case", "Spaces"])];
    let field = prop_oneof![
        16 => select(vec!["amount", "name", "kind", "ref", "flag", "total", "sums.total", "who"]),
        4 => select(vec!["tags[*]", "tags[?]", "lines[*].price", "lines[?].price", "lines[0].price", "lines"]),
        2 => select(vec!["$fact.thing.total", "$fact.thing.state", "$agent.tenant", "$delegation.purpose",
                         "$call.class", "$call.time"]),
        1 => select(vec!["$run.done", "$run.done[?]", "$run.count.write", "$dim.amount", "$dim.supplier", "$dim.region"]),
        1 => select(vec!["link", "due"]),
    ];
    (field, any::<bool>(), proptest::bool::weighted(0.15), normalize, predicate()).prop_map(
        |(field, at_home, not, normalize, predicate)| {
            let field = home(&predicate, at_home).unwrap_or(field);
            json!({"field": field, "not": not, "normalize": normalize, "predicate": predicate})
        },
    )
}

/// Where a predicate that seldom holds elsewhere is at home.
fn home(predicate: &Value, at_home: bool) -> Option<&'static str> {
    match predicate.as_object()?.keys().next()?.as_str() {
        "sumEquals" | "sumAtMost" => Some("amount"),
        "hostIn" if at_home => Some("link"),
        "within" if at_home => Some("due"),
        "registryField" if at_home => Some("name"),
        "document" | "format" if at_home => Some("ref"),
        _ => None,
    }
}

fn predicate() -> impl Strategy<Value = Value> {
    let own_hosts = hosts().prop_map(|names| json!({"hostIn": {"names": names}}));
    prop_oneof![8 => equality(), 6 => bound(), 6 => shape(), 2 => own_hosts, 4 => other(), 4 => elsewhere()]
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
    let formats =
        ["iban", "bic", "email", "domain", "url", "uuid", "date", "dateTime", "currency", "vatId", "luhn"].to_vec();
    let sum = || {
        let limit = select(vec![json!("ownField"), json!({"field": "total"}), json!({"value": "7"})]);
        (limit, proptest::bool::weighted(0.3)).prop_map(|(bound, times)| {
            let mut sum = json!({"of": "lines[*].price", "bound": bound});
            if times {
                sum["times"] = json!("lines[*].count");
            }
            sum
        })
    };
    prop_oneof![
        any::<bool>().prop_map(|value| json!({"isTrue": value})),
        (0..2_u32, 2..4_u32).prop_map(|(min, max)| json!({"length": {"min": min, "max": max}})),
        Just(json!("exists")),
        Just(json!("absent")),
        select(formats).prop_map(|format| json!({"format": format})),
        Just(json!({"equalsField": "name"})),
        sum().prop_map(|sum| json!({"sumAtMost": sum})),
        sum().prop_map(|sum| json!({"sumEquals": sum})),
    ]
}

/// Names that a rule gives hosts itself.
fn hosts() -> impl Strategy<Value = Vec<&'static str>> {
    subsequence(vec!["a.example", "*.b.example", "*.x.b.example", "10.0.0.7", "[2001:db8::1]"], 1..3)
}

/// What rests on more than the call's values: registries and the time.
fn elsewhere() -> impl Strategy<Value = Value> {
    let registry = || select(REGISTRIES.to_vec());
    let attribute = select(vec!["mail", "city"]);
    prop_oneof![
        registry().prop_map(|name| json!({"inRegistry": name})),
        (registry(), attribute).prop_map(|(registry, attribute)| {
            json!({"registryField": {"registry": registry, "key": "kind", "attribute": attribute}})
        }),
        (registry(), proptest::option::of(Just("kind")), select(vec!["insurance", "audit"]))
            .prop_map(|(registry, key, name)| json!({"document": {"registry": registry, "key": key, "name": name}})),
        (hosts(), proptest::option::of(registry()))
            .prop_map(|(names, registry)| json!({"hostIn": {"names": names, "registry": registry}})),
        window().prop_map(|window| json!({"within": window})),
    ]
}

fn window() -> impl Strategy<Value = Value> {
    let days = subsequence(vec!["Mon", "Sat", "Sun"], 1..3);
    let hours = proptest::option::of(select(vec!["08:00-18:00", "22:00-06:00", "12:00-00:00"]));
    (days, hours, select(vec!["UTC", "Europe/Zurich"]))
        .prop_map(|(days, hours, zone)| json!({"days": days, "hours": hours, "timeZone": zone}))
}
