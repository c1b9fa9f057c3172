//! Trees and transforms over few names, so that they meet.

use aegis_decision::path::{Path, Root, Step};
use aegis_decision::policy::Transform;
use aegis_decision::policy::transform::{Action, Constant, End, Rounding};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value};

const NAMES: [&str; 5] = ["a", "b", "c", "name", "text"];

/// A body: an object of objects, lists and scalars.
pub fn body() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-10_000_i64..10_000).prop_map(Value::from),
        (-10_000_i64..10_000).prop_map(|n| serde_json::from_str(&decimal(n)).unwrap()),
        (-10_000_i64..10_000).prop_map(|n| Value::from(decimal(n))),
        "[a-z0-9 äß€\u{1F600}\"\\\\]{0,12}".prop_map(Value::from),
    ];
    let tree = scalar.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((select(NAMES.as_slice()), inner), 0..4).prop_map(object),
        ]
    });
    vec((select(NAMES.as_slice()), tree), 2..7).prop_map(object)
}

/// With one to three digits behind the point, the last not zero.
fn decimal(n: i64) -> String {
    let sign = if n < 0 { "-" } else { "" };
    let (whole, thousandths) = (n.abs() / 1000, n.abs() % 1000);
    let text = format!("{sign}{whole}.{thousandths:03}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

fn object(members: Vec<(&'static str, Value)>) -> Value {
    Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
}

/// A place and what becomes of it.
pub fn transform() -> impl Strategy<Value = Transform> {
    let step = prop_oneof![
        3 => select(NAMES.as_slice()).prop_map(|name| Step::Key(name.to_owned())),
        3 => Just(Step::All),
        1 => (0_usize..3).prop_map(Step::Index),
    ];
    let first = select(NAMES.as_slice()).prop_map(|name| Step::Key(name.to_owned()));
    let path = (first, prop_oneof![3 => Just(Vec::new()), 2 => vec(step, 1..3)]).prop_map(|(first, mut rest)| {
        rest.insert(0, first);
        Path { root: Root::Arguments, steps: rest }
    });
    (path, action()).prop_map(|(field, action)| Transform { field, action })
}

fn action() -> impl Strategy<Value = Action> {
    let constant = prop_oneof![
        "[a-z*]{0,3}".prop_map(Constant::Text),
        (-3_i64..3).prop_map(Constant::Integer),
        any::<bool>().prop_map(Constant::Boolean),
    ];
    prop_oneof![
        5 => Just(Action::Remove),
        2 => (0_u8..=8, select(vec![End::Start, End::End])).prop_map(|(keep, end)| Action::Mask { keep, end }),
        4 => constant.prop_map(Action::Set),
        2 => (0_u32..6).prop_map(|characters| Action::Truncate { characters }),
        2 => (0_u8..4, select(vec![Rounding::HalfEven, Rounding::Down])).prop_map(|(scale, mode)| Action::Round { scale, mode }),
    ]
}
