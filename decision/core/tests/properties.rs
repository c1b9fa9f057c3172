//! What holds for every policy and every call, on generated ones.

// A generated value that cannot be made must stop the test where it stands.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/desk.rs"]
mod desk;

use std::collections::BTreeMap;

use aegis_decision::bundle::Bundle;
use aegis_decision::call::HttpRequest;
use aegis_decision::contract::{DecisionInput, HttpInput};
use aegis_decision::decision::{DecisionOutput, Verdict};
use aegis_decision::delegation::Delegation;
use aegis_decision::json as strict;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

const AT: &str = "2026-06-01T12:00:00Z";

/// Rules over a tool with one operation without schema, so that any JSON object is judged by the rules.
fn bundle(rules: &[Value]) -> Bundle {
    let rules: Vec<Value> = rules
        .iter()
        .enumerate()
        .map(|(index, rule)| {
            let mut rule = rule.clone();
            rule["name"] = json!(format!("r{index}"));
            rule["operations"] = json!(["*"]);
            rule
        })
        .collect();
    let write = json!({
        "http": {"method": "POST", "path": "/things/{id}", "query": [{"name": "mode", "repeated": true}]},
        "facts": desk::thing(&json!({"from": "id"})),
    });
    let policy = json!({"name": "p", "tools": ["desk"], "rules": rules, "registries": ["people"]});
    let people = json!({"name": "people", "key": "id", "entries": {"a": {"mail": ["b"]}, "7": {"mail": ["c", "d"]}}});
    let source = desk::source(&write, &[policy], &json!([people]), &["lead"]);
    Bundle::assemble(source).expect("a bundle")
}

fn delegation() -> Delegation {
    serde_json::from_value(json!({
        "name": "d", "uid": "d1", "generation": 1, "agent": "clerk", "requestedBy": "x", "delegator": "x",
        "workflow": "w", "purpose": "p", "grants": [{"tool": "desk", "operations": ["*"]}],
        "notBefore": "2026-01-01T00:00:00Z", "expiresAt": "2027-01-01T00:00:00Z",
    }))
    .unwrap()
}

/// Judges arguments and a fact given as JSON.
fn judge(bundle: &Bundle, arguments: &Value, fact: Option<&Value>) -> DecisionOutput {
    let parse = |value: &Value| strict::parse(value.to_string().as_bytes()).expect("generated values are strict");
    let input = DecisionInput {
        operation: Some("write".to_owned()),
        arguments: Some(parse(arguments)),
        facts: fact.map(|fact| BTreeMap::from([("thing".to_owned(), parse(fact))])).unwrap_or_default(),
        ..DecisionInput::new("n/clerk", "desk", AT.parse().unwrap())
    };
    bundle.judge_input(&input, &desk::standing(bundle), &[delegation()])
}

/// How much a verdict lets through.
fn permissive(output: &DecisionOutput) -> u8 {
    match output.verdict {
        Verdict::Deny => 0,
        Verdict::Hold => 1,
        Verdict::AllowOnce | Verdict::Allow | Verdict::Propose => 2,
    }
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        select(vec![json!(0), json!(1), json!(7), json!(-3), json!(7.5), json!(100), json!(1e200)]),
        select(vec!["a", "b", "7", "7.50", "c", "EUR", "USD", "", " a ", "A", "2026-01-01"]).prop_map(Value::from),
    ]
}

/// Arguments with the members that the checks look at, each one there or not, of a fitting type or not.
fn arguments() -> impl Strategy<Value = Value> {
    let member = || prop_oneof![4 => scalar(), 1 => vec(scalar(), 0..3).prop_map(Value::from)];
    let line = prop_oneof![
        5 => (proptest::option::of(scalar()), proptest::option::of(scalar())).prop_map(|(price, count)| {
            members([("price", price), ("count", count)])
        }),
        1 => scalar(),
    ];
    let lines = prop_oneof![4 => vec(line, 0..4).prop_map(Value::from), 1 => scalar()];
    let option = proptest::option::weighted(0.8, member());
    (option, proptest::option::weighted(0.8, member()), proptest::option::of(member()), proptest::option::of(lines))
        .prop_map(|(amount, name, currency, lines)| {
            members([("amount", amount), ("name", name), ("currency", currency), ("lines", lines)])
        })
}

fn fact() -> impl Strategy<Value = Option<Value>> {
    proptest::option::of(
        (proptest::option::of(scalar()), proptest::option::of(scalar()))
            .prop_map(|(total, state)| members([("total", total), ("state", state)])),
    )
}

fn members<const N: usize>(given: [(&str, Option<Value>); N]) -> Value {
    Value::Object(given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect())
}

/// Any predicate but `exists` and `absent`.
fn predicate() -> impl Strategy<Value = Value> {
    let decimal = || select(vec!["0", "1", "7", "7.5", "99.99", "100"]);
    let text = || select(vec!["a", "b", "7", "7.50", "EUR"]);
    let currency = || proptest::option::of(Just(json!({"code": "EUR", "field": "currency"})));
    let amount = move || {
        (decimal(), currency()).prop_map(|(value, currency)| match currency {
            Some(currency) => json!({"value": value, "currency": currency}),
            None => json!({"value": value}),
        })
    };
    prop_oneof![
        text().prop_map(|text| json!({"equals": {"text": text}})),
        (-3..8_i64).prop_map(|number| json!({"equals": {"integer": number}})),
        vec(text(), 1..3).prop_map(|texts| {
            json!({"in": texts.into_iter().map(|text| json!({"text": text})).collect::<Vec<_>>()})
        }),
        any::<bool>().prop_map(|value| json!({"isTrue": value})),
        select(vec!["[a-z]", "[0-9.]+", ".*"]).prop_map(|pattern| json!({"matches": pattern})),
        text().prop_map(|text| json!({"prefix": text})),
        text().prop_map(|text| json!({"suffix": text})),
        text().prop_map(|text| json!({"contains": text})),
        amount().prop_map(|amount| json!({"atMost": amount})),
        amount().prop_map(|amount| json!({"atLeast": amount})),
        amount().prop_map(|amount| json!({"lessThan": amount})),
        amount().prop_map(|amount| json!({"greaterThan": amount})),
        (0..2_u32, 2..4_u32).prop_map(|(min, max)| json!({"length": {"min": min, "max": max}})),
        select(vec!["iban", "email", "domain", "uuid", "date", "currency"])
            .prop_map(|format| json!({"format": format})),
        Just(json!({"equalsField": "name"})),
        (any::<bool>(), select(vec![json!("ownField"), json!({"field": "amount"}), json!({"value": "7"})])).prop_map(
            |(times, bound)| {
                let mut sum = json!({"of": "lines[*].price", "bound": bound});
                if times {
                    sum["times"] = json!("lines[*].count");
                }
                json!({"sumAtMost": sum})
            }
        ),
        Just(json!({"sumEquals": {"of": "lines[*].price", "bound": "ownField"}})),
        Just(json!({"inRegistry": "people"})),
        Just(json!({"registryField": {"registry": "people", "key": "name", "attribute": "mail"}})),
    ]
}

fn check_with(predicate: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    let fields =
        vec!["amount", "name", "lines", "lines[*].price", "lines[?].price", "lines[0].count", "$fact.thing.total"];
    let normalize = select(vec!["None", "Trim", "Case", "Spaces"]);
    (select(fields), any::<bool>(), normalize, predicate).prop_map(|(field, not, normalize, predicate)| {
        json!({"field": field, "not": not, "normalize": normalize, "predicate": predicate})
    })
}

fn rule_with(check: impl Strategy<Value = Value> + 'static) -> impl Strategy<Value = Value> {
    let approval = json!({"RequireApproval": {"tier": "lead", "holdSeconds": 1}});
    let effect = prop_oneof![
        3 => Just(json!("Allow")),
        2 => Just(json!("Deny")),
        2 => Just(approval),
    ];
    (effect, vec(check, 0..3)).prop_map(|(effect, when)| json!({"effect": effect, "when": when}))
}

/// Rules without `exists` and `absent`.
fn rules() -> impl Strategy<Value = Vec<Value>> {
    vec(rule_with(check_with(predicate())), 0..5)
}

/// Rules with any predicate.
fn all_rules() -> impl Strategy<Value = Vec<Value>> {
    let any_predicate = prop_oneof![8 => predicate(), 1 => Just(json!("exists")), 1 => Just(json!("absent"))];
    vec(rule_with(check_with(any_predicate)), 0..5)
}

/// A way to make a value unreadable: take a member away, or put something there that no predicate can read.
#[derive(Debug, Clone)]
enum Damage {
    Gone,
    Null,
    Object,
}

/// Damages the member that `at` picks among all object members at any depth; none when there is no member.
fn damaged(value: &Value, at: usize, damage: &Damage) -> Option<Value> {
    fn walk(value: &mut Value, left: &mut usize, damage: &Damage) -> bool {
        match value {
            Value::Object(object) => {
                let names: Vec<String> = object.keys().cloned().collect();
                for name in names {
                    if *left == 0 {
                        match damage {
                            Damage::Gone => drop(object.remove(&name)),
                            Damage::Null => drop(object.insert(name, Value::Null)),
                            Damage::Object => drop(object.insert(name, json!({}))),
                        }
                        return true;
                    }
                    *left -= 1;
                    if walk(object.get_mut(&name).unwrap(), left, damage) {
                        return true;
                    }
                }
                false
            }
            Value::Array(items) => items.iter_mut().any(|item| walk(item, left, damage)),
            _ => false,
        }
    }
    let mut copy = value.clone();
    let mut left = at;
    walk(&mut copy, &mut left, damage).then_some(copy)
}

/// Any JSON text that the strict parser takes, with nasty keys, and nested.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-9_007_199_254_740_991_i64..=9_007_199_254_740_991).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        select(vec!["", "NaN", "1e400", "-0", "\u{0}", "\u{202e}", "99999999999999999999999999999"])
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 48, 6, |inner| {
        let key = prop_oneof![
            select(vec!["amount", "name", "lines", "price", "$fact", "__proto__", "", "a.b", "[*]"])
                .prop_map(str::to_owned),
            "\\PC{0,8}",
        ];
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map(key, inner, 0..6).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// A request: id, modes, content type and body. Few distinct parts, so that equal requests come up as well.
#[derive(Debug, Clone)]
struct Sent {
    id: String,
    modes: Vec<String>,
    form: bool,
    body: Option<Value>,
}

fn sent() -> impl Strategy<Value = Sent> {
    let leaf = select(vec![
        json!(5),
        json!("5"),
        json!(5.5),
        json!("5.5"),
        Value::Null,
        json!(true),
        json!("true"),
        json!(""),
    ]);
    let tree = leaf.prop_recursive(2, 6, 2, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            vec((select(vec!["a", "b"]), inner), 0..3).prop_map(|pairs| Value::Object(
                pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
            )),
        ]
    });
    let body = proptest::option::weighted(0.9, vec((select(vec!["a", "b", "c"]), tree), 0..3)).prop_map(|pairs| {
        let member = |(key, value): (&str, Value)| (key.to_owned(), value);
        pairs.map(|pairs| Value::Object(pairs.into_iter().map(member).collect()))
    });
    let modes = vec(select(vec!["x", "y", "x y", "x&mode=y"]).prop_map(str::to_owned), 0..3);
    (select(vec!["1", "2", "a b", "a+b"]), modes, proptest::bool::weighted(0.3), body)
        .prop_map(|(id, modes, form, body)| Sent { id: id.to_owned(), modes, form, body })
}

impl Sent {
    /// As a client writes it, and what it means in a form that compares exactly; a form has strings only.
    fn request(&self) -> (HttpInput, String) {
        let escape = |text: &str| {
            text.bytes().fold(String::new(), |escaped, byte| {
                if byte.is_ascii_alphanumeric() {
                    escaped + &char::from(byte).to_string()
                } else {
                    escaped + &format!("%{byte:02X}")
                }
            })
        };
        let modes: Vec<_> = self.modes.iter().map(|mode| format!("mode={}", escape(mode))).collect();
        let (content, body, meaning) = match (&self.body, self.form) {
            (None, _) => (None, String::new(), "nothing".to_owned()),
            // A form without fields is an empty body, whatever the header says: nothing is sent.
            (Some(Value::Object(members)), true) if members.is_empty() => {
                (Some("application/x-www-form-urlencoded"), String::new(), "nothing".to_owned())
            }
            (Some(Value::Object(members)), true) => {
                let strings: BTreeMap<_, _> =
                    members.iter().map(|(key, value)| (key.clone(), value.to_string())).collect();
                let pairs: Vec<_> = strings.iter().map(|(key, value)| format!("{key}={}", escape(value))).collect();
                (Some("application/x-www-form-urlencoded"), pairs.join("&"), format!("form {strings:?}"))
            }
            (Some(tree), _) => (Some("application/json"), tree.to_string(), format!("json {}", meaning(tree))),
        };
        let headers = content.map(|content| ("content-type".to_owned(), content.to_owned())).into_iter().collect();
        let input = HttpInput {
            method: "POST".to_owned(),
            path: format!("/things/{}", escape(&self.id)),
            query: (!modes.is_empty()).then(|| modes.join("&")),
            headers,
            body,
        };
        (input, format!("{:?} {:?} {meaning}", self.id, self.modes))
    }
}

/// A tree written so that two trees are the same text exactly when they are the same value: keys sorted, kinds told.
fn meaning(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let sorted: BTreeMap<_, _> = members.iter().map(|(key, value)| (key, meaning(value))).collect();
            format!("object{sorted:?}")
        }
        Value::Array(items) => format!("array{:?}", items.iter().map(meaning).collect::<Vec<_>>()),
        Value::String(text) => format!("string{text:?}"),
        Value::Number(number) => format!("number({number})"),
        Value::Bool(value) => format!("bool({value})"),
        Value::Null => "null".to_owned(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn adding_a_deny_rule_never_allows_more(
        rules in all_rules(), when in vec(check_with(predicate()), 0..3), at in 0..6_usize,
        arguments in arguments(), fact in fact(),
    ) {
        let before = judge(&bundle(&rules), &arguments, fact.as_ref());
        let mut more = rules.clone();
        more.insert(at.min(rules.len()), json!({"effect": "Deny", "when": when}));
        let after = judge(&bundle(&more), &arguments, fact.as_ref());
        prop_assert!(permissive(&after) <= permissive(&before), "{before:?} became {after:?}");
    }

    #[test]
    fn adding_a_require_approval_rule_never_allows_more(
        rules in all_rules(), when in vec(check_with(predicate()), 0..3), at in 0..6_usize,
        arguments in arguments(), fact in fact(),
    ) {
        let before = judge(&bundle(&rules), &arguments, fact.as_ref());
        let mut more = rules.clone();
        let effect = json!({"RequireApproval": {"tier": "lead"}});
        more.insert(at.min(rules.len()), json!({"effect": effect, "when": when}));
        let after = judge(&bundle(&more), &arguments, fact.as_ref());
        prop_assert!(permissive(&after) <= permissive(&before), "{before:?} became {after:?}");
        if before.verdict == Verdict::Deny {
            prop_assert_eq!(after.verdict, Verdict::Deny, "an approval is asked where nothing allows");
        }
    }

    #[test]
    fn what_cannot_be_read_never_lets_more_through(
        rules in rules(), arguments in arguments(), fact in fact(), at in 0..12_usize,
        damage in select(vec![Damage::Gone, Damage::Null, Damage::Object]), lose_fact in any::<bool>(),
    ) {
        let bundle = bundle(&rules);
        let before = judge(&bundle, &arguments, fact.as_ref());
        let worse = damaged(&arguments, at, &damage).unwrap_or_else(|| arguments.clone());
        let after = judge(&bundle, &worse, fact.as_ref().filter(|_| !lose_fact));
        prop_assert!(permissive(&after) <= permissive(&before), "{before:?} became {after:?} with {worse}");
    }

    #[test]
    fn the_order_of_rules_does_not_change_the_verdict(
        rules in all_rules().prop_shuffle(), arguments in arguments(), fact in fact(),
    ) {
        let mut reversed = rules.clone();
        reversed.reverse();
        let (one, other) = (bundle(&rules), bundle(&reversed));
        let (one, other) = (judge(&one, &arguments, fact.as_ref()), judge(&other, &arguments, fact.as_ref()));
        prop_assert_eq!((one.verdict, one.code), (other.verdict, other.code));
    }

    #[test]
    fn the_same_inputs_give_the_same_bytes(rules in all_rules(), arguments in arguments(), fact in fact()) {
        let one = bundle(&rules);
        let text = serde_json::to_string(one.source()).unwrap();
        let other = Bundle::assemble(serde_json::from_str(&text).unwrap()).unwrap();
        let bytes = |bundle: &Bundle| serde_json::to_string(&judge(bundle, &arguments, fact.as_ref())).unwrap();
        prop_assert_eq!(bytes(&one), bytes(&one));
        prop_assert_eq!(bytes(&one), bytes(&other), "a bundle that was written and read again judges the same");
    }

    #[test]
    fn any_arguments_are_decided(rules in all_rules(), arguments in any_json(), fact in proptest::option::of(any_json())) {
        let output = judge(&bundle(&rules), &arguments, fact.as_ref());
        prop_assert_eq!(output.code.is_none(), output.verdict == Verdict::Allow);
    }

    #[test]
    fn any_request_is_decided(
        method in "[A-Z]{0,6}|POST", path in "/things/1|\\PC{0,20}", query in proptest::option::of("\\PC{0,20}"),
        headers in vec(("content-type|aegis-delegation|aegis-run|[a-z-]{1,9}", "application/json|\\PC{0,12}"), 0..4),
        body in "\\PC{0,40}|\\{\"amount\": [0-9eE.+-]{1,9}\\}",
    ) {
        let bundle = bundle(&[json!({"effect": "Allow"})]);
        let http = HttpInput { method, path, query, headers, body };
        let input = DecisionInput { http: Some(http), ..DecisionInput::new("n/clerk", "desk", AT.parse().unwrap()) };
        let output = bundle.judge_input(&input, &desk::standing(&bundle), &[delegation()]);
        prop_assert_eq!(output.code.is_none(), output.verdict == Verdict::Allow);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn two_requests_share_a_digest_only_if_they_are_the_same_effect(one in sent(), other in sent()) {
        // One bundle for all: only the requests differ.
        static BUNDLE: std::sync::LazyLock<Bundle> = std::sync::LazyLock::new(|| bundle(&[json!({"effect": "Allow"})]));
        let digest = |sent: &Sent| {
            let (http, meaning) = sent.request();
            let request = HttpRequest {
                method: &http.method, path: &http.path, query: http.query.as_deref(), headers: &http.headers,
                body: http.body.as_bytes(),
            };
            prop_assert!(BUNDLE.name_call("desk", &request).is_ok(), "{http:?}: {:?}", BUNDLE.name_call("desk", &request));
            let input = DecisionInput { http: Some(http), ..DecisionInput::new("n/clerk", "desk", AT.parse().unwrap()) };
            let output = BUNDLE.judge_input(&input, &desk::standing(&BUNDLE), &[delegation()]);
            Ok((output.effect_digest.expect("a request has an effect digest"), meaning))
        };
        let ((one, one_means), (other, other_means)) = (digest(&one)?, digest(&other)?);
        prop_assert_eq!(one == other, one_means == other_means, "{} and {}", one_means, other_means);
    }
}
