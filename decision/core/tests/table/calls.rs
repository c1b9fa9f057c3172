//! Generated calls with the delegations that they are judged under.

use std::collections::BTreeMap;
use std::fmt;

use aegis_decision::contract::{DecisionInput, HttpInput};
use aegis_decision::delegation::Delegation;
use aegis_decision::json as strict;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use crate::policies::TEXTS;

/// Hosts, URLs, and what is nearly one.
const LINKS: [&str; 11] = [
    "a.example",
    "https://a.example/x?y",
    "HTTPS://x.B.example.:8443",
    "y.x.b.example",
    "https://[2001:DB8::1]:443/",
    "b.example",
    "http://10.0.0.7",
    "http://10.7",
    "https://u@a.example",
    "ftp://a.example",
    "https://c.example",
];
/// Times about that of the calls, in and out of working hours.
const TIMES: [&str; 6] = [
    "2026-06-01T12:00:00Z",
    "2026-06-01T07:00:00+02:00",
    "2026-06-01T22:30:00Z",
    "2026-06-06T12:00:00Z",
    "2026-06-07T23:59:59-11:30",
    "2026-06-01",
];

/// A call with what it is judged under.
#[derive(Clone)]
pub struct Call {
    pub input: DecisionInput,
    pub delegations: Vec<Delegation>,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", json!({"input": self.input, "delegations": self.delegations}))
    }
}

/// The call with these arguments, under a delegation in force.
pub fn of(arguments: &Value) -> Call {
    Call { input: input(arguments, None, None, true), delegations: vec![delegation("d", "clerk", "InForce", "*")] }
}

/// Any call: over HTTP, with digests, or by operation and arguments.
pub fn call() -> impl Strategy<Value = Call> {
    let fact = proptest::option::weighted(0.8, members(vec![("total", value().boxed()), ("state", value().boxed())]));
    let approval = proptest::option::weighted(0.1, select(vec!["apr-1", "apr-2"]));
    let named = proptest::option::weighted(0.1, select(vec!["d", "e", "f"]).prop_map(str::to_owned));
    (arguments(), fact, approval, any::<bool>(), delegations(), named).prop_map(
        |(arguments, fact, approval, http, delegations, named)| {
            let input = input(&arguments, fact.as_ref(), approval, http);
            Call { input: DecisionInput { delegation: named, ..input }, delegations }
        },
    )
}

fn input(arguments: &Value, fact: Option<&Value>, approval: Option<&str>, http: bool) -> DecisionInput {
    let parse = |value: &Value| strict::parse(value.to_string().as_bytes()).expect("generated values are strict");
    let mut headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    headers.extend(approval.map(|name| ("aegis-approval".to_owned(), name.to_owned())));
    let request = HttpInput {
        method: "POST".to_owned(),
        path: "/things".to_owned(),
        query: None,
        headers,
        body: arguments.to_string(),
    };
    DecisionInput {
        agent: "n/clerk".to_owned(),
        tool: "desk".to_owned(),
        http: http.then_some(request),
        operation: (!http).then(|| "write".to_owned()),
        arguments: (!http).then(|| parse(arguments)),
        delegation: None,
        run: None,
        facts: fact.map(|fact| BTreeMap::from([("thing".to_owned(), parse(fact))])).unwrap_or_default(),
        run_view: None,
        at: "2026-06-01T12:00:00Z".parse().unwrap(),
    }
}

fn arguments() -> impl Strategy<Value = Value> {
    let line = prop_oneof![
        5 => members(vec![("price", number().boxed()), ("count", number().boxed()), ("sku", text().boxed())]),
        1 => value(),
    ];
    let tags = prop_oneof![5 => vec(text(), 0..3).prop_map(Value::from), 1 => value()];
    let lines = prop_oneof![5 => vec(line, 0..3).prop_map(Value::from), 1 => value()];
    let currency = prop_oneof![4 => select(vec!["EUR", "USD"]).prop_map(Value::from), 1 => value()];
    let place = prop_oneof![8 => select(LINKS.to_vec()).prop_map(Value::from), 1 => value()];
    let due = prop_oneof![8 => select(TIMES.to_vec()).prop_map(Value::from), 1 => value()];
    let flag = prop_oneof![4 => any::<bool>().prop_map(Value::from), 1 => value()];
    members(vec![
        ("amount", number().boxed()),
        ("name", text().boxed()),
        ("kind", text().boxed()),
        ("ref", text().boxed()),
        ("flag", flag.boxed()),
        ("currency", currency.boxed()),
        ("sums", members(vec![("total", number().boxed())]).boxed()),
        ("tags", tags.boxed()),
        ("lines", lines.boxed()),
        ("link", place.boxed()),
        ("due", due.boxed()),
    ])
}

/// An object with most of these members.
fn members(of: Vec<(&'static str, BoxedStrategy<Value>)>) -> impl Strategy<Value = Value> {
    let member = |(name, value)| proptest::option::weighted(0.9, (Just(name), value));
    of.into_iter().map(member).collect::<Vec<_>>().prop_map(|members| {
        Value::Object(members.into_iter().flatten().map(|(name, value)| (name.to_owned(), value)).collect())
    })
}

fn text() -> impl Strategy<Value = Value> {
    // Too long for some patterns, and for all.
    let long = prop_oneof![9 => select(vec![("a", 300), ("a", 5_000)]), 1 => Just(("INV-7", 4_000))];
    prop_oneof![
        60 => select(TEXTS.to_vec()).prop_map(Value::from),
        1 => long.prop_map(|(text, times)| Value::from(text.repeat(times))),
        4 => value(),
    ]
}

fn number() -> impl Strategy<Value = Value> {
    let numbers = vec![json!(-3), json!(0), json!(7), json!(7.5), json!(7.25), json!(100), json!(1e200)];
    prop_oneof![
        10 => select(numbers),
        6 => select(vec!["-3", "0", "7", "7.50", "99.995", "100.00", "7,5"]).prop_map(Value::from),
        1 => value(),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        select(vec![json!(0), json!(7), json!(7.5), json!([]), json!({}), json!([7, "a"])]),
        select(TEXTS.to_vec()).prop_map(Value::from),
    ]
}

/// Most often one that is in force; else none, another agent's, those that begin or ended or grant something else, or
/// several.
fn delegations() -> impl Strategy<Value = Vec<Delegation>> {
    let states = vec!["InForce", "Coming", "Ended", "Revoked"];
    let granted = select(vec!["*", "write", "write", "read"]);
    let any = (select(vec!["d", "e"]), select(vec!["clerk", "clerk", "other"]), select(states), granted)
        .prop_map(|(name, agent, state, granted)| delegation(name, agent, state, granted));
    prop_oneof![8 => Just(vec![delegation("d", "clerk", "InForce", "*")]), 1 => vec(any, 0..4)]
}

fn delegation(name: &str, agent: &str, state: &str, granted: &str) -> Delegation {
    let (begin, end) = match state {
        "Ended" => ("2026-01-01T00:00:00Z", "2026-06-01T12:00:00Z"),
        "Coming" => ("2026-06-01T12:00:01Z", "2027-01-01T00:00:00Z"),
        _ => ("2026-06-01T12:00:00Z", "2027-01-01T00:00:00Z"),
    };
    serde_json::from_value(json!({
        "name": name, "uid": format!("uid-{name}"), "generation": 1, "agent": agent, "requestedBy": "x",
        "delegator": "x", "workflow": "w", "purpose": "a", "grants": [{"tool": "desk", "operations": [granted]}],
        "notBefore": begin, "expiresAt": end, "revoked": state == "Revoked",
    }))
    .unwrap()
}
