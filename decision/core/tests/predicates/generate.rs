//! Generated checks and arguments: values that predicates say something about, and paths that meet them.

use std::collections::BTreeMap;

use aegis_decision::json::{Number, Object, Value};
use aegis_decision::path::{Path, Root, Step};
use aegis_decision::policy::{
    Amount, Check, Currency, Day, Format, Normalize, Predicate, Scalar, Sum, SumBound, Window,
};
use proptest::prelude::*;

use super::formats::formatted;
use super::{reference, text};

/// All of them.
const FORMATS: [Format; 11] = [
    Format::Iban,
    Format::Bic,
    Format::Email,
    Format::Domain,
    Format::Url,
    Format::Uuid,
    Format::Date,
    Format::DateTime,
    Format::Currency,
    Format::VatId,
    Format::Luhn,
];

/// Hosts and URLs, and what is nearly one.
const HOSTS: [&str; 12] = [
    "shop.example",
    "https://shop.example:8443/x?y",
    "HTTP://A.Paper.example.#z",
    "paper.example",
    "https://blue.example",
    "https://a.b.corp.internal",
    "http://10.0.0.7",
    "http://10.7",
    "https://u@shop.example",
    "https://shop.example\\",
    "ftp://shop.example",
    "shop.example:0",
];

/// Times of five years, with changes of clocks among them.
pub fn time() -> impl Strategy<Value = String> {
    let day = prop_oneof![
        3 => (1_u8..=12, 1_u8..=28).prop_map(|(month, day)| format!("{month:02}-{day:02}")),
        1 => Just("03-30".to_owned()),
        1 => Just("10-26".to_owned()),
    ];
    let offset = proptest::sample::select(vec!["Z", "z", "+02:00", "-11:30"]);
    (2029_u16..2034, day, 0_u8..24, 0_u8..60, 0_u8..61, offset).prop_map(|(year, day, hour, minute, second, offset)| {
        format!("{year}-{day}T{hour:02}:{minute:02}:{second:02}{offset}")
    })
}

fn window() -> impl Strategy<Value = Window> {
    let days = proptest::sample::subsequence(vec![Day::Mon, Day::Tue, Day::Wed, Day::Fri, Day::Sun], 0..4);
    let hours =
        proptest::sample::select(vec!["08:00-18:00", "22:00-06:00", "01:30-02:30", "00:00-24:00", "12:00-00:00"]);
    let zone = proptest::sample::select(vec!["UTC", "Europe/Zurich", "Asia/Kolkata"]);
    (days, proptest::option::of(hours), zone).prop_map(|(days, hours, zone)| Window {
        // A window has days or hours.
        hours: hours.or(days.is_empty().then_some("08:00-18:00")).map(str::to_owned),
        days,
        time_zone: zone.to_owned(),
    })
}

fn leaf() -> impl Strategy<Value = Value> {
    let texts =
        ["a", "b", "ab", " A b ", "5", "5.0", "05", "7 ", "1e1", "EUR", "USD", "S-1", "s-1", "42", "7", "100.00", ""];
    let numbers = ["5", "7", "5.5", "42", "-1", "100", "1e200", "0.1"];
    prop_oneof![
        4 => proptest::sample::select(texts.to_vec()).prop_map(|text| Value::String(text.into())),
        1 => proptest::sample::select(HOSTS.to_vec()).prop_map(|text| Value::String(text.into())),
        1 => time().prop_map(|text| Value::String(text.into())),
        1 => "[0-9]{2,4}".prop_map(|text| Value::String(text.into())),
        3 => proptest::sample::select(numbers.to_vec()).prop_map(|text| Value::Number(Number::from_text(text).unwrap())),
        1 => any::<bool>().prop_map(Value::Bool),
        1 => Just(Value::Null),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(3, 24, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            proptest::collection::btree_map(proptest::sample::select(vec!["a", "b", "c"]), inner, 0..3)
                .prop_map(object),
        ]
    })
}

/// Lists of small objects under `l`, scalars and other things under `a`, `b` and `c`.
pub fn call_arguments() -> impl Strategy<Value = Value> {
    let any =
        proptest::collection::btree_map(proptest::sample::select(vec!["a", "b", "c"]), leaf(), 1..4).prop_map(object);
    let small = || (0_i32..5).prop_map(|n| Value::Number(Number::from_text(&n.to_string()).unwrap()));
    let numbers = (small(), small()).prop_map(|(a, b)| object(BTreeMap::from([("a", a), ("b", b)])));
    let list = prop_oneof![proptest::collection::vec(any, 0..4), proptest::collection::vec(numbers, 0..3),]
        .prop_map(Value::Array);
    (list, prop_oneof![value(), small()], value(), value())
        .prop_map(|(l, a, b, c)| object(BTreeMap::from([("l", l), ("a", a), ("b", b), ("c", c)])))
}

pub fn object(members: BTreeMap<&str, Value>) -> Value {
    let mut object = Object::new();
    for (name, value) in members {
        object.insert(name, value).unwrap();
    }
    Value::Object(object)
}

fn key() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec!["a", "b", "c"])
}

fn field() -> impl Strategy<Value = Path> {
    let quantifier = || proptest::sample::select(vec!["[*]", "[?]", "[0]"]);
    let text = prop_oneof![
        3 => key().prop_map(str::to_owned),
        4 => (quantifier(), key()).prop_map(|(quantifier, key)| format!("l{quantifier}.{key}")),
        2 => (key(), quantifier()).prop_map(|(key, quantifier)| format!("{key}{quantifier}")),
        1 => (key(), key()).prop_map(|(a, b)| format!("{a}.{b}")),
        1 => (key(), quantifier(), quantifier()).prop_map(|(key, one, two)| format!("{key}{one}{two}")),
        1 => Just("l".to_owned()),
    ];
    text.prop_map(|text| text.parse().unwrap())
}

/// A path that can be followed beside each element of the field: its last step is another key, or it stands alone.
fn beside(field: &Path, key: &str, alone: bool) -> Path {
    match field.steps.split_last() {
        Some((Step::Key(_), list)) if !alone => {
            let steps = list.iter().cloned().chain([Step::Key(key.to_owned())]).collect();
            Path { root: Root::Arguments, steps }
        }
        _ => key.parse().unwrap(),
    }
}

fn predicate(field: Path) -> impl Strategy<Value = Predicate> {
    let scalar = || {
        prop_oneof![
            proptest::sample::select(vec!["a", " AB", "5", "5.00", "EUR", ""]).prop_map(text),
            (4_i64..8).prop_map(Scalar::Integer),
        ]
    };
    let part = || proptest::sample::select(vec!["a", "B", "5", "-1"]).prop_map(str::to_owned);
    let other = (key(), any::<bool>()).prop_map(move |(key, alone)| beside(&field, key, alone)).boxed();
    let amount = {
        let other = other.clone();
        (proptest::sample::select(vec!["5", "5.0", "5.5", "-1.00", "41.999"]), proptest::option::of(other)).prop_map(
            |(value, field)| Amount {
                value: value.to_owned(),
                currency: field.map(|field| Currency { code: "EUR".to_owned(), field }),
            },
        )
    }
    .boxed();
    let list = || {
        let paths = ["l[*].a", "l[*].b", "c[*]"];
        proptest::sample::select(paths.to_vec()).prop_map(|text| text.parse::<Path>().unwrap())
    };
    let bound = prop_oneof![
        Just(SumBound::OwnField),
        other.clone().prop_map(SumBound::Field),
        proptest::sample::select(vec!["5", "12.0", "35"]).prop_map(|text| SumBound::Value(text.to_owned())),
    ];
    let sum =
        (list(), proptest::option::of(list()), bound).prop_map(|(of, times, bound)| Sum { of, times, bound }).boxed();
    let patterns: Vec<&str> = reference::PATTERNS.iter().map(|(pattern, _)| *pattern).collect();
    let registry = || proptest::sample::select(vec!["suppliers", "planned"]).prop_map(str::to_owned);
    prop_oneof![
        scalar().prop_map(Predicate::Equals),
        proptest::collection::vec(scalar(), 1..4).prop_map(Predicate::In),
        any::<bool>().prop_map(Predicate::IsTrue),
        proptest::sample::select(patterns).prop_map(|pattern| Predicate::Matches(pattern.to_owned())),
        part().prop_map(Predicate::Prefix),
        part().prop_map(Predicate::Suffix),
        part().prop_map(Predicate::Contains),
        amount.clone().prop_map(Predicate::AtMost),
        amount.clone().prop_map(Predicate::AtLeast),
        amount.clone().prop_map(Predicate::LessThan),
        amount.prop_map(Predicate::GreaterThan),
        (proptest::option::of(0_u32..2), 2_u32..4).prop_map(|(min, max)| Predicate::Length { min, max: Some(max) }),
        Just(Predicate::Exists),
        Just(Predicate::Absent),
        proptest::sample::select(FORMATS.to_vec()).prop_map(Predicate::Format),
        other.clone().prop_map(Predicate::EqualsField),
        sum.clone().prop_map(Predicate::SumEquals),
        sum.prop_map(Predicate::SumAtMost),
        registry().prop_map(Predicate::InRegistry),
        (registry(), other.clone(), proptest::sample::select(vec!["iban", "limit", "none"])).prop_map(
            |(registry, key, attribute)| Predicate::RegistryField { registry, key, attribute: attribute.to_owned() }
        ),
        (registry(), proptest::option::of(other), proptest::sample::select(vec!["insurance", "audit", "contract"]))
            .prop_map(|(registry, key, name)| Predicate::Document { registry, key, name: name.to_owned() }),
        (hosts(), proptest::option::of(registry())).prop_map(|(names, registry)| Predicate::HostIn { names, registry }),
        window().prop_map(Predicate::Within),
    ]
}

/// A predicate about hosts, times, documents or check digits, with a value that it can say something about.
pub fn fitting() -> impl Strategy<Value = (Predicate, String)> {
    let texts = |texts: &'static [&'static str]| proptest::sample::select(texts).prop_map(str::to_owned);
    let registry = || proptest::option::of(texts(&["suppliers", "planned"]));
    prop_oneof![
        3 => (window().prop_map(Predicate::Within), time()),
        3 => (
            (hosts(), registry()).prop_map(|(names, registry)| Predicate::HostIn { names, registry }),
            texts(&HOSTS),
        ),
        2 => (
            texts(&["insurance", "audit", "contract"])
                .prop_map(|name| Predicate::Document { registry: "suppliers".to_owned(), key: None, name }),
            texts(&["S-1", "s-1", "42", "S-7"]),
        ),
        4 => formatted().prop_map(|(format, text)| (Predicate::Format(format), text)),
        1 => (Just(Predicate::Format(Format::Url)), texts(&HOSTS)),
    ]
}

fn hosts() -> impl Strategy<Value = Vec<String>> {
    proptest::sample::subsequence(vec!["Shop.example", "*.corp.internal", "*.example", "10.0.0.7"], 1..4)
        .prop_map(|names| names.into_iter().map(str::to_owned).collect())
}

pub fn generated_check() -> impl Strategy<Value = Check> {
    let normalize =
        proptest::sample::select(vec![Normalize::None, Normalize::Trim, Normalize::Case, Normalize::Spaces]);
    field().prop_flat_map(move |field| {
        (Just(field.clone()), any::<bool>(), normalize.clone(), predicate(field))
            .prop_map(|(field, not, normalize, predicate)| Check { field, not, normalize, predicate })
    })
}
