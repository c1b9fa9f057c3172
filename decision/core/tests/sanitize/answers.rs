//! Answers of one shape, mostly, and redactions of them that meet: few letters, so that patterns match.

use aegis_decision::path::Path;
use aegis_decision::policy::Transform;
use aegis_decision::policy::transform::{Action, End};
use aegis_decision::tool::Redaction;
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value};

/// Places of texts, mostly.
const TEXTS: [&str; 6] = ["k", "list[*].in", "list[0].in", "lot.in", "lot.k", "lot.list[*]"];
/// Places of anything, or of nothing.
const PLACES: [&str; 9] = ["k", "list", "list[*]", "list[*].in", "list[*].lot", "lot", "lot.list", "lot.k", "lots.in"];

/// An answer: `{"k": text, "list": [{"in": text, "lot": any}], "lot": {"in": text, "k": text, "list": [text]}}`.
pub fn answer() -> impl Strategy<Value = Value> {
    let item = (member("in", value()), member("lot", anything())).prop_map(|(one, other)| object([one, other]));
    let texts = vec(value(), 0..3).prop_map(Value::from);
    let lot = (member("in", value()), member("k", value()), member("list", texts));
    let lot = lot.prop_map(|(one, other, list)| object([one, other, list]));
    // A name that patterns match.
    let other = weighted(0.1, (Just("c7"), value()));
    let list = vec(item, 0..4).prop_map(Value::from);
    let members = (member("k", value()), member("list", list), member("lot", lot), other);
    members.prop_map(|(one, list, lot, other)| object([one, list, lot, other]))
}

/// One to five redactions. Some of them conflict.
pub fn redactions() -> impl Strategy<Value = Vec<Redaction>> {
    let mask = (0_u8..=8, select(vec![End::Start, End::End])).prop_map(|(keep, end)| Action::Mask { keep, end });
    let truncate = (0_u32..6).prop_map(|characters| Action::Truncate { characters });
    let of_texts = (select(TEXTS.to_vec()), prop_oneof![mask, truncate]);
    let removed = (select(PLACES.to_vec()), Just(Action::Remove));
    let at = prop_oneof![of_texts, removed];
    let at = at.prop_map(|(place, action)| Redaction::At(Transform { field: path(place), action }));
    let field = weighted(0.4, select([TEXTS.as_slice(), PLACES.as_slice(), &["k.in"]].concat()));
    let within = (pattern(), field).prop_map(|(pattern, field)| Redaction::Pattern { pattern, field: field.map(path) });
    vec(prop_oneof![at, within], 1..6)
}

/// A pattern that asks nothing of what stands around its match, and that matches no star: where it matches a part of
/// what was masked, it matched before.
pub fn pattern() -> impl Strategy<Value = String> {
    let atom = select(vec!["[0-9]", "[A-C]", "[a-c]", "[0-9a-f]", "x", "@", "-", r"\.", "ä", "(?:ab|7)", "(?i:b)"]);
    let first = (atom.clone(), select(vec!["", "{2}", "{1,3}", "{2,4}"]));
    let next = (atom, select(vec!["", "?", "{0,2}", "{1,3}"]));
    let one = (first, vec(next, 0..3)).prop_map(|((atom, times), rest)| {
        let rest = rest.into_iter().flat_map(|(atom, times)| [atom, times]);
        [atom, times].into_iter().chain(rest).collect::<String>()
    });
    vec(one, 1..3).prop_map(|alternatives| alternatives.join("|"))
}

/// A text of the letters that patterns have, and of some that they have not.
pub fn text() -> impl Strategy<Value = String> {
    "[0-9A-Ca-cfx@.äé \"\\-]{0,20}"
}

/// Nearly always a text.
fn value() -> impl Strategy<Value = Value> {
    prop_oneof![20 => text().prop_map(Value::from), 1 => Just(Value::Null), 1 => number()]
}

/// A scalar, or a list of texts.
fn anything() -> impl Strategy<Value = Value> {
    let list = vec(text().prop_map(Value::from), 0..3).prop_map(Value::from);
    prop_oneof![3 => text().prop_map(Value::from), 3 => number(), 1 => Just(Value::Bool(true)), 1 => list]
}

fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        (-1_000_000_000_i64..1_000_000_000).prop_map(Value::from),
        // As halves are written alike by all.
        (-1_000_000_i32..1_000_000).prop_map(|halves| Value::from(f64::from(halves) + 0.5)),
    ]
}

fn member(
    name: &'static str,
    value: impl Strategy<Value = Value>,
) -> impl Strategy<Value = Option<(&'static str, Value)>> {
    weighted(0.9, (Just(name), value))
}

fn object<const N: usize>(members: [Option<(&'static str, Value)>; N]) -> Value {
    let members = members.into_iter().flatten().map(|(name, value)| (name.to_owned(), value));
    Value::Object(members.collect::<Map<_, _>>())
}

fn path(text: &str) -> Path {
    text.parse().expect("a path")
}
